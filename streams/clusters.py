"""One cluster in its owner's memory: facts in, one transaction per slice out.

Law 1: the transaction names the place that this State was recorded at before (the fence); if SQL stands elsewhere,
somebody else recorded, and this State is worth nothing.
Law 2: a fact is folded once. If its slice cannot be recorded, the State that has it is dropped, never corrected.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from msgspec import structs

from models.recording import Recording
from models.topics import Position
from models.wire import Unreadable
from monitor import clock
from monitor.broker import dead_letters
from monitor.broker.messages import Message
from monitor.broker.producing import MessageTooLargeError
from monitor.state.state import State
from monitor.store import Fenced, queries
from streams import assessing
from streams.decoding import Incoming
from streams.desk import Desk
from streams.retrying import AbandonedError
from streams.slicing import Slice, slices

P = ParamSpec("P")
T = TypeVar("T")

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
        self.recording_seconds = 0.0  # spent on judging and recording since the last build began
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
        recorded = self.recorded
        silent = [fact for fact in facts if recorded and fact.position <= recorded]
        rest = facts[len(silent) :]
        if silent:
            await self._in_thread(silent, assessing.fold, self._known, silent)
        if not rest or self.is_given_up:
            return
        started = clock.monotonic()
        await self._take_new(rest, still_ours)
        self.recording_seconds += clock.monotonic() - started

    async def _take_new(self, rest: Sequence[Incoming], still_ours: Callable[[], bool]) -> None:
        for part in slices(rest, now=self._desk.clock.now() or rest[-1].at):
            await self._bury(part)
            remembered = assessing.Remembered()
            is_first = not self._known.is_reconciled
            if is_first and assessing.may_be_judged(self._known, part):
                remembered = await self._retried("remembering", self._remembered, still_ours)
            recording = await self._in_thread(part.facts, self._recording, part, remembered)
            await self._record(recording, part, still_ours)
            if is_first and self._known.is_reconciled:
                self._desk.sweeping.settle()

    def _recording(self, part: Slice, remembered: assessing.Remembered) -> Recording:
        """Fold and evaluate; in a thread."""
        started = clock.monotonic()
        self._folded = part.facts[-1].position
        place = assessing.Place(self._partition, self.recorded)
        made = assessing.recording(self._known, part, place, remembered)
        self._desk.observer.evaluated(self.name, seconds=clock.monotonic() - started)
        return made

    def _remembered(self) -> assessing.Remembered:
        """What SQL has of this cluster, and when it was last evaluated live."""
        with self._desk.store.look() as connection:
            untils = [row.until for row in queries.inputs(connection, self.name) if row.until]
        self._known.live_at = max(untils, default=None)
        return assessing.Remembered(
            keys=self._desk.store.known_keys(self.name), domains=self._desk.store.open_domains(self.name)
        )

    async def _record(self, recording: Recording, part: Slice, still_ours: Callable[[], bool]) -> None:
        started = clock.monotonic()
        try:
            recorded = await self._retried("recording", lambda: self._desk.store.record(recording), still_ours)
        except (Fenced, AbandonedError):
            raise
        except Exception as error:
            raise UnrecordableError(self.name, part.facts, error) from error
        self.recorded = recording.position
        seconds = clock.monotonic() - started
        await self._desk.tell(lambda: self._desk.observer.recorded(recording, recorded, seconds=seconds))

    async def _retried(self, what: str, act: Callable[[], T], still_ours: Callable[[], bool]) -> T:
        return await self._desk.retrying.until_done(
            f"{what} {self.name}", lambda: asyncio.to_thread(act), still_ours=still_ours
        )

    async def _in_thread(self, facts: Sequence[Incoming], act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a fact makes fail is that fact's fault until shown otherwise."""
        try:
            return await asyncio.to_thread(act, *args, **kwargs)
        except Exception as error:
            log.exception("facts of %s cannot be judged", self.name)
            raise UnrecordableError(self.name, facts, error) from error

    async def _bury(self, part: Slice) -> None:
        """Facts that cannot be read are kept as dead letters, before they are recorded as unreadable."""
        for fact in part.facts:
            if fact.problem:
                letter = dead_letters.letter(self._desk.topics.dead.name, fact.record, fact.problem)
                await self._desk.retrying.until_done("keeping a dead letter", functools.partial(self._send, letter))
                self._desk.observer.dead_letter(fact.record.topic, "unreadable")

    async def _send(self, letter: Message) -> None:
        try:
            await self._desk.producer.send(letter)
        except MessageTooLargeError:
            log.warning("a dead letter is too large to keep: %s", letter.key)
