"""A worker starts on a topic that is there: facts a second until it is ready, and its memory; 10,000 pods.

Twice: into an empty database (a new installation: every row is written) and again (a restart, or another's clusters
taken over: SQL stands at the end of the log). Ceiling, in the same run: a plain reader of the same partition that only
decodes. `segmon work` is the process; how long it built, and how much of that it judged and recorded, is what it logs;
its memory is the system's high-water mark. *Read* is when State holds all facts, *ready* when all of it was judged and
SQL has the outcome.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from aiokafka import AIOKafkaConsumer, TopicPartition
from parts.process import until
from parts.segmon import Segmon
from scenes.cluster import Scene

from benchmarks import real_parts
from benchmarks.measuring import Figure
from benchmarks.real_parts import CLUSTER, Ground
from models import facts, wire
from models.topics import FACTS, partition_of
from monitor import clock
from monitor.broker.connection import Connection
from monitor.broker.topics import Topics

PODS = 10_000
PODS_PER_NAMESPACE, PODS_PER_WORKLOAD = 200, 5
AIM_RATE = 50_000.0
AIM_MEBIBYTES = {100_000: 1024.0}
PUBLISHED_AT_ONCE = 5_000
WAIT_SECONDS = 600.0
BUILT = re.compile(rf"is built up to offset (\d+) in ([\d.]+) s, ([\d.]+) s of it to judge and to record: {CLUSTER}")


class Start(NamedTuple):
    """Seconds until all facts were read, without judging them; until all was judged and recorded; MiB at the most."""

    read: float
    ready: float
    mebibytes: float


def main() -> list[Figure]:
    return list(of(PODS))


def of(pods: int) -> Iterator[Figure]:
    with real_parts.ground() as ground:
        ground.begin()
        number = asyncio.run(_publish(ground, pods))
        plain = number / asyncio.run(_plain_seconds(ground))
        first = _started(ground)
        asyncio.run(_beat(ground))
        again = _started(ground)
    size = f"{pods:,} pods"
    note = f"{number:,} facts"
    yield Figure(f"{size}, ceiling: plain reader, decoding", round(plain), "1/s", None, note)
    for word, start, rate in (("into an empty database", first, None), ("started again", again, AIM_RATE)):
        seen = f"read after {start.read:.1f} s, ready after {start.ready:.1f} s"
        yield Figure(f"{size}, {word}: facts read", round(number / start.read), "1/s", rate)
        yield Figure(f"{size}, {word}: facts to ready", round(number / start.ready), "1/s", rate, seen)
        aim = AIM_MEBIBYTES.get(pods)
        yield Figure(f"{size}, {word}: memory", round(start.mebibytes), "MiB", aim, "at its peak")


async def _publish(ground: Ground, pods: int) -> int:
    """What a watch would have published. Returns how many facts."""
    every = list(_facts(pods))
    async with Scene(Connection(bootstrap=ground.kafka.bootstrap), Topics(), CLUSTER) as scene:
        await scene.publish(facts.Sync(scope="all", phase="begun", instance=scene.instance))
        for first in range(0, len(every), PUBLISHED_AT_ONCE):
            await scene.publish(*every[first : first + PUBLISHED_AT_ONCE])
        await scene.publish(facts.Sync(scope="all", phase="done", instance=scene.instance), scene.heartbeat())
    return len(every)


async def _beat(ground: Ground) -> None:
    async with Scene(Connection(bootstrap=ground.kafka.bootstrap), Topics(), CLUSTER) as scene:
        await scene.beat()


def _facts(pods: int) -> Iterator[facts.Fact]:
    """One policy for each workload, one default deny for each namespace, all but every tenth."""
    for n in range(-(-pods // PODS_PER_NAMESPACE)):
        name = f"ns-{n}"
        yield facts.Namespace(name=name, labels={"kubernetes.io/metadata.name": name, "tenant": f"t-{n % 20}"})
        if n % 10:
            yield facts.KubernetesNetworkPolicy(
                namespace=name, name="default-deny", policy_types=("Ingress", "Egress"), ingress=(), egress=()
            )
    for n in range(pods):
        yield _pod(n)
    for app in range(pods // PODS_PER_WORKLOAD):
        yield _policy(app)


def _namespace(pod: int) -> str:
    return f"ns-{pod // PODS_PER_NAMESPACE}"


def _pod(n: int) -> facts.Pod:
    app = n // PODS_PER_WORKLOAD
    return facts.Pod(
        namespace=_namespace(n),
        name=f"app-{app}-5d8f7c9b4-{n % PODS_PER_WORKLOAD:05x}",
        labels={"app": f"app-{app}", "tier": ("web", "api", "db")[app % 3], "pod-template-hash": "5d8f7c9b4"},
        addresses=(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",),
        node=f"node-{n % 100}",
        phase="Running",
        owner=facts.Owner(kind="Deployment", name=f"app-{app}"),
        uid=f"00000000-0000-0000-0000-{n:012x}",
    )


def _policy(app: int) -> facts.KubernetesNetworkPolicy:
    peer = facts.KubernetesPeer(pod_selector=facts.LabelSelector(match_labels={"tier": ("web", "api", "db")[app % 3]}))
    rule = facts.KubernetesRule(peers=(peer,), ports=(facts.KubernetesPort(protocol="TCP", port=8080),))
    return facts.KubernetesNetworkPolicy(
        namespace=_namespace(app * PODS_PER_WORKLOAD),
        name=f"app-{app}",
        pod_selector=facts.LabelSelector(match_labels={"app": f"app-{app}"}),
        policy_types=("Ingress",),
        ingress=(rule,),
    )


async def _plain_seconds(ground: Ground) -> float:
    place = TopicPartition(FACTS.name, partition_of(CLUSTER, FACTS.partitions))
    client = AIOKafkaConsumer(
        bootstrap_servers=ground.kafka.bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=4 * 1024 * 1024
    )
    async with client:
        client.assign([place])
        end = (await client.end_offsets([place]))[place]
        client.seek(place, 0)
        begun, position = clock.monotonic(), 0
        while position < end:
            for record in (await client.getmany(place, timeout_ms=1000)).get(place, ()):
                facts.FactKey.from_text(record.key.decode())
                wire.decode_fact(record.value)
                position = record.offset + 1
        return clock.monotonic() - begun


def _started(ground: Ground) -> Start:
    work = Segmon(ground.settings, "work")
    work.ready_within = WAIT_SECONDS
    with work:
        [(_, ready, recording)] = until(
            lambda: BUILT.findall(work.log.read_text()), within=WAIT_SECONDS, what="the cluster is built"
        )
        status = Path(f"/proc/{work.pid}/status").read_text()
        work.stop()
    [kib] = re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return Start(read=float(ready) - float(recording), ready=float(ready), mebibytes=int(kib) / 1024)


if __name__ == "__main__":
    for figure in main():
        print(figure)
