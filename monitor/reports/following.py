"""The findings of a domain over a period, wherever they belonged meanwhile.

A finding belongs to one domain at a time. One that moved to another domain within the period is told once, whole, under
the domain that it belonged to last.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from monitor.reports.tracing import Trace, traces
from monitor.store import periods
from monitor.store.periods import Scope, Standing


class Following:
    """Of one cluster and period. In memory: what was open when it began."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._scope = scope
        standing = {stood.move.finding_id: stood for stood in periods.standing(connection, scope)}
        changed = periods.changed_in(connection, scope, standing)
        arrived = {name for name, domain in changed if standing[name].move.domain != domain}
        self._moved: dict[str, str] = {}  # to the domain that it belonged to last
        for course in periods.courses_of(connection, scope, arrived.union(periods.wandered(connection, scope))):
            self._moved[course.last.finding_id] = course.last.domain
        self._standing_moved = {name: standing.pop(name) for name in self._moved if name in standing}
        self._standing: dict[str, list[Standing]] = {}
        for stood in standing.values():
            self._standing.setdefault(stood.move.domain, []).append(stood)

    def of(self, connection: Connection, domain: str) -> Iterator[Trace]:
        """By control, subject and id; those that came from another domain behind them."""
        begin = self._scope.from_at
        courses = periods.courses(connection, self._scope, domain, but=self._moved)
        yield from traces(self._standing.get(domain, ()), courses, begin)
        arrived = sorted(name for name, last in self._moved.items() if last == domain)
        if arrived:
            stood = [self._standing_moved[name] for name in arrived if name in self._standing_moved]
            stood.sort(key=lambda each: each.move.place)
            yield from traces(stood, periods.courses_of(connection, self._scope, arrived), begin)
