"""A facts topic of one test, the log as it grows, and a watch that runs for a while."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from models import wire
from models.facts import API_KINDS, FactKey, Kind
from monitor.broker.reading import PartitionReader
from monitor.cluster.watch import run_watch

CLUSTER = "east"
LIMIT = 40.0


class Log:
    """The facts partition of the test's topic, read from its beginning as it grows."""

    def __init__(self, connection, topic, partition):
        self._reader = PartitionReader(connection, topic, partition)
        self.records = []

    async def __aenter__(self):
        await self._reader.__aenter__()
        self._reader.seek(0)
        return self

    async def __aexit__(self, *error):
        await self._reader.__aexit__(*error)

    async def until(self, holds, what):
        """Read on until the condition on this log holds."""
        try:
            async with asyncio.timeout(LIMIT):
                while not holds(self):
                    self.records += await self._reader.read(timeout_seconds=0.2)
        except TimeoutError:
            pytest.fail(f"waited for: {what}; the log has {[record.key for record in self.records]}")

    def facts(self, kind):
        return [
            (record.offset, None if record.value is None else wire.decode_fact(record.value), record)
            for record in self.records
            if FactKey.from_text(record.key.decode()).kind is kind
        ]

    def latest(self, kind):
        return {record.key.decode(): fact for _, fact, record in self.facts(kind)}

    def listings(self):
        return [fact for _, fact, _ in self.facts(Kind.SYNC) if (fact.scope, fact.phase) == ("all", "done")]

    def api_records(self):
        return [record for record in self.records if FactKey.from_text(record.key.decode()).kind in API_KINDS]

    def state_of(self, kind):
        beats = [fact for _, fact, _ in self.facts(Kind.HEARTBEAT)]
        return {one.kind: (one.state, one.reason) for one in beats[-1].kinds}[kind] if beats else ("", "")


class Told:
    def __init__(self):
        self.offsets = []
        self.states = {}

    def synced(self, offset):
        self.offsets.append(offset)

    def published(self, count): ...

    def kind_state(self, kind, state):
        self.states[kind] = state

    def restarted(self, kind, reason): ...


@asynccontextmanager
async def watching(settings, topic, told=None):
    stop = asyncio.Event()
    task = asyncio.create_task(run_watch(settings, stop, observer=told, topic=topic))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=LIMIT)
        if not task.done():
            task.cancel()
    if not task.cancelled() and task.exception() is not None:
        raise task.exception()


def begun(log, count=1):
    return len(log.listings()) >= count
