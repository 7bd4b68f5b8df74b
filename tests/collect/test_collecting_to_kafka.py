"""A collector on the real broker: what was not acknowledged is held and sent again, and nothing is skipped."""

import asyncio

import pytest
from scenes.cluster import topics_of
from scenes.traffic import line, write

from models import wire
from monitor.broker import topics
from monitor.broker.connection import Connection
from monitor.broker.producing import Producer
from monitor.broker.reading import PartitionReader
from monitor.collect import collecting, parsing
from monitor.collect.batching import Batcher, Origin
from monitor.collect.collecting import Collecting
from monitor.collect.files import FileSource
from monitor.collect.places import PlacesFile

NAME = "file:kern.log@node-a"


@pytest.fixture
async def flows(kafka, topic_prefix):
    spec = topics_of(topic_prefix, partitions=1).flows
    await topics.ensure(Connection(bootstrap=kafka.bootstrap), [spec], topics.Replication())
    return spec.name


async def batches(kafka, topic):
    async with PartitionReader(Connection(bootstrap=kafka.bootstrap), topic, 0) as reader:
        reader.seek(0)
        end = (await reader.bounds()).end
        return [wire.decode_batch(record.value) async for part in reader.read_to(end) for record in part]


class Run:
    """One life of a collector."""

    def __init__(self, kafka, topic, log, *, ends=False):
        self.stop = asyncio.Event()
        self.sent = []
        places = PlacesFile(log.with_suffix(".places"))
        origin = Origin(cluster="east", node="node-a", source=NAME)
        self._source = FileSource(log, name=NAME, place=places.of(NAME))
        self._batcher = Batcher(origin, parsing.log_lines(()))
        self._producer = Producer(Connection(bootstrap=kafka.bootstrap), request_timeout_seconds=2)
        self._how = Collecting(
            producer=self._producer,
            topic=topic,
            places=places,
            heartbeat_seconds=0.2,
            ends=ends,
            on_sent=self.sent.append,
        )

    async def __call__(self):
        async with self._producer:
            return await collecting.collect(self._source, self._batcher, self._how, self.stop)


async def until(holds):
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.05)


def records(sent):
    return [record.source_port for batch in sent for record in batch.records]


async def test_lines_written_while_kafka_is_away_are_held_and_sent_in_order(kafka, flows, tmp_path):
    log = tmp_path / "kern.log"
    write(log, [line(1)])
    run = Run(kafka, flows, log)
    task = asyncio.create_task(run())
    await until(lambda: records(run.sent))
    await asyncio.to_thread(kafka.kill)
    write(log, [line(2), line(3)])
    await asyncio.to_thread(kafka.start)
    await until(lambda: len(records(run.sent)) == 3)
    run.stop.set()
    await task
    seen = await batches(kafka, flows)
    ends = {batch.end: records([batch]) for batch in seen if batch.records}

    assert [port for _, ports in sorted(ends.items()) for port in ports] == [1025, 1026, 1027]


async def test_a_restart_goes_on_behind_what_was_acknowledged(kafka, flows, tmp_path):
    log = tmp_path / "kern.log"
    write(log, [line(1)])
    await Run(kafka, flows, log, ends=True)()
    write(log, [line(2)])
    await Run(kafka, flows, log, ends=True)()
    seen = await batches(kafka, flows)

    assert records(seen) == [1025, 1026]
    assert seen[-1].is_end


async def test_a_quiet_source_beats(kafka, flows, tmp_path):
    log = tmp_path / "kern.log"
    write(log, ["nothing to see"])
    run = Run(kafka, flows, log)
    task = asyncio.create_task(run())
    await until(lambda: len(run.sent) >= 3)
    run.stop.set()
    await task
    spans = [(batch.start, batch.end, len(batch.records)) for batch in run.sent]

    assert spans[0] == (0, log.stat().st_size, 0)
    assert set(spans[1:]) == {(log.stat().st_size, log.stat().st_size, 0)}
