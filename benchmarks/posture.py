"""Full posture of a large cluster, and what changes on top of it cost: 20,000 endpoints, 5,000 policies in 5 tiers."""

from __future__ import annotations

import gc
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec.structs import replace

from benchmarks import clusters, measuring
from benchmarks.measuring import Figure
from models.facts import Fact, FactKey, Kind, Pod
from monitor.policy.engine import Engine
from monitor.policy.reach import Posture

ENDPOINTS, POLICIES, DOMAINS = 20_000, 5_000, 500
ROUNDS = 15


def main() -> list[Figure]:
    facts = clusters.tiered(endpoints=ENDPOINTS, policies=POLICIES, namespaces=DOMAINS)
    domains = _domains(facts)
    building, engine = measuring.seconds(lambda: Engine.build(facts))
    gc.freeze()
    taking, posture = measuring.seconds(lambda: Posture.of(engine))
    asking, reach = measuring.seconds(lambda: posture.reach_between(domains))
    memory = measuring.peak_mebibytes()
    size = f"{ENDPOINTS:,} endpoints, {POLICIES:,} policies, {DOMAINS} domains"
    return [
        Figure("engine from facts", round(building, 2), "s", None, size),
        Figure(
            "full posture, domains and outside",
            round(taking + asking, 2),
            "s",
            2.0,
            f"{posture.classes:,} classes, {len(reach.between):,} pairs of domains with an answer",
        ),
        Figure("memory at its peak", round(memory), "MiB", 1024.0),
        Figure(
            "one pod's label", round(1000 * _cost(engine, posture, _labels(facts)), 1), "ms", 5.0, "engine and posture"
        ),
        Figure("one policy", round(1000 * _cost(engine, posture, _rules(facts)), 1), "ms", 50.0, "engine and posture"),
        Figure(
            "posture of all domains asked again",
            round(1000 * measuring.seconds(lambda: posture.reach_between(domains))[0], 1),
            "ms",
            None,
            "after the changes",
        ),
    ]


def _domains(facts: Mapping[FactKey, Fact]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for fact in facts.values():
        if isinstance(fact, Pod):
            found[fact.namespace].add(f"pod:{fact.namespace}/{fact.name}")
    return dict(found)


def _labels(facts: Mapping[FactKey, Fact]) -> list[dict[FactKey, Any]]:
    """Pods that take another workload's label in their own namespace: a class that was not there."""
    pods = [(key, fact) for key, fact in facts.items() if isinstance(fact, Pod)]
    chosen = [pods[(place + 1) * 1001] for place in range(ROUNDS)]
    return [
        {key: replace(pod, labels=pod.labels | {"app": f"app-{place + 40}"})} for place, (key, pod) in enumerate(chosen)
    ]


def _rules(facts: Mapping[FactKey, Fact]) -> list[dict[FactKey, Any]]:
    policies = [(key, fact) for key, fact in facts.items() if key.kind is Kind.NETWORK_POLICY]
    chosen = [policies[place * 251] for place in range(ROUNDS)]
    return [{key: replace(policy, ingress=policy.ingress[:1])} for key, policy in chosen]


def _cost(engine: Engine, posture: Posture, edits: list[dict[FactKey, Any]]) -> float:
    return statistics.median(
        measuring.seconds(lambda edit=edit: posture.apply(engine.apply(edit)))[0] for edit in edits
    )


if __name__ == "__main__":
    for figure in main():
        print(figure)
