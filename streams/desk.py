"""What the parts of one assess process share: ports and settings, put together in `streams.wiring`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, field

from monitor.broker.connection import Connection
from monitor.broker.producing import Producer
from monitor.broker.topics import Topics
from monitor.store import Store
from streams.holding import Holding
from streams.log_clock import LogClock
from streams.observing import Observer
from streams.retrying import Retrying
from streams.sweeping import Sweeping

if TYPE_CHECKING:
    from streams.owning import PartitionOwner


log = logging.getLogger(__name__)


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
    sweeping: Sweeping = field(default_factory=Sweeping)
    holding: Holding = field(default_factory=Holding)

    async def tell(self, news: Callable[[], None]) -> None:
        """In a thread, as the observer may ask the database. What it shows is not worth a fact: it never fails."""
        try:
            await asyncio.to_thread(news)
        except Exception:
            log.exception("the observer failed")
