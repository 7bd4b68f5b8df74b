"""The generation of a partition of facts: its first record, an `Epoch` whose number comes from SQL.

Law 1: (epoch, offset) only grows. A re-created topic has a higher epoch; one that was restored or re-created without
its number is found out, because its epoch is lower than the stored one or its log is shorter than the stored place.
Law 2: an Epoch is written only into an empty partition, before anything else is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from models import wire
from models.facts import Epoch, key_of
from models.topics import Position
from monitor.broker.connection import BrokerError, Connection
from monitor.broker.messages import Record, fact_message
from monitor.broker.producing import Producer
from monitor.broker.reading import PartitionReader, TruncatedLogError

CREATE = "run `segmon topics create`"


class EpochError(BrokerError):
    """The partition is not the one that was read before, or was never begun."""


async def begin(
    connection: Connection, producer: Producer, topic: str, next_number: Callable[[], Awaitable[int]]
) -> list[int]:
    """Write the Epoch into every partition that is empty; returns their numbers. One new number for all of them."""
    empty = [
        partition
        for partition in range(await producer.partitions(topic))
        if await _is_empty(connection, topic, partition)
    ]
    if not empty:
        return []
    number = await next_number()
    for partition in empty:
        epoch = Epoch(number=number, partition=partition)
        await producer.send_to(partition, fact_message(topic, "", key_of("", epoch), epoch, source="segmon/topics"))
    return empty


async def of(reader: PartitionReader, topic: str, partition: int) -> int:
    """The epoch of the partition, from its first record. EpochError if there is none."""
    first = await reader.first()
    if first is None:
        raise EpochError(f"{topic}/{partition} is empty: it has no epoch; {CREATE}")
    number = in_record(first)
    if number is None:
        raise EpochError(
            f"{topic}/{partition} does not begin with its epoch (first record at offset {first.offset}): it was "
            f"written to before `segmon topics create`, or cut off; delete the topic and {CREATE}"
        )
    return number


def in_record(record: Record) -> int | None:
    """The epoch that this record states, None if it is no Epoch."""
    if record.value is None:
        return None
    fact = wire.decode_fact(record.value)
    return fact.number if isinstance(fact, Epoch) else None


def check(place: str, *, epoch: int, end: int, stored: Position | None) -> None:
    """Compare a partition with the place recorded in SQL. Raises with the fix if it cannot be the same log."""
    if stored is None or epoch > stored.epoch:
        return
    if epoch < stored.epoch:
        raise EpochError(
            f"{place} is of epoch {epoch}, SQL has read epoch {stored.epoch}: the topic is an old copy; "
            f"delete it and {CREATE}, watch fills it again"
        )
    if end <= stored.offset:
        raise TruncatedLogError(
            f"{place} ends at offset {end}, SQL has read up to {stored.offset} of the same epoch {epoch}: the broker "
            f"lost acknowledged records; delete the topic and {CREATE}, watch fills it again"
        )


async def _is_empty(connection: Connection, topic: str, partition: int) -> bool:
    async with PartitionReader(connection, topic, partition) as reader:
        return (await reader.bounds()).end == 0
