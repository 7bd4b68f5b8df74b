"""Workloads stand for their pods: what a controller would run, as Pod objects, one or two for each.

Trusts: nothing of the shape; what has no pod template makes no pod.
Law 1: a pod made here is scheduled, has an address that no policy mentions and is owned by its top controller.
Law 2: a controller whose pods, or whose own controller, are in the input makes none: no pod counts twice.
Any kind with a pod template at `spec.template` counts (a Rollout, a DeploymentConfig), not only Kubernetes' own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, ip_network
from typing import Any, Final

from msgspec import Struct

from monitor.policy import intervals
from monitor.policy.intervals import Intervals

Json = dict[str, Any]

MOST_PODS: Final = 2
"""Enough to show what pods of one workload may do to each other."""
NODE: Final = "not-scheduled-yet"
POOLS: Final = ("100.64.0.0/10", "198.18.0.0/15", "172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16", "240.0.0.0/4")
"""Where addresses are made up, in order of preference: shared, benchmark, private and reserved space."""
READ_OF_SPEC: Final = ("serviceAccountName", "serviceAccount", "hostNetwork", "containers", "initContainers")
NO_TEMPLATE_KINDS: Final = frozenset({"Pod", "PodTemplate"})


class Owner(Struct, frozen=True, order=True, cache_hash=True):
    """A controller, as pods are counted by it."""

    namespace: str
    kind: str
    name: str


class Workload(Struct, frozen=True, kw_only=True):
    """What counts of a workload, or of anything that has a controller, for the question who makes pods.

    `pods`: names of those that it makes if nobody else does; None for what has no template. `hash`: a live Pod's.
    """

    owner: Owner
    above: Owner | None
    pods: tuple[str, ...] | None
    hash: object


def workload(obj: Json) -> Workload | None:
    """None for what neither makes pods nor has a controller."""
    above, has_template = _controller(obj), _template(obj) is not None
    if above is None and not has_template:
        return None
    owner = _self(obj)
    count = 0 if not has_template or _is_spent(obj) else _count(obj)
    return Workload(
        owner=owner,
        above=above,
        pods=tuple([f"{owner.name}-{number}" for number in range(count)]) if has_template else None,
        hash=_part(_part(obj, "metadata"), "labels").get("pod-template-hash") if owner.kind == "Pod" else None,
    )


def making(known: Sequence[Workload]) -> Iterator[tuple[int, Owner]]:
    """(place in `known`, top controller) of those that make pods."""
    present = frozenset([each.owner for each in known if each.pods is not None])
    parents = {each.owner: each.above for each in known if each.above is not None}
    taken = _with_live_pods(known, parents)
    for place, each in enumerate(known):
        if each.pods and each.owner not in taken and parents.get(each.owner) not in present:
            yield place, _top(each.owner, parents)


def _self(obj: Json) -> Owner:
    meta = _part(obj, "metadata")
    return Owner(str(meta.get("namespace") or "default"), str(obj.get("kind")), str(meta.get("name")))


def _part(obj: Mapping[str, Any], name: str) -> Json:
    value = obj.get(name)
    return value if isinstance(value, dict) else {}


def _controller(obj: Json) -> Owner | None:
    metadata = obj.get("metadata")
    references = metadata.get("ownerReferences") if isinstance(metadata, dict) else None
    if not isinstance(references, list):
        return None
    for reference in references:
        if isinstance(reference, dict) and reference.get("controller"):
            return Owner(_self(obj).namespace, str(reference.get("kind")), str(reference.get("name")))
    return None


def _top(owner: Owner, parents: Mapping[Owner, Owner]) -> Owner:
    for _ in range(4):  # a chain is at most CronJob, Job, Pod; a loop in bad input ends here
        above = parents.get(owner)
        if above is None:
            return owner
        owner = above
    return owner


def _with_live_pods(known: Iterable[Workload], parents: Mapping[Owner, Owner]) -> set[Owner]:
    """Every controller, at any height, of a Pod in the input."""
    taken: set[Owner] = set()
    for each in known:
        if each.owner.kind != "Pod":
            continue
        owner = each.above
        while owner is not None and owner not in taken:
            taken.add(owner)
            owner = parents.get(owner) or _deployment_of(owner, each.hash)
    return taken


def _deployment_of(owner: Owner, template_hash: object) -> Owner | None:
    """A dump without ReplicaSets still tells the Deployment: its name, a dash and the template's hash."""
    suffix = f"-{template_hash}"
    if owner.kind == "ReplicaSet" and template_hash and owner.name.endswith(suffix):
        return Owner(owner.namespace, "Deployment", owner.name.removesuffix(suffix))
    return None


