"""np-guard: manifests to allowed connections between workloads and with the outside, at the edges of every range.

Pods talk to each other over an IPv6 prefix and to the outside over IPv4, so that no ipBlock matches a pod: np-guard
holds that it never does, Calico matches by address.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from itertools import permutations
from pathlib import Path

from oracles.clusters import (
    ANY_SOURCE_PORT,
    Facts,
    connection,
    edges,
    engine_of,
    facts_of,
    is_allowed,
    keyed,
    missing_namespaces,
)
from oracles.manifest_files import objects
from oracles.outcomes import Case, each

from models.facts import ClusterInformation, Pod
from monitor.cluster.normalise import Door, normalise, with_defaults
from monitor.policy.engine import Engine

PROTOCOLS = ("TCP", "UDP", "SCTP")
TEMPLATES = {"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob", "ReplicationController"}
POD_PREFIX, OUTSIDE_POD_PREFIX = "5e6d:f00d:", "100.88."
NODES_PEER = "anp-nodes"
NODES_SKIPPED = "nodes peers: Calico turns them into deny-all (README)"
LAST_ADDRESS = 2**32 - 1
ENFORCES_OLDER_ADMIN_KINDS = "v3.31.4"


@dataclass
class Workload:
    """Pods of one owner, as one row of the expectation."""

    name: str
    pods: list[Pod] = field(default_factory=list)

    @property
    def is_judged(self) -> bool:
        """Host-networked pods are the host's; finished ones are live to np-guard only."""
        return bool(self.pods) and not any(pod.host_network or pod.is_finished for pod in self.pods)


def cases(folder: Path) -> Iterator[Case]:
    index = json.loads((folder / "index.json").read_text())
    with (folder / "expected_rows.jsonl").open() as lines:
        rows = {item["id"]: item["rows"] for item in map(json.loads, lines)}
    listed = index["cases"] + index.get("focused_cases", [])
    yield from each(listed, lambda case, item: check(case, item, folder, rows[item["id"]]))


def check(case: Case, item: dict, folder: Path, rows: list) -> None:
    if NODES_PEER in item["features"]:
        case.skipped = NODES_SKIPPED
        return
    found = objects(folder / name for name in item["files"])
    cluster, workloads = loaded(found)
    left_out = set(item.get("host_network_workloads", []))
    judged = [workload for name, workload in workloads.items() if workload.is_judged and name not in left_out]
    expected = {(source, destination): allowed for source, destination, allowed in rows}
    peers = {peer for pair in expected for peer in pair if peer.startswith("wl:")}
    case.same("workloads that only the expectation knows", set(), peers - {f"wl:{name}" for name in workloads})
    comparison = Comparison(case, engine_of(cluster), expected, interesting_ports(found, [*expected.values()]))
    comparison.of_pairs(judged)
    comparison.of_outside(judged, interesting_addresses(found, expected))


# --- input -------------------------------------------------------------------------------------------------------


def loaded(found: list[dict]) -> tuple[Facts, dict[str, Workload]]:
    kept = [with_defaults(obj) for obj in found if obj.get("kind") != "Pod"]
    cluster = facts_of(kept, Door.CRD)
    workloads: dict[str, Workload] = {}
    numbers = iter(range(1, 60_000))
    for obj in found:
        for owner, pod in pods_of(obj):
            fact = running(pod, next(numbers))
            cluster |= keyed([fact])
            workloads.setdefault(owner, Workload(owner)).pods.append(fact)
    cluster |= keyed([ClusterInformation(name="default", calico_version=ENFORCES_OLDER_ADMIN_KINDS)])
    return cluster | missing_namespaces(cluster), workloads


