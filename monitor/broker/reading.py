"""Reading one partition in order, without a group: from a place to the end, then on.

Law 1: a record is never skipped in silence: a log that is shorter than the place we stand at, or begins after it,
raises `TruncatedLogError`. Gaps inside a compacted log are what compaction leaves.
Law 2: while the broker is away a read returns nothing and the place stays; the caller's limit ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from msgspec import Struct

from monitor.broker.connection import BrokerError, BrokerUnavailableError, Connection, client_options
from monitor.broker.messages import Record

FETCH_BYTES = 4 * 1024 * 1024  # above the largest message of any topic
BATCH = 500
REQUEST_SECONDS = 10.0
LOOP_MS = 2000
"""Between two rounds of a client's fetching task in which nothing happens. What happens wakes it, whatever this is."""


class TruncatedLogError(BrokerError):
    """The partition does not hold what it held: re-created, wiped, or cut off before our place."""


class Bounds(Struct, frozen=True):
    """`beginning` = offset of the first record there is; `end` = the next one to be written."""

    beginning: int
    end: int


class PartitionReader:
    """An async context manager. `position` is the offset of the next record to be read. One task
    reads; `bounds` may be asked by others meanwhile.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        partition: int,
        *,
        fetch_wait_ms: int | None = None,
        fetch_bytes: int = FETCH_BYTES,
    ) -> None:
        """`fetch_wait_ms`: what a seek may have to wait for (a fetch under way); None = the connection's.

        `fetch_bytes`: what is brought at once, and ahead; a batch that is larger comes alone.
        """
        self._connection = connection
        self._fetch_bytes = fetch_bytes
        self._place = TopicPartition(topic, partition)
        self._fetch_wait_ms = fetch_wait_ms if fetch_wait_ms is not None else connection.fetch_wait_ms
        self._client: AIOKafkaConsumer | None = None
        self._rests = False
        self._kept: list[Record] = []  # read already, and still to be given
        self.position = 0

    async def __aenter__(self) -> Self:
        client = AIOKafkaConsumer(
            **client_options(self._connection),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=self._fetch_bytes,
            request_timeout_ms=int(REQUEST_SECONDS * 1000),
            metadata_max_age_ms=15_000,
            fetch_max_wait_ms=self._fetch_wait_ms,
            consumer_timeout_ms=LOOP_MS,
        )
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            await client.stop()
            raise BrokerUnavailableError(f"{self._connection.bootstrap}: {error!r}") from error
        client.assign([self._place])
        self._client = client
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.stop()

    async def bounds(self) -> Bounds:
        """What the partition holds now. Raises BrokerUnavailableError if the broker does not say within the limit."""
        client = self._opened()
        try:
            async with asyncio.timeout(REQUEST_SECONDS * 2):
                beginnings = await client.beginning_offsets([self._place])
                ends = await client.end_offsets([self._place])
        except (KafkaError, TimeoutError, ValueError) as error:
            raise BrokerUnavailableError(f"bounds of {self._place}: {error!r}") from error
        return Bounds(beginnings[self._place], ends[self._place])

    def seek(self, offset: int) -> None:
        """Read on from this offset. What was fetched is kept if that is where we are."""
        if self._kept and offset == self.position:
            return
        self._kept, self.position = [], offset
        self._opened().seek(self._place, offset)

    async def read(self, *, timeout_seconds: float, limit: int = BATCH) -> list[Record]:
        """Records in order, up to `limit`; none if none came in time."""
        client = self._opened()
        if self._kept:
            records, self._kept = self._kept, []
            self.position = records[-1].offset + 1
            return records
        if self._rests:
            client.resume(self._place)
            self._rests = False
        try:
            answer: dict[Any, list[Any]] = await client.getmany(
                self._place, timeout_ms=int(timeout_seconds * 1000), max_records=limit
            )
        except OffsetOutOfRangeError as error:
            raise TruncatedLogError(
                f"{self._place.topic}/{self._place.partition}: there is no record at offset {self.position} any more: "
                "the topic was re-created or cut off. Run `segmon topics create` and restart"
            ) from error
        except KafkaError as error:
            raise BrokerUnavailableError(f"{self._place}: {error!r}") from error
        records = [_record(raw) for raw in answer.get(self._place, ())]
        if records:
            self.position = records[-1].offset + 1
        else:
            await self._pass_gap()
        return records

    def rest(self) -> None:
        """Ask the broker for nothing more until the next `read`: without this the client always fetches ahead."""
        self._opened().pause(self._place)
        self._rests = True

    async def read_to(self, end: int, *, limit: int = BATCH) -> AsyncIterator[list[Record]]:
        """Batches until every record below `end` was read. Waits as long as it takes: cancel to give up."""
        while self.position < end:
            records = await self.read(timeout_seconds=1.0, limit=limit)
            if records:
                yield records

    async def first(self) -> Record | None:
        """The first record of the partition, None if it is empty. It is what is read next."""
        bounds = await self.bounds()
        self.seek(bounds.beginning)
        if bounds.beginning == bounds.end:
            return None
        async for records in self.read_to(bounds.beginning + 1, limit=1):
            self._kept, self.position = records, records[0].offset
            return records[0]
        return None

    async def _pass_gap(self) -> None:
        """The client's own place moves over offsets that hold no record (compacted away)."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                self.position = max(self.position, await self._opened().position(self._place))
        except (KafkaError, TimeoutError):
            return  # nothing learned; the next read says more

    def _opened(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise RuntimeError("the reader is not open: use it as an async context manager")
        return self._client


async def ends(connection: Connection, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """The next offset to be written, of each of these partitions."""
    places = [TopicPartition(topic, partition) for partition in sorted(partitions)]
    client = AIOKafkaConsumer(
        **client_options(connection),
        group_id=None,
        enable_auto_commit=False,
        request_timeout_ms=int(REQUEST_SECONDS * 1000),
    )
    try:
        async with asyncio.timeout(REQUEST_SECONDS * 2):
            await client.start()
            found = await client.end_offsets(places)
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        raise BrokerUnavailableError(f"ends of {topic}: {error!r}") from error
    finally:
        await client.stop()
    return {place.partition: offset for place, offset in found.items()}


def _record(raw: Any) -> Record:
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        timestamp_ms=raw.timestamp,
        key=raw.key,
        value=raw.value,
        headers=tuple(raw.headers),
    )
