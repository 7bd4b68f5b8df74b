"""A message on its way to the broker, and a record as it came back: plain values, whatever the client library.

Headers are those of the CloudEvents Kafka binding in binary mode (`ce_*`), so that other readers can sort messages
without decoding them. `reason` and `synthetic` say why a thing is gone (architecture.md section 3).
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from models import wire
from models.facts import Fact, FactKey
from models.flows import FlowBatch
from models.topics import partition_of

Headers = tuple[tuple[str, bytes], ...]

FACT_TYPE = "segmon.fact.v1"
BATCH_TYPE = "segmon.flows.v1"
NOT_LISTED = "not in the listing"
"""Reason of a tombstone for a thing that went while nobody watched."""


class Message(Struct, frozen=True, kw_only=True):
    """`place` is what the partition is chosen by: the cluster for facts, `cluster/node` for flows."""

    topic: str
    place: str
    key: bytes
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None  # None = when it is sent; a topic with LogAppendTime does not ask


class Sent(Struct, frozen=True):
    """Where an acknowledged message lies, and the broker's time of it (milliseconds)."""

    partition: int
    offset: int
    timestamp_ms: int


class Record(Struct, frozen=True, kw_only=True):
    """One record of a partition. `value` None = gone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def at(self) -> datetime:
        """Log time of this record."""
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)

    def header(self, name: str) -> str:
        """Text of a header, empty where it is not there."""
        return next(((value or b"").decode(errors="replace") for key, value in self.headers if key == name), "")


def fact_message(topic: str, cluster: str, key: FactKey, fact: Fact, *, source: str) -> Message:
    """A fact as it is published. `cluster` chooses the partition: marks of a partition have an empty one in the key."""
    return Message(
        topic=topic,
        place=cluster,
        key=key.text().encode(),
        value=wire.encode_fact(fact),
        headers=_cloud_event(FACT_TYPE, source, key.text()),
    )


def encoded_message(topic: str, key: FactKey, value: bytes, *, source: str) -> Message:
    """As `fact_message`, of a fact whose canonical bytes are at hand."""
    headers = _cloud_event(FACT_TYPE, source, key.text())
    return Message(topic=topic, place=key.cluster, key=key.text().encode(), value=value, headers=headers)


def gone_message(topic: str, key: FactKey, *, source: str, at: datetime, reason: str) -> Message:
    """The tombstone of a fact. It is synthetic where nobody saw the thing go: it was missing from a listing."""
    headers = (
        *_cloud_event(FACT_TYPE, source, key.text()),
        ("ce_time", at.isoformat().encode()),
        ("reason", reason.encode()),
        ("synthetic", b"true" if reason == NOT_LISTED else b"false"),
    )
    return Message(topic=topic, place=key.cluster, key=key.text().encode(), value=None, headers=headers)


def batch_message(topic: str, batch: FlowBatch) -> Message:
    """A flow batch as it is published."""
    place = f"{batch.cluster}/{batch.node}"
    return Message(
        topic=topic,
        place=place,
        key=place.encode(),
        value=wire.encode_batch(batch),
        headers=_cloud_event(BATCH_TYPE, batch.source, f"{batch.generation}@{batch.start}"),
    )


def _cloud_event(kind: str, source: str, subject: str) -> Headers:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("ce_subject", subject.encode()),
        ("content-type", b"application/json"),
    )


def partition_for(message: Message, partitions: int) -> int:
    return partition_of(message.place, partitions)
