"""A small cluster that tests publish as a watch would: a listing between marks, heartbeats, changes.

Everything goes through our own producer to a real broker. `ago` puts a record into the past: the scene's topics keep
the producer's times (CreateTime) so that ten minutes pass without anybody waiting.
"""

from msgspec import structs

from models.facts import (
    API_KINDS,
    FactKey,
    Heartbeat,
    Kind,
    KindFreshness,
    KubernetesNetworkPolicy,
    KubernetesRule,
    Namespace,
    Pod,
    Sync,
    key_of,
)
from models.topics import TopicSpec
from monitor import clock
from monitor.broker import epochs, topics
from monitor.broker.connection import Connection
from monitor.broker.messages import fact_message, gone_message
from monitor.broker.producing import Producer

PARTITIONS = 2


def topics_of(prefix: str, *, partitions: int = PARTITIONS) -> topics.Topics:
    """Topics of one test, few partitions, the producer's times."""

    def small(spec: TopicSpec) -> TopicSpec:
        settings = spec.settings | {"message.timestamp.type": "CreateTime"}
        return structs.replace(spec, name=prefix + spec.name, partitions=partitions, settings=settings)

    every = topics.Topics()
    return topics.Topics(
        facts=small(every.facts), flows=small(every.flows), rawlogs=small(every.rawlogs), dead=small(every.dead)
    )


async def install(bootstrap, wanted, store) -> None:
    import asyncio

    connection = Connection(bootstrap=bootstrap)
    await topics.ensure(connection, wanted.all, topics.Replication())
    async with Producer(connection) as producer:
        await epochs.begin(
            connection, producer, wanted.facts.name, lambda: asyncio.to_thread(store.next_epoch, wanted.facts.name)
        )


class Scene:
    """One cluster's watch. Async context manager."""

    def __init__(self, connection: Connection, wanted: topics.Topics, cluster: str = "east") -> None:
        self._producer = Producer(connection)
        self._topic = wanted.facts.name
        self.cluster = cluster
        self.instance = "watch-1"

    async def __aenter__(self):
        await self._producer.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self._producer.__aexit__(*error)

    async def list_all(self, *facts, ago=0.0):
        """What a start of the watch publishes."""
        await self.publish(
            Sync(scope="all", phase="begun", instance=self.instance),
            *facts,
            Sync(scope="all", phase="done", instance=self.instance),
            self.heartbeat(),
            ago=ago,
        )

    async def publish(self, *facts, ago=0.0):
        messages = [
            fact_message(self._topic, self.cluster, key_of(self.cluster, fact), fact, source="scene") for fact in facts
        ]
        return await self._producer.send_all([self._at(message, ago) for message in messages])

    async def remove(self, *facts, ago=0.0):
        messages = [
            gone_message(self._topic, key_of(self.cluster, fact), source="scene", at=clock.now(), reason="deleted")
            for fact in facts
        ]
        return await self._producer.send_all([self._at(message, ago) for message in messages])

    async def beat(self, ago=0.0, **said):
        await self.publish(self.heartbeat(**said), ago=ago)

    def heartbeat(self, *, seen=0.0, unbroken=3600.0, stretch=0):
        """Every kind fresh, of these ages."""
        kinds = tuple(
            KindFreshness(
                kind=kind, state="fresh", seen_age_seconds=seen, unbroken_age_seconds=unbroken, stretch=stretch
            )
            for kind in sorted(API_KINDS)
        )
        return Heartbeat(instance=self.instance, cluster_uid="uid", kinds=kinds)

    def key(self, kind: Kind, namespace: str, name: str) -> FactKey:
        return FactKey(self.cluster, kind, namespace, name)

    def _at(self, message, ago):
        return structs.replace(message, timestamp_ms=int((clock.now().timestamp() - ago) * 1000))


def namespace(name, **labels):
    return Namespace(name=name, labels={"kubernetes.io/metadata.name": name, **labels})


def pod(namespace, name, address, **labels):
    return Pod(
        namespace=namespace, name=name, addresses=(address,), labels=labels, node="node-a", phase="Running", uid=name
    )


def default_deny(namespace):
    return KubernetesNetworkPolicy(
        namespace=namespace, name="default-deny", policy_types=("Ingress", "Egress"), ingress=(), egress=()
    )


def allow_all(namespace):
    return KubernetesNetworkPolicy(
        namespace=namespace,
        name="allow-all",
        policy_types=("Ingress", "Egress"),
        ingress=(KubernetesRule(),),
        egress=(KubernetesRule(),),
    )
