"""One cluster into the log of facts: list everything, publish the difference, then follow (architecture.md section 4).

Law 1: nothing is published before every kind was listed, or had its time; a listing stands between sync marks.
Law 2: what is published is the difference between what the source says and what the log holds, so that restarts,
foreign records, unreadable ones and lost acknowledgements are all mended in one way.
Law 3: a heartbeat follows the facts it vouches for. With Kafka away only the latest state of each key is kept; the
span is told as a gap, and what lies in it is not vouched for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import NoReturn, Protocol

from msgspec import Struct, structs

from models.errors import UserError
from models.facts import FactKey, Heartbeat, Kind, Sync
from models.topics import FACTS
from monitor import clock
from monitor.broker import connection as connections
from monitor.broker.connection import BrokerUnavailableError
from monitor.broker.producing import Producer
from monitor.broker.reading import TruncatedLogError
from monitor.cluster import sources
from monitor.cluster.differences import Change, differences, still_new
from monitor.cluster.fact_log import DELETED, LISTING, FactLog, News, Pace, at_any_pace
from monitor.cluster.sources import Source
from monitor.cluster.view import Freshness, Taken, View
from monitor.settings import Settings

log = logging.getLogger(__name__)

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)  # the last one repeats
SLOW_SECONDS = 2.0
FOLLOW_WAIT_MS = 1000  # what others write is rare; on the embedded broker each fetch takes this long
LOOK_SECONDS = 1.0  # how soon a kind that falls silent is noticed


class Observer(Protocol):
    """Who counts. Calls return at once."""

    def synced(self, offset: int) -> None:
        """A listing of everything is published; its done(all) lies at this offset."""

    def published(self, count: int) -> None: ...

    def kind_state(self, kind: Kind, state: str) -> None: ...

    def restarted(self, kind: Kind, reason: str) -> None:
        """A kind's list or watch failed and is begun again."""


class Silent:
    """Counts nothing."""

    def synced(self, offset: int) -> None: ...

    def published(self, count: int) -> None: ...

    def kind_state(self, kind: Kind, state: str) -> None: ...

    def restarted(self, kind: Kind, reason: str) -> None: ...


async def run_watch(
    settings: Settings,
    stop: asyncio.Event,
    *,
    observer: Observer | None = None,
    topic: str = FACTS.name,
    pace: Pace = at_any_pace,
) -> None:
    """Until stopped. UserError for what a person has to mend: files, credentials, another watch, another cluster."""
    told = observer or Silent()
    broker = connections.of(settings)
    source = await sources.of(settings, told.restarted)
    async with AsyncExitStack() as closing:
        producer = Producer(broker)
        closing.push_async_exit(producer)  # opened by its first use: Kafka may be away now
        facts = FactLog(broker, producer, topic, cluster=settings.cluster, instance=sources.instance())
        facts.pace = pace
        timing = Timing(heartbeat_seconds=settings.timing.heartbeat_seconds)
        await _until(stop, Watch(facts, source, told, timing).run())


class Timing(Struct, frozen=True, kw_only=True):
    heartbeat_seconds: float = 15.0
    stale_seconds: float = 180.0


