"""The topics: names, keys, partitions, settings. The only place where they stand (architecture.md section 3)."""

from __future__ import annotations

from zlib import crc32

from msgspec import Struct, field

DAY_MS = 86_400_000


class TopicSpec(Struct, frozen=True, kw_only=True):
    """`partitions` never changes for the facts: a cluster's place depends on it."""

    name: str
    partitions: int
    settings: dict[str, str] = field(default_factory=dict)


FACTS = TopicSpec(
    name="segmon.facts.v1",
    partitions=24,
    settings={
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(7 * DAY_MS),
        "delete.retention.ms": str(7 * DAY_MS),
        "segment.ms": str(DAY_MS),
        "max.message.bytes": str(2 * 1024 * 1024),
        "message.timestamp.type": "LogAppendTime",
    },
)
FLOWS = TopicSpec(
    name="segmon.flows.v1",
    partitions=24,
    settings={
        "cleanup.policy": "delete",
        "retention.ms": str(3 * DAY_MS),
        "max.message.bytes": str(2 * 1024 * 1024),
        "message.timestamp.type": "LogAppendTime",
    },
)
RAWLOGS = TopicSpec(
    name="segmon.rawlogs.v1",
    partitions=24,
    settings={"cleanup.policy": "delete", "retention.ms": str(DAY_MS)},
)
DEAD = TopicSpec(
    name="segmon.dead.v1",
    partitions=24,
    settings={
        "cleanup.policy": "delete",
        "retention.ms": str(14 * DAY_MS),
        "max.message.bytes": str(4 * 1024 * 1024),
    },
)
TOPICS: tuple[TopicSpec, ...] = (FACTS, FLOWS, RAWLOGS, DEAD)


class Position(Struct, frozen=True, order=True):
    """A place in a partition of the facts topic, compared as a pair: (epoch, offset of the last record folded)."""

    epoch: int
    offset: int


def partition_of(name: str, partitions: int) -> int:
    """The partition of a cluster (facts) or of `cluster/node` (flows): stable for ever, in every client."""
    return crc32(name.encode()) % partitions
