"""A pod's label changed at the API server -> the finding's row committed in PostgreSQL; 2,000 pods, 500 policies.

Segmon's own processes (watch, work, match), 20 changes a second, first alone, then while match works off a backlog of
100,000 flow messages. Before them, in the same run, the ceiling: the least that any program on these parts does, a bare
watch -> one Kafka message -> one INSERT. Begin = before the request is sent; end = the commit's time as PostgreSQL has
it, so nothing is polled.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import aiohttp
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from parts.apiserver import ApiServer
from parts.kubernetes_api import KubernetesApi, ref
from parts.process import until
from parts.segmon import Segmon
from scenes.traffic import backlog

from benchmarks import real_parts
from benchmarks.measuring import Figure, percentile
from benchmarks.real_parts import CLUSTER, Ground
from models.topics import FLOWS, TopicSpec
from monitor import clock
from monitor.broker import topics
from monitor.broker.connection import Connection
from monitor.broker.producing import Producer

PODS, POLICIES, NAMESPACES = 2_000, 500, 20
PROBES = 400  # pods whose label is changed, once in each phase
RATE = 20.0
AIM_MS = 150.0
BACKLOG = 100_000
GRACE_SECONDS = 60.0  # a younger pod has no findings yet
WAIT_SECONDS = 60.0
CONTROL = "default-deny-ingress"
GUARD = "guarded"
BARE = "bare"

Begun = dict[str, datetime]  # pod -> when its change was asked for


def main() -> list[Figure]:
    with ExitStack() as stack:
        ground = stack.enter_context(real_parts.ground())
        server = stack.enter_context(ApiServer())
        _allow_reading(server)
        _fill(server.admin)
        filled_at = clock.now()
        bare = _bare(ground, server)
        ground.begin(watch={"kubeconfig": str(server.kubeconfig())})
        for arguments in (("watch", "--kubeconfig", server.kubeconfig()), ("work",), ("match",)):
            stack.enter_context(Segmon(ground.settings, *arguments))
        _until_judged(ground)
        time.sleep(max(0.0, GRACE_SECONDS - (clock.now() - filled_at).total_seconds()))
        alone = _phase(ground, server.admin, {GUARD: None}, "opened")
        asyncio.run(_flood(ground))
        until(lambda: _counted(ground), within=WAIT_SECONDS, what="match counts the first of the backlog")
        flooded = _phase(ground, server.admin, {GUARD: "yes"}, "resolved")
        left = BACKLOG - _counted(ground)
    size = f"{PODS:,} pods, {POLICIES} policies, {RATE:g} changes/s"
    return [
        *_figures("ceiling: bare watch, Kafka, INSERT", bare, None, f"{len(bare)} changes"),
        *_figures("label to finding, alone", alone, AIM_MS, f"{len(alone)} of {PROBES} changes, {size}"),
        *_figures("label to finding, flow flood", flooded, AIM_MS, f"{len(flooded)} changes, {left:,} messages left"),
    ]


def _figures(name: str, milliseconds: list[float], aim: float | None, note: str) -> list[Figure]:
    if len(milliseconds) < PROBES:
        note += " (the others never came)"
    return [
        Figure(f"{name}, p50", round(percentile(milliseconds, 50), 1), "ms", None, note),
        Figure(f"{name}, p99", round(percentile(milliseconds, 99), 1), "ms", aim),
    ]


# The cluster


def _allow_reading(server: ApiServer) -> None:
    server.grant({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]})


def _fill(api: KubernetesApi) -> None:
    """Probes first, as they have to grow old."""
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda n: api.namespace(f"ns-{n}", {"team": f"team-{n % 5}"}), range(NAMESPACES)))
        list(workers.map(lambda n: _pod(api, n), range(PODS)))
        list(workers.map(lambda n: api.apply(_policy(n)), range(POLICIES)))


def _pod(api: KubernetesApi, n: int) -> None:
    role = "probe" if n < PROBES else ("web", "api", "db")[n % 3]
    labels = {"app": f"app-{n // 4}", "role": role, GUARD: "yes"}
    api.run_pod(_namespace(n), _name(n), labels, ip=f"10.244.{n >> 8}.{n & 255}", node=f"node-{n % 20}")


def _namespace(n: int) -> str:
    return f"ns-{n // 4 % NAMESPACES}"


def _name(n: int) -> str:
    return f"pod-{n}"


def _policy(n: int) -> Mapping[str, object]:
    """A default deny for what is guarded in each namespace; the rest let applications talk to one another."""
    if n < NAMESPACES:
        selector: object = {"matchLabels": {GUARD: "yes"}}
        rules: object = []
    else:
        selector = {"matchLabels": {"app": f"app-{PROBES // 4 + n}"}}
        peer = {"podSelector": {"matchLabels": {"role": ("web", "probe")[n % 2]}}, "namespaceSelector": {}}
        rules = [{"from": [peer], "ports": [{"protocol": "TCP", "port": 8000 + n}]}]
    policy = ref("networking.k8s.io/v1", "NetworkPolicy", f"policy-{n}", _namespace(n * 4))
    return policy | {"spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], "ingress": rules}}


def _change_all(api: KubernetesApi, labels: Mapping[str, object]) -> Begun:
    """Every probe's label, at the rate."""
    begun: Begun = {}
    first = clock.monotonic()

    def change(n: int) -> None:
        time.sleep(max(0.0, first + n / RATE - clock.monotonic()))
        begun[f"{_namespace(n)}/{_name(n)}"] = clock.now()
        api.patch(ref("v1", "Pod", _name(n), _namespace(n)), {"metadata": {"labels": labels}})

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(change, range(PROBES)))
    return begun


