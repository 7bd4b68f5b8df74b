"""Messages that could not be used: kept with their reason, listed for people, brought back where that is safe.

Law 1: a dead letter keeps the bytes as they were, and where they lay.
Law 2: an old fact is never published again (it would become current): replaying one asks the watch for a relist.
Law 3: a flow batch is counted once, under the place it had on the flows topic, however often it became a dead letter
and however often that is replayed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from msgspec import Struct, structs

from models import wire
from models.facts import FactKey, Kind, Repair, key_of
from models.flows import FlowBatch
from monitor.broker.connection import Connection
from monitor.broker.messages import Message, Record, batch_message, fact_message
from monitor.broker.producing import Producer
from monitor.broker.reading import PartitionReader
from monitor.broker.topics import Topics

SOURCE = "segmon/dead"


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One message that could not be used, and where it lies now (`partition`, `offset` of the dead-letter topic)."""

    partition: int
    offset: int
    at: datetime
    topic: str  # where it came from
    source_partition: int
    source_offset: int
    source_timestamp_ms: int
    key: str
    reason: str
    value: bytes | None

    @property
    def place(self) -> str:
        return f"{self.partition}:{self.offset}"


class Replayed(Struct, frozen=True, kw_only=True):
    """What came of a replay."""

    relists: tuple[str, ...] = ()  # clusters whose watch was asked for a full relist
    batches: int = 0
    refused: tuple[str, ...] = ()  # place: why


def letter(topic: str, record: Record, reason: str) -> Message:
    """The dead letter for a record, under its own key."""
    key = record.key if record.key is not None else b"unknown"
    return Message(
        topic=topic,
        place=key.decode(errors="replace"),
        key=key,
        value=record.value,
        headers=(
            *record.headers,
            ("dead_topic", record.topic.encode()),
            ("dead_partition", str(record.partition).encode()),
            ("dead_offset", str(record.offset).encode()),
            ("dead_timestamp", str(record.timestamp_ms).encode()),
            ("dead_reason", reason.encode()),
        ),
    )


async def read(connection: Connection, topic: str, partitions: int) -> AsyncIterator[DeadLetter]:
    """Every dead letter there is, partition by partition."""
    for partition in range(partitions):
        async with PartitionReader(connection, topic, partition) as reader:
            bounds = await reader.bounds()
            reader.seek(bounds.beginning)
            async for records in reader.read_to(bounds.end):
                for record in records:
                    yield _dead_letter(record)


async def replay(producer: Producer, topics: Topics, letters: Sequence[DeadLetter]) -> Replayed:
    """Ask for relists (facts) and count batches (flows)."""
    facts = [dead for dead in letters if dead.topic == topics.facts.name]
    flows = [dead for dead in letters if dead.topic == topics.flows.name]
    relists, nameless = await _ask_for_relists(producer, topics.facts.name, facts)
    unreadable = await _send_again(producer, topics.flows.name, flows)
    other = [
        f"{dead.place}: {dead.topic} is not replayed" for dead in letters if dead not in facts and dead not in flows
    ]
    return Replayed(
        relists=tuple(relists),
        batches=len(flows) - len(unreadable),
        refused=(*nameless, *unreadable, *other),
    )


async def _ask_for_relists(
    producer: Producer, topic: str, letters: Sequence[DeadLetter]
) -> tuple[list[str], list[str]]:
    keys_by_cluster: dict[str, set[str]] = {}
    nameless = []
    for dead in letters:
        if cluster := _cluster_in(dead.key):
            keys_by_cluster.setdefault(cluster, set()).add(dead.key)
        else:
            nameless.append(f"{dead.place}: its key {dead.key!r} names no cluster")
    for cluster, keys in sorted(keys_by_cluster.items()):
        repair = Repair(keys=tuple(sorted(keys)))
        await producer.send(fact_message(topic, cluster, key_of(cluster, repair), repair, source=SOURCE))
    return sorted(keys_by_cluster), nameless


def _cluster_in(key: str) -> str:
    """The cluster of a key, also of one that is otherwise undecodable."""
    try:
        found = FactKey.from_text(key)
    except ValueError:
        return key.partition("/")[0] if "/" in key else ""
    return "" if found.kind is Kind.EPOCH else found.cluster


async def _send_again(producer: Producer, topic: str, letters: Sequence[DeadLetter]) -> list[str]:
    refused = []
    for dead in letters:
        batch = wire.decode_batch(dead.value or b"")
        if isinstance(batch, wire.Unreadable):
            refused.append(f"{dead.place}: {batch.reason}")
        else:
            await producer.send(batch_message(topic, as_replayed(batch, dead)))
    return refused


def as_replayed(batch: FlowBatch, dead: DeadLetter) -> FlowBatch:
    """The batch as a generation of its own that is one long, so that SQL counts it once."""
    place = f"{dead.source_partition}:{dead.source_offset}:{dead.source_timestamp_ms}"
    return structs.replace(
        batch,
        generation=f"dead-letter:{place}",
        start=0,
        end=1,
        predecessor="",
        predecessor_end=0,
        is_end=False,
    )


def _dead_letter(record: Record) -> DeadLetter:
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        at=record.at,
        topic=record.header("dead_topic"),
        source_partition=int(record.header("dead_partition") or -1),
        source_offset=int(record.header("dead_offset") or -1),
        source_timestamp_ms=int(record.header("dead_timestamp") or -1),
        key=(record.key or b"").decode(errors="replace"),
        reason=record.header("dead_reason"),
        value=record.value,
    )
