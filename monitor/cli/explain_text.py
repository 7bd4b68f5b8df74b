"""The answer of `segmon explain` for a person on call: one line first, then the walk that made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.verdicts import Decision, Direction
from monitor.cli.context import printable
from monitor.cli.explain_answer import Answer
from monitor.cli.explain_walk import Step, TierWalk, Walk

WORDS = {Decision.ALLOW: "ALLOWED", Decision.DENY: "DENIED", Decision.UNKNOWN: "CANNOT BE KNOWN"}
_HEADS = {Direction.EGRESS: "leaving {} (egress)", Direction.INGRESS: "entering {} (ingress)"}
_MARKS = {"allow": "✔ ALLOW", "deny": "✘ DENY"}

_NOTES = {
    "within one endpoint": "What reaches itself never leaves itself: no policy is asked.",
    "neither end is in the cluster": (
        "Neither end is a pod or a host endpoint of this cluster: nothing here polices it."
    ),
}


def text(answer: Answer) -> str:
    return "".join(f"{printable(line)}\n" for line in _lines(answer))


def _lines(answer: Answer) -> Iterator[str]:
    ends = f"{answer.source} → {answer.destination}"
    yield f"{WORDS[answer.decision]}  {ends}  {answer.connection}    {answer.of}, {answer.as_of}"
    if answer.note:
        yield _NOTES[answer.note]
        return
    for walk in answer.walks:
        yield ""
        yield from _walk(walk)
    yield ""
    yield from _why_unknown(answer)
    if answer.pending is not None:
        decided = ", ".join(_decisive(answer.pending.walks)) or "what nothing allows"
        yield f"pending (staged policies live)   {WORDS[answer.pending.decision]} by {decided}"
    if answer.pending_gaps:
        yield f"Calico's own pending trace can differ from the verdict here: {'; '.join(answer.pending_gaps)}"
    for line in answer.pods_differ:
        yield f"other pods of the same workloads differ: {line}"
    goal = "deny" if answer.decision is Decision.ALLOW else "allow"
    for place, change in enumerate(answer.to_change):
        yield f"To {goal} it: {change}." if not place else f"        or: {change}."


def _why_unknown(answer: Answer) -> Iterator[str]:
    if answer.decision is Decision.UNKNOWN:
        reasons = {reason for walk in answer.walks for reason in walk.unknown_because}
        yield f"Missing: {'; '.join(sorted(reasons))}."


def _walk(walk: Walk) -> Iterator[str]:
    yield _HEADS[walk.direction].format(walk.endpoint)
    rows = [row for tier in walk.tiers for row in _tier(tier)]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip()
    for line in walk.logs:
        yield f"  logs: {line}"


Row = tuple[str, str, str, str]


def _tier(tier: TierWalk) -> Iterator[Row]:
    head = tier.tier if tier.tier == "profiles" else f"tier {tier.tier}"
    if not tier.steps and not tier.end:
        yield head, "–", "selects nothing here", ""
        return
    for step in tier.steps:
        yield head, _named(step), _outcome(step), _said(step)
        head = ""
    if tier.end == "deny":
        what = "no profile allows it" if not tier.steps else "no rule matched"
        yield head, "", f"{what}: end of tier" if tier.steps else what, "✘ DENY"
    elif tier.end == "pass":
        yield head, "", "no rule matched: end of tier", "→ next tier"


def _named(step: Step) -> str:
    return f"{step.policy} (staged)" if step.is_staged else step.policy


def _outcome(step: Step) -> str:
    return step.outcome if step.rule is None else f"rule {step.rule}  {step.outcome.capitalize()}"


def _said(step: Step) -> str:
    if step.outcome == "pass":
        return f"{step.words}  → next tier"
    mark = _MARKS.get(step.outcome, "") if step.decides else ""
    return "  ".join(part for part in (step.words, mark) if part)


def _decisive(walks: Iterable[Walk]) -> Iterator[str]:
    """What denied, or else what allowed."""
    denying = [walk for walk in walks if walk.decision is Decision.DENY] or list(walks)
    for walk in denying:
        for tier in walk.tiers:
            yield from (f"{_named(step)} rule {step.rule}" for step in tier.steps if step.decides)
            if tier.end == "deny":
                yield f"end of tier {tier.tier}" if tier.steps else "no profile"
