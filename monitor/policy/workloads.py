"""Which workload an endpoint belongs to: `namespace/Kind/name` of its top controller.

Trusts: facts as they are known; a step that is missing ends the way up at the last controller named.
A bare pod is a workload of its own, `namespace/Pod/name`; a host endpoint is `HostEndpoint/name`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.facts import Controller, Fact, FactKey, HostEndpoint, Kind, Owner, Pod

TEMPLATE_HASH = "pod-template-hash"
_STEPS = 4  # CronJob, Job, Pod is the longest way; a loop in bad input ends here


def by_endpoint(facts: Mapping[FactKey, Fact]) -> dict[str, str]:
    """Workload by endpoint id, for every pod and host endpoint, whether it has an address or not."""
    owners = {
        (key.namespace, key.kind.value, key.name): fact.owner
        for key, fact in facts.items()
        if isinstance(fact, Controller)
    }
    found: dict[str, str] = {}
    for fact in facts.values():
        match fact:
            case Pod():
                found[f"pod:{fact.namespace}/{fact.name}"] = of_pod(fact, owners)
            case HostEndpoint():
                found[f"host:{fact.name}"] = f"{Kind.HOST_ENDPOINT}/{fact.name}"
            case _:
                pass
    return found


def of_pod(pod: Pod, owners: Mapping[tuple[str, str, str], Owner | None]) -> str:
    """`owners`: of ReplicaSets and Jobs, by namespace, kind and name."""
    top = pod.owner
    if top is None:
        return f"{pod.namespace}/Pod/{pod.name}"
    for _ in range(_STEPS):
        above = owners.get((pod.namespace, top.kind, top.name)) or _deployment(top, pod.labels.get(TEMPLATE_HASH, ""))
        if above is None:
            break
        top = above
    return f"{pod.namespace}/{top.kind}/{top.name}"


def _deployment(owner: Owner, template_hash: str) -> Owner | None:
    """Where the ReplicaSet is not known, its name still ends in the hash that the Deployment gave it."""
    suffix = f"-{template_hash}"
    if owner.kind == "ReplicaSet" and template_hash and owner.name.endswith(suffix):
        return Owner(kind="Deployment", name=owner.name.removesuffix(suffix))
    return None


def members(workload_of: Mapping[str, str], endpoints: Iterable[str]) -> dict[str, set[str]]:
    """Endpoint ids by workload."""
    found: dict[str, set[str]] = {}
    for endpoint in endpoints:
        found.setdefault(workload_of.get(endpoint, endpoint), set()).add(endpoint)
    return found
