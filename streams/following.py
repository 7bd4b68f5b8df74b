"""The facts of one cluster as match needs them: read by a plain reader, folded, with the changes of the last minutes.

Law 1: what is asked of it waits for the log, never for a record's clock: `reached` answers once everything that lay in
the facts partition when it was asked has been folded, or says that it did not come in time.
Law 2: one task folds; folding and judging happen in threads under one lock, so that nobody sees half a change.
Law 3: nothing is fetched while nobody asks, but for a look now and then: what comes later is folded at its own time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from models.errors import UserError
from monitor.broker import epochs
from monitor.broker.connection import BrokerUnavailableError, Connection
from monitor.broker.messages import Record
from monitor.broker.reading import PartitionReader
from monitor.state.history import History
from streams.decoding import incoming
from streams.log_clock import LogClock

T = TypeVar("T")

log = logging.getLogger(__name__)

READ_SECONDS = 0.5
RETRY_SECONDS = 1.0
REST_SECONDS = 5.0  # what piles up meanwhile is folded in milliseconds
START_BATCH = 2000


class Follower:
    """Of one cluster. `run` is its task; it ends when cancelled, or having told what a person has to mend."""

    def __init__(self, cluster: str, connection: Connection, topic: str, clock: LogClock) -> None:
        self.cluster = cluster
        self._connection = connection
        self._topic = topic
        self._partition = 0
        self._clock = clock
        self._history = History(cluster)
        self._lock = asyncio.Lock()
        self._epoch = 0
        self._position = 0
        self._end = 0  # of the partition, when last asked: up to there somebody waits
        self._asked = asyncio.Event()
        self._moved = asyncio.Condition()
        self._reader: PartitionReader | None = None

    async def run(self, fail: Callable[[Exception], None], partition: int) -> None:
        """Read and fold for ever; `fail` is told what a person has to mend."""
        self._partition = partition
        while True:
            try:
                async with PartitionReader(self._connection, self._topic, self._partition) as reader:
                    await self._begin(reader)
                    self._reader = reader
                    while True:
                        await self._read_on(reader)
            except UserError as error:
                fail(error)
                return
            except BrokerUnavailableError as error:
                self._reader = None
                log.warning("facts of %s are not read: %s", self.cluster, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def reached(self, *, within_seconds: float) -> bool:
        """Whether all that the partition holds now was folded in time."""
        try:
            async with asyncio.timeout(within_seconds):
                end = await self._present_end()
                if end > self._position:
                    self._end = max(self._end, end)
                    self._asked.set()
                async with self._moved:
                    await self._moved.wait_for(lambda: self._position >= end)
        except TimeoutError:
            return False
        return True

    async def _present_end(self) -> int:
        """Of the partition, as the broker says now."""
        while True:
            try:
                if self._reader is not None:
                    return (await self._reader.bounds()).end
            except BrokerUnavailableError as error:
                log.warning("end of the facts of %s is not known: %s", self.cluster, error)
            await asyncio.sleep(RETRY_SECONDS)

    async def started(self) -> None:
        """Until the facts that were there at the start are folded: however long they are, that is no lateness."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._end > 0 and self._position >= self._end)

    async def ask(self, question: Callable[[History], T]) -> T:
        """Judge by what is known, in a thread, while nothing is folded."""
        async with self._lock:
            return await asyncio.to_thread(question, self._history)

    async def _begin(self, reader: PartitionReader) -> None:
        epoch = await epochs.of(reader, self._topic, self._partition)
        bounds = await reader.bounds()
        if epoch != self._epoch:
            async with self._lock:
                self._history, self._epoch, self._position = History(self.cluster), epoch, bounds.beginning
                self._end = 0
        self._end = max(self._end, bounds.end)
        reader.seek(self._position)

    async def _read_on(self, reader: PartitionReader) -> None:
        """What has come; behind the end that somebody waits for, a rest until the next one asks."""
        records = await reader.read(timeout_seconds=READ_SECONDS, limit=START_BATCH)
        if is_through := reader.position >= self._end:
            reader.rest()
            self._asked.clear()
        await self._fold(records)
        if is_through:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REST_SECONDS):
                    await self._asked.wait()

    async def _fold(self, records: Sequence[Record]) -> None:
        if not records:
            return
        for record in records:
            self._clock.saw(record.timestamp_ms)
        facts = [incoming(record, epoch=self._epoch) for record in records]
        of_it = [fact for fact in facts if fact.cluster in {"", self.cluster}]
        if of_it:
            async with self._lock:
                await asyncio.to_thread(self._history.fold, of_it)
        async with self._moved:
            self._position = records[-1].offset + 1
            self._moved.notify_all()
