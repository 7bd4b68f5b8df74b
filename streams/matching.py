"""Flow batches of the partitions that are ours: settled, judged, counted once, and the paths they show published.

Law 1: a batch is judged when the facts of its time have been folded: 2 s after its append time by the broker's clock, and
all that lay in the facts partition then. After 10 s it is judged without, and says so.
Law 2: what was counted is cut off before judging; if more was counted meanwhile, the rest is judged again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import NoReturn

from msgspec import Struct

from models import wire
from models.flows import FlowBatch
from models.recording import FlowRecording, FlowsRecorded
from models.topics import partition_of
from monitor import clock
from monitor.broker import dead_letters
from monitor.broker.connection import Connection
from monitor.broker.messages import Record
from monitor.broker.producing import MessageTooLargeError, Producer
from monitor.broker.topics import Topics
from monitor.store import Fenced, Store
from streams import outbox, sighting
from streams.following import Follower
from streams.log_clock import LogClock
from streams.observing import Observer
from streams.retrying import AbandonedError, Retrying

log = logging.getLogger(__name__)


class MatchDesk(Struct, kw_only=True):
    """What the parts of one match process share."""

    connection: Connection
    topics: Topics
    producer: Producer
    store: Store
    clock: LogClock
    retrying: Retrying
    observer: Observer
    spawn: Callable[[Awaitable[None]], None]
    fail: Callable[[Exception], None]
    settle_seconds: float = 2.0
    late_seconds: float = 10.0
    pauses: bool = False  # embedded: SQLite is shared with assess


class Batch(Struct, frozen=True):
    """A flow batch and the record that brought it."""

    record: Record
    batch: FlowBatch
