"""The watch from the real API server into real Kafka: what the log says is what the cluster holds."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from parts.kubernetes_api import ref

from models import wire
from models.errors import UserError
from models.facts import API_KINDS, FactKey, Kind, Sync
from models.topics import partition_of
from monitor.broker import epochs, topics
from monitor.broker.connection import Connection
from monitor.broker.producing import Producer
from monitor.broker.reading import PartitionReader
from monitor.cluster.watch import run_watch
from monitor.settings import Kafka, Settings, Timing, Watch

CLUSTER = "east"
LIMIT = 40.0
ROLE = Path(__file__).parents[2] / "deploy" / "rbac.yaml"


def role_rules(*, without: str = ""):
    documents = yaml.safe_load_all(ROLE.read_text())
    rules = next(document["rules"] for document in documents if document["kind"] == "ClusterRole")
    return [rule | {"resources": [name for name in rule["resources"] if name != without]} for rule in rules]


class Log:
    """The cluster's partition, read as it grows."""

    def __init__(self, reader: PartitionReader) -> None:
        self._reader = reader
        self.records = []

    async def until(self, holds):
        async with asyncio.timeout(LIMIT):
            while not holds():
                self.records += await self._reader.read(timeout_seconds=0.2)

    @property
    def state(self) -> dict[tuple[Kind, str, str], object]:
        """By kind, namespace and name; what is gone is not in it."""
        found = {}
        for record in self.records:
            key = FactKey.from_text(record.key.decode())
            found[key.kind, key.namespace, key.name] = None if record.value is None else wire.decode_fact(record.value)
        return {key: fact for key, fact in found.items() if fact is not None}

    def marks(self, scope: str, phase: str) -> int:
        facts = (wire.decode_fact(record.value) for record in self.records if record.value)
        return sum(isinstance(fact, Sync) and (fact.scope, fact.phase) == (scope, phase) for fact in facts)

    def freshness(self, kind: Kind):
        beat = self.state.get((Kind.HEARTBEAT, "", "watch"))
        return {one.kind: one for one in beat.kinds}.get(kind) if beat else None

    def objects(self):
        return [record for record in self.records if FactKey.from_text(record.key.decode()).kind in API_KINDS]


@pytest.fixture
async def facts_topic(kafka, topic_prefix):
    connection = Connection(bootstrap=kafka.bootstrap)
    spec = topics.Topics().prefixed(topic_prefix).facts
    await topics.ensure(connection, [spec], topics.Replication())

    async def number():
        return 1

    async with Producer(connection) as producer:
        await epochs.begin(connection, producer, spec.name, number)
    return spec.name


@pytest.fixture
async def log(kafka, facts_topic):
    async with PartitionReader(Connection(bootstrap=kafka.bootstrap), facts_topic, partition_of(CLUSTER, 24)) as reader:
        reader.seek(1)
        yield Log(reader)


@asynccontextmanager
async def watching(kafka, cluster, topic):
    settings = Settings(
        cluster=CLUSTER,
        kafka=Kafka(bootstrap=kafka.bootstrap),
        watch=Watch(kubeconfig=cluster.kubeconfig()),
        timing=Timing(heartbeat_seconds=1.0),
    )
    stop = asyncio.Event()
    task = asyncio.create_task(run_watch(settings, stop, topic=topic))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=LIMIT)
    if task.exception() is not None:
        raise task.exception()


async def do(call, *arguments):
    return await asyncio.to_thread(call, *arguments)


