"""The facts of one cluster in the log: what it holds of them, writing to it, and who else writes.

Law 1: what the log holds is what was read from it or acknowledged by it, whichever lies later in it.
Law 2: the newest begun(all) names the one writer; whoever reads a newer one than its own stops.
Law 3: a log of another epoch, or one that is shorter than what was read of it, is another log: begin anew.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum

from msgspec import Struct

from models import facts, wire
from models.errors import UserError
from models.facts import FactKey, Heartbeat, Kind, Repair, Sync
from models.topics import partition_of
from monitor import clock
from monitor.broker import epochs
from monitor.broker.connection import BrokerUnavailableError, Connection
from monitor.broker.messages import NOT_LISTED, Message, Record, encoded_message, fact_message, gone_message
from monitor.broker.producing import MessageTooLargeError, Producer
from monitor.broker.reading import PartitionReader, TruncatedLogError
from monitor.cluster.differences import ORDER, UNKNOWN, Change, digest

log = logging.getLogger(__name__)

SOURCE = "segmon/watch/"
CHUNK = 500
READ_SECONDS = 1.0
_PUBLISHED = frozenset(ORDER)


Pace = Callable[[int], Awaitable[None]]


async def at_any_pace(size: int) -> None:
    """Kafka holds as much as it is given disk for."""
    del size


class ReplacedError(UserError):
    """Another watch of this cluster has started since."""


class News(Enum):
    """What a record of the log asks the watch for."""

    RELIST = "relist"


class Held(Struct, frozen=True):
    """What the log holds under a key: digest of the value, None for a tombstone."""

    digest: bytes | None
    offset: int


class Written(Struct, frozen=True, kw_only=True):
    """`too_large`: changes that no broker setting would take; the others are acknowledged."""

    count: int
    too_large: tuple[Change, ...] = ()


class FactLog:
    """One writer, one reader at a time. `catch_up` fills what it knows, `follow` keeps it up."""

    def __init__(self, connection: Connection, producer: Producer, topic: str, *, cluster: str, instance: str) -> None:
        self.pace: Pace = at_any_pace  # told how many bytes were published; it may take its time
        self.cluster = cluster
        self.instance = instance
        self.last_heartbeat: Heartbeat | None = None
        self._connection = connection
        self._producer = producer
        self._topic = topic
        self._held: dict[FactKey, Held] = {}
        self._begun_at = -1  # offset of our own begun(all)
        self._epoch = 0
        self._position = 0

    # What it holds

    def known(self) -> dict[FactKey, bytes]:
        """Digests of everything there is under the watch's keys."""
        return {key: held.digest for key, held in self._held.items() if held.digest is not None}

    def known_of(self, keys: Iterable[FactKey]) -> dict[FactKey, bytes]:
        """As `known`, of these keys."""
        return {
            key: held.digest for key in keys if (held := self._held.get(key)) is not None and held.digest is not None
        }

    def doubt(self, keys: Sequence[FactKey]) -> None:
        """Take it for unknown what the log holds under these keys, so that they are published again."""
        for key in keys:
            if key in self._held:
                self._held[key] = Held(UNKNOWN, self._held[key].offset)

    # Reading

    async def reader(self, *, fetch_wait_ms: int | None = None) -> PartitionReader:
        partition = partition_of(self.cluster, await self._producer.partitions(self._topic))
        return PartitionReader(self._connection, self._topic, partition, fetch_wait_ms=fetch_wait_ms)

    async def catch_up(self, reader: PartitionReader) -> None:
        """Read what is there from the beginning. EpochError if the partition was never begun."""
        self._epoch = await self._read_epoch(reader)
        self._held = {}
        self.last_heartbeat = None
        self._begun_at = -1
        bounds = await reader.bounds()
        reader.seek(bounds.beginning)
        async for records in reader.read_to(bounds.end):
            for record in records:
                self._take(record)
        self._position = reader.position

    async def follow(self, reader: PartitionReader) -> tuple[list[FactKey], list[News]]:
        """What others wrote under our keys, and what was asked for. ReplacedError if we are no longer the writer."""
        records = await reader.read(timeout_seconds=READ_SECONDS)
        self._position = reader.position
        foreign, news = [], []
        for record in records:
            if record.header("ce_source") != SOURCE + self.instance:
                key = self._take(record)
                foreign += [key] if key is not None else []
                news += self._asked(record)
        return foreign, news

    async def check(self, reader: PartitionReader) -> None:
        """Whether this is the log that was read; then the reader stands where the last one stopped, or
        TruncatedLogError.
        """
        epoch = await self._read_epoch(reader)
        bounds = await reader.bounds()
        reader.seek(self._position)
        if epoch != self._epoch:
            raise TruncatedLogError(f"{self._topic}: its epoch is {epoch} now, it was {self._epoch}")
        if bounds.end < self._position:
            raise TruncatedLogError(f"{self._topic}: ends at {bounds.end}, was read up to {self._position}")

    async def _read_epoch(self, reader: PartitionReader) -> int:
        return await epochs.of(reader, self._topic, partition_of(self.cluster, await self._partitions()))

    async def _partitions(self) -> int:
        return await self._producer.partitions(self._topic)

    def _take(self, record: Record) -> FactKey | None:
        """Remember what a record says. Returns its key if it is one of ours."""
        try:
            key = FactKey.from_text((record.key or b"").decode(errors="replace"))
        except ValueError:
            return None  # it marks the cluster until a Repair asks us for a relist
        if key.cluster != self.cluster:
            return None
        if key.kind is Kind.HEARTBEAT and record.value is not None:
            fact = wire.decode_fact(record.value)
            self.last_heartbeat = fact if isinstance(fact, Heartbeat) else self.last_heartbeat
        if key.kind not in _PUBLISHED:
            return None
        held = self._held.get(key)
        if held is not None and held.offset > record.offset:
            return None
        self._held[key] = Held(_digest_of(record.value), record.offset)
        return key

    def _asked(self, record: Record) -> list[News]:
        if record.value is None or self._begun_at < 0 or record.offset < self._begun_at:
            return []
        match wire.decode_fact(record.value):
            case Sync(scope="all", phase="begun", instance=other) if self._is_ours(record) and other != self.instance:
                raise ReplacedError(
                    f"cluster {self.cluster}: another watch ({other}) has taken over; this one ({self.instance}) stops"
                    "\n       fix: run one `segmon watch` per cluster"
                )
            case Repair(keys=keys) if self._is_ours(record):
                self.doubt([key for text in keys if (key := _key(text)) is not None])
                return [News.RELIST]
            case _:
                return []

    def _is_ours(self, record: Record) -> bool:
        key = _key((record.key or b"").decode(errors="replace"))
        return key is not None and key.cluster == self.cluster

    # Writing

    async def publish(self, changes: Sequence[Change], *, reason: str) -> Written:
        """Send in order and await every acknowledgement. BrokerUnavailableError: what it was is sent again."""
        too_large: list[Change] = []
        for start in range(0, len(changes), CHUNK):
            chunk = changes[start : start + CHUNK]
            try:
                await self._publish_chunk(chunk, reason)
            except MessageTooLargeError:
                too_large += await self._publish_singly(chunk, reason)
        return Written(count=len(changes) - len(too_large), too_large=tuple(too_large))

    async def mark(self, fact: Sync | Heartbeat) -> int:
        """Publish a mark; returns its offset."""
        key = facts.key_of(self.cluster, fact)
        message = fact_message(self._topic, self.cluster, key, fact, source=SOURCE + self.instance)
        sent = await self._producer.send(message)
        if isinstance(fact, Sync) and fact.scope == "all" and fact.phase == "begun":
            self._begun_at = sent.offset
        return sent.offset

    async def _publish_chunk(self, chunk: Sequence[Change], reason: str) -> None:
        try:
            sent = await self._producer.send_all([self._message(change, reason) for change in chunk])
        except (BrokerUnavailableError, MessageTooLargeError):
            self._forget(chunk)
            raise
        for change, place in zip(chunk, sent, strict=True):
            self._held[change.key] = Held(_digest_of(change.value), place.offset)
        await self.pace(sum(len(change.value or b"") for change in chunk))

    def _forget(self, chunk: Sequence[Change]) -> None:
        """What was not acknowledged may have been written all the same: nobody knows what the log holds now."""
        for change in chunk:
            held = self._held.get(change.key)
            self._held[change.key] = Held(UNKNOWN, held.offset if held else -1)

    async def _publish_singly(self, chunk: Sequence[Change], reason: str) -> list[Change]:
        refused = []
        for change in chunk:
            try:
                await self._publish_chunk([change], reason)
            except MessageTooLargeError as error:
                log.warning("a fact is too large to publish: key=%s %s", change.key.text(), error)
                refused.append(change)
        return refused

    def _message(self, change: Change, reason: str) -> Message:
        source = SOURCE + self.instance
        if change.value is None:
            return gone_message(self._topic, change.key, source=source, at=clock.now(), reason=reason)
        return encoded_message(self._topic, change.key, change.value, source=source)


DELETED = "deleted"
LISTING = NOT_LISTED


def _digest_of(value: bytes | None) -> bytes | None:
    return None if value is None else digest(value)


def _key(text: str) -> FactKey | None:
    try:
        return FactKey.from_text(text)
    except ValueError:
        return None
