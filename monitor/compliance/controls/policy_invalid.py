"""No object that Calico drops as a whole: what its author thinks is enforced is not (controls.md section 3)."""

from __future__ import annotations

from models.compliance import Control, Evidence, Outcome, Severity, SubjectResult
from models.facts import Rejected
from monitor.compliance import needs
from monitor.compliance.snapshot import Snapshot

CONTROL = Control(
    id="policy-invalid",
    title="No invalid policy",
    statement="No object is dropped as a whole by Calico itself.",
    severity=Severity.HIGH,
    remediation="Correct the object; until then it counts as absent.",
    is_endpoint_scoped=True,
    needs=(*needs.POLICIES, *needs.STAGED),
    requirements=("pci-dss-4.0.1:1.2.1", "nist-800-53-r5:CM-6"),
)

subjects = (Snapshot.policies,)


def basis(_snapshot: Snapshot) -> object:
    """The policies alone."""
    return None


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    key = snapshot.policy_keys[subject]
    fact = snapshot.state.facts[key]
    if not isinstance(fact, Rejected):
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL,
        severity=CONTROL.severity,
        sentence=f"Calico drops {subject}: {fact.reason}",
        fix=f"correct {subject}: {fact.reason}",
        evidence=Evidence(steps=(f"refused at {fact.stage}: {fact.reason}",), facts=(key.text(),)),
    )
