"""A cluster as it was before what match keeps in memory: from the revisions in SQL, a quarter of an hour at a time.

Law 1: nothing is told of a time of which something may be missing: before the cluster was first evaluated, while what
policy rests on was not watched, before what was retired, beyond what assess has recorded.
Law 2: bounded: a few quarters of an hour are kept, the one that was asked for longest ago goes.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime

from msgspec import Struct

from models.facts import FactKey, Sync
from models.topics import Position
from monitor.state.history import KEPT, History, NotKnown, Value, View
from monitor.store import Store

MOST_KEPT = 4

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Then(Struct, frozen=True):
    """A record of the facts as SQL has it."""

    key: FactKey | None
    value: Value
    at: datetime
    position: Position = Position(0, 0)


class Recall:
    """Of one cluster. Asks the database: in a thread."""

    def __init__(self, cluster: str, store: Store) -> None:
        self._cluster = cluster
        self._store = store
        self._quarters: OrderedDict[datetime, History] = OrderedDict()

    def beside(self, history: History) -> Past:
        """The history, and what SQL has of the time before it."""
        return Past(history, self)

    def as_of(self, at: datetime) -> View | NotKnown:
        recorded = self._store.recorded_at(self._cluster, at)
        if recorded.reason:
            return NotKnown(recorded.reason)
        begun = at - (at - _EPOCH) % KEPT
        quarter = self._quarters.get(begun) or self._read(begun)
        if recorded.until is not None and recorded.until >= begun + KEPT:
            self._keep(begun, quarter)
        return quarter.as_of(at)

    def _keep(self, begun: datetime, quarter: History) -> None:
        """Only one that nothing can be added to any more."""
        self._quarters[begun] = quarter
        self._quarters.move_to_end(begun)
        while len(self._quarters) > MOST_KEPT:
            self._quarters.popitem(last=False)

    def _read(self, begun: datetime) -> History:
        facts = self._store.facts_at(self._cluster, begun)
        changes = self._store.changes_between(self._cluster, begun, begun + KEPT)
        history = History(self._cluster)
        history.fold(Then(key, value, begun) for key, value in facts.items())
        history.fold([Then(None, Sync(scope="all", phase="done", instance="record"), begun)])
        history.fold(Then(change.key, change.value, change.at) for change in changes)
        return history


class Past(Struct, frozen=True):
    """What a record is judged by, however old it is."""

    history: History
    recall: Recall

    def as_of(self, at: datetime) -> View | NotKnown:
        return self.history.as_of(at) if self.history.remembers(at) else self.recall.as_of(at)
