"""The period before, off the same record: what got worse, what got better, what is new.

The period before is the calendar month before a calendar month, else as long as this one and just before it. It is
judged anew, not read off an older report, so that it is there whether or not somebody made one, and so that the same
record gives the same bytes (decision 0055).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import structs
from sqlalchemy import Connection

from monitor.reports import judging
from monitor.reports.content import Comparison, ControlSection, DomainSection, Moved, Result
from monitor.reports.postures import Postures
from monitor.store import periods
from monitor.store.periods import DomainSpan, Scope

_ORDER = (
    Result.NOT_MET,
    Result.NOT_EVALUATED,
    Result.PARTIALLY,
    Result.WAIVED,
    Result.MET,
)
"""Worst first. What was not applicable in one of the two got neither worse nor better."""


def period_before(from_at: datetime, to_at: datetime) -> tuple[datetime, datetime]:
    if is_month(from_at, to_at):
        return _month(from_at - timedelta(days=1)), from_at
    return from_at - (to_at - from_at), from_at


def is_month(from_at: datetime, to_at: datetime) -> bool:
    """From the first of a month to the first of the next, UTC."""
    return from_at == _month(from_at) and to_at == _month(from_at + timedelta(days=31)) and to_at == _month(to_at)


def _month(at: datetime) -> datetime:
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


class Before:
    """Compares domain by domain."""

    def __init__(self, connection: Connection, scope: Scope, first: datetime) -> None:
        begin, end = period_before(scope.from_at, scope.to_at)
        self._scope = structs.replace(scope, from_at=begin, to_at=end)
        self._is_evaluated = first < end
        self._postures = Postures(connection, self._scope, first)
        self._described: dict[str, list[DomainSpan]] = {}
        for span in periods.domains(connection, self._scope):
            self._described.setdefault(span.id, []).append(span)
        self._seconds = judging.nothing()
        self._gaps = 0
        self._new: list[str] = []
        self._moved: list[tuple[int, Moved]] = []

    def compare(self, section: DomainSection) -> None:
        if not self._is_evaluated:
            return
        described = self._described.pop(section.id, None)
        if described is None:
            self._new.append(section.id)
            return
        was = {each.control: each for each in self._judged(section.id, described)}
        for control in section.controls:
            if old := was.get(control.control):
                self._weigh(section.id, old, control)

    def _judged(self, name: str, described: list[DomainSpan]) -> list[ControlSection]:
        found = self._postures.controls(name, described)
        for control in found:
            judging.add(self._seconds, control.seconds)
            self._gaps += control.gaps
        return found

    def _weigh(self, domain: str, old: ControlSection, new: ControlSection) -> None:
        if old.result not in _ORDER or new.result not in _ORDER:
            return
        step = _ORDER.index(new.result) - _ORDER.index(old.result)
        if step:
            moved = Moved(
                domain=domain,
                control=new.control,
                before=old.result.value,
                now=new.result.value,
                share_before=old.share,
                share_now=new.share,
            )
            self._moved.append((step, moved))

    def comparison(self) -> Comparison:
        scope = self._scope
        if not self._is_evaluated:
            return Comparison(from_at=scope.from_at, to_at=scope.to_at, is_evaluated=False)
        gone = sorted(self._described)
        for name in gone:
            self._judged(name, self._described[name])
        return Comparison(
            from_at=scope.from_at,
            to_at=scope.to_at,
            is_evaluated=True,
            share=judging.share(self._seconds),
            gaps=self._gaps,
            worse=tuple(moved for step, moved in self._moved if step < 0),
            better=tuple(moved for step, moved in self._moved if step > 0),
            domains_new=tuple(self._new),
            domains_gone=tuple(gone),
        )