async def test_what_is_made_changed_and_deleted_in_the_cluster_is_so_in_the_log(kafka, cluster, facts_topic, log):
    cluster.grant(*role_rules())
    api = cluster.admin
    await do(api.namespace, "shop", {"tenant": "a"})
    async with watching(kafka, cluster, facts_topic):
        await log.until(lambda: log.marks("all", "done"))
        at_start = dict(log.state)
        await do(lambda: api.run_pod("shop", "web", {"app": "web"}, ip="10.244.0.5"))
        await do(api.apply, ref("projectcalico.org/v3", "Tier", "security") | {"spec": {"order": 10}})
        await log.until(lambda: (Kind.TIER, "", "security") in log.state)
        await do(api.patch, ref("v1", "Namespace", "shop"), {"metadata": {"labels": {"tenant": "b"}}})
        await log.until(lambda: log.state[Kind.NAMESPACE, "", "shop"].labels["tenant"] == "b")
        await log.until(lambda: (Kind.POD, "shop", "web") in log.state)
        await do(api.delete, ref("v1", "Pod", "web", "shop"))
        await log.until(lambda: (Kind.POD, "shop", "web") not in log.state)

    assert at_start[Kind.NAMESPACE, "", "shop"].labels["tenant"] == "a"
    assert log.marks("all", "done") == 1


async def test_what_happened_while_no_watch_ran_is_seen_at_its_start_and_nothing_else_is_told_again(
    kafka, cluster, facts_topic, log
):
    cluster.grant(*role_rules())
    api = cluster.admin
    await do(api.namespace, "shop")
    await do(lambda: api.run_pod("shop", "old", ip="10.244.0.6"))
    async with watching(kafka, cluster, facts_topic):
        await log.until(lambda: log.marks("all", "done"))
    before = len(log.objects())
    await do(api.delete, ref("v1", "Pod", "old", "shop"))
    await do(lambda: api.run_pod("shop", "new", ip="10.244.0.7"))
    async with watching(kafka, cluster, facts_topic):
        await log.until(lambda: log.marks("all", "done") == 2)

    told = [(FactKey.from_text(record.key.decode()).name, record.value is None) for record in log.objects()[before:]]
    assert told == [("new", False), ("old", True)]


async def test_a_kind_that_may_not_be_read_is_told_as_such_and_the_rest_goes_on(kafka, cluster, facts_topic, log):
    cluster.grant(*role_rules(without="tiers"))
    async with watching(kafka, cluster, facts_topic):
        await log.until(lambda: log.marks("all", "done") and log.freshness(Kind.TIER))
        await do(cluster.admin.namespace, "late")
        await log.until(lambda: (Kind.NAMESPACE, "", "late") in log.state)
        tiers, pods = log.freshness(Kind.TIER), log.freshness(Kind.POD)

    assert tiers.state == "not_readable"
    assert "tiers" in tiers.reason
    assert pods.state == "fresh"


async def test_a_server_that_dies_and_comes_back_is_followed_on(kafka, cluster, facts_topic, log):
    cluster.grant(*role_rules())
    api = cluster.admin
    await do(api.namespace, "shop")
    await do(lambda: api.run_pod("shop", "old", ip="10.244.0.6"))
    async with watching(kafka, cluster, facts_topic):
        await log.until(lambda: log.marks("all", "done"))
        await do(cluster.kill)
        await do(cluster.start)
        await do(api.delete, ref("v1", "Pod", "old", "shop"))
        await do(lambda: api.run_pod("shop", "new", ip="10.244.0.7"))
        await log.until(lambda: _addresses(log, "new") == ("10.244.0.7",))  # first without, then with its status
        await log.until(lambda: (Kind.POD, "shop", "old") not in log.state)
        await log.until(lambda: log.freshness(Kind.POD).state == "fresh")

    assert (Kind.POD, "shop", "old") not in log.state


def _addresses(log, name):
    pod = log.state.get((Kind.POD, "shop", name))
    return None if pod is None else pod.addresses


async def test_credentials_that_are_refused_end_the_watch_with_the_fix(kafka, cluster, facts_topic, tmp_path):
    file = tmp_path / "config"
    file.write_text(cluster.kubeconfig().read_text().replace(cluster.token("segmon"), "wrong"))
    settings = Settings(cluster=CLUSTER, kafka=Kafka(bootstrap=kafka.bootstrap), watch=Watch(kubeconfig=file))
    with pytest.raises(UserError, match="refuses the credentials"):
        async with asyncio.timeout(LIMIT):
            await run_watch(settings, asyncio.Event(), topic=facts_topic)
