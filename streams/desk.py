"""What the parts of one assess process share: ports and settings, put together in `streams.wiring`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from monitor.broker.connection import Connection
from monitor.broker.producing import Producer
from monitor.broker.topics import Topics
from monitor.store import Store
from streams.log_clock import LogClock
from streams.observing import Observer
from streams.retrying import Retrying

if TYPE_CHECKING:
    from streams.owning import PartitionOwner


class Desk(Struct, kw_only=True):
    connection: Connection
    topics: Topics
    producer: Producer
    store: Store
    clock: LogClock
    retrying: Retrying
    observer: Observer
    fail: Callable[[Exception], None]  # ends the process with an error a person can mend
    build_again: Callable[[PartitionOwner], None]
