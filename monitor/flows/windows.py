"""A batch of records to what is recorded of it: paths seen, and counts per window of five minutes.

Law 1: a packet that wrote several lines (several Log rules, both directions) is counted once, and so is a connection
that its sender tried again; within one batch, so that the same batch gives the same counts however often it comes.
Law 2: everything is counted somewhere: records = paths' counts + repetitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from models.facts import FlowClass
from models.flows import FlowBatch, FlowRecord
from models.recording import FlowRecording, SeenPath, WindowCount
from monitor.flows import matching
from monitor.flows.matching import Judged, Past

WINDOW = timedelta(minutes=5)
TRIED_AGAIN = timedelta(seconds=60)
"""The kernel repeats a SYN for about this long."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Sight = tuple[FlowRecord, Judged]


def recording(
    batch: FlowBatch, past: Past, *, partition: int, appended_at: datetime, is_late: bool = False
) -> FlowRecording:
    """The batch judged and counted. Without records nothing is asked of the past."""
    seen = [
        (record, matching.judge(record, past, appended_at=appended_at, is_late=is_late))
        for record in once(batch.records)
    ]
    return FlowRecording(
        partition=partition,
        cluster=batch.cluster,
        node=batch.node,
        source=batch.source,
        generation=batch.generation,
        start=batch.start,
        end=batch.end,
        predecessor=batch.predecessor,
        predecessor_end=batch.predecessor_end,
        at=appended_at,
        paths=tuple(paths(seen)),
        windows=tuple(windows(seen)),
        records=sum(record.count for record in batch.records),
        indeterminate=sum(each.count for each, judged in seen if judged.flow_class is FlowClass.INDETERMINATE),
        unparsed=batch.unparsed,
        lost=batch.lost,
    )


def once(records: Iterable[FlowRecord]) -> list[FlowRecord]:
    """Without the repetitions of a packet or of a connection's first packet."""
    last_seen: dict[tuple[object, ...], datetime] = {}
    kept = []
    for record in records:
        identity = _identity(record)
        known = last_seen.get(identity) if identity else None
        if identity:
            last_seen[identity] = record.at
        if known is None or abs(record.at - known) > TRIED_AGAIN:
            kept.append(record)
    return kept


def _identity(record: FlowRecord) -> tuple[object, ...] | None:
    """None: nothing tells this packet from another one."""
    ends = (record.source_address, record.destination_address, record.protocol)
    if record.action:
        return None  # an aggregate counts itself
    if record.source_port is not None:
        return (*ends, record.source_port, record.destination_port)
    if record.packet_id:
        return (*ends, record.icmp_type, record.icmp_code, record.packet_id)
    return None


def paths(seen: Iterable[Sight]) -> list[SeenPath]:
    """By identity; where the class changed within the batch, the latest record decides."""
    found: dict[str, SeenPath] = {}
    for record, judged in sorted(seen, key=lambda each: each[0].at):
        old = found.get(judged.path_id)
        found[judged.path_id] = SeenPath(
            path_id=judged.path_id,
            source=judged.source,
            destination=judged.destination,
            source_domains=judged.source_domains,
            destination_domains=judged.destination_domains,
            protocol=judged.protocol,
            port=judged.port,
            flow_class=judged.flow_class,
            basis=judged.basis,
            cause=judged.cause,
            first_at=old.first_at if old else record.at,
            last_at=record.at,
            count=record.count + (old.count if old else 0),
        )
    return sorted(found.values(), key=lambda path: path.path_id)


def windows(seen: Iterable[Sight]) -> list[WindowCount]:
    """By the window that a record's own time lies in."""
    counts: dict[tuple[datetime, str, FlowClass], int] = {}
    for record, judged in seen:
        place = (window_of(record.at), judged.path_id, judged.flow_class)
        counts[place] = counts.get(place, 0) + record.count
    return [
        WindowCount(window_at=at, path_id=path_id, flow_class=flow_class, count=count)
        for (at, path_id, flow_class), count in sorted(counts.items())
    ]


def window_of(at: datetime) -> datetime:
    return at - (at - _EPOCH) % WINDOW
