"""What policy for pods does not reach is known by name: pods on their node's network, nodes without a host endpoint.

Accepting one is a waiver with a reason and an approver (controls.md section 3).
"""

from __future__ import annotations

from models.compliance import Control, Evidence, Outcome, Severity, SubjectResult
from models.facts import FactKey, Kind
from monitor.compliance import needs
from monitor.compliance.snapshot import Snapshot
from monitor.state.domains import Definition

CONTROL = Control(
    id="host-network-bypass",
    title="No unaccepted bypass by the host's network",
    statement="Host-networked pods and nodes without host endpoints are listed and accepted by name.",
    severity=Severity.MEDIUM,
    remediation="Take the pod off the host's network or give the node a host endpoint; else accept it by a waiver.",
    is_endpoint_scoped=True,
    needs=(*needs.PLACES, Kind.NODE, Kind.HOST_ENDPOINT),
    requirements=("nist-800-53-r5:SC-7",),
)

NODE = "node/"


def _nodes(snapshot: Snapshot, definition: Definition) -> tuple[str, ...]:
    """Those of the cluster."""
    is_cluster = definition.domain.level == "cluster"
    return tuple(NODE + each for each in sorted(snapshot.state.nodes)) if is_cluster else ()


subjects = (Snapshot.workloads, _nodes)


def basis(snapshot: Snapshot) -> object:
    """The nodes there are, and those with a host endpoint."""
    return snapshot.state.nodes, _guarded(snapshot)


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    if subject.startswith(NODE):
        return _node(snapshot, subject)
    on_host = [key for key, pod in snapshot.pods(subject) if pod.host_network]
    namespace = subject.partition("/")[0]
    if not on_host:
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    if namespace in snapshot.system_namespaces:
        reason = f"system namespace: {snapshot.system_namespaces[namespace]}"
        return SubjectResult(subject=subject, outcome=Outcome.SKIP, reason=reason)
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL,
        severity=CONTROL.severity,
        sentence=f"{subject} runs on its node's network, where no policy for pods reaches it",
        fix=f"take hostNetwork off {subject}, or accept it by a waiver",
        evidence=Evidence(
            steps=tuple(f"{key.namespace}/{key.name}: hostNetwork" for key in on_host),
            facts=tuple(key.text() for key in on_host),
        ),
    )


def _node(snapshot: Snapshot, subject: str) -> SubjectResult:
    name = subject.removeprefix(NODE)
    if name in _guarded(snapshot):
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL,
        severity=CONTROL.severity,
        sentence=f"node {name} has no host endpoint: nothing polices what runs on it outside of pods",
        fix=f"give node {name} a host endpoint (or turn automatic ones on), or accept it by a waiver",
        evidence=Evidence(facts=(FactKey(snapshot.state.cluster, Kind.NODE, "", name).text(),)),
    )


def _guarded(snapshot: Snapshot) -> set[str]:
    """Nodes with a host endpoint."""
    return {each.node for each in snapshot.hosts}
