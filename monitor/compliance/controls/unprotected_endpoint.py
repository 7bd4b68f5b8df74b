"""No endpoint is without any policy in a direction, once it is older than the grace period (controls.md section 3)."""

from __future__ import annotations

from datetime import timedelta

from models.compliance import Control, Evidence, Outcome, Severity, SubjectResult
from models.facts import Pod
from models.verdicts import Direction
from monitor.compliance import needs
from monitor.compliance.snapshot import Snapshot

CONTROL = Control(
    id="unprotected-endpoint",
    title="No unprotected endpoint",
    statement="No endpoint is without any policy in a direction beyond the grace period.",
    severity=Severity.HIGH,
    remediation="Select the endpoint by a policy in each direction, or the namespace by a default one.",
    is_endpoint_scoped=True,
    needs=needs.VERDICTS,
    requirements=("pci-dss-4.0.1:1.2.1", "nist-800-53-r5:AC-4"),
)

GRACE = timedelta(seconds=60)
"""What is this new is not yet held to have a policy (docs/architecture.md, Numbers)."""

_DIRECTIONS = tuple(sorted(Direction))

subjects = (Snapshot.workloads,)


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    why_not = snapshot.why_not_policed(subject)
    if why_not:
        return SubjectResult(subject=subject, outcome=Outcome.SKIP, reason=why_not)
    open_at = {endpoint: _open_directions(snapshot, endpoint) for endpoint in snapshot.endpoints(subject)}
    bare = {endpoint: directions for endpoint, directions in open_at.items() if directions}
    if not bare:
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    old = [endpoint for endpoint in bare if not _is_new(snapshot, endpoint)]
    if not old:
        return SubjectResult(subject=subject, outcome=Outcome.SKIP, reason="younger than the grace period")
    directions = " and ".join(sorted({each.value for endpoint in old for each in bare[endpoint]}))
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL,
        severity=CONTROL.severity,
        sentence=f"no policy selects {subject} for {directions}",
        fix=f"add a policy in {subject.partition('/')[0]} that selects it, with types for {directions}",
        evidence=Evidence(
            steps=tuple(f"{each}: no enforced policy for {', '.join(bare[each])}" for each in old),
            facts=tuple(snapshot.state.inventory.key_of(each).text() for each in old),
        ),
    )


def _open_directions(snapshot: Snapshot, endpoint: str) -> list[Direction]:
    return [each for each in _DIRECTIONS if not snapshot.engine.selecting(endpoint, each)]


def _is_new(snapshot: Snapshot, endpoint: str) -> bool:
    """By the API server's time of creation against log time; without one it is not new. If it is, it is asked again."""
    key = snapshot.state.inventory.key_of(endpoint)
    pod = snapshot.state.facts[key]
    if not isinstance(pod, Pod) or pod.created_at is None or snapshot.at >= pod.created_at + GRACE:
        return False
    snapshot.state.look_again(key, pod.created_at + GRACE)
    return True
