"""Log lines become flow windows, observed paths and findings on real Kafka and PostgreSQL: each line once."""

import asyncio

import pytest
from scenes.cluster import default_deny, namespace, pod
from scenes.traffic import Forgetful, collecting_from, line, write

from models import tables
from models.facts import DeclaredDomain, DeclaredMembers, DeclaredPath, FlowClass
from monitor.broker import dead_letters
from monitor.broker.messages import Message
from monitor.broker.producing import Producer

CLUSTER = (
    namespace("shop"),
    namespace("bank"),
    pod("shop", "web", "10.0.0.1"),
    pod("bank", "db", "10.0.0.2"),
    DeclaredDomain(
        level="namespace",
        name="bank",
        members=DeclaredMembers(namespace_selector="kubernetes.io/metadata.name == 'bank'"),
        allow=(DeclaredPath(from_nets=("192.0.2.0/24",), ports=("tcp/5432",)),),
    ),
)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "kern.log"


def counted(world):
    """Lines counted, over all sources and generations."""
    return sum(row["records"] for row in world.rows(tables.source_position))


def windows(world):
    totals = {}
    for row in world.rows(tables.flow_window):
        totals[row["flow_class"]] = totals.get(row["flow_class"], 0) + row["count"]
    return totals


def matching(world, **more):
    return world.running("match", settle_seconds=0.2, tend_seconds=0.5, **more)


async def test_a_crossing_that_nobody_declared_is_an_escaped_flow_until_it_is_a_finding(world, log):
    write(log, [line(1)])
    async with world.scene() as scene, world.running(), matching(world):
        await scene.list_all(*CLUSTER)
        await world.until(world.findings, "the cluster is judged")
        async with collecting_from(world, log):
            await asyncio.sleep(0)
            write(log, [line(2)])
            await world.until(
                lambda: any(control == "flow-escaped" for control, _ in world.findings()),
                "the escaped flow is a finding",
            )
        [path] = [row for row in world.rows(tables.observed_path) if row["flow_class"] == FlowClass.ESCAPED]

        assert (path["source"], path["destination"], path["port"]) == ("shop/Pod/web", "bank/Pod/db", 5432)
        await world.check()


async def test_a_record_is_judged_by_the_policy_of_its_time_however_long_ago_that_was(world, log):
    """An hour of log passes between the lines and their match: what memory has forgotten, the record remembers."""
    denials = (default_deny("shop"), default_deny("bank"))
    async with world.scene() as scene, world.running():
        await scene.list_all(*CLUSTER, *denials)
        await world.until(world.statuses, "the cluster is judged")
        write(log, [line(1, ago=600), line(2), line(3)])
        await scene.beat(ago=-1700)
        await world.caught_up()  # judged while it is new: else nobody would vouch for the time before it
        await scene.remove(*denials, ago=-1800)
        await scene.beat(ago=-3600)
        await world.caught_up()
        async with matching(world), collecting_from(world, log):
            await world.until(lambda: counted(world) == 3, "all lines are counted")
        causes = {row["cause"] for row in world.rows(tables.observed_path) if row["flow_class"] == "indeterminate"}

    assert causes == {"the facts of that time are not recorded"}
    assert windows(world) == {"indeterminate": 1, "rejected": 2}


async def test_lines_sent_again_after_a_kill_before_the_checkpoint_are_counted_once(world, log):
    write(log, [line(number) for number in range(300)])
    async with world.scene() as scene, matching(world):
        await scene.list_all(*CLUSTER)
        for _ in range(3):
            before, places = counted(world), Forgetful(log.with_suffix(".places"))
            async with collecting_from(world, log, places=places):
                write(log, [line(number) for number in range(1000, 1150)])
                await world.until(lambda before=before: counted(world) > before, "some of the new lines are counted")
        async with collecting_from(world, log):  # sends also what the killed ones had not come to
            await world.until(lambda: counted(world) == 750, "all lines are counted")
            write(log, [line(5000)])
            await world.until(lambda: counted(world) == 751, "the last line is counted")

        assert world.rows(tables.evidence_gap) == []


async def test_match_killed_under_load_counts_each_line_once(world, log):
    sent = 0
    async with world.scene() as scene, collecting_from(world, log):
        await scene.list_all(*CLUSTER)
        with world.worker("match", settle_seconds=0.2) as first, world.worker("match", settle_seconds=0.2) as second:
            for victim in (first, second):
                for _ in range(20):
                    write(log, [line(sent + at) for at in range(50)])
                    sent += 50
                    await asyncio.sleep(0.05)
                await world.until(lambda: counted(world) > 0, "counting has begun")
                await asyncio.to_thread(victim.kill)
                await asyncio.to_thread(victim.start)
            await world.until(lambda: counted(world) == sent, f"all {sent} lines are counted")

    assert counted(world) == sent
    assert world.rows(tables.evidence_gap) == []


async def test_flows_replayed_from_the_beginning_are_not_counted_again(world, log):
    write(log, [line(number) for number in range(200)])
    async with world.scene() as scene, collecting_from(world, log):
        await scene.list_all(*CLUSTER)
        async with matching(world):
            await world.until(lambda: counted(world) == 200, "all lines are counted")
        before = windows(world)
        async with matching(world, group=f"{world.prefix}replayed"):
            write(log, [line(300)])
            await world.until(lambda: counted(world) == 201, "the new line is counted")

    assert sum(windows(world).values()) == sum(before.values()) + 1


async def test_an_unreadable_batch_is_a_dead_letter_and_the_stream_goes_on(world, log):
    bad = Message(topic=world.topics.flows.name, place="east/node-a", key=b"east/node-a", value=b"\xff")
    async with world.scene() as scene, matching(world), Producer(world.connection) as producer:
        await scene.list_all(*CLUSTER)
        await producer.send(bad)
        write(log, [line(1)])
        async with collecting_from(world, log):
            await world.until(lambda: counted(world) == 1, "the line behind it is counted")
    letters = [each async for each in dead_letters.read(world.connection, world.topics.dead.name, 2)]

    assert [(each.topic, each.value) for each in letters] == [(world.topics.flows.name, b"\xff")]


async def test_a_path_waits_in_the_outbox_while_kafka_is_away_and_comes_out_later(world, log, kafka):
    write(log, [line(1)])
    async with world.scene() as scene, world.running(), matching(world), collecting_from(world, log):
        await scene.list_all(*CLUSTER)
        await world.until(lambda: counted(world) == 1, "the line is counted")
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)
        await scene.publish(default_deny("shop"))
        await world.until(
            lambda: not any(row["outbox"] for row in world.rows(tables.observed_path)), "the outbox is empty"
        )

        await world.check()
