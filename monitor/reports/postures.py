"""The controls of one domain over a period, off the record.

An interval that is open in the record counts only as far as its inputs were vouched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection

from monitor.compliance.catalogue import CONTROLS
from monitor.reports import judging
from monitor.reports.content import ControlSection
from monitor.store import periods, queries
from monitor.store.periods import DomainSpan, Scope

FIRST_LOOK = timedelta(seconds=60)
"""What was seen so soon after the first evaluation was there before it, and nobody knows how it was then."""

_TITLES = {control.id: control.title for control in CONTROLS}


class Postures:
    """Of one cluster and period. `first`: when anything was evaluated first."""

    def __init__(self, connection: Connection, scope: Scope, first: datetime) -> None:
        self._scope = scope
        self._first = first
        self._inputs = queries.inputs(connection, scope.cluster)

    def controls(self, connection: Connection, domain: str, described: Sequence[DomainSpan]) -> list[ControlSection]:
        """By control id."""
        scope = self._scope
        period = (scope.from_at, scope.to_at)
        being = judging.existence(described, period, (self._first, self._first + FIRST_LOOK))
        rows = periods.statuses(connection, scope, domain)
        counted = queries.as_counted(rows, self._inputs, scope.to_at)
        return [
            judging.section(control, _TITLES.get(control, control), list(every), being, scope.from_at)
            for control, every in groupby(counted, key=attrgetter("control"))
        ]
