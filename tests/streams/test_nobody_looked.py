"""What nobody saw is not evaluated; a log or a database that is not the one it was is caught up with, or stops us."""

import asyncio
import shutil
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from scenes.cluster import default_deny, install, namespace, pod

from models import tables
from models.facts import Epoch, Kind, key_of
from models.topics import TopicSpec
from monitor import clock
from monitor.broker import topics
from monitor.broker.epochs import EpochError
from monitor.broker.messages import fact_message
from monitor.broker.producing import Producer
from monitor.broker.reading import TruncatedLogError
from streams.observing import Silent

MINUTE = 60.0
CONTROL = "default-deny-ingress"
OPEN = (CONTROL, "shop/Pod/web")
SHOP = (namespace("shop"), pod("shop", "web", "10.0.0.1"))


async def delete(world, spec: TopicSpec):
    admin = AIOKafkaAdminClient(bootstrap_servers=world.bootstrap)
    await admin.start()
    await admin.delete_topics([spec.name])
    while spec.name in await admin.list_topics():
        await asyncio.sleep(0.1)
    await admin.close()


def outcomes_between(world, begin, end):
    """What the namespace counted as at any time between."""
    return {
        row["outcome"]
        for row in world.rows(tables.control_status)
        if (row["domain"], row["control"]) == ("namespace/shop", CONTROL)
        and row["from_at"] < end
        and (row["to_at"] is None or row["to_at"] > begin)
    }


async def test_a_hole_that_opened_and_closed_while_all_workers_were_down_is_not_evaluated(light_world):
    world = light_world
    async with world.scene() as scene:
        async with world.running():
            await scene.list_all(*SHOP, default_deny("shop"))
            await world.until(lambda: ("namespace/shop", CONTROL) in world.statuses(), "the namespace is judged")
        now = clock.now()
        # Ten minutes of log pass without a worker: the broker's times are the producer's here.
        await scene.remove(default_deny("shop"), ago=-2 * MINUTE)
        await scene.publish(default_deny("shop"), ago=-8 * MINUTE)
        await scene.beat(ago=-10 * MINUTE)
        async with world.running():
            await world.caught_up()
            await world.until(
                lambda: any(row["from_at"] > now + timedelta(minutes=9) for row in world.rows(tables.control_status)),
                "judged again ten minutes later",
            )

    between = outcomes_between(world, now + timedelta(minutes=1), now + timedelta(minutes=9))

    assert between == {"error"}
    assert world.statuses()["namespace/shop", CONTROL] == "pass"


class Counting(Silent):
    """How often the database could not be used."""

    errors = 0

    def database_error(self, kind):
        self.errors += kind == "transient"


async def test_a_hole_that_opened_and_closed_while_the_database_was_away_is_not_evaluated(world, postgres):
    counting = Counting()
    async with world.scene() as scene, world.running(observer=counting, tick_seconds=600):
        await scene.list_all(*SHOP, default_deny("shop"))
        await world.until(lambda: ("namespace/shop", CONTROL) in world.statuses(), "the namespace is judged")
        now = clock.now()
        await asyncio.to_thread(postgres.stop)
        # A minute and a half of log pass while the worker tries to record the first change.
        await scene.publish(pod("shop", "held", "10.0.0.7"), ago=-1)
        await world.until(lambda: counting.errors > 2, "the worker tries again and again")
        await scene.remove(default_deny("shop"), ago=-10)
        await scene.publish(default_deny("shop"), ago=-20)
        await scene.beat(ago=-90)
        await asyncio.to_thread(postgres.start)

        await world.check()
        between = outcomes_between(world, now + timedelta(seconds=10), now + timedelta(seconds=85))
        revised = [row["raw"] is None for row in world.revisions(Kind.KUBERNETES_NETWORK_POLICY)]

    assert between == {"error"}
    assert revised == [False, True, False]
    assert world.statuses()["namespace/shop", CONTROL] == "pass"
    assert OPEN not in {(row["control"], row["subject"]) for row in world.rows(tables.finding)}


