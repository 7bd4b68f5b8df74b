"""Whether a workload denies what no rule names: judged by verdict, never by the presence of a policy.

The proof is a peer that nothing knows, over a port that nothing names: if it is let in, so is anybody. An allow-all
that poses as default deny fails; a policy without any rule, stricter than it looks, passes (controls.md section 3).
"""

from __future__ import annotations

from models.compliance import Control, Evidence, Outcome, SubjectResult
from models.verdicts import Decision, Direction, Hit, Verdict
from monitor.compliance import wording
from monitor.compliance.snapshot import Snapshot

PREPOSITION = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def check(control: Control, direction: Direction, snapshot: Snapshot, subject: str) -> SubjectResult:
    why_not = snapshot.why_not_policed(subject)
    if why_not:
        return SubjectResult(subject=subject, outcome=Outcome.SKIP, reason=why_not)
    verdicts = {each: snapshot.engine.stranger(each, direction) for each in snapshot.endpoints(subject)}
    for outcome, decision in ((Outcome.FAIL, Decision.ALLOW), (Outcome.ERROR, Decision.UNKNOWN)):
        endpoint = next((each for each, verdict in verdicts.items() if verdict.decision is decision), None)
        if endpoint is not None:
            return _told(snapshot, subject, (endpoint, verdicts[endpoint]), (control, direction), outcome)
    return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=control.severity)


def _told(
    snapshot: Snapshot,
    subject: str,
    found: tuple[str, Verdict],
    asked: tuple[Control, Direction],
    outcome: Outcome,
) -> SubjectResult:
    (endpoint, verdict), (control, direction) = found, asked
    evidence: Evidence = wording.evidence(snapshot.state.cluster, endpoint, verdict)
    if outcome is Outcome.ERROR:
        reason = f"{endpoint}: cannot be known: {', '.join(verdict.unknown_because)}"
        return SubjectResult(
            subject=subject, outcome=outcome, severity=control.severity, reason=reason, evidence=evidence
        )
    sentence, fix = _why(subject, verdict.trace[-1] if verdict.trace else None, direction)
    return SubjectResult(
        subject=subject, outcome=outcome, severity=control.severity, sentence=sentence, fix=fix, evidence=evidence
    )


def _why(subject: str, last: Hit | None, direction: Direction) -> tuple[str, str]:
    """What is wrong, and the smallest change that mends it."""
    anybody = f"{subject} allows {direction} {PREPOSITION[direction]} anybody"
    namespace = subject.partition("/")[0]
    if last is None or last.kind == wording.PROFILE:
        return (
            f"{anybody}: no policy that decides selects it in this direction",
            f"add a policy in {namespace} that selects it, of type {direction}, with only the rules it needs",
        )
    return (
        f"{anybody}: {wording.policy(last)} rule {last.rule} allows what nothing names",
        f"narrow rule {last.rule} of {wording.policy(last)} to the peers and ports it is meant for",
    )
