"""Single verdicts with their trace: of packets met before, and of packets never met."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import clusters, measuring
from benchmarks.measuring import Figure
from models.facts import Pod
from models.verdicts import Connection
from monitor.policy.engine import Engine

PACKETS = 20_000
REPEATS = 10


def main() -> list[Figure]:
    facts = clusters.tiered(endpoints=2_000, policies=1_000, namespaces=50)
    engine = Engine.build(facts)
    pods = [fact for fact in facts.values() if isinstance(fact, Pod)]
    chance = random.Random(7)
    asked = [_packet(chance, pods) for _ in range(PACKETS)]
    uncached, _ = measuring.seconds(lambda: _judge(engine, asked))
    few = asked[:2_000]
    _judge(engine, few)
    cached, _ = measuring.seconds(lambda: [_judge(engine, few) for _ in range(REPEATS)])
    return [
        Figure(
            "verdicts never asked before",
            round(PACKETS / uncached),
            "/s",
            30_000.0,
            "both directions, enforced and pending",
        ),
        Figure("verdicts asked before", round(REPEATS * len(few) / cached), "/s", 300_000.0),
    ]


def _packet(chance: random.Random, pods: list[Pod]) -> tuple[Connection, str, str]:
    a, b = chance.choice(pods), chance.choice(pods)
    connection = Connection(
        source_address=a.addresses[0],
        destination_address=b.addresses[0],
        protocol=6,
        source_port=chance.randrange(32768, 61000),
        destination_port=chance.choice(clusters.PORTS),
    )
    return connection, f"pod:{a.namespace}/{a.name}", f"pod:{b.namespace}/{b.name}"


def _judge(engine: Engine, asked: list[tuple[Connection, str, str]]) -> None:
    for connection, source, destination in asked:
        engine.judge(connection, source=source, destination=destination)


if __name__ == "__main__":
    for figure in main():
        print(figure)
