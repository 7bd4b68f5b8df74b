"""The period before, off the same record: what got worse, what got better, what is new.

The period before is the calendar month before a calendar month, else as long as this one and just before it. It is
judged anew, not read off an older report, so that it is there whether or not somebody made one, and so that the same
record gives the same bytes (decision 0055).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct, field, structs
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


class Compared(Struct):
    """What was found of some of the domains. `before`: those of them that were there in the period before."""

    seconds: list[dict[str, float]] = field(default_factory=list)  # of each control
    gaps: int = 0
    before: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    worse: list[Moved] = field(default_factory=list)
    better: list[Moved] = field(default_factory=list)

    def merge(self, other: Compared) -> None:
        """With what was found of other domains."""
        self.gaps += other.gaps
        for name in ("seconds", "before", "new", "worse", "better"):
            getattr(self, name).extend(getattr(other, name))
        self.new.sort()
        for moved in (self.worse, self.better):
            moved.sort(key=lambda each: each.domain)  # those of one domain stay in their order


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

    def compare(self, connection: Connection, section: DomainSection, compared: Compared) -> None:
        if not self._is_evaluated:
            return
        described = self._described.get(section.id)
        if described is None:
            compared.new.append(section.id)
            return
        compared.before.append(section.id)
        was = {each.control: each for each in self._judged(connection, section.id, described, compared)}
        for control in section.controls:
            if old := was.get(control.control):
                _weigh(section.id, old, control, compared)

    def _judged(
        self, connection: Connection, name: str, described: list[DomainSpan], compared: Compared
    ) -> list[ControlSection]:
        found = self._postures.controls(connection, name, described)
        for control in found:
            compared.seconds.append(control.seconds)
            compared.gaps += control.gaps
        return found

    def comparison(self, connection: Connection, compared: Compared) -> Comparison:
        """Of all domains; those that are gone are judged here."""
        scope = self._scope
        if not self._is_evaluated:
            return Comparison(from_at=scope.from_at, to_at=scope.to_at, is_evaluated=False)
        gone = sorted(self._described.keys() - set(compared.before))
        for name in gone:
            self._judged(connection, name, self._described[name], compared)
        return Comparison(
            from_at=scope.from_at,
            to_at=scope.to_at,
            is_evaluated=True,
            share=judging.share(judging.total(compared.seconds)),
            gaps=compared.gaps,
            worse=tuple(compared.worse),
            better=tuple(compared.better),
            domains_new=tuple(compared.new),
            domains_gone=tuple(gone),
        )


def _weigh(domain: str, old: ControlSection, new: ControlSection, compared: Compared) -> None:
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
        (compared.worse if step < 0 else compared.better).append(moved)
