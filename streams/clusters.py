"""One cluster in its owner's memory: facts in, one transaction per slice out.

Law 1: the transaction names the place that this State was recorded at before (the fence); if SQL stands elsewhere,
somebody else recorded, and this State is worth nothing.
Law 2: a fact is folded once. If its slice cannot be recorded, the State that has it is dropped, never corrected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from msgspec import structs

from models.recording import Recording
from models.topics import Position
from models.wire import Unreadable
from monitor import clock
from monitor.broker import dead_letters
from monitor.broker.producing import MessageTooLargeError
from monitor.state import State
from monitor.store import Fenced
from streams import assessing
from streams.decoding import Incoming
from streams.desk import Desk
from streams.slicing import Slice, slices

log = logging.getLogger(__name__)


class UnrecordableError(Exception):
    """Facts from offset `first` to `last` cannot be judged or recorded, and trying again would not help."""

    def __init__(self, cluster: str, facts: Sequence[Incoming], cause: Exception) -> None:
        super().__init__(f"{cluster}: offsets {facts[0].record.offset} to {facts[-1].record.offset}: {cause!r}")
        self.cluster = cluster
        self.first = facts[0].record.offset
        self.last = facts[-1].record.offset
        self.reason = f"could not be recorded: {type(cause).__name__}"


def blamed(fact: Incoming, reason: str) -> Incoming:
    """The fact as one that cannot be read, so that what depends on it is not evaluated and the rest goes on."""
    return structs.replace(fact, value=Unreadable(reason))


class Cluster:
    """`recorded` = the place that SQL has of this cluster, None before its first transaction."""

    def __init__(self, name: str, partition: int, desk: Desk, recorded: Position | None) -> None:
        self.name = name
        self.recorded = recorded
        self.is_given_up = False
        self._partition = partition
        self._desk = desk
        self._known = assessing.Known(state=State(name))
        self._folded = recorded

    @property
    def is_consistent(self) -> bool:
        """Whether State is exactly what SQL has recorded."""
        return self._folded == self.recorded and not self.is_given_up

    async def take(self, facts: Sequence[Incoming], *, still_ours: Callable[[], bool]) -> None:
        """Fold silently what is recorded, judge and record the rest."""
        silent = [fact for fact in facts if self.recorded and fact.position <= self.recorded]
        rest = facts[len(silent) :]
        if silent:
            await asyncio.to_thread(assessing.fold_silently, self._known, silent)
        if not rest or self.is_given_up:
            return
        now = self._desk.clock.now() or rest[-1].at
        for part in slices(rest, now=now):
            await self._judge(part, still_ours)

    async def _judge(self, part: Slice, still_ours: Callable[[], bool]) -> None:
        await self._bury(part, still_ours)
        started = clock.monotonic()
        try:
            recording = await asyncio.to_thread(self._recording, part)
        except Exception as error:
            raise UnrecordableError(self.name, part.facts, error) from error
        self._desk.observer.evaluated(self.name, seconds=clock.monotonic() - started)
        await self._record(recording, part, still_ours)

    def _recording(self, part: Slice) -> Recording:
        """Fold and evaluate; in a thread."""
        self._folded = part.facts[-1].position
        known_keys = self._desk.store.known_keys(self.name) if self._known.needs_reconciling else frozenset()
        return assessing.recording(
            self._known, part, assessing.Place(partition=self._partition, recorded=self.recorded), known_keys
        )

    async def _record(self, recording: Recording, part: Slice, still_ours: Callable[[], bool]) -> None:
        started = clock.monotonic()
        try:
            recorded = await self._desk.retrying.until_done(
                f"recording {self.name}",
                lambda: asyncio.to_thread(self._desk.store.record, recording),
                still_ours=still_ours,
            )
        except Fenced:
            raise
        except Exception as error:
            raise UnrecordableError(self.name, part.facts, error) from error
        self.recorded = recording.position
        self._desk.observer.recorded(recording, recorded, seconds=clock.monotonic() - started)
