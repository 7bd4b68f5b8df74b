"""Small recordings for the store's tests."""

from datetime import UTC, datetime, timedelta

from models.compliance import (
    ControlResult,
    Domain,
    DomainPosture,
    Evaluation,
    Evidence,
    Member,
    Outcome,
    Revision,
    Severity,
    SubjectResult,
    Vouched,
)
from models.facts import FactKey, Kind
from models.recording import Recording
from models.topics import Position

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SHOP = Domain(id="namespace/shop", level="namespace", name="shop", owner="ann")
POD = FactKey("h", Kind.POD, "shop", "web-1")


def at(seconds):
    return START + timedelta(seconds=seconds)


def subject(outcome, *, name="shop/Deployment/web", sentence="is open", severity=Severity.HIGH, waiver=""):
    failing = outcome is Outcome.FAIL
    return SubjectResult(
        subject=name,
        outcome=outcome,
        severity=severity if failing else Severity.INFO,
        sentence=sentence if failing else "",
        fix="close it" if failing else "",
        evidence=Evidence(steps=("no policy selects it",)) if failing else Evidence(),
        waiver=waiver,
    )


def control(outcome, *subjects, needs=("Pod",), reason=""):
    counts = {}
    for each in subjects:
        counts[each.outcome.value] = counts.get(each.outcome.value, 0) + 1
    return ControlResult(
        control="default-deny-ingress",
        outcome=outcome,
        reason=reason,
        counts=counts,
        waived=sum(bool(each.waiver) for each in subjects),
        subjects=subjects,
        needs=needs,
    )


def posture(*results, domain=SHOP):
    members = tuple(
        Member(subject=each.subject, pods=("shop/web-1",)) for result in results for each in result.subjects
    )
    return DomainPosture(domain=domain, members=members, results=results)


def failing(**changes):
    return posture(control(Outcome.FAIL, subject(Outcome.FAIL, **changes)))


def passing():
    return posture(control(Outcome.PASS, subject(Outcome.PASS)))


def unevaluated():
    return posture(control(Outcome.ERROR, reason="Pod is stale"))


def recording(step, *postures, gone=(), expected=..., revisions=(), vouched=(), seconds=None, **more):
    """The step-th recording of cluster h: position (1, step), expecting the step before it."""
    moment = at(step if seconds is None else seconds)
    position = Position(1, step)
    evaluation = Evaluation(cluster="h", position=position, at=moment, postures=postures, gone=gone)
    return Recording(
        partition=0,
        cluster="h",
        expected=(Position(1, step - 1) if step > 1 else None) if expected is ... else expected,
        position=position,
        at=moment,
        revisions=revisions,
        evaluation=evaluation if postures or gone else None,
        vouched=vouched,
        **more,
    )


def revision(raw, *, step=1, key=POD):
    return Revision(key=key, position=Position(1, step), at=at(step), raw=raw)


def seen(step, *, unbroken=0, name="Pod"):
    return Vouched(input=name, seen_at=at(step), unbroken_since=at(unbroken))
