"""Everything that is judged by is in sync, fresh and heard (controls.md section 3)."""

from __future__ import annotations

import re

from models.compliance import Control, Evidence, Input, Outcome, Severity, SubjectResult, Vouched
from monitor.compliance.needs import USABLE
from monitor.compliance.snapshot import Snapshot
from monitor.state.domains import Definition

CONTROL = Control(
    id="evidence-complete",
    title="Evidence is complete",
    statement="Every kind is in sync and fresh, and every log source is heard.",
    severity=Severity.HIGH,
    remediation="Run `segmon doctor`; it names what is not read or not heard, and why.",
    is_endpoint_scoped=False,
    requirements=("nist-800-53-r5:AU-12", "nist-800-53-r5:CA-7"),
)
_FILE = re.compile(r"(?:^|; )([^;]+?\.(?:ya?ml|json))(?::\d+)?(?: items\[\d+\])?: ", re.IGNORECASE)
"""How each reason begins that is about a file: its place. Several are divided by semicolons."""


def _cluster(_snapshot: Snapshot, definition: Definition) -> tuple[str, ...]:
    """As a whole: its domains share the watch and the sources."""
    return (definition.domain.id,) if definition.domain.level == "cluster" else ()


subjects = (_cluster,)


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    bad = [each for each in snapshot.inputs.values() if each.state not in USABLE]
    kinds = [each for each in snapshot.inputs.values() if each.input != Input.FLOWS]
    if all(each.seen_at is None for each in kinds):
        return SubjectResult(subject=subject, outcome=Outcome.ERROR, reason=bad[0].reason if bad else "nothing seen")
    if not bad:
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL,
        severity=CONTROL.severity,
        sentence=_sentence(bad),
        fix=_fix(bad),
        evidence=Evidence(steps=tuple(f"{each.input}: {each.state}: {each.reason}" for each in bad)),
    )


def _sentence(bad: list[Vouched]) -> str:
    """Which, and why the first of them."""
    inputs = "1 input is" if len(bad) == 1 else f"{len(bad)} inputs are"
    names = ", ".join(each.input for each in bad[:3]) + (" …" if len(bad) > 3 else "")
    return f"{inputs} not fresh: {names}: {bad[0].reason or bad[0].state}"


def _fix(bad: list[Vouched]) -> str:
    files = dict.fromkeys(file for each in bad for file in _FILE.findall(each.reason))
    if files:
        return f"mend {', '.join(files)}: what is in it counts again as soon as it can be read"
    if [each.input for each in bad] == [Input.FLOWS]:
        return "run `segmon collect` on every node, and look at the silent ones"
    return "run `segmon doctor` against the cluster: it names the missing permission or the process that is down"
