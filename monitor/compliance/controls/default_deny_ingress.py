"""Every endpoint denies ingress that no rule allows (controls.md section 3)."""

from __future__ import annotations

from models.compliance import Control, Severity, SubjectResult
from models.verdicts import Direction
from monitor.compliance import default_denial, needs
from monitor.compliance.snapshot import Snapshot

CONTROL = Control(
    id="default-deny-ingress",
    title="Default deny, ingress",
    statement="Every endpoint of the domain denies by effect what no rule allows, in the ingress direction.",
    severity=Severity.HIGH,
    remediation="Select the endpoint by a policy of type Ingress whose rules name only the peers and ports it needs.",
    is_endpoint_scoped=True,
    needs=needs.VERDICTS,
    requirements=("pci-dss-4.0.1:1.3.1", "nist-800-53-r5:SC-7(5)"),
)

subjects = (Snapshot.workloads,)


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    return default_denial.check(CONTROL, Direction.INGRESS, snapshot, subject)
