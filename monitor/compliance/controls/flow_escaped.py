"""No traffic was seen across a boundary that its owner has not declared (controls.md section 3).

Trusts `match`: a path's class is a fact. It stays until the path has not been seen for 30 days.
"""

from __future__ import annotations

from models.compliance import Control, Evidence, Input, Outcome, Severity, SubjectResult
from models.facts import FactKey, Kind, ObservedPath
from monitor.compliance import needs
from monitor.compliance.snapshot import Snapshot

CONTROL = Control(
    id="flow-escaped",
    title="No escaped flow",
    statement="No traffic was seen across a boundary that neither policy nor declaration permits.",
    severity=Severity.CRITICAL,
    remediation="Close the path by policy, or have its owner declare it with reason and approver.",
    is_endpoint_scoped=True,
    needs=(*needs.PLACES, Input.FLOWS),
    requirements=("pci-dss-4.0.1:1.4.2", "nist-800-53-r5:AC-4"),
)

subjects = (Snapshot.workloads,)


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    paths = snapshot.escaped.get(subject, ())
    if not paths:
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    first, more = paths[0], len(paths) - 1
    also = f", and {more} more paths" if more else ""
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL,
        severity=CONTROL.severity,
        sentence=f"{_path(first)} crossed a boundary undeclared{also}",
        fix=f"deny {_path(first)} by policy, or declare it in domains.yaml",
        evidence=Evidence(
            steps=tuple(f"{_path(each)}: {each.cause} (since {each.since:%Y-%m-%dT%H:%M:%SZ})" for each in paths),
            facts=tuple(FactKey(snapshot.state.cluster, Kind.OBSERVED_PATH, "", each.path_id).text() for each in paths),
        ),
    )


def _path(path: ObservedPath) -> str:
    port = f"/{path.port}" if path.port is not None else ""
    return f"{path.source} to {path.destination} on {path.protocol}{port}"
