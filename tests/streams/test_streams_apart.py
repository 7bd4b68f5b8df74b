"""Posture does not wait for flows: neither for a long backlog of them, nor for a match that is stuck."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from scenes.cluster import default_deny, namespace, pod
from scenes.traffic import backlog, collecting_from, line, write

from models import tables
from monitor.broker.producing import Producer

CLUSTER = (namespace("shop"), namespace("bank"), pod("shop", "web", "10.0.0.1"), pod("bank", "db", "10.0.0.2"))
OPEN = ("default-deny-ingress", "shop/Pod/web")
BACKLOG = 100_000


def counted(world):
    """Messages of the backlog, each of which is one record."""
    return sum(row["records"] for row in world.rows(tables.source_position))


async def changes_become_findings(world, scene):
    """A policy goes and comes, and so do the findings."""
    await scene.remove(default_deny("shop"))
    await world.until(lambda: OPEN in world.findings(), "the open namespace is found")
    await scene.publish(default_deny("shop"))
    await world.until(lambda: OPEN not in world.findings(), "it is resolved")


async def test_a_change_is_judged_while_a_hundred_thousand_flow_messages_wait(world):
    async with world.scene() as scene, world.running(), Producer(world.connection) as producer:
        await scene.list_all(*CLUSTER, default_deny("shop"))
        await backlog(producer, world.topics.flows.name, BACKLOG)
        with world.worker("match"):
            await world.until(lambda: counted(world), "match has begun with the backlog")
            await changes_become_findings(world, scene)

            assert 0 < counted(world) < BACKLOG


@asynccontextmanager
async def stopped_by_a_signal(world, match):
    """SIGSTOP: it lives, and does nothing."""
    await asyncio.to_thread(match.pause)
    yield
    await asyncio.to_thread(match.resume)


@asynccontextmanager
async def blocked_on_a_lock(world, match):
    """Somebody holds the rows that it wants to write, for as long as the database lets him."""
    engine = sa.create_engine(world.url)
    with engine.connect() as connection:
        connection.execute(sa.select(tables.source_position).with_for_update())
        yield
        connection.rollback()
    engine.dispose()


@pytest.mark.parametrize("stuck", [stopped_by_a_signal, blocked_on_a_lock])
async def test_a_change_is_judged_while_match_is_stuck_and_no_flow_is_lost_by_it(world, tmp_path, stuck):
    log = tmp_path / "kern.log"
    write(log, [line(1)])
    async with world.scene() as scene, world.running(), collecting_from(world, log):
        await scene.list_all(*CLUSTER, default_deny("shop"))
        with world.worker("match") as match:
            await world.until(lambda: counted(world) == 1, "the first line is counted")
            async with stuck(world, match):
                write(log, [line(number) for number in range(2, 52)])
                await changes_become_findings(world, scene)
                meanwhile = counted(world)
            await world.until(lambda: counted(world) == 51, "every line is counted")

    assert meanwhile == 1
