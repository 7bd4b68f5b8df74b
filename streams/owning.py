"""One partition of facts in the hands of its owner: built from the log, kept up by the agent, given up when revoked.

Law 1: Faust's committed offset is never relied on. State is read from the partition's beginning; what lies at or below
a cluster's recorded place is folded silently, the rest goes the normal way, so a restored database catches up.
Law 2: what the agent brings while the partition is being built is dropped; the build ends only behind the last of it.
The group is held meanwhile (`holding`), so that is what was under way when the build began.
Law 3: one task at a time folds (`_busy`); a new assignment that finds the former one's work unfinished builds anew.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Iterable, Sequence

from models.errors import UserError
from models.facts import Tick, key_of
from models.topics import Position
from monitor import clock
from monitor.broker import epochs
from monitor.broker.messages import Record, fact_message
from monitor.broker.reading import FETCH_BYTES, PartitionReader, TruncatedLogError
from monitor.store import Fenced
from streams import clusters
from streams.clusters import Cluster, UnrecordableError
from streams.decoding import Incoming, incoming
from streams.desk import Desk
from streams.retrying import AbandonedError

log = logging.getLogger(__name__)

BUILD_BATCH = 2000  # records folded between two looks at the event loop
REBUILD_PAUSE_SECONDS = 0.5
TICK_HOLDS_SECONDS = 30.0  # half of what a slice may be old to be judged: a build that took longer asks the time again
LOOK_BYTES = 1024  # a look reads the first record, a mark in a batch of its own, and not the megabytes behind it
SEEK_WAIT_MS = 50  # the reader goes from the first record to its place: a fetch under way holds that up


class PartitionOwner:
    """Created at assignment. `is_live`: built, and kept up by the agent."""

    def __init__(self, partition: int, desk: Desk) -> None:
        self.partition = partition
        self.is_owned = True
        self.is_live = False
        self.epoch = 0
        self.position = 0  # offset of the next record to fold
        self.clusters: dict[str, Cluster] = {}
        self._desk = desk
        self._busy = asyncio.Lock()
        self._dropped_to = 0  # behind the last record that the agent brought while we were building
        self._blamed: dict[int, str] = {}  # offset -> why it could not be recorded
        self._careful_to: dict[str, int] = {}  # cluster -> offset up to which facts are recorded one by one
        self._given_up: dict[str, str] = {}  # cluster -> why it is not evaluated until the next start
        self._end_at_last_look = 0
        self._position_at_last_look = -1

    @property
    def place(self) -> str:
        return f"{self._desk.topics.facts.name}/{self.partition}"

    @property
    def can_be_kept(self) -> bool:
        """Whether a later assignment may go on from this State: nothing is under way or folded but not recorded."""
        return not self._busy.locked() and all(cluster.is_consistent for cluster in self.clusters.values())

    def release(self) -> None:
        """The partition was taken away."""
        self.is_owned = self.is_live = False
        for name in self.clusters:
            self._desk.observer.released(name)
        self._desk.observer.built(self.place)

    def _reader(self, fetch_bytes: int = FETCH_BYTES) -> PartitionReader:
        return PartitionReader(
            self._desk.connection,
            self._desk.topics.facts.name,
            self.partition,
            fetch_wait_ms=SEEK_WAIT_MS,
            fetch_bytes=fetch_bytes,
        )

    # Building

    async def build(self) -> None:
        """Until it is live, not ours any more, or stopped by what only a person can mend."""
        while self.is_owned and not self.is_live:
            try:
                await self._desk.retrying.until_done(
                    f"building {self.place}", self._build, still_ours=lambda: self.is_owned
                )
            except AbandonedError:
                return
            except (Fenced, UnrecordableError) as error:
                self._drop(error)
                await asyncio.sleep(REBUILD_PAUSE_SECONDS)
            except UserError as error:
                self._desk.fail(error)
                return

    async def _build(self) -> None:
        started = clock.monotonic()
        async with self._busy, self._reader() as reader:
            with self._desk.sweeping.at_rest():
                end, ticked_at = await self._begin(reader), clock.monotonic()
                while self.is_owned and self.position < max(end, self._dropped_to):
                    records = await reader.read(timeout_seconds=1.0, limit=BUILD_BATCH)
                    await self._fold(records)
                    self.position = max(self.position, reader.position)
                    if self.position >= end and clock.monotonic() - ticked_at > TICK_HOLDS_SECONDS:
                        end, ticked_at = await self._now_and_end(reader), clock.monotonic()
            self.is_live = self.is_owned
        if self.is_live:
            self._desk.holding.go_on(self.partition, self.position)
            await self._tell_adopted(self.clusters)
            self._desk.observer.built(self.place)
            self._say_built(clock.monotonic() - started)

    def _say_built(self, seconds: float) -> None:
        recording = sum(cluster.recording_seconds for cluster in self.clusters.values())
        text = "%s is built up to offset %d in %.2f s, %.2f s of it to judge and to record: %s"
        log.info(text, self.place, self.position, seconds, recording, ", ".join(self.clusters) or "empty")

    async def _tell_adopted(self, names: Iterable[str]) -> None:
        """Also of a cluster whose first facts came after the build: its gauges would be shown by nobody."""
        for name in sorted(names):
            if self.is_owned:
                await self._desk.tell(functools.partial(self._desk.observer.adopted, name))

    async def _begin(self, reader: PartitionReader) -> int:
        """Check that this is the log that SQL knows; keep State that SQL has recorded exactly, else begin anew.

        Returns where the build ends; there is nothing to read or to tell the time of behind an Epoch that is alone.
        """
        epoch = await epochs.of(reader, self._desk.topics.facts.name, self.partition)
        recorded = await asyncio.to_thread(self._desk.store.applied, self.partition)
        bounds = await reader.bounds()
        for name, position in recorded.items():
            epochs.check(f"{self.place} ({name})", epoch=epoch, end=bounds.end, stored=position)
        if not self._agrees_with(epoch, recorded):
            self.epoch, self.position = epoch, bounds.beginning
            self.clusters = {
                name: Cluster(name, self.partition, self._desk, position) for name, position in recorded.items()
            }
        for cluster in self.clusters.values():
            cluster.recording_seconds = 0.0
        reader.seek(self.position)
        if bounds.end > self.position + 1 or self.clusters:
            return await self._now_and_end(reader)
        return bounds.end

    def _agrees_with(self, epoch: int, recorded: dict[str, Position]) -> bool:
        return (
            self.epoch == epoch
            and {name: cluster.recorded for name, cluster in self.clusters.items()} == recorded
            and all(cluster.is_consistent for cluster in self.clusters.values())
        )

    async def _now_and_end(self, reader: PartitionReader) -> int:
        """A Tick of ours tells what time it is; the end is behind it, so the build ends with what is true now.

        A build that takes longer than that Tick holds sends another: a slice too old to be judged would be the last,
        and the worker ready with nothing evaluated.
        """
        await self.tick()
        return (await reader.bounds()).end

    def _drop(self, error: Exception) -> None:
        """State may be ahead of SQL or wrong: forget it, with what it showed."""
        log.warning("%s is built again: %s", self.place, error)
        if isinstance(error, UnrecordableError):
            self._blame(error)
        for name in self.clusters:
            self._desk.observer.released(name)
        self.is_live, self.clusters, self.epoch = False, {}, 0

    # Following

    async def take(self, records: Sequence[Record]) -> None:
        """What the agent brought. Returns when it is recorded, or dropped because a build will read it."""
        if not self.is_owned:
            return
        if not self.is_live:
            self._dropped_to = max(self._dropped_to, records[-1].offset + 1)
            return
        async with self._busy:
            new = [record for record in records if record.offset >= self.position]
            known = set(self.clusters)
            try:
                await self._fold(new)
                await self._tell_adopted(self.clusters.keys() - known)
            except AbandonedError:
                return
            except (Fenced, UnrecordableError) as error:
                self._drop(error)
                self._dropped_to = max(self._dropped_to, records[-1].offset + 1)
                self._desk.build_again(self)

    async def fall_behind(self, taking: Awaitable[None]) -> None:
        """Others do not wait for what is being taken: until it is done, what comes is left to a build after it."""
        log.warning("%s falls behind at offset %d: its recording waits", self.place, self.position)
        self.is_live = False
        await taking
        if self.is_owned and not self.is_live:
            self._desk.build_again(self)

    async def _fold(self, records: Sequence[Record]) -> None:
        """Every cluster's facts in order; one cluster after the other."""
        if not records:
            return
        self._desk.clock.saw(max(record.timestamp_ms for record in records))
        facts = [self._blamed_or(incoming(record, epoch=self.epoch)) for record in records]
        for name in {fact.cluster for fact in facts if fact.cluster} - self.clusters.keys():
            self.clusters[name] = Cluster(name, self.partition, self._desk, None)
        for name, cluster in self.clusters.items():
            cluster.is_given_up = name in self._given_up
            of_it = [fact for fact in facts if not fact.cluster or fact.cluster == name]
            for part in self._parts(name, of_it):
                await cluster.take(part, still_ours=lambda: self.is_owned)
        self.position = records[-1].offset + 1

    # Finding the fact to blame

    def _blamed_or(self, fact: Incoming) -> Incoming:
        reason = self._blamed.get(fact.record.offset)
        return clusters.blamed(fact, reason) if reason else fact

    def _parts(self, cluster: str, facts: list[Incoming]) -> list[list[Incoming]]:
        """One by one up to where a batch could not be recorded, else all at once."""
        careful_to = self._careful_to.get(cluster, -1)
        if not facts or facts[0].record.offset > careful_to:
            return [facts] if facts else []
        return [[fact] for fact in facts]

    def _blame(self, error: UnrecordableError) -> None:
        """Narrow it down: the batch, then the fact, then (no fact is to blame) the cluster."""
        if error.first != error.last:
            self._careful_to[error.cluster] = error.last
        elif error.last not in self._blamed:
            self._blamed[error.last] = error.reason
        else:
            log.error("%s is not evaluated until the next start: %s", error.cluster, error)
            self._given_up[error.cluster] = error.reason

    # Marks and looks

    async def tick(self) -> None:
        mark = Tick(partition=self.partition)
        message = fact_message(self._desk.topics.facts.name, "", key_of("", mark), mark, source="segmon/assess")
        sent = await self._desk.producer.send_to(self.partition, message)
        self._desk.clock.saw(sent.timestamp_ms)

    async def look(self) -> None:
        """With each Tick: the partition must still be the one that was read, and be read on.

        Also of a partition that was taken away: of a topic that was re-created the group may give us nothing at all.
        """
        async with self._reader(LOOK_BYTES) as reader:
            epoch = await self._present_epoch(reader)
            end = (await reader.bounds()).end
        if not self.epoch:
            return  # built anew meanwhile
        if epoch != self.epoch:
            raise epochs.EpochError(
                f"{self.place} has changed from epoch {self.epoch} to {epoch}: restart this process"
            )
        if end < self.position:
            raise TruncatedLogError(
                f"{self.place} ends at offset {end}, {self.position} were read: the broker lost acknowledged records; "
                "delete the topic, run `segmon topics create` and restart this process"
            )
        if self.is_live:
            self._desk.observer.lag(self._desk.topics.facts.name, self.partition, end - self.position)
            self._read_on(end)

    async def _present_epoch(self, reader: PartitionReader) -> int:
        """Of the log as it is now. The embedded broker drops its oldest records, and dies with what it held."""
        if self._desk.connection.is_embedded:
            return self.epoch
        return await epochs.of(reader, self._desk.topics.facts.name, self.partition)

    def _read_on(self, end: int) -> None:
        """If the agent brought nothing although there was something at the last look, read it ourselves."""
        stuck = self.position == self._position_at_last_look < self._end_at_last_look and not self._busy.locked()
        self._end_at_last_look, self._position_at_last_look = end, self.position
        if stuck:
            log.warning("%s: the agent brought nothing since offset %d: reading on", self.place, self.position)
            self.is_live = False
            self._desk.build_again(self)