def _template(obj: Json) -> Json | None:
    spec = obj.get("spec")
    if not isinstance(spec, dict) or not ("template" in spec or "jobTemplate" in spec):
        return None
    if obj.get("kind") in NO_TEMPLATE_KINDS:
        return None
    if "jobTemplate" in spec:
        spec = _part(_part(spec, "jobTemplate"), "spec") or spec
    template = _part(spec, "template")
    return template if isinstance(_part(template, "spec").get("containers"), list) else None


def _is_spent(obj: Json) -> bool:
    """A Job that is over, or a ReplicaSet of an earlier revision."""
    kind = obj.get("kind")
    if kind == "ReplicaSet":
        return _part(obj, "spec").get("replicas") == 0
    if kind != "Job":
        return False
    conditions = _part(obj, "status").get("conditions")
    return any(
        isinstance(known, dict) and known.get("type") in {"Complete", "Failed"} and known.get("status") == "True"
        for known in (conditions if isinstance(conditions, list) else ())
    )


def _count(obj: Json) -> int:
    """One, or as many as it asks for up to two. Scaled to none it still shows what it would be allowed."""
    spec = _part(obj, "spec")
    asked = spec.get("replicas", spec.get("parallelism", 1))
    return min(max(asked, 1), MOST_PODS) if isinstance(asked, int) else 1


def pod(obj: Json) -> Json:
    """The first of the pods that a workload makes, without an address, owned by the workload itself."""
    template, owner = _template(obj) or {}, _self(obj)
    meta, spec = _part(template, "metadata"), _part(template, "spec")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{owner.name}-0",
            "namespace": owner.namespace,
            "labels": meta.get("labels") or {},
            "annotations": meta.get("annotations") or {},
            "generateName": f"{owner.name}-",
            "ownerReferences": [{"kind": owner.kind, "name": owner.name, "controller": True}],
        },
        "spec": {"nodeName": NODE} | {field: spec[field] for field in READ_OF_SPEC if field in spec},
        "status": {"phase": "Running"},
    }


def is_unborn(pod: Json) -> bool:
    """A Pod as written by hand: never sent to a cluster, so it stands for itself once it runs."""
    return not _part(pod, "status") and "uid" not in _part(pod, "metadata")


def born(pod: Json) -> Json:
    return {**pod, "spec": {**_part(pod, "spec"), "nodeName": _part(pod, "spec").get("nodeName") or NODE}}


# --- addresses ---------------------------------------------------------------------------------------------------


def free_addresses(mentioned: Iterable[str]) -> Iterator[str]:
    """IPv4 addresses, ascending, that none of these networks covers; 0.0.0.0/0 covers everything and is passed over."""
    taken = _covered(mentioned)
    for pool in POOLS:
        net = ip_network(pool)
        # the network's own first and last address look like a mistake in a table
        free = intervals.difference((int(net.network_address) + 1, int(net.broadcast_address)), taken)
        for first, last in intervals.ranges(free):
            yield from (_dotted(number) for number in range(first, last + 1))


def _covered(mentioned: Iterable[str]) -> Intervals:
    found = []
    for text in set(mentioned):
        try:
            net = ip_network(text, strict=False)
        except ValueError:
            continue  # normalise has said so
        if isinstance(net, IPv4Network) and net.prefixlen:
            found.append((int(net.network_address), int(net.broadcast_address)))
    return intervals.of(found)


def _dotted(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