def pods_of(obj: dict) -> Iterator[tuple[str, dict]]:
    """Owner and pod of a Pod or of whatever makes pods."""
    kind, metadata = obj.get("kind"), obj.get("metadata", {})
    namespace = metadata.get("namespace") or "default"
    if kind == "Pod":
        owners = [ref for ref in metadata.get("ownerReferences", []) if ref.get("kind") != "Node"]
        top = owners[0] if owners else metadata
        yield f"{namespace}/{top['name']}[{top.get('kind', 'Pod')}]", obj
    elif kind in TEMPLATES:
        spec = obj["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else obj["spec"]
        template = spec["template"]
        made = {"name": f"{kind.lower()}.{metadata['name']}", "namespace": namespace}
        labels = template.get("metadata", {}).get("labels", {})
        owner = f"{namespace}/{metadata['name']}[{kind}]"
        yield owner, {"kind": "Pod", "metadata": {**made, "labels": labels}, "spec": template["spec"]}


def running(pod: dict, number: int) -> Pod:
    """The pod on a node, with addresses that nothing mentions."""
    addresses = [f"{POD_PREFIX}:{number:x}", f"{OUTSIDE_POD_PREFIX}{number >> 8}.{number & 255}"]
    spec = {**pod.get("spec", {}), "nodeName": "node"}
    status = {**pod.get("status", {}), "podIPs": [{"ip": text} for text in addresses]}
    fact = normalise(with_defaults({**pod, "apiVersion": "v1", "spec": spec, "status": status}))
    if not isinstance(fact, Pod):
        raise TypeError(str(fact))
    return fact


def values(value: object, key: str) -> Iterator[object]:
    """Everything that stands under this key, at any depth."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == key:
                yield part
            yield from values(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from values(part, key)


def interesting_ports(found: list[dict], expected: list) -> dict[str, list[int]]:
    """Per protocol, both sides of every boundary in the expectation, in policies and in what pods declare."""
    spans = [
        (port, port)
        for name in ("port", "containerPort", "number")
        for port in values(found, name)
        if isinstance(port, int)
    ]
    spans += [(port, port) for port in values(found, "endPort") if isinstance(port, int)]
    for name in ("portRange", "range"):
        spans += [(span["start"], span["end"]) for span in values(found, name) if isinstance(span, dict)]
    per_protocol = {protocol: list(spans) for protocol in PROTOCOLS}
    for allowed in expected:
        if isinstance(allowed, dict):
            for protocol, ranges in allowed.items():
                per_protocol[protocol] += [tuple(span) for span in ranges]
    return {protocol: edges(ranges, 1, 65535) for protocol, ranges in per_protocol.items()}


def interesting_addresses(found: list[dict], expected: dict) -> list[str]:
    """First and last address of every outside range, and those next to them."""
    spans = [outside_range(peer) for pair in expected for peer in pair if peer.startswith("ext:")]
    nets = [text for name in ("cidr", "except", "networks") for text in values(found, name)]
    flat = [text for part in nets for text in (part if isinstance(part, list) else [part])]
    spans += [
        (int(net[0]), int(net[-1])) for net in (ip_network(text, strict=False) for text in flat) if net.version == 4
    ]
    return [str(ip_address(number)) for number in edges(spans, 0, LAST_ADDRESS)]


@lru_cache(maxsize=4096)
def outside_range(peer: str) -> tuple[int, int]:
    first, last = peer.removeprefix("ext:").split("-")
    return int(ip_address(first)), int(ip_address(last))


# --- comparison --------------------------------------------------------------------------------------------------


def allows(allowed: object, protocol: str, port: int) -> bool:
    """`all`, or inclusive port ranges by protocol; None means no connection."""
    if allowed is None or allowed == "all":
        return allowed == "all"
    return any(first <= port <= last for first, last in allowed.get(protocol, []))


def distinct(workload: Workload) -> list[Pod]:
    """One pod for each set of labels among those of an owner."""
    seen: dict[str, Pod] = {}
    for pod in workload.pods:
        seen.setdefault(json.dumps(pod.labels, sort_keys=True), pod)
    return list(seen.values())


@dataclass
class Comparison:
    """Rows of the expectation against the engine. A pair without a row has no connection."""

    case: Case
    engine: Engine
    expected: dict
    ports: dict[str, list[int]]

    def of_pairs(self, judged: list[Workload]) -> None:
        for source, destination in permutations(judged, 2):
            allowed = self.expected.get((f"wl:{source.name}", f"wl:{destination.name}"))
            for one in distinct(source):
                for other in distinct(destination):
                    self.compare((one, other), (one.addresses[0], other.addresses[0]), allowed)

    def of_outside(self, judged: list[Workload], addresses: list[str]) -> None:
        ranges = {outside_range(peer): peer for pair in self.expected for peer in pair if peer.startswith("ext:")}
        for address in addresses:
            peers = [peer for (first, last), peer in ranges.items() if first <= int(ip_address(address)) <= last]
            for workload in judged:
                name = f"wl:{workload.name}"
                inward = self.first_row([(peer, name) for peer in peers])
                outward = self.first_row([(name, peer) for peer in peers])
                for pod in distinct(workload):
                    self.compare((None, pod), (address, pod.addresses[1]), inward)
                    self.compare((pod, None), (pod.addresses[1], address), outward)

    def first_row(self, pairs: list[tuple[str, str]]) -> object:
        return next((self.expected[pair] for pair in pairs if pair in self.expected), None)

    def compare(self, pods: tuple[Pod | None, Pod | None], ends: tuple[str, str], allowed: object) -> None:
        source, destination = (pod and f"pod:{pod.namespace}/{pod.name}" for pod in pods)
        for protocol, numbers in self.ports.items():
            for port in numbers:
                packet = connection(*ends, protocol, source_port=ANY_SOURCE_PORT, destination_port=port)
                found = is_allowed(self.engine.judge(packet, source=source, destination=destination).decision)
                what = f"{source or ends[0]}->{destination or ends[1]} {protocol}/{port}"
                self.case.same(what, allows(allowed, protocol, port), found)
