"""Flow batches of the partitions that are ours: settled, judged, counted once, and the paths they show published.

Law 1: a batch is judged when the facts of its time have been folded: 2 s after its append time by the broker's clock,
with all that lay in the facts partition then. After 10 s it is judged without, and says so.
Law 2: what was counted is cut off before judging; if more was counted meanwhile, the rest is judged again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec import Struct

from models import wire
from models.facts import FactKey, Kind, key_of
from models.flows import FlowBatch
from models.recording import FlowRecording, FlowsRecorded
from models.topics import partition_of
from monitor import clock
from monitor.broker import dead_letters, reading
from monitor.broker.connection import BrokerUnavailableError, Connection
from monitor.broker.messages import Record, fact_message, gone_message
from monitor.broker.producing import MessageTooLargeError, Producer
from monitor.broker.topics import Topics
from monitor.flows import windows
from monitor.flows.matching import Past
from monitor.state.history import History
from monitor.store import Fenced, Store, queries
from streams import outbox, sighting
from streams.following import Follower
from streams.hearing import Hearing
from streams.log_clock import LogClock
from streams.observing import Observer
from streams.recalling import Recall
from streams.retrying import AbandonedError, Retrying

T = TypeVar("T")

log = logging.getLogger(__name__)

SOURCE = "segmon/match"
PAUSE_SECONDS = 0.010  # embedded: the least that assess gets between two of our transactions
UNSEEN = timedelta(days=30)
HOUSE_SECONDS = 60.0  # between two looks for windows to close and paths to forget: each is a transaction
LAG_SECONDS = 15.0
SEAL_AFTER = timedelta(minutes=10)  # a window that ended so long ago is closed; late records open its next part


class MatchDesk(Struct, kw_only=True):
    """What the parts of one match process share."""

    connection: Connection
    topics: Topics
    producer: Producer
    store: Store
    clock: LogClock
    retrying: Retrying
    observer: Observer
    spawn: Callable[[Awaitable[None]], None]
    fail: Callable[[Exception], None]
    settle_seconds: float = 2.0
    late_seconds: float = 10.0


class Batch(Struct, frozen=True):
    """A flow batch and the record that brought it."""

    record: Record
    batch: FlowBatch


class Matcher:
    """Of one process. `take` is the agent's; the other coroutines run beside it."""

    def __init__(self, desk: MatchDesk) -> None:
        self._desk = desk
        self._partitions: frozenset[int] = frozenset()
        self._followers: dict[str, Follower] = {}
        self._hearings: dict[tuple[str, int], Hearing] = {}
        self._recalls: dict[str, Recall] = {}
        self._due_at: dict[str, float] = {}  # what is not done at every turn -> monotonic seconds
        self._facts_partitions = 0
        self._reached: dict[int, int] = {}  # flows partition -> behind the last record that was dealt with

    @property
    def give_up(self) -> Callable[[str], object]:
        return self._desk.retrying.give_up

    def assign(self, partitions: frozenset[int]) -> None:
        """These flows partitions are ours now; of others nothing more is said."""
        self._partitions = partitions
        self._hearings = {place: hearing for place, hearing in self._hearings.items() if place[1] in partitions}
        self._reached = {partition: at for partition, at in self._reached.items() if partition in partitions}
        self._desk.spawn(self._remember_sources())

    async def take(self, records: Sequence[Record]) -> None:
        """What the agent brought: clusters side by side, each in order. Returns when all of it is counted."""
        by_cluster: dict[str, list[Batch]] = {}
        for record in records:
            self._desk.clock.saw(record.timestamp_ms)
            batch = wire.decode_batch(record.value or b"")
            if isinstance(batch, wire.Unreadable):
                await self._bury(record, batch.reason)
            else:
                by_cluster.setdefault(batch.cluster, []).append(Batch(record, batch))
        async with asyncio.TaskGroup() as tasks:
            for cluster, batches in by_cluster.items():
                tasks.create_task(self._take_cluster(cluster, batches))
        for record in records:
            self._reached[record.partition] = max(record.offset + 1, self._reached.get(record.partition, 0))

    async def _take_cluster(self, cluster: str, batches: Sequence[Batch]) -> None:
        for each in batches:
            self._hear(each)
        if any(each.batch.records for each in batches):
            follower = await self._follower(cluster)
            is_late = not await self._settled(follower, batches)
        else:
            follower, is_late = None, False
        changed = 0
        for run in _runs(batches):
            changed += await self._count_run(follower, run, is_late=is_late)
        if changed:
            await self.drain(cluster)

    # Settling

    async def _settled(self, follower: Follower, batches: Sequence[Batch]) -> bool:
        """Whether the facts of these batches' time were folded before they got too late."""
        due = max(each.record.at for each in batches) + timedelta(seconds=self._desk.settle_seconds)
        now = self._desk.clock.now()
        if now is not None and now < due:
            await asyncio.sleep((due - now).total_seconds())
        return await follower.reached(within_seconds=self._desk.late_seconds)

    async def _follower(self, cluster: str) -> Follower:
        """Started at the cluster's first batch; its facts are read to the end first, however many they are."""
        if cluster not in self._followers:
            follower = Follower(cluster, self._desk.connection, self._desk.topics.facts.name, self._desk.clock)
            self._followers[cluster] = follower
            self._desk.spawn(follower.run(self._desk.fail, await self._facts_place(cluster)))
        await self._followers[cluster].started()
        return self._followers[cluster]

    async def _facts_place(self, cluster: str) -> int:
        if not self._facts_partitions:
            self._facts_partitions = await self._desk.retrying.until_done(
                "asking for the facts' partitions", lambda: self._desk.producer.partitions(self._desk.topics.facts.name)
            )
        return partition_of(cluster, self._facts_partitions)

    # Counting

    async def _count_run(self, follower: Follower | None, run: Sequence[Batch], *, is_late: bool) -> int:
        """Count batches together if they can be, else one by one; returns how many paths changed."""
        if len(run) > 1:
            try:
                return await self._count_together(follower, run, is_late=is_late)
            except AbandonedError:
                return 0
            except Exception as error:  # noqa: BLE001 - whose fault it is turns out one by one
                log.info("%d batches of %s are counted one by one: %r", len(run), run[0].batch.source, error)
        return sum([await self._count(follower, each, is_late=is_late) for each in run])

    async def _count_together(self, follower: Follower | None, run: Sequence[Batch], *, is_late: bool) -> int:
        """Fenced if a part of them was counted already, which the store finds before it counts anything of it."""

        def judge(past: Past) -> list[FlowRecording]:
            judged = [_judged(each, each.batch, past, is_late=is_late) for each in run]
            return sighting.together(judged)

        recordings = await self._ask(follower, run[0].batch.cluster, judge)
        changed = 0
        for recording in recordings:
            changed += (await self._recorded(recording)).changed_paths
        return changed

    async def _count(self, follower: Follower | None, each: Batch, *, is_late: bool) -> int:
        """Count a batch once; returns how many paths changed."""
        while True:
            try:
                return (await self._counted(follower, each, is_late=is_late)).changed_paths
            except Fenced:
                continue  # more of this source was counted meanwhile: judge what is left
            except AbandonedError:
                return 0
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this batch's
                log.warning("a batch of %s cannot be counted: %r", each.batch.source, error)
                await self._bury(each.record, f"could not be counted: {type(error).__name__}")
                return 0

    async def _counted(self, follower: Follower | None, each: Batch, *, is_late: bool) -> FlowsRecorded:
        batch = each.batch
        place = await self._retried(
            lambda: self._desk.store.source_place(batch.cluster, batch.source, batch.generation)
        )
        rest = sighting.uncounted(batch, place)
        judge = functools.partial(_judged, each, rest, is_late=is_late)
        return await self._recorded(await self._ask(follower, batch.cluster, judge))

    async def _recorded(self, recording: FlowRecording) -> FlowsRecorded:
        started = clock.monotonic()
        done = await self._retried(lambda: self._desk.store.record_flows(recording))
        if done.counted:
            for flow_class, records in sighting.by_class(recording).items():
                self._desk.observer.flows(recording.cluster, flow_class, records)
        await self._pause(clock.monotonic() - started)
        return done

    async def _ask(self, follower: Follower | None, cluster: str, judge: Callable[[Past], T]) -> T:
        """By the history in memory; by the database, which may be away, where a record is older than that."""
        if follower is None:
            return judge(History(cluster))
        recall = self._recalls.setdefault(follower.cluster, Recall(follower.cluster, self._desk.store))
        return await self._desk.retrying.until_done(
            "judging flows", lambda: follower.ask(lambda history: judge(recall.beside(history)))
        )

    async def _pause(self, seconds: float) -> None:
        """Embedded, SQLite is shared with assess, which would starve: as long a pause as the transaction took."""
        if self._desk.connection.is_embedded:
            await asyncio.sleep(max(PAUSE_SECONDS, seconds))

    async def _retried(self, act: Callable[[], T]) -> T:
        return await self._desk.retrying.until_done("recording flows", lambda: asyncio.to_thread(act))

    async def _bury(self, record: Record, reason: str) -> None:
        letter = dead_letters.letter(self._desk.topics.dead.name, record, reason)

        async def send() -> None:
            try:
                await self._desk.producer.send(letter)
            except MessageTooLargeError:
                log.warning("a dead letter is too large to keep: %s", letter.key)

        await self._desk.retrying.until_done("keeping a dead letter", send)
        self._desk.observer.dead_letter(record.topic, "unreadable" if "counted" not in reason else "uncountable")

    # Paths back into the facts

    async def drain(self, cluster: str) -> None:
        """Publish the paths that wait; what cannot be sent now waits for the next drain."""
        now = self._desk.clock.now()
        if now is None:
            return
        try:
            await outbox.drain(self._desk.store, self._desk.producer, self._desk.topics.facts.name, cluster, at=now)
        except Exception as error:
            if not self._desk.retrying.is_transient(error):
                raise
            log.warning("paths of %s wait for the next drain: %s", cluster, error)

    async def tend(self, every_seconds: float) -> None:
        """For ever: drain what a dead process left, close windows, forget paths, say which sources are heard."""
        while True:
            try:
                await self._tend_once()
            except Exception as error:
                if not self._desk.retrying.is_transient(error):
                    raise
                log.warning("tending waits: %s", error)
            await asyncio.sleep(every_seconds)

    async def _tend_once(self) -> None:
        now = self._desk.clock.now()
        keeps_house = now is not None and self._is_due("house", HOUSE_SECONDS)
        for cluster in await asyncio.to_thread(self._clusters):
            self._desk.observer.follows(cluster)
            await self.drain(cluster)
            if now is not None and keeps_house:
                await asyncio.to_thread(self._desk.store.forget_paths, cluster, now - UNSEEN)
                for partition in self._partitions:
                    await asyncio.to_thread(self._desk.store.seal_windows, cluster, partition, now - SEAL_AFTER, now)
        await self._say_what_is_heard()
        if self._is_due("lag", LAG_SECONDS):
            await self._tell_lag()

    def _is_due(self, what: str, every_seconds: float) -> bool:
        """Whether it is time for what is not done at every turn."""
        now = clock.monotonic()
        if now < self._due_at.get(what, now):
            return False
        self._due_at[what] = now + every_seconds
        return True

    async def _tell_lag(self) -> None:
        """Of partitions that brought something since we have them; how far others were counted only the group knows."""
        mine = self._reached.keys() & self._partitions
        if mine:
            topic = self._desk.topics.flows.name
            for partition, end in (await reading.ends(self._desk.connection, topic, mine)).items():
                self._desk.observer.lag(topic, partition, end - self._reached[partition])

    def _clusters(self) -> list[str]:
        with self._desk.store.look() as connection:
            return queries.clusters(connection)

    # Sources

    def _hear(self, each: Batch) -> None:
        batch, partition = each.batch, each.record.partition
        self._desk.observer.follows(batch.cluster)
        hearing = self._hearings.setdefault((batch.cluster, partition), Hearing(partition))
        hearing.heard(batch.source, at=each.record.at, ends=batch.is_end)

    async def _remember_sources(self) -> None:
        """Sources that SQL knows of these partitions: one that fell silent while nobody listened is missed too."""
        try:
            flows_partitions = await self._desk.producer.partitions(self._desk.topics.flows.name)
            for cluster in await asyncio.to_thread(self._clusters):
                for row in await asyncio.to_thread(self._sources, cluster):
                    partition = partition_of(f"{cluster}/{row.node}", flows_partitions)
                    if partition in self._partitions:
                        hearing = self._hearings.setdefault((cluster, partition), Hearing(partition))
                        hearing.remember(row.source, at=row.heard_at)
        except Exception as error:
            if not self._desk.retrying.is_transient(error):
                raise
            log.warning("sources that SQL knows are not remembered: %s", error)

    def _sources(self, cluster: str) -> list[queries.SourceRow]:
        with self._desk.store.look() as connection:
            return queries.sources(connection, cluster)

    async def _say_what_is_heard(self) -> None:
        now = self._desk.clock.now()
        if now is None:
            return
        for place, hearing in tuple(self._hearings.items()):
            try:
                await self._say(place, hearing, now)
            except BrokerUnavailableError as error:
                log.warning("what is heard of %s is said later: %s", place[0], error)
                return

    async def _say(self, place: tuple[str, int], hearing: Hearing, now: datetime) -> None:
        """What is heard of a cluster in a partition; that nothing is heard there any more."""
        cluster, partition = place
        topic = self._desk.topics.facts.name
        if hearing.forget(now=now):
            key = FactKey(cluster, Kind.SOURCES_HEARD, "", str(partition))
            reason = "no log source was heard for 30 days"
            await self._desk.producer.send(gone_message(topic, key, source=SOURCE, at=now, reason=reason))
            self._hearings.pop(place, None)
        elif word := hearing.to_say(now=now):
            sent = await self._desk.producer.send(
                fact_message(topic, cluster, key_of(cluster, word), word, source=SOURCE)
            )
            self._desk.clock.saw(sent.timestamp_ms)
            hearing.said(word, at=now)


def _runs(batches: Sequence[Batch]) -> list[list[Batch]]:
    """Those of one source that are counted together; each source's in order."""
    by_source: dict[tuple[str, str], list[list[Batch]]] = {}
    room: dict[tuple[str, str], int] = {}
    for each in batches:
        source = (each.batch.source, each.batch.generation)
        runs = by_source.setdefault(source, [])
        room[source] = room.get(source, 0) - max(1, len(each.batch.records))
        if room[source] >= 0 and sighting.joins(each.batch, runs[-1][-1].batch):
            runs[-1].append(each)
        else:
            runs.append([each])
            room[source] = sighting.MOST_TOGETHER - len(each.batch.records)
    return [run for runs in by_source.values() for run in runs]


def _judged(each: Batch, rest: FlowBatch, past: Past, *, is_late: bool) -> FlowRecording:
    return windows.recording(rest, past, partition=each.record.partition, appended_at=each.record.at, is_late=is_late)
