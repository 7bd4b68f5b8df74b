"""Findings over a period, from their moves: as they stood at its end, and how long they were open and waived in it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby

import msgspec

from models.compliance import Severity
from monitor.reports.content import ControlMove, Finding
from monitor.store.periods import Move, Standing

SEVERITIES = tuple(each.value for each in reversed(Severity))
_STATES = ("open", "waived", "resolved")

Known = Callable[[datetime], datetime | None]
"""When what decides was changed last before a time, if that was just before."""


class Trace:
    """One finding while its moves are read in order."""

    def __init__(self, begin: datetime, standing: Standing | None) -> None:
        self.was_open = standing is not None
        self.last: Move | None = standing.move if standing else None
        self.sentence = ""
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
        self.history: list[ControlMove] = []

    def read(self, move: Move) -> None:
        self.last = move
        sentence = "" if move.sentence == self.sentence else move.sentence
        self.sentence = move.sentence
        position = f"{move.epoch}:{move.offset}"
        self.history.append(ControlMove(move.at, move.transition, move.severity, position, move.reason, sentence))
        match move.transition:
            case "opened" | "reopened":
                self.open_since = self.opened_at = move.at
                self.resolved_at, self.lapsed = None, ""
            case "resolved":
                self._end(move.at)
                self.resolved_at, self.resolved_after = move.at, move.at - self.opened_at
                self.waiver = self.lapsed = ""
            case "waived":
                self._end_waiver(move.at)
                self.waiver, self.lapsed, self.waived_since = move.reason, "", move.at
            case "unwaived":
                self._end_waiver(move.at)
                self.waiver, self.lapsed = "", move.reason

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
        move, evidence = self.last, msgspec.json.decode(self.last.evidence)
        opening = next((each.at for each in self.history if each.transition in {"opened", "reopened"}), None)
        change = changed_before(opening) if opening else None
        return Finding(
            id=move.finding_id,
            domain=move.domain,
            control=move.control,
            subject=move.subject,
            severity=move.severity,
            state="resolved" if self.resolved_at else "waived" if self.waiver else "open",
            sentence=move.sentence,
            proof=tuple(evidence.get("steps", ())),
            facts=tuple(evidence.get("facts", ())),
            fix=evidence.get("fix", ""),
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
            reopened=sum(each.transition == "reopened" for each in self.history),
            history=tuple(self.history),
        )


def traces(standing: Iterable[Standing], moves: Iterable[Move], begin: datetime) -> Iterator[Trace]:
    """One finding after the other; both come in the order of `Move.place`."""
    keyed = heapq.merge(
        ((each.move.place, each, None) for each in standing),
        ((move.place, None, move) for move in moves),
        key=lambda item: item[0],
    )
    for _, items in groupby(keyed, key=lambda item: item[0]):
        trace: Trace | None = None
        for _, stood, move in items:
            if trace is None:
                trace = Trace(begin, stood)
            if move is not None:
                trace.read(move)
        assert trace is not None
        yield trace


def rank(finding: Finding) -> tuple[int, int, str, str, str]:
    """Worst first."""
    return (
        _STATES.index(finding.state),
        SEVERITIES.index(finding.severity),
        finding.domain,
        finding.control,
        finding.subject,
    )
