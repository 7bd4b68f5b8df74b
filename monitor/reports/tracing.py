"""Findings over a period, from their moves: as they stood at its end, and how long they were open and waived in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from models.compliance import Evidence, Severity
from monitor.reports.content import ControlMove, Finding
from monitor.store.periods import Course, Move, Standing

SEVERITIES = tuple(each.value for each in reversed(Severity))
_STATES = ("open", "waived", "resolved")
_STATE_RANK = {state: rank for rank, state in enumerate(_STATES)}
_SEVERITY_RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}

Known = Callable[[datetime], datetime | None]
"""When what decides was changed last before a time, if that was just before."""


class _Recorded(Evidence, frozen=True, kw_only=True):
    """As it stands beside a move in the record."""

    fix: str = ""


_recorded = msgspec.json.Decoder(_Recorded).decode


class Trace:
    """One finding while its moves are read in order."""

    def __init__(self, begin: datetime, standing: Standing | None) -> None:
        self.was_open = standing is not None
        self.last: Move | None = standing.move if standing else None
        self.opened_at = standing.opened_at if standing else begin
        self.open_since: datetime | None = begin if standing else None
        self.waived_since = begin
        self.waiver = self.lapsed = ""
        if standing and standing.waiver:
            self.waiver = standing.waiver if standing.waiving == "waived" else ""
            self.lapsed = standing.waiver if standing.waiving == "unwaived" else ""
        self.resolved_at: datetime | None = None
        self.resolved_after: timedelta | None = None
        self.open_seconds = 0.0
        self.waived_seconds: dict[str, float] = {}
        self.opening: datetime | None = None  # the first in the period
        self.reopened = 0
        self.history: list[ControlMove] = []

    def read(self, course: Course) -> None:
        self.last = course.last
        said = ""
        for _, _, severity, transition, at, epoch, offset, sentence, reason in course.steps:
            told = "" if sentence == said else sentence
            said = sentence
            self.history.append(ControlMove(at, transition, severity, f"{epoch}:{offset}", reason, told))
            self._move(transition, at, reason)

    def _move(self, transition: str, at: datetime, reason: str) -> None:
        match transition:
            case "opened" | "reopened":
                self.open_since = self.opened_at = at
                self.opening = self.opening or at
                self.reopened += transition == "reopened"
                self.resolved_at, self.lapsed = None, ""
            case "resolved":
                self._end(at)
                self.resolved_at, self.resolved_after = at, at - self.opened_at
                self.waiver = self.lapsed = ""
            case "waived":
                self._end_waiver(at)
                self.waiver, self.lapsed, self.waived_since = reason, "", at
            case "unwaived":
                self._end_waiver(at)
                self.waiver, self.lapsed = "", reason

    def _end(self, at: datetime) -> None:
        if self.open_since is not None:
            self.open_seconds += (at - self.open_since).total_seconds()
        self.open_since = None
        self._end_waiver(at)

    def _end_waiver(self, at: datetime) -> None:
        if self.waiver:
            lasted = (at - self.waived_since).total_seconds()
            self.waived_seconds[self.waiver] = self.waived_seconds.get(self.waiver, 0.0) + lasted

    def finding(self, to_at: datetime, owner: str, changed_before: Known) -> Finding:
        self._end(to_at)
        assert self.last is not None
        move, evidence = self.last, _recorded(self.last.evidence)
        opening = self.opening
        change = changed_before(opening) if opening else None
        return Finding(
            id=move.finding_id,
            domain=move.domain,
            control=move.control,
            subject=move.subject,
            severity=move.severity,
            state="resolved" if self.resolved_at else "waived" if self.waiver else "open",
            sentence=move.sentence,
            proof=evidence.steps,
            facts=evidence.facts,
            fix=evidence.fix,
            owner=owner,
            waiver=self.waiver,
            lapsed=self.lapsed,
            opened_at=self.opened_at,
            resolved_at=self.resolved_at,
            open_seconds=self.open_seconds,
            waived_seconds=self.waived_seconds,
            detected_seconds=(opening - change).total_seconds() if opening and change else None,
            resolved_after_seconds=self.resolved_after.total_seconds() if self.resolved_after is not None else None,
            was_open_at_start=self.was_open,
            reopened=self.reopened,
            history=tuple(self.history),
        )


def traces(standing: Iterable[Standing], courses: Iterable[Course], begin: datetime) -> Iterator[Trace]:
    """One finding after the other; both come in the order of `Move.place`."""
    waiting = deque(standing)
    for course in courses:
        place = course.last.place
        while waiting and waiting[0].move.place < place:
            yield Trace(begin, waiting.popleft())
        trace = Trace(begin, waiting.popleft() if waiting and waiting[0].move.place == place else None)
        trace.read(course)
        yield trace
    for stood in waiting:
        yield Trace(begin, stood)


def rank(finding: Finding) -> tuple[int, int, str, str, str]:
    """Worst first."""
    return (
        _STATE_RANK[finding.state],
        _SEVERITY_RANK[finding.severity],
        finding.domain,
        finding.control,
        finding.subject,
    )
