"""The watch on a real Apache Kafka: differences between marks, one writer, files that change and break."""

import asyncio
import shutil

import pytest
from scenes.facts_log import CLUSTER, LIMIT, Told, begun, watching

from models import wire
from models.errors import UserError
from models.facts import (
    FactKey,
    Heartbeat,
    Kind,
    Namespace,
    Repair,
    Sync,
    key_of,
)
from models.topics import partition_of
from monitor import clock
from monitor.broker.connection import Connection
from monitor.broker.messages import encoded_message, fact_message, gone_message
from monitor.broker.producing import Producer
from monitor.cluster.watch import run_watch
from monitor.settings import Kafka, Settings, Timing, Watch

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n"
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, image: web}]}
"""


@pytest.fixture
def connection(kafka):
    return Connection(bootstrap=kafka.bootstrap)


@pytest.fixture
def manifests(tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    (folder / "namespace.yaml").write_text(NAMESPACE)
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "pod.yaml").write_text(POD)
    return folder


@pytest.fixture
def settings(kafka, manifests):
    return Settings(
        cluster=CLUSTER,
        kafka=Kafka(bootstrap=kafka.bootstrap),
        watch=Watch(manifests=manifests),
        timing=Timing(heartbeat_seconds=1.0),
    )


async def put(connection, topic, message):
    async with Producer(connection) as producer:
        await producer.send(message)


async def test_a_start_publishes_everything_between_its_marks_and_policies_before_pods(settings, topic, log):
    told = Told()
    async with watching(settings, topic, told):
        await log.until(lambda log: log.facts(Kind.HEARTBEAT), "the first heartbeat")

    kinds = [FactKey.from_text(record.key.decode()).kind for record in log.records]
    marks = [fact for _, fact, _ in log.facts(Kind.SYNC)]
    inside = kinds[kinds.index(Kind.SYNC) + 1 :]
    assert [mark.phase for mark in marks[:2]] == ["begun", "done"]
    assert inside.index(Kind.NAMESPACE) < inside.index(Kind.KUBERNETES_NETWORK_POLICY) < inside.index(Kind.POD)
    assert inside.index(Kind.POD) < inside.index(Kind.SYNC)
    assert told.offsets == [log.facts(Kind.SYNC)[1][0]]
    assert told.states[Kind.POD] == "fresh"


async def test_a_restart_publishes_no_object_that_did_not_change(settings, topic, log):
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
    first = len(log.api_records())
    async with watching(settings, topic):
        await log.until(lambda log: begun(log, 2), "the second listing")

    assert len(log.api_records()) == first


async def test_what_was_deleted_while_nobody_watched_is_gone_after_the_start(settings, topic, log, manifests):
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
    (manifests / "policy.yaml").unlink()
    async with watching(settings, topic):
        await log.until(lambda log: begun(log, 2), "the second listing")

    [_, (_, gone, record)] = log.facts(Kind.KUBERNETES_NETWORK_POLICY)
    assert gone is None
    assert record.header("synthetic") == "true"
    assert record.header("ce_time")


async def test_a_removed_file_is_a_deletion_and_one_moved_into_place_is_a_creation(settings, topic, log, manifests):
    aside = manifests / "policy.yaml.new"
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
        (manifests / "policy.yaml").unlink()
        await log.until(lambda log: len(log.facts(Kind.KUBERNETES_NETWORK_POLICY)) == 2, "the deletion")
        aside.write_text(POLICY)
        aside.replace(manifests / "policy.yaml")
        await log.until(lambda log: len(log.facts(Kind.KUBERNETES_NETWORK_POLICY)) == 3, "the creation")

    values = [fact for _, fact, _ in log.facts(Kind.KUBERNETES_NETWORK_POLICY)]
    assert values[0] == values[2]
    assert values[1] is None


async def test_a_file_that_breaks_deletes_nothing_and_makes_its_kinds_unreadable(settings, topic, log, manifests):
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
        broken = manifests / "broken.new"
        broken.write_text("kind: [")
        broken.replace(manifests / "policy.yaml")
        await log.until(
            lambda log: log.state_of(Kind.KUBERNETES_NETWORK_POLICY)[0] == "not_readable", "the kind is not readable"
        )
        broken.write_text(POLICY)
        broken.replace(manifests / "policy.yaml")
        await log.until(lambda log: log.state_of(Kind.KUBERNETES_NETWORK_POLICY)[0] == "fresh", "the kind is fresh")

    assert len(log.facts(Kind.KUBERNETES_NETWORK_POLICY)) == 1
    assert log.state_of(Kind.POD)[0] == "fresh"


async def test_a_record_of_somebody_else_is_answered_with_the_present_state(settings, topic, log, connection):
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
        forged = Namespace(name="shop", labels={"team": "forged"})
        ghost = Namespace(name="ghost")
        await put(connection, topic, fact_message(topic, CLUSTER, key_of(CLUSTER, forged), forged, source="other"))
        await put(connection, topic, fact_message(topic, CLUSTER, key_of(CLUSTER, ghost), ghost, source="other"))
        await log.until(lambda log: len(log.facts(Kind.NAMESPACE)) == 5, "two foreign records and two answers")

    latest = log.latest(Kind.NAMESPACE)
    assert latest[f"{CLUSTER}/Namespace//shop"].labels["team"] == "a"
    assert latest[f"{CLUSTER}/Namespace//ghost"] is None


async def test_an_unreadable_record_is_answered_at_once_and_again_by_a_repair(settings, topic, log, connection):
    key = FactKey(CLUSTER, Kind.NAMESPACE, "", "shop")
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
        await put(connection, topic, encoded_message(topic, key, b"\xff", source="other"))
        await log.until(lambda log: len(log.facts(Kind.NAMESPACE)) == 3, "the answer")
        repair = Repair(keys=(key.text(),))
        await put(connection, topic, fact_message(topic, CLUSTER, key_of(CLUSTER, repair), repair, source="dead"))
        await log.until(lambda log: begun(log, 2), "a full listing")

    values = [fact for _, fact, _ in log.facts(Kind.NAMESPACE)]
    assert isinstance(values[1], wire.Unreadable)
    assert values[2:] == [values[0], values[0]]


async def test_the_newest_start_is_the_one_writer_and_the_other_stops_with_the_fix(settings, topic, log):
    with pytest.raises(UserError, match=r"another watch .* has taken over(?s:.*)run one `segmon watch` per cluster"):
        async with watching(settings, topic) as first:
            await log.until(begun, "the first listing")
            async with watching(settings, topic):
                await asyncio.wait({first}, timeout=LIMIT)


async def test_another_cluster_under_the_same_name_is_refused(settings, topic, log, connection):
    beat = Heartbeat(instance="other", cluster_uid="another", kinds=())
    await put(connection, topic, fact_message(topic, CLUSTER, key_of(CLUSTER, beat), beat, source="other"))

    with pytest.raises(UserError, match="another cluster is watched"):
        await asyncio.wait_for(run_watch(settings, asyncio.Event(), topic=topic), LIMIT)


async def test_facts_of_another_cluster_in_the_same_partition_are_left_alone(settings, topic, log, connection):
    name = next(
        f"west{number}" for number in range(1000) if partition_of(f"west{number}", 24) == partition_of(CLUSTER, 24)
    )
    other = Namespace(name="theirs")
    await put(connection, topic, fact_message(topic, name, key_of(name, other), other, source="other"))
    async with watching(settings, topic):
        await log.until(begun, "the listing")
        gone = gone_message(topic, key_of(name, other), source="other", at=clock.now(), reason="deleted")
        await put(connection, topic, gone)
        await log.until(lambda log: len(log.facts(Kind.HEARTBEAT)) >= 3, "two more heartbeats")

    assert len([fact for _, fact, record in log.facts(Kind.NAMESPACE) if record.key.startswith(name.encode())]) == 2


async def test_a_change_while_kafka_is_away_arrives_when_it_is_back_and_the_span_is_told(
    settings, topic, log, kafka, caplog
):
    def has_met_the_absence(_log):
        return any(record.name == "aiokafka.producer.sender" for record in caplog.records)

    async with watching(settings, topic):
        await log.until(begun, "the first listing")
        await asyncio.to_thread(kafka.kill)
        (settings.watch.manifests / "policy.yaml").unlink()
        await log.until(has_met_the_absence, "a record that could not be sent")
        await asyncio.to_thread(kafka.start)
        await log.until(lambda log: len(log.facts(Kind.KUBERNETES_NETWORK_POLICY)) == 2, "the deletion")
        await log.until(
            lambda log: any(fact.gap_seconds > 0 for _, fact, _ in log.facts(Kind.HEARTBEAT)), "the gap is told"
        )

    assert log.facts(Kind.KUBERNETES_NETWORK_POLICY)[-1][1] is None


async def test_a_listing_goes_on_only_when_whoever_reads_the_log_lets_it(settings, topic, log):
    sizes, let_go = [], asyncio.Event()

    async def pace(size):
        sizes.append(size)
        await let_go.wait()

    stop = asyncio.Event()
    task = asyncio.create_task(run_watch(settings, stop, topic=topic, pace=pace))
    await log.until(lambda log: log.facts(Kind.POD), "the facts")
    held = log.listings()
    let_go.set()
    await log.until(begun, "the end of the listing")
    stop.set()
    await task

    assert held == []
    assert sum(sizes) > 100


async def test_declared_domains_and_waivers_are_published_and_go_with_their_files(settings, topic, log, tmp_path):
    from importlib import resources

    source = resources.files("monitor.demo")
    for name in ("domains.yaml", "waivers.yaml"):
        with resources.as_file(source / name) as file:
            shutil.copy(file, tmp_path / name)
    named = settings.watch.model_copy(
        update={"domains": tmp_path / "domains.yaml", "waivers": tmp_path / "waivers.yaml"}
    )
    async with watching(settings.model_copy(update={"watch": named}), topic):
        await log.until(begun, "the first listing")
    published = len(log.facts(Kind.DECLARED_DOMAIN)), len(log.facts(Kind.WAIVER))
    async with watching(settings, topic):
        await log.until(lambda log: begun(log, 2), "the second listing")

    assert published == (3, 1)
    assert set(log.latest(Kind.DECLARED_DOMAIN).values()) == {None}
    assert isinstance(log.facts(Kind.SYNC)[0][1], Sync)