class Watch:
    """`run` never returns; cancel it."""

    def __init__(self, facts: FactLog, source: Source, observer: Observer, timing: Timing) -> None:
        self._log = facts
        self._source = source
        self._observer = observer
        self._timing = timing
        self._view = View(clock.monotonic)
        self._pauses = _Pauses()
        self._begun = asyncio.Event()  # our begun(all) is written, and the log is still the one it was written to
        self._caught_up = asyncio.Event()
        self._relist = False
        self._away_since: float | None = None
        self._gap_seconds = 0.0
        self._beaten_at = 0.0
        self._states: dict[Kind, str] = {}
        self._too_large: set[FactKey] = set()

    async def run(self) -> NoReturn:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._list())
            tasks.create_task(self._follow())
            tasks.create_task(self._publish())
        raise AssertionError("the tasks of a watch never end")

    async def _list(self) -> None:
        """A kind that the log holds facts of is not taken for absent easily, so the log is read first."""
        await self._caught_up.wait()
        self._view.open({key.kind for key in self._log.known()})
        await self._source.run(self._view)

    # Following the log

    async def _follow(self) -> NoReturn:
        pauses = _Pauses()
        while True:
            await self._begun.wait()
            try:
                async with await self._log.reader(fetch_wait_ms=FOLLOW_WAIT_MS) as reader:
                    await self._log.check(reader)
                    pauses.over()
                    checked_at = clock.monotonic()
                    while True:
                        self._hear(*await self._log.follow(reader))
                        if clock.monotonic() - checked_at >= self._timing.heartbeat_seconds:
                            await self._log.check(reader)
                            checked_at = clock.monotonic()
            except BrokerUnavailableError as error:
                await pauses.pause(f"the log is not read: {error}")
            except TruncatedLogError as error:
                log.warning("cluster=%s begins anew: %s", self._log.cluster, error)
                self._begun.clear()
                self._view.wake()

    def _hear(self, foreign: Iterable[FactKey], news: Iterable[News]) -> None:
        for key in foreign:
            log.warning("a record that is not ours is answered: key=%s", key.text())
            self._view.note_changed(key)
        if News.RELIST in news:
            self._relist = True
            self._view.wake()

    # Publishing

    async def _publish(self) -> NoReturn:
        while True:
            try:
                if not self._begun.is_set():
                    await self._begin()
                while self._begun.is_set():
                    await self._step()
            except BrokerUnavailableError as error:
                self._away_since = self._away_since or clock.monotonic()
                await self._pauses.pause(f"nothing is published: {error}")

    async def _begin(self) -> None:
        """Read what the log holds, wait for the listings, publish the difference."""
        async with await self._log.reader() as reader:
            await self._log.catch_up(reader)
        self._caught_up.set()
        await asyncio.sleep(0)  # the source begins, and with it the time it has
        await self._view.settled()
        self._refuse_another_cluster()
        await self._sync_all()
        self._begun.set()

    async def _step(self) -> None:
        """One round: what changed since the last one, and the heartbeat."""
        await self._view.news(within_seconds=LOOK_SECONDS)
        if self._relist:
            await self._source.relist(self._view)
            await self._sync_all()
            self._relist = False
            return
        taken, freshness = self._take()
        try:
            await self._publish_taken(taken)
            await self._beat(freshness)
        except BrokerUnavailableError:
            self._view.put_back(taken)
            raise

    async def _sync_all(self) -> None:
        taken, freshness = self._take()
        kinds = [kind for kind, view in self._view.kinds.items() if view.is_listed]
        try:
            await self._mark(Sync(scope="all", phase="begun", instance=self._log.instance))
            count = await self._publish_kinds(kinds)
            offset = await self._mark(Sync(scope="all", phase="done", instance=self._log.instance))
            self._back()
            self._beaten_at = 0.0
            await self._beat(freshness)
        except BrokerUnavailableError:
            self._view.put_back(taken)
            raise
        log.info("cluster=%s is listed: kinds=%d published=%d", self._log.cluster, len(kinds), count)
        self._observer.synced(offset)

    async def _publish_taken(self, taken: Taken) -> None:
        for kind in sorted(taken.listed):
            await self._mark(Sync(scope=kind, phase="begun", instance=self._log.instance))
            await self._publish_kinds([kind])
            await self._mark(Sync(scope=kind, phase="done", instance=self._log.instance))
        changes = [change for change in taken.changes if self._view.kinds[change.key.kind].is_listed]
        known = self._log.known_of(change.key for change in changes)
        started_at = clock.monotonic()
        await self._send(still_new(changes, known), DELETED)
        self._count_waiting(started_at)
        if taken.listed or changes:
            self._back()

    async def _publish_kinds(self, kinds: Iterable[Kind]) -> int:
        """The difference of whole kinds: what is not listed any more is gone."""
        chosen = frozenset(kinds)
        wanted = self._view.wanted(chosen)
        known = {key: digest for key, digest in self._log.known().items() if key.kind in chosen}
        return await self._send(differences(wanted.keys() | known.keys(), wanted, known), LISTING)

    async def _send(self, changes: list[Change], reason: str) -> int:
        if not changes:
            return 0
        written = await self._log.publish(changes, reason=reason)
        self._too_large.difference_update(change.key for change in changes)
        self._too_large.update(change.key for change in written.too_large)
        self._observer.published(written.count)
        return written.count

    async def _mark(self, fact: Sync | Heartbeat) -> int:
        started_at = clock.monotonic()
        offset = await self._log.mark(fact)
        self._count_waiting(started_at)
        return offset

    def _count_waiting(self, since: float) -> None:
        """The broker kept us waiting, though it took everything in the end, in order."""
        waited = clock.monotonic() - since
        if waited > SLOW_SECONDS:
            self._gap_seconds += waited

    def _back(self) -> None:
        """Everything that waited is published. What was overwritten meanwhile was never told."""
        self._pauses.over()
        if self._away_since is not None:
            self._gap_seconds += clock.monotonic() - self._away_since
            self._away_since = None
            self._view.broken()

    # Vouching

    def _take(self) -> tuple[Taken, dict[Kind, Freshness]]:
        return self._view.take(), self._view.freshness(stale_seconds=self._timing.stale_seconds)

    async def _beat(self, freshness: dict[Kind, Freshness]) -> None:
        """A heartbeat, if it is time or a kind's state has changed. `freshness` is older than what is published."""
        freshness |= {key.kind: _too_large(freshness[key.kind], key) for key in self._too_large}
        states = {kind: str(found.state) for kind, found in freshness.items()}
        now = clock.monotonic()
        if states == self._states and now - self._beaten_at < self._timing.heartbeat_seconds:
            return
        self._refuse_another_cluster()
        gap_seconds = self._gap_seconds
        identity = self._source.identity
        await self._mark(
            Heartbeat(
                instance=self._log.instance,
                cluster_uid=identity.uid,
                kubernetes_version=identity.version,
                kinds=tuple(found.at(kind, now) for kind, found in sorted(freshness.items())),
                gap_seconds=round(gap_seconds, 3),
            )
        )
        self._back()
        self._gap_seconds -= gap_seconds
        self._beaten_at = now
        self._tell_states(states)

    def _tell_states(self, states: dict[Kind, str]) -> None:
        for kind, state in states.items():
            if self._states.get(kind) != state:
                self._observer.kind_state(kind, state)
        self._states = states

    def _refuse_another_cluster(self) -> None:
        """Two clusters under one name would delete each other's facts."""
        last, uid = self._log.last_heartbeat, self._source.identity.uid
        if last is not None and last.cluster_uid and uid and last.cluster_uid != uid:
            raise UserError(
                f"cluster {self._log.cluster}: under this name another cluster is watched (its identity is "
                f"{last.cluster_uid}, this one's {uid})\n       fix: give this cluster a name of its own (cluster: …)"
            )


class _Pauses:
    """Growing pauses while the broker is away; one log line at the start of it."""

    def __init__(self) -> None:
        self._count = 0

    async def pause(self, why: str) -> None:
        if self._count == 0:
            log.warning("broker unavailable, %s", why)
        seconds = RETRY_SECONDS[min(self._count, len(RETRY_SECONDS) - 1)]
        self._count += 1
        await asyncio.sleep(seconds)

    def over(self) -> None:
        self._count = 0


def _too_large(found: Freshness, key: FactKey) -> Freshness:
    return structs.replace(
        found, state="not_readable", reason=f"{key.namespace}/{key.name} is too large for a message of the broker"
    )


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Run until stopped. What a person has to mend comes out as itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work)
            await _first(stop, working)
            working.cancel()
    except BaseExceptionGroup as group:
        told = group.subgroup(UserError)
        if told is None:
            raise
        raise _leaf(told) from None


async def _first(stop: asyncio.Event, working: asyncio.Task[None]) -> None:
    waiting = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({waiting, working}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _leaf(group: BaseExceptionGroup[UserError]) -> UserError:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first
