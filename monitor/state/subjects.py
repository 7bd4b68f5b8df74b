"""Whom a finding is about: the workload that a pod belongs to (controls.md section 2).

A rollout neither resolves nor reopens anything, so a pod stands for its top controller. A ReplicaSet or Job is a step
on the way; where it is not known, it is taken for the top. Written `namespace/Kind/name`; host endpoints `host/<name>`.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.facts import Controller, Fact, FactKey, HostEndpoint, Kind, Owner, Pod

STEPS = {"ReplicaSet": Kind.REPLICA_SET, "Job": Kind.JOB}
"""Controllers that may have a controller themselves."""


def of_pod(pod: Pod, facts: Mapping[FactKey, Fact], cluster: str) -> str:
    top = _top(pod.owner, pod.namespace, facts, cluster) if pod.owner else Owner(kind="Pod", name=pod.name)
    return f"{pod.namespace}/{top.kind}/{top.name}"


def of_host(host: HostEndpoint) -> str:
    return f"host/{host.name}"


def namespace_of(subject: str) -> str:
    """Empty for what lies in none."""
    return "" if subject.startswith("host/") or subject.count("/") < 2 else subject.partition("/")[0]


def _top(owner: Owner, namespace: str, facts: Mapping[FactKey, Fact], cluster: str) -> Owner:
    step = STEPS.get(owner.kind)
    if step is None:
        return owner
    controller = facts.get(FactKey(cluster, step, namespace, owner.name))
    if isinstance(controller, Controller) and controller.owner:
        return controller.owner
    return owner


def of_object(key: FactKey) -> str:
    """Of what is no workload, such as a policy: `Kind/namespace/name`, `Kind/name` for what has no namespace."""
    return "/".join(part for part in (key.kind.value, key.namespace, key.name) if part)
