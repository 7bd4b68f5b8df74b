"""Facts that cannot be read, judged or recorded: kept as dead letters, what depends on them is not evaluated, the rest
goes on. And: what a stop must not acknowledge.
"""

import asyncio
import signal

import pytest
import sqlalchemy as sa
from scenes.cluster import default_deny, namespace, pod

from models.facts import Kind
from monitor.broker import dead_letters
from monitor.broker.connection import BrokerError, Connection
from monitor.broker.messages import Message
from monitor.broker.producing import Producer

SHOP = (namespace("shop"), pod("shop", "web", "10.0.0.1"))
CONTROL = "default-deny-ingress"
PLACE = ("namespace/shop", CONTROL)


async def put(world, key: bytes, value: bytes):
    async with Producer(world.connection) as producer:
        await producer.send(Message(topic=world.topics.facts.name, place="east", key=key, value=value))


async def letters(world):
    return [each async for each in dead_letters.read(world.connection, world.topics.dead.name, 2)]


async def test_an_unreadable_policy_makes_controls_error_until_a_readable_one_comes_under_its_key(light_world):
    world = light_world
    key = b"east/KubernetesNetworkPolicy/shop/default-deny"
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP, default_deny("shop"))
        await world.until(lambda: world.statuses().get(PLACE) == "pass", "the namespace is compliant")
        await put(world, key, b'{"v":99,"fact":{}}')
        await world.until(lambda: world.statuses().get(PLACE) == "error", "it is not evaluated")
        await scene.publish(default_deny("shop"))
        await world.until(lambda: world.statuses().get(PLACE) == "pass", "it is compliant again")
    [letter] = await letters(world)
    raws = [row["raw"] for row in world.revisions(Kind.KUBERNETES_NETWORK_POLICY)]

    assert (letter.key.encode(), letter.value) == (key, b'{"v":99,"fact":{}}')
    assert "upgrade segmon" in letter.reason
    assert raws[1] == b'{"v":99,"fact":{}}'


async def test_an_unreadable_key_marks_the_cluster_until_the_dead_letter_is_replayed_and_the_watch_relists(light_world):
    world = light_world
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP, default_deny("shop"))
        await world.until(lambda: world.statuses().get(PLACE) == "pass", "the namespace is compliant")
        await put(world, b"east/Nonsense/shop/x", b"{}")
        await world.until(lambda: world.statuses().get(PLACE) == "error", "nothing is evaluated")
        async with Producer(world.connection) as producer:
            await dead_letters.replay(producer, world.topics, await letters(world))
        await scene.list_all(*SHOP, default_deny("shop"))
        await world.until(lambda: world.statuses().get(PLACE) == "pass", "it is evaluated again")


async def refuse(world, *, text: str):
    """The database refuses this fact for ever, as a full column or a broken rule would."""
    engine = sa.create_engine(world.url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN "
                f"IF NEW.key LIKE '%{text}%' AND NEW.reason = '' THEN RAISE EXCEPTION 'refused'; END IF; "
                "RETURN NEW; END $$ LANGUAGE plpgsql"
            )
        )
        connection.execute(
            sa.text("CREATE TRIGGER refuse BEFORE INSERT ON fact_revision FOR EACH ROW EXECUTE FUNCTION refuse()")
        )
    engine.dispose()


async def test_the_one_fact_that_cannot_be_recorded_is_found_and_the_others_go_on(world):
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP)
        await world.caught_up()
        await refuse(world, text="poison")
        await scene.publish(
            default_deny("shop"),
            pod("shop", "poison", "10.0.0.7"),
            pod("shop", "other", "10.0.0.8"),
            namespace("later"),
        )
        await world.until(lambda: world.revisions(Kind.POD)[-1]["key"].endswith("other"), "the others are recorded")
        await world.until(lambda: world.statuses().get(PLACE) == "error", "pods are not evaluated")
        kept = {row["key"].rpartition("/")[2]: row["reason"] for row in world.revisions(Kind.POD)}
        await scene.remove(pod("shop", "poison", ""))
        await world.until(lambda: world.statuses().get(PLACE) == "pass", "evaluated again without it")
    [letter] = await letters(world)

    assert kept["other"] == ""
    assert kept["poison"].startswith("could not be recorded")
    assert letter.key == "east/Pod/shop/poison"


async def test_a_cluster_that_cannot_be_recorded_at_all_is_given_up_and_others_go_on(world):
    other = next(f"c{n}" for n in range(100) if world.place(f"c{n}") == world.place("east"))
    async with world.scene() as scene, world.scene(other) as away, world.running():
        await scene.list_all(*SHOP)
        await away.list_all(*SHOP)
        await world.caught_up()
        engine = sa.create_engine(world.url)
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE chain ADD CHECK (cluster <> 'east') NOT VALID"))
        engine.dispose()
        await scene.publish(default_deny("shop"))
        await away.publish(default_deny("shop"))
        await world.until(lambda: world.statuses(other).get(PLACE) == "pass", "the other cluster is judged")

        assert world.statuses()[PLACE] == "fail"


async def test_a_stop_during_a_retry_ends_hard_and_the_next_worker_records_what_was_left(world, postgres):
    async with world.scene() as scene:
        await scene.list_all(*SHOP)
        with world.worker() as worker:
            await world.until(world.findings, "the open namespace is found")
            await asyncio.to_thread(postgres.stop)
            await scene.publish(default_deny("shop"))
            for _ in range(200):
                if "trying again" in worker.log.read_text():
                    break
                await asyncio.sleep(0.1)
            worker._child.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(worker._child.wait, 20)
            await asyncio.to_thread(postgres.start)
        async with world.running():
            await world.until(lambda: not world.findings(), "it is resolved")
            await world.check()

    assert code == 4


async def test_a_missing_topic_stops_a_worker_with_the_fix(light_world):
    light_world.topics = light_world.topics.prefixed("unmade-")

    with pytest.raises(BrokerError, match=r"no topic unmade-.*segmon topics create"):
        async with light_world.running() as task, asyncio.timeout(40):
            await asyncio.wait({task})


async def test_a_broker_that_is_not_there_stops_a_worker_with_the_fix(light_world):
    light_world.connection = Connection(bootstrap="127.0.0.1:9")

    with pytest.raises(BrokerError, match=r"kafka\.bootstrap"):
        async with light_world.running("match") as task, asyncio.timeout(40):
            await asyncio.wait({task})
