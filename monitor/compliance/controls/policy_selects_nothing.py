"""Every policy selects at least one endpoint (controls.md section 3): one that selects none protects nobody.

Staged policies count: what is to be enforced one day should select somebody today.
"""

from __future__ import annotations

from models.compliance import Control, Evidence, Outcome, Severity, SubjectResult
from models.facts import Rejected
from monitor.compliance import needs
from monitor.compliance.snapshot import Snapshot

CONTROL = Control(
    id="policy-selects-nothing",
    title="No policy that selects nothing",
    statement="Every policy selects at least one endpoint.",
    severity=Severity.LOW,
    remediation="Correct the selector, or take the policy away.",
    is_endpoint_scoped=True,
    needs=(*needs.VERDICTS, *needs.STAGED),
    requirements=("pci-dss-4.0.1:1.2.7",),
)

subjects = (Snapshot.policies,)


def basis(snapshot: Snapshot) -> object:
    return snapshot.idle_policies


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    key = snapshot.policy_keys[subject]
    if isinstance(snapshot.state.facts[key], Rejected):
        return SubjectResult(subject=subject, outcome=Outcome.SKIP, reason="Calico drops it: see policy-invalid")
    if (key.kind.value, key.namespace, key.name) not in snapshot.idle_policies:
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL,
        severity=CONTROL.severity,
        sentence=f"{subject} selects no endpoint",
        fix=f"correct the selector of {subject}, or take it away",
        evidence=Evidence(steps=("no endpoint there is matches its selector",), facts=(key.text(),)),
    )