def _latencies(begun: Begun, committed: Mapping[str, datetime]) -> list[float]:
    return [1000 * (committed[pod] - at).total_seconds() for pod, at in begun.items() if pod in committed]


# Segmon


def _until_judged(ground: Ground) -> None:
    query = "SELECT count(*) FROM control_status WHERE control = %s AND outcome = 'pass' AND to_at IS NULL"
    until(lambda: ground.rows(query, CONTROL)[0][0] > NAMESPACES, within=WAIT_SECONDS, what="all namespaces pass")


def _phase(ground: Ground, api: KubernetesApi, labels: Mapping[str, object], transition: str) -> list[float]:
    begun = _change_all(api, labels)

    def committed() -> dict[str, datetime]:
        query = (
            "SELECT subject, pg_xact_commit_timestamp(xmin) FROM finding_transition"
            " WHERE control = %s AND transition = %s"
        )
        return {subject.replace("/Pod/", "/"): at for subject, at in ground.rows(query, CONTROL, transition)}

    return _latencies(begun, _all_of(committed))


def _all_of(committed: Callable[[], dict[str, datetime]]) -> dict[str, datetime]:
    """Once every change has its row, or after a while those that have."""
    for _ in range(int(WAIT_SECONDS)):
        if len(found := committed()) >= PROBES:
            return found
        time.sleep(1)
    return found


async def _flood(ground: Ground) -> None:
    async with Producer(Connection(bootstrap=ground.kafka.bootstrap)) as producer:
        await backlog(producer, FLOWS.name, BACKLOG, cluster=CLUSTER, addresses=("10.244.0.1", "10.244.5.1"))


def _counted(ground: Ground) -> int:
    """Messages: each moves the place of its source by one."""
    return int(ground.rows("SELECT coalesce(sum(position), 0) FROM source_position")[0][0])


# The ceiling


def _bare(ground: Ground, server: ApiServer) -> list[float]:
    """The same change and the same two hops, nothing in between."""
    found: list[float] = []

    async def run() -> None:
        begun: asyncio.Future[Begun] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        watching = asyncio.Event()
        bare = TopicSpec(name=BARE, partitions=1)
        await topics.ensure(Connection(bootstrap=ground.kafka.bootstrap), [bare], topics.Replication())

        def drive() -> None:
            done = _change_all(server.admin, {"turn": "bare"})
            loop.call_soon_threadsafe(begun.set_result, done)

        tasks = [asyncio.create_task(_bare_watch(ground, server, watching)), asyncio.create_task(_bare_insert(ground))]
        await watching.wait()
        threading.Thread(target=drive).start()
        asked = await begun
        query = "SELECT pod, pg_xact_commit_timestamp(xmin) FROM bare"
        committed = await asyncio.to_thread(_all_of, lambda: dict(ground.rows(query)))
        found.extend(_latencies(asked, committed))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    with psycopg.connect(ground.plain_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (pod text)")
    asyncio.run(run())
    return found


async def _bare_watch(ground: Ground, server: ApiServer, watching: asyncio.Event) -> None:
    trust = ssl.create_default_context(cafile=str(server.authority))
    headers = {"Authorization": f"Bearer {server.token('segmon')}"}
    async with (
        AIOKafkaProducer(bootstrap_servers=ground.kafka.bootstrap, acks="all", enable_idempotence=True) as producer,
        aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=trust)) as session,
    ):
        async with session.get(f"{server.url}/api/v1/pods?limit=1") as listing:
            version = (await listing.json())["metadata"]["resourceVersion"]
        url = f"{server.url}/api/v1/pods?watch=true&resourceVersion={version}"
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as events:
            watching.set()
            async for line in events.content:
                metadata = json.loads(line)["object"]["metadata"]
                await producer.send_and_wait(BARE, f"{metadata['namespace']}/{metadata['name']}".encode())


async def _bare_insert(ground: Ground) -> None:
    async with (
        AIOKafkaConsumer(
            BARE, bootstrap_servers=ground.kafka.bootstrap, auto_offset_reset="earliest", metadata_max_age_ms=500
        ) as consumer,
        await psycopg.AsyncConnection.connect(ground.plain_url, autocommit=True) as connection,
    ):
        async for message in consumer:
            await connection.execute("INSERT INTO bare VALUES (%s)", (message.value.decode(),))


if __name__ == "__main__":
    for figure in main():
        print(figure)
