"""From a record of the facts topic to what is folded; pure.

Law: nothing is skipped. A value that cannot be read is `Unreadable` under its key; a key that cannot be read marks the
clusters it may belong to. What it decides is only which clusters a record concerns: a partition's own marks (Epoch,
Tick) concern every cluster in it.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from models import wire
from models.facts import Fact, FactKey, Kind
from models.topics import Position
from models.wire import Unreadable
from monitor.broker.messages import Record

PARTITION_MARKS = frozenset({Kind.EPOCH, Kind.TICK})


class Incoming(Struct, frozen=True, kw_only=True):
    """One record as it is folded. `key` None = undecodable; `cluster` empty = it concerns every cluster here."""

    record: Record
    position: Position
    at: datetime
    cluster: str
    key: FactKey | None
    value: Fact | Unreadable | None

    @property
    def problem(self) -> str:
        """Why it cannot be read; empty if it can."""
        return self.value.reason if isinstance(self.value, Unreadable) else ""


def _key(text: str) -> FactKey:
    """PostgreSQL takes no NUL in a text, and nothing that the API names has a control character."""
    if not text.isprintable():
        raise ValueError("a fact key has no control characters")
    return FactKey.from_text(text)


def incoming(record: Record, *, epoch: int) -> Incoming:
    """The record, decoded."""
    position = Position(epoch, record.offset)
    raw_key = (record.key or b"").decode(errors="replace")
    try:
        key = _key(raw_key)
    except ValueError as error:
        value: Fact | Unreadable | None = Unreadable(f"key {raw_key!r}: {error}")
        cluster = raw_key.partition("/")[0] if "/" in raw_key else ""
        return Incoming(record=record, position=position, at=record.at, cluster=cluster, key=None, value=value)
    value = None if record.value is None else wire.decode_fact(record.value)
    cluster = "" if key.kind in PARTITION_MARKS else key.cluster
    return Incoming(record=record, position=position, at=record.at, cluster=cluster, key=key, value=value)
