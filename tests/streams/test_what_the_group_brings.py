"""While a partition is held its group brings nothing of it; then it goes on at the place it is told. Real broker."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from scenes.cluster import default_deny, namespace, pod

from models.facts import Tick, key_of
from models.topics import TopicSpec
from monitor.broker import topics
from monitor.broker.connection import Connection
from monitor.broker.messages import fact_message
from monitor.broker.producing import Producer
from streams import faust_apps
from streams.holding import Holding

BUILT, OTHER = 0, 1


class Brought(list):
    """Offsets by partition, as an agent got them."""

    def of(self, partition):
        return [offset for at, offset in self if at == partition]

    async def until(self, holds):
        async with asyncio.timeout(40):
            while not holds():
                await asyncio.sleep(0.05)


@pytest.fixture
async def topic(kafka, topic_prefix):
    connection = Connection(bootstrap=kafka.bootstrap)
    spec = TopicSpec(name=f"{topic_prefix}held", partitions=2)
    await topics.ensure(connection, [spec], topics.Replication())
    async with Producer(connection) as producer:

        async def write(partition, number=1):
            mark = Tick(partition=partition)
            for _ in range(number):
                message = fact_message(spec.name, "", key_of("", mark), mark, source="test")
                await producer.send_to(partition, message)

        yield connection, spec.name, write


@asynccontextmanager
async def reading(topic, holding):
    """An agent of a group of its own, for as long as the block lasts."""
    connection, name, _ = topic
    app = faust_apps.make(
        connection, faust_apps.Group(name=f"{name}-group", session_timeout_seconds=3), holding=holding
    )
    brought = Brought()

    @app.agent(faust_apps.topic_of(app, name), name=name, concurrency=1)
    async def agent(stream):
        async for events in faust_apps.batches(stream):
            brought.extend((event.message.partition, event.message.offset) for event in events)

    app.finalize()
    await app.start()
    try:
        yield brought
    finally:
        await app.stop()


async def test_a_held_partition_is_not_brought_and_others_are(topic):
    *_, write = topic
    await write(BUILT, 3)
    await write(OTHER)
    holding = Holding()
    holding.hold(BUILT)

    async with reading(topic, holding) as brought:
        await brought.until(lambda: brought.of(OTHER) == [0])
        await write(OTHER)
        await brought.until(lambda: brought.of(OTHER) == [0, 1])
        assert brought.of(BUILT) == []


async def test_the_group_goes_on_where_it_is_told_and_there_is_where_it_begins_again(topic):
    *_, write = topic
    await write(BUILT, 5)
    holding = Holding()
    holding.hold(BUILT)

    async with reading(topic, holding) as brought:
        await write(OTHER)
        await brought.until(lambda: brought.of(OTHER))
        holding.go_on(BUILT, 3)
        await brought.until(lambda: len(brought.of(BUILT)) == 2)
        await write(BUILT)
        await brought.until(lambda: len(brought.of(BUILT)) == 3)
        assert brought.of(BUILT) == [3, 4, 5]
        assert holding.place(BUILT) is None
    async with reading(topic, Holding()) as again:
        await write(BUILT)
        await again.until(lambda: 6 in again.of(BUILT))

    assert 2 not in again.of(BUILT)


async def test_a_partition_that_is_held_again_does_not_go_on_at_the_former_place():
    holding = Holding()
    holding.go_on(BUILT, 3)
    holding.hold(BUILT)

    assert holding.holds(BUILT)
    assert holding.place(BUILT) is None


async def test_a_worker_gets_what_comes_after_its_build_from_the_group(world):
    """And not by reading on by itself, which it does when the group brings nothing between two looks."""
    async with world.scene() as scene:
        await scene.list_all(namespace("shop"), pod("shop", "web", "10.0.0.1"))
        async with world.running(tick_seconds=600):
            await world.until(world.statuses, "the cluster is judged")
            await scene.publish(default_deny("shop"))
            await world.check()
