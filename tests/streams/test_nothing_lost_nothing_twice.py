"""Processes, broker and database fail under load; in the end SQL is what a fresh evaluation of the facts gives.

After each: no transition is doubled and the chain verifies (`World.check`).
"""

import asyncio
import itertools
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa
from aiokafka.admin import AIOKafkaAdminClient
from scenes.cluster import allow_all, default_deny, namespace, pod
from scenes.world import POLL_SECONDS, WAIT_SECONDS

from models import tables
from models.facts import Kind
from monitor import clock

NAMESPACES = [f"n{number}" for number in range(6)]


def everything():
    for number, name in enumerate(NAMESPACES):
        yield namespace(name)
        for at in range(3):
            yield pod(name, f"p{at}", f"10.0.{number}.{at + 1}", app=f"a{at}")


async def change(scene, number):
    """The change of this number: policies and pods of one namespace after the other come and go."""
    name = NAMESPACES[number % len(NAMESPACES)]
    extra = pod(name, "extra", f"10.1.{number % 200}.1", turn=str(number))
    match number // len(NAMESPACES) % 4:
        case 0:
            await scene.publish(default_deny(name))
        case 1:
            await scene.publish(extra)
        case 2:
            await scene.publish(allow_all(name))
        case 3:
            await scene.remove(default_deny(name), extra)
    if number % 20 == 0:
        await scene.beat()


@asynccontextmanager
async def load(scene, *, every=0.01):
    """Changes for as long as the block lasts."""
    stop = asyncio.Event()

    async def go_on():
        for number in itertools.count():
            if stop.is_set():
                return
            await change(scene, number)
            await asyncio.sleep(every)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        stop.set()
        await task


async def moved(world, by=1):
    """Until the recorded place has moved on."""
    before = world.applied()
    await world.until(
        lambda: (now := world.applied()) and (before is None or now.offset >= before.offset + by),
        f"the recorded place moves on from {before}",
    )


async def test_a_worker_killed_in_mid_batch_loses_nothing_and_doubles_nothing(world):
    async with world.scene() as scene:
        await scene.list_all(*everything())
        with world.worker() as first, world.worker() as second:
            async with load(scene):
                await moved(world, 30)
                await asyncio.to_thread(first.kill)
                await moved(world, 30)
                await asyncio.to_thread(first.start)
                await moved(world, 30)
                await asyncio.to_thread(second.kill)
                await moved(world, 30)

            await world.check()


async def test_kafka_stopped_and_started_is_caught_up(world, kafka):
    async with world.scene() as scene, world.running():
        await scene.list_all(*everything())
        async with load(scene):
            await moved(world, 20)
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)
        async with load(scene):
            await moved(world, 20)

        await world.check()


async def test_a_frozen_database_holds_facts_back_and_nothing_is_lost(world, postgres):
    async with world.scene() as scene, world.running():
        await scene.list_all(*everything())
        async with load(scene):
            await moved(world, 20)
            await asyncio.to_thread(postgres.restart)
            await moved(world, 20)
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(postgres.start)
            await moved(world, 20)

        await world.check()


@pytest.mark.slow
async def test_a_database_that_is_away_for_a_minute_under_load_is_caught_up_and_the_minute_not_evaluated(
    world, postgres
):
    async with world.scene() as scene, world.running():
        await scene.list_all(*everything())
        await moved(world, 20)
        await asyncio.to_thread(postgres.stop)
        gone_at = clock.now()
        async with load(scene, every=0.2):
            await asyncio.sleep(75)  # the minute itself is tested: what is away for less is judged late, not left out
            back_at = clock.now()
            await asyncio.to_thread(postgres.start)
            await moved(world, 20)

        await world.check()

    away = [row for row in world.rows(tables.evidence_gap) if row["input"] == "evaluation"]
    assert len(away) == 1
    assert away[0]["from_at"] <= gone_at + timedelta(seconds=10)
    assert away[0]["to_at"] >= back_at - timedelta(seconds=60)


@asynccontextmanager
async def locked(world, cluster="east"):
    """Whoever records this cluster waits, and is told after a while to try again."""
    engine = sa.create_engine(world.url)
    with engine.connect() as connection:
        where = (tables.applied.c.cluster == cluster) & (tables.applied.c.partition == world.place(cluster))
        connection.execute(sa.select(tables.applied).where(where).with_for_update())
        yield
        connection.rollback()
    engine.dispose()


async def joined(world, count):
    """Until the group has so many members, whether or not it has settled."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.bootstrap)
    await admin.start()
    members = []
    async with asyncio.timeout(WAIT_SECONDS):
        while len(members) < count:
            [answer] = await admin.describe_consumer_groups([f"{world.prefix}assess"])
            [members] = [group[5] for group in answer.groups]
            await asyncio.sleep(POLL_SECONDS)
    await admin.close()


async def test_a_worker_joins_and_leaves_while_another_is_stuck_in_a_retry(world):
    other = next(f"c{n}" for n in range(100) if world.place(f"c{n}") != world.place("east"))
    async with world.scene() as scene, world.scene(other) as away, world.running(), world.running():
        await scene.list_all(*everything())
        await away.list_all(*everything())
        await world.caught_up()
        async with locked(world):
            await scene.publish(default_deny("n0"))
            with world.worker() as third:
                await joined(world, 3)
                await away.publish(default_deny("n1"))
                await world.until(
                    lambda: ("default-deny-ingress", "n1/Pod/p0") not in world.findings(other),
                    "the other cluster is judged meanwhile",
                )
                await asyncio.to_thread(third.stop)
        async with load(scene):
            await moved(world, 20)

        await world.check()
        await world.check(other)


async def test_a_cluster_whose_recording_waits_holds_up_no_other_partition_of_its_worker(world):
    other = next(f"c{n}" for n in range(100) if world.place(f"c{n}") != world.place("east"))
    async with world.scene() as scene, world.scene(other) as away, world.running():
        await scene.list_all(*everything())
        await away.list_all(*everything())
        await world.caught_up()
        await world.caught_up(other)
        async with locked(world):
            await scene.publish(default_deny("n0"))
            for name in ("n1", "n2"):
                await away.publish(default_deny(name))
                await world.until(
                    lambda name=name: ("default-deny-ingress", f"{name}/Pod/p0") not in world.findings(other),
                    "the other cluster is judged meanwhile",
                )
            waiting = world.findings()
        await world.until(lambda: ("default-deny-ingress", "n0/Pod/p0") not in world.findings(), "it has caught up")

        await world.check()
        await world.check(other)

    assert ("default-deny-ingress", "n0/Pod/p0") in waiting


async def test_facts_replayed_from_the_beginning_change_nothing(world):
    async with world.scene() as scene:
        async with world.running():
            await scene.list_all(*everything())
            async with load(scene):
                await moved(world, 40)
            await world.check()
        before = {table.name: world.rows(table) for table in (tables.finding_transition, tables.fact_revision)}
        async with world.running(group=f"{world.prefix}replayed"):
            await scene.beat()
            await world.check()

    assert {table.name: world.rows(table) for table in (tables.finding_transition, tables.fact_revision)} == before


async def test_each_change_is_one_revision(world):
    async with world.scene() as scene, world.running():
        await scene.list_all(*everything())
        for _ in range(3):
            await scene.publish(default_deny("n0"))
            await scene.publish(default_deny("n0"))
            await scene.remove(default_deny("n0"))
        await world.caught_up()

        raws = [row["raw"] is None for row in world.revisions(Kind.KUBERNETES_NETWORK_POLICY)]
        assert raws == [False, True] * 3