@pytest.mark.parametrize(("stretch", "outcomes"), [(1, {"pass"}), (2, {"pass", "error"})])
async def test_only_another_stretch_is_not_evaluated_when_kinds_stayed_silent_after_their_listing(
    light_world, stretch, outcomes
):
    """The second heartbeat took longer into the log than the first: by its ages the listing is later than it was."""
    world = light_world
    async with world.scene() as scene, world.running(tick_seconds=600):
        await scene.list_all(*SHOP, default_deny("shop"))
        await world.until(lambda: ("namespace/shop", CONTROL) in world.statuses(), "the namespace is judged")
        now = clock.now()
        await scene.beat(ago=-20, seen=1.0, unbroken=3600.0, stretch=1)
        await scene.beat(ago=-35, seen=15.6, unbroken=15.6, stretch=stretch)
        await world.caught_up()

    assert outcomes_between(world, now + timedelta(seconds=10), now + timedelta(seconds=34)) == outcomes


async def test_a_fact_that_waited_long_is_recorded_but_its_moment_is_not_judged(light_world):
    world = light_world
    async with world.scene() as scene:
        await scene.list_all(*SHOP, default_deny("shop"), ago=15 * MINUTE)
        await scene.remove(default_deny("shop"), ago=10 * MINUTE)
        await scene.publish(default_deny("shop"), ago=5 * MINUTE)
        await scene.beat()
        async with world.running():
            await world.caught_up()
            await world.until(world.statuses, "the namespace is judged")

    assert len(world.revisions(Kind.KUBERNETES_NETWORK_POLICY)) == 3
    assert OPEN not in {(row["control"], row["subject"]) for row in world.rows(tables.finding)}


async def test_a_database_restored_from_an_older_backup_is_caught_up(light_world, tmp_path):
    world = light_world
    async with world.scene() as scene:
        async with world.running():
            await scene.list_all(*SHOP, default_deny("shop"))
            await world.caught_up()
        world.store.close()
        shutil.copy(tmp_path / "segmon.db", tmp_path / "backup.db")
        async with world.running():
            await scene.remove(default_deny("shop"))
            await world.until(lambda: OPEN in world.findings(), "the open namespace is found")
        world.store.close()
        for left in tmp_path.glob("segmon.db*"):
            left.unlink()
        shutil.copy(tmp_path / "backup.db", tmp_path / "segmon.db")
        restored = world.findings()
        async with world.running():
            await world.until(lambda: OPEN in world.findings(), "the open namespace is found again")

            await world.check()

    assert restored == set()


async def test_a_re_created_topic_with_its_next_epoch_is_read_anew_and_what_it_lacks_is_gone(light_world):
    world = light_world
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP, namespace("old"), pod("old", "p", "10.0.0.9"))
        await world.until(lambda: len(world.findings()) > 3, "both open namespaces are found")
    await delete(world, world.topics.facts)
    await install(world.bootstrap, world.topics, world.store)
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP)
        await world.until(lambda: ("namespace/old", CONTROL) not in world.statuses(), "the old namespace is gone")
        gone = [row for row in world.revisions(Kind.POD) if row["is_synthetic"]]

        assert world.applied().epoch == 2
        assert [(row["key"], row["raw"]) for row in gone] == [("east/Pod/old/p", None)]
        assert {subject for _, subject in world.findings()} == {"shop/Pod/web"}


async def recreated(world, number):
    """The facts topic made anew by hand, with an epoch that no database gave."""
    await delete(world, world.topics.facts)
    await topics.ensure(world.connection, [world.topics.facts], topics.Replication())
    async with Producer(world.connection) as producer:
        for partition in range(world.topics.facts.partitions):
            mark = Epoch(number=number, partition=partition)
            message = fact_message(world.topics.facts.name, "", key_of("", mark), mark, source="test")
            await producer.send_to(partition, message)


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [(0, EpochError, "old copy"), (1, TruncatedLogError, "lost acknowledged records")],
)
async def test_a_topic_that_is_not_the_one_that_was_read_stops_the_worker_with_the_fix(
    light_world, number, error, words
):
    world = light_world
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP)
        await world.until(world.findings, "the open namespace is found")
    await recreated(world, number)

    with pytest.raises(error, match=f"{words}.*segmon topics create"):
        async with world.running() as task, asyncio.timeout(20):
            await asyncio.wait({task})


async def test_a_topic_re_created_under_a_running_worker_stops_it(light_world):
    world = light_world
    with pytest.raises((EpochError, TruncatedLogError), match=r"restart this process|segmon topics create"):
        async with world.scene() as scene, world.running() as task:
            await scene.list_all(*SHOP)
            await world.until(world.findings, "the open namespace is found")
            await recreated(world, 7)
            async with asyncio.timeout(30):
                await asyncio.wait({task})
