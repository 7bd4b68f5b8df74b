"""What a cluster was a moment ago: addresses and policies at a record's own time (architecture.md section 5).

One inventory stands at a place in the last minutes' changes and is moved along them, forwards or back, as the questions
ask; each move costs what changed in between. Law 1: nothing is answered for a time of which something may be missing.
Law 2: a change holds from the log time at which it came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from models.facts import Declaration, Epoch, Fact, FactKey, Sync
from models.topics import Position
from models.wire import Unreadable
from monitor.policy.engine import Engine
from monitor.state.inventory import HELD, Inventory
from monitor.state.placement import Placement

KEPT = timedelta(minutes=15)

Value = Fact | Unreadable | None


class Arrived(Protocol):
    """A record of the facts as it came."""

    @property
    def key(self) -> FactKey | None: ...

    @property
    def value(self) -> Value: ...

    @property
    def position(self) -> Position: ...

    @property
    def at(self) -> datetime: ...


class View:
    """The cluster at one moment; valid until the history is asked again."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self.cluster = inventory.cluster
        self.facts: Mapping[FactKey, Fact] = inventory.facts
        self.engine: Engine = inventory.engine
        self.placement: Placement = inventory.placement
        self.key_of = inventory.key_of
        self.of_type = inventory.of_type

    @property
    def system(self) -> frozenset[str]:
        """The namespaces declared to be the system's."""
        return frozenset(each.name for fact in self.of_type(Declaration) for each in fact.system_namespaces)


class NotKnown(Struct, frozen=True):
    """Why nothing can be said of that moment."""

    reason: str


class _Change(Struct, frozen=True):
    at: datetime
    key: FactKey
    before: Value
    after: Value


class History:
    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self._epoch = 0
        self._begin()

    def _begin(self) -> None:
        self._inventory = Inventory(self.cluster)
        self._latest: dict[FactKey, Value] = {}
        self._changes: deque[_Change] = deque()
        self._stands_at = 0  # so many of the changes are in the inventory
        self._complete_since: datetime | None = None  # end of the first listing
        self._at: datetime | None = None
        self._listed_from: datetime | None = None
        self._listings: deque[tuple[datetime, datetime]] = deque()

    def fold(self, arrived: Iterable[Arrived]) -> None:
        """Take in records of the cluster's partition, in order."""
        for record in arrived:
            value = record.value
            if isinstance(value, Epoch):
                self._epoch_begins(value.number)
            self._at = record.at if self._at is None else max(self._at, record.at)
            if isinstance(value, Sync):
                self._listing(value, self._at)
            elif record.key is not None and record.key.kind in HELD:
                self._change(record.key, value, self._at)
        self._forget()

    def remembers(self, at: datetime) -> bool:
        """Whether that time lies behind the first listing, and not further back than what is kept."""
        is_listed = self._complete_since is not None and at >= self._complete_since
        return is_listed and not (self._at is not None and self._at - at > KEPT)

    def as_of(self, at: datetime) -> View | NotKnown:
        """The cluster as it was then; times after the last record are now."""
        if self._complete_since is None or at < self._complete_since:
            return NotKnown("the cluster had not been listed then")
        if self._at is not None and self._at - at > KEPT:
            return NotKnown("policy of that time not kept")
        if any(begun <= at < done for begun, done in self._listings) or (self._listed_from and at >= self._listed_from):
            return NotKnown("the cluster was being listed then")
        self._move(at)
        return View(self._inventory)

    # Folding

    def _epoch_begins(self, number: int) -> None:
        if self._epoch and number > self._epoch:
            self._begin()
        self._epoch = max(self._epoch, number)

    def _listing(self, mark: Sync, at: datetime) -> None:
        if mark.phase == "begun":
            self._listed_from = self._listed_from or at
            return
        if mark.scope == "all" or self._complete_since is not None:
            if self._listed_from:
                self._listings.append((self._listed_from, at))
            self._listed_from = None
        if mark.scope == "all" and self._complete_since is None:
            self._complete_since = at

    def _change(self, key: FactKey, value: Value, at: datetime) -> None:
        before = self._latest.get(key)
        if before == value:
            return
        if value is None:
            del self._latest[key]
        else:
            self._latest[key] = value
        if self._complete_since is None:
            self._inventory.take(key, value)  # nobody may ask for a time before the first listing
        else:
            self._changes.append(_Change(at, key, before, value))

    def _forget(self) -> None:
        """Drop what nobody may ask for any more; what the inventory has not yet taken in, it takes in now."""
        if self._at is None:
            return
        while self._changes and self._at - self._changes[0].at > KEPT:
            change = self._changes.popleft()
            if self._stands_at:
                self._stands_at -= 1
            else:
                self._inventory.take(change.key, change.after)
        while self._listings and self._at - self._listings[0][1] > KEPT:
            self._listings.popleft()

    # Moving

    def _move(self, at: datetime) -> None:
        while self._stands_at < len(self._changes) and self._changes[self._stands_at].at <= at:
            change = self._changes[self._stands_at]
            self._inventory.take(change.key, change.after)
            self._stands_at += 1
        while self._stands_at and self._changes[self._stands_at - 1].at > at:
            self._stands_at -= 1
            change = self._changes[self._stands_at]
            self._inventory.take(change.key, change.before)
