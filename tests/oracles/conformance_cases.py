"""cnp-conformance: every state loaded whole, and reached from the one before by the changes alone."""

import json
from collections.abc import Iterator
from pathlib import Path

from oracles.clusters import ANY_SOURCE_PORT, Facts, connection, engine_of, facts_of, is_allowed, keyed
from oracles.outcomes import Case, each, only

from models import facts
from models.facts import FactKey
from monitor.cluster.normalise import Door, with_defaults
from monitor.policy.engine import Engine

EXPECTATION = {"step", "state", "src", "dst", "protocol", "port", "allowed", "calico_allowed", "why", "note"}


def cases(folder: Path) -> Iterator[Case]:
    data = json.loads((folder / "cases.json").read_text())
    pods = {f"{pod['namespace']}/{pod['name']}": fact(pod) for pod in data["pods"]}
    yield from each(data["tests"], lambda case, test: check(case, test, pods))


def fact(pod: dict) -> facts.Pod:
    return facts.Pod(
        name=pod["name"],
        namespace=pod["namespace"],
        labels=pod["labels"],
        node="node",
        addresses=(pod["ip"],),
        host_network=pod["host_network"],
        phase="Running",
        named_ports=tuple(facts.NamedPort(**port) for port in pod["named_ports"]),
    )


def state_facts(state: dict, pods: dict[str, facts.Pod]) -> Facts:
    namespaces = (
        facts.Namespace(name=name, labels={"kubernetes.io/metadata.name": name} | labels)
        for name, labels in state["namespaces"].items()
    )
    return facts_of(map(with_defaults, state["policies"]), Door.CRD) | keyed([*namespaces, *pods.values()])


def changes(old: Facts, new: Facts) -> dict[FactKey, facts.Fact | None]:
    return {key: new.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def check(case: Case, test: dict, pods: dict[str, facts.Pod]) -> None:
    states = [state_facts(state, pods) for state in test["states"]]
    walking, before = engine_of(states[0]), states[0]
    for number, state in enumerate(states):
        walking.apply(changes(before, state))
        before = state
        expectations = [item for item in test["expectations"] if item["state"] == number]
        for way, engine in (("from scratch", engine_of(state)), ("by changes", walking)):
            for expectation in expectations:
                compare(case, expectation, engine, pods, way)


def compare(case: Case, expectation: dict, engine: Engine, pods: dict[str, facts.Pod], way: str) -> None:
    only(expectation, EXPECTATION, "an expectation")
    source, destination = pods[expectation["src"]], pods[expectation["dst"]]
    packet = connection(
        source.addresses[0],
        destination.addresses[0],
        expectation["protocol"],
        source_port=ANY_SOURCE_PORT,
        destination_port=expectation["port"],
    )
    verdict = engine.judge(packet, source=endpoint(source), destination=endpoint(destination))
    what = f"state {expectation['state']} {expectation['src']}->{expectation['dst']} {way}"
    case.same(what, expectation.get("calico_allowed", expectation["allowed"]), is_allowed(verdict.decision))


def endpoint(pod: facts.Pod) -> str | None:
    return None if pod.host_network else f"pod:{pod.namespace}/{pod.name}"
