"""How every Faust app of ours is made: carrying bytes, one agent, nothing of its own on disk, web or in the logs.

Each setting follows dependencies.md 1.1; the ones that prevent a measured loss or stall say which.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from msgspec import Struct

from monitor import clock
from monitor.broker.connection import Connection, tls_context
from monitor.broker.messages import Record
from monitor.broker.reading import LOOP_MS
from streams.holding import Holding

log = logging.getLogger(__name__)

BATCH_MOST = 500
BATCH_SECONDS = 0.05  # from its first event: a flood is cut here
GAP_SECONDS = 0.001  # without another event: what arrives together is taken together
HELD_SECONDS = 0.1  # between two looks, while all partitions are held
NO_PLACE = {faust.types.TP("", -1)}
"""Asked for then: none at all would be all to aiokafka, and who asks for nothing any more has left the group."""


class Group(Struct, frozen=True, kw_only=True):
    """Membership of one process in its consumer group."""

    name: str
    session_timeout_seconds: float = 10.0
    rebalance_timeout_seconds: float = 20.0
    max_poll_seconds: float = 3600.0  # above the longest retry: a database may be away for an hour
    instance_id: str = ""


def make(
    connection: Connection, group: Group, *, fetch_wait_ms: int | None = None, holding: Holding | None = None
) -> faust.App:
    """An app in the group, not yet started. Call `app.finalize()` once its agent is attached.

    `fetch_wait_ms`: how long a record may lie on the embedded broker before it is seen; None = the connection's.
    """
    app = _app(connection, group)
    made = _consumer_class(fetch_wait_ms or connection.fetch_wait_ms, holding or Holding())
    app.transport.Consumer = made  # type: ignore[misc]  # the only way in
    return app


def _consumer_class(fetch_wait_ms: int, holding: Holding) -> type[Consumer]:
    """Faust writes its fetch wait into its code (1.5 s); on the mock cluster that would be every fact's delay."""

    class Thread(AIOKafkaConsumerThread):
        def _create_worker_consumer(self, transport: Any) -> Any:
            client = super()._create_worker_consumer(transport)
            # both are read by aiokafka when the client starts
            client._fetch_max_wait_ms = fetch_wait_ms  # noqa: SLF001
            client._consumer_timeout = LOOP_MS / 1000  # noqa: SLF001
            return client

    class Waiting(Consumer):
        def _new_consumer_thread(self) -> Thread:
            return Thread(self, loop=self.loop, beacon=self.beacon)

        async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
            """Of those that are not held; each from where its owner wants it."""
            brought = {
                place
                for place in active_partitions
                if not holding.holds(place.partition) and await self._has_gone_on(place)
            }
            if brought:
                return await super()._getmany(brought, timeout)
            return await super()._getmany(NO_PLACE, HELD_SECONDS)

        async def _has_gone_on(self, place: Any) -> bool:
            """Whether the partition is where it is to go on. In a rebalance it may not be ours for a moment."""
            offset = holding.place(place.partition)
            if offset is None:
                return True
            try:
                await self.seek_wait({place: offset})
            except Exception as error:  # noqa: BLE001 - as Faust does: the next call tries again
                log.warning("%s does not go on at offset %d yet: %r", place, offset, error)
                return False
            self._committed_offset[place] = offset  # Faust commits nothing behind a gap that it does not know of
            holding.went_on(place.partition, offset)
            return True

    return Waiting


class _App(faust.App):
    """Leaves no folder behind: there are no tables, and nothing is kept in files."""

    def _create_directories(self) -> None:
        """Not even empty ones, which Faust would leave in the folder for temporary files."""


def _app(connection: Connection, group: Group) -> faust.App:
    return _App(
        group.name,
        broker=[f"kafka://{address.strip()}" for address in connection.bootstrap.split(",")],
        broker_credentials=_credentials(connection),
        broker_session_timeout=group.session_timeout_seconds,
        broker_heartbeat_interval=min(3.0, group.session_timeout_seconds / 3),
        broker_rebalance_timeout=group.rebalance_timeout_seconds,
        broker_request_timeout=max(30.0, group.session_timeout_seconds + 5),
        broker_max_poll_interval=group.max_poll_seconds,
        consumer_group_instance_id=group.instance_id or None,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=15_000,
        stream_wait_empty=False,  # else a worker blocked in a retry holds up a rebalance: 18 s measured
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
        store="memory://",
        datadir=tempfile.gettempdir(),  # asked for, never used: no tables
        web_enabled=False,
        loghandlers=[],
        reply_create_topic=False,
    )


def topic_of(app: faust.App, name: str) -> Any:
    """The topic as bytes; a null value reaches the agent as None."""
    return app.topic(
        name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        allow_empty=True,
    )


def on_partitions(signal: Any, act: Callable[[frozenset[int]], None]) -> None:
    """Call with partition numbers whenever the signal (assigned, revoked) is sent."""

    def hear(_app: Any, places: Iterable[Any], **_: Any) -> None:
        act(frozenset(place.partition for place in places))

    signal.connect(hear, weak=False)


async def batches(stream: Any) -> AsyncGenerator[list[Any], None]:
    """Events as they arrive, together; acknowledged when the next batch is asked for, else delivered again.

    Not Faust's `take_events`: its timer runs all the time, so an event waits for half of it on the average, an idle
    process works twenty times a second, and a batch whose body was cancelled is acknowledged (docs/decisions/0090).
    """
    stream.enable_acks = False
    arriving = aiter(stream.events())
    following = asyncio.ensure_future(anext(arriving, None))
    try:
        while (event := await following) is not None:
            events, ends = [event], clock.monotonic() + BATCH_SECONDS
            following = asyncio.ensure_future(anext(arriving, None))
            while len(events) < BATCH_MOST and clock.monotonic() < ends:
                await asyncio.wait({following}, timeout=GAP_SECONDS)
                if not following.done() or (event := following.result()) is None:
                    break
                events.append(event)
                following = asyncio.ensure_future(anext(arriving, None))
            yield events
            for event in events:
                await stream.ack(event)
    finally:
        following.cancel()


async def deliver(
    stream: Any, name: str, take: Callable[[list[Record]], Awaitable[None]], give_up: Callable[[str], object]
) -> None:
    """The body of the agent of this name: every batch is taken, or the process gives up. It never raises."""
    async with contextlib.aclosing(batches(stream)) as arriving:
        async for events in arriving:
            try:
                await take([record_of(event) for event in events])
            except Exception:
                log.exception("%s cannot go on", name)
                give_up(f"{name} cannot go on: what it was given is left to the next owner")


def record_of(event: Any) -> Record:
    """A Faust event as our own record."""
    message = event.message
    headers = message.headers.items() if isinstance(message.headers, dict) else message.headers or ()
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=round(message.timestamp * 1000),
        key=message.key,
        value=message.value,
        headers=tuple((name, bytes(value)) for name, value in headers),
    )


def _credentials(connection: Connection) -> faust.SASLCredentials | faust.SSLCredentials | None:
    context = tls_context(connection)
    if connection.uses_sasl:
        return faust.SASLCredentials(
            username=connection.username,
            password=connection.password,
            ssl_context=context,
            mechanism=connection.sasl_mechanism,
        )
    return faust.SSLCredentials(context=context) if context else None
