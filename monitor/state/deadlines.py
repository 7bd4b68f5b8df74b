"""What becomes different by time alone: which facts must be looked at again, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush

from models.facts import FactKey


class Deadlines:
    """Keys of facts by the time at which they are due; each is named once per time."""

    def __init__(self) -> None:
        self._due: list[tuple[datetime, FactKey]] = []
        self._named: set[tuple[datetime, FactKey]] = set()

    def add(self, at: datetime, key: FactKey) -> None:
        entry = (at, key)
        if entry not in self._named:
            self._named.add(entry)
            heappush(self._due, entry)

    def passed(self, at: datetime) -> Iterator[FactKey]:
        """Those due by `at`; they are forgotten."""
        while self._due and self._due[0][0] <= at:
            entry = heappop(self._due)
            self._named.discard(entry)
            yield entry[1]
