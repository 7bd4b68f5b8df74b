"""Findings over a period, from their transitions: as they stood at its end, and how long they were open in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from monitor.reports.content import Finding, Move
from monitor.store.periods import ProvenTransition

_OPENING = frozenset({"opened", "reopened"})


class Trace:
    """One finding while its moves are read in order."""

    def __init__(self, move: ProvenTransition, *, opened_at: datetime, waiver: str) -> None:
        self.last = move
        self.opened_at = opened_at
        self.open_since: datetime | None = None
        self.resolved_at: datetime | None = None
        self.waiver = waiver
        self.open_seconds = 0.0
        self.history: list[Move] = []

    def read(self, move: ProvenTransition) -> None:
        self.last = move
        self.history.append(
            Move(
                at=move.at,
                transition=move.transition,
                severity=move.severity,
                sentence=move.sentence,
                reason=move.reason,
            )
        )
        match move.transition:
            case "resolved":
                self._close(move.at)
                self.resolved_at, self.waiver = move.at, ""
            case "waived":
                self.waiver = move.reason
            case "unwaived":
                self.waiver = ""
            case _ if move.transition in _OPENING:
                self.open_since = self.opened_at = move.at
                self.resolved_at = None

    def _close(self, at: datetime) -> None:
        if self.open_since is not None:
            self.open_seconds += (at - self.open_since).total_seconds()
        self.open_since = None

    def finding(self, to_at: datetime, fix: tuple[str, str]) -> Finding:
        self._close(to_at)
        move = self.last
        state = "resolved" if self.resolved_at else "waived" if self.waiver else "open"
        return Finding(
            id=move.finding_id,
            domain=move.domain,
            control=move.control,
            subject=move.subject,
            severity=move.severity,
            state=state,
            sentence=move.sentence,
            proof=tuple(move.evidence.get("steps", ())),
            fix=fix[0],
            owner=fix[1],
            waiver=self.waiver,
            opened_at=self.opened_at,
            resolved_at=self.resolved_at,
            open_seconds=self.open_seconds,
            history=tuple(self.history),
        )


def findings(
    standing: Iterable[ProvenTransition],
    moves: Iterable[ProvenTransition],
    known: Mapping[str, Any],
    period: tuple[datetime, datetime],
) -> list[Finding]:
    """`known`: `opened_at` and `waived` of those standing at the beginning, `fixes` of all. Worst first."""
    begin, end = period
    traces: dict[str, Trace] = {}
    for move in standing:
        identity = move.finding_id
        trace = Trace(
            move, opened_at=known["opened_at"].get(identity, move.at), waiver=known["waived"].get(identity, "")
        )
        trace.open_since = begin
        traces[identity] = trace
    for move in moves:
        if move.finding_id not in traces:
            traces[move.finding_id] = Trace(move, opened_at=move.at, waiver="")
        traces[move.finding_id].read(move)
    every = [trace.finding(end, known["fixes"].get(name, ("", ""))) for name, trace in traces.items()]
    return sorted(every, key=_rank)


SEVERITIES = ("critical", "high", "medium", "low", "info")
_STATES = ("open", "waived", "resolved")


def _rank(finding: Finding) -> tuple[Any, ...]:
    return (
        _STATES.index(finding.state),
        SEVERITIES.index(finding.severity),
        finding.domain,
        finding.control,
        finding.subject,
    )
