"""calico-equivalence: how the allowed flows of two configurations relate, sampled at every edge of either.

Endpoints that no selector of either configuration can tell apart are sampled by two of them.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from oracles.clusters import Facts, edges, engine_of, facts_of, keyed, missing_namespaces, protocol_number
from oracles.manifest_files import objects
from oracles.outcomes import Case, each

from models import facts
from models.facts import Fact
from models.verdicts import Connection, Decision
from monitor.cluster.normalise import Door, normalise, with_defaults

POD_NET = "10.247."
OUTSIDE = ("203.0.113.77", "2001:db8:aaaa::77")
OTHER_PROTOCOLS = (99,)
NAMES = {"TCP": 6, "UDP": 17, "SCTP": 132}
IPTABLES = facts.FelixConfiguration(name="default", nftables_mode="Disabled", bpf_enabled=False)
"""Upstream negates a notICMP as iptables does; without knowing the dataplane the engine would leave it open."""
PER_CLASS = 2
POLICIES = ("NetworkPolicy", "GlobalNetworkPolicy")
OWN_LABELS = "projectcalico.org/"


def within(only_a: int, only_b: int) -> dict[str, bool]:
    """Which relations hold, given how many flows only one of the two allows."""
    return {
        "equal": not only_a and not only_b,
        "different": bool(only_a or only_b),
        "a_within_b": not only_a,
        "a_strictly_within_b": not only_a and bool(only_b),
        "b_strictly_within_a": not only_b and bool(only_a),
        "a_not_within_b": bool(only_a),
        "incomparable": bool(only_a and only_b),
    }


@dataclass(frozen=True)
class Pod:
    fact: facts.Pod
    profiles: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"pod:{self.fact.namespace}/{self.fact.name}"


def cases(folder: Path) -> Iterator[Case]:
    index = json.loads((folder / "index.json").read_text())
    yield from each(index["cases"], lambda case, item: check(case, item, folder / "data"))


def check(case: Case, item: dict, data: Path) -> None:
    topology = objects(data / name for name in item["topology"])
    pods = list(pods_of(topology))
    shared = [obj for obj in topology if obj["kind"] in {"Namespace", "NetworkSet", "GlobalNetworkSet"}]
    written = {side: configured(item[side], data) for side in "ab"}
    engines = {side: engine_of(cluster(shared + written[side], pods)) for side in "ab"}
    policies = shared + written["a"] + written["b"]
    chosen = representatives(pods, json.dumps(policies, default=str))
    only_a = only_b = 0
    for flow, source, destination in flows(chosen, policies, pods):
        a, b = (engines[side].judge(flow, source=source, destination=destination).decision for side in "ab")
        case.checks += 1
        if Decision.UNKNOWN in (a, b):
            case.disagreements.append(f"cannot be known: {flow}")
        only_a += a is Decision.ALLOW and b is Decision.DENY
        only_b += b is Decision.ALLOW and a is Decision.DENY
    case.holds(
        f"{item['relation']} does not hold: {only_a} flows only by a, {only_b} only by b",
        is_true=within(only_a, only_b)[item["relation"]],
    )


# --- input -------------------------------------------------------------------------------------------------------


def configured(side: dict, data: Path) -> list[dict]:
    """All objects of the files; with `only_policy` just that policy, and still all that is no policy."""
    found = [with_defaults(obj) for obj in objects(data / name for name in side["files"])]
    keep = side["only_policy"]
    return found if keep is None else [obj for obj in found if not is_policy(obj) or keep in names(obj)]


def is_policy(obj: dict) -> bool:
    return obj["kind"].endswith(POLICIES)


def names(obj: dict) -> tuple[str, ...]:
    metadata = obj["metadata"]
    is_global = "Global" in obj["kind"]
    return (metadata["name"],) if is_global else (f"{metadata['namespace']}/{metadata['name']}",)


def pods_of(topology: list[dict]) -> Iterator[Pod]:
    for number, obj in enumerate(topology, 1):
        address = f"{POD_NET}{number >> 8}.{number & 255}"
        if obj["kind"] == "Pod":
            fact = normalise(with_defaults(unported(obj, address)))
            if not isinstance(fact, facts.Pod):
                raise TypeError(str(fact))
            yield Pod(fact, (f"kns.{fact.namespace}",))
        elif obj["kind"] == "WorkloadEndpoint":
            yield workload_endpoint(obj, address)


def unported(pod: dict, address: str) -> dict:
    """Some upstream pods carry an object where the list of ports belongs."""
    containers = [
        {**container, "ports": container["ports"] if isinstance(container.get("ports"), list) else []}
        for container in pod.get("spec", {}).get("containers", [])
    ]
    spec = {**pod.get("spec", {}), "containers": containers, "nodeName": "node", "initContainers": []}
    return {"apiVersion": "v1", **pod, "spec": spec, "status": {"phase": "Running", "podIP": address}}


def workload_endpoint(obj: dict, address: str) -> Pod:
    metadata, spec = obj["metadata"], obj["spec"]
    labels = metadata.get("labels", {})
    fact = facts.Pod(
        name=spec["pod"],
        namespace=metadata["namespace"],
        labels={key: value for key, value in labels.items() if not key.startswith(OWN_LABELS)},
        service_account=labels.get("projectcalico.org/serviceaccount", ""),
        node=spec["node"],
        addresses=(address,),
        phase="Running",
        named_ports=tuple(
            facts.NamedPort(name=port["name"], protocol=port["protocol"].upper(), port=port["port"])
            for port in spec.get("ports", [])
        ),
    )
    return Pod(fact, tuple(spec.get("profiles", ())))


def cluster(written: list[dict], pods: list[Pod]) -> Facts:
    found = facts_of(written, Door.CRD) | keyed([IPTABLES, *(pod.fact for pod in pods)])
    found |= missing_namespaces(found)
    return found | keyed(profiles(found, pods))


def profiles(found: Facts, pods: Iterable[Pod]) -> Iterator[Fact]:
    """Profiles with their namespace's labels; one that a pod names and no file gives allows everything."""
    given = {fact.name: fact for fact in found.values() if isinstance(fact, facts.Profile)}
    allow = (facts.Rule(action="Allow"),)
    namespaces = {f"kns.{fact.name}": fact for fact in found.values() if isinstance(fact, facts.Namespace)}
    for name in {name for pod in pods for name in pod.profiles}:
        profile = given.get(name, facts.Profile(name=name, ingress=allow, egress=allow))
        inherited = namespaces.get(name)
        labels = {f"pcns.{key}": value for key, value in inherited.labels.items()} if inherited else {}
        own = {"pcns.projectcalico.org/name": inherited.name} if inherited else {}
        yield facts.Profile(
            name=name,
            labels_to_apply={**labels, **own, **profile.labels_to_apply},
            ingress=profile.ingress,
            egress=profile.egress,
        )


# --- samples -----------------------------------------------------------------------------------------------------


def representatives(pods: list[Pod], policies: str) -> list[Pod]:
    """Pods that differ in a label whose key any policy mentions, in namespace, account, profiles or named ports."""
    classes: dict[tuple, list[Pod]] = {}
    for pod in pods:
        labels = tuple(sorted((key, value) for key, value in pod.fact.labels.items() if key in policies))
        kind = (pod.fact.namespace, pod.fact.service_account, labels, pod.profiles, pod.fact.named_ports)
        classes.setdefault(kind, []).append(pod)
    return [pod for members in classes.values() for pod in members[:PER_CLASS]]


def values(value: object, *keys: str) -> Iterator[object]:
    """Everything that stands under one of these keys, lists one by one."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name in keys:
                yield from part if isinstance(part, list) else [part]
            yield from values(part, *keys)
    elif isinstance(value, list):
        for part in value:
            yield from values(part, *keys)


def rules_in(value: object) -> Iterator[tuple[dict, str]]:
    """Rules, of Calico (protocol beside the sides) and of Kubernetes (one per port), each with its protocol."""
    if isinstance(value, dict):
        if "action" in value:
            yield value, str(value.get("protocol", ""))
        for port in value.get("ports", []) if "podSelector" not in value else []:
            if isinstance(port, dict):
                yield {"destination": {"ports": [port.get("port")]}}, str(port.get("protocol", "TCP"))
        for part in value.values():
            yield from rules_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from rules_in(part)


def port_edges(policies: list[dict], pods: list[Pod]) -> dict[int, tuple[list[int], list[int]]]:
    """By protocol, source and destination ports on both sides of every boundary that rules of it have."""
    declared = {(NAMES[port.protocol], port.port) for pod in pods for port in pod.fact.named_ports}
    spans: dict[int, dict[str, list]] = {protocol: {"source": [], "destination": []} for protocol in NAMES.values()}
    for rule, protocol in rules_in(policies):
        for number in [protocol_of(protocol)] if protocol else spans:
            for side in spans.get(number, ()):
                written = [*values(rule.get(side) or {}, "ports", "notPorts")]
                spans[number][side] += [span for port in written if (span := span_of(port))]
                if any(span_of(port) is None for port in written):
                    spans[number][side] += [(port, port) for own, port in declared if own == number]
    return {
        protocol: tuple(edges(own[side], 1, 65535) if own[side] else [1] for side in ("source", "destination"))
        for protocol, own in spans.items()
    }


def packets(policies: list[dict], pods: list[Pod]) -> Iterator[dict]:
    """One packet per protocol and per edge of a port range or an ICMP type or code."""
    for protocol, (sources, destinations) in port_edges(policies, pods).items():
        for source, destination in itertools.product(sources, destinations):
            yield {"protocol": protocol, "source_port": source, "destination_port": destination}
    types = edges([(n, n) for n in values(policies, "type") if isinstance(n, int)], 0, 254)
    codes = edges([(n, n) for n in values(policies, "code") if isinstance(n, int)], 0, 255)
    for icmp_type, code in itertools.product(types, codes):
        yield {"protocol": 1, "icmp_type": icmp_type, "icmp_code": code}
    named = {protocol_of(name) for name in values(policies, "protocol", "notProtocol")} - {0}
    for protocol in sorted(named | set(OTHER_PROTOCOLS)):
        if protocol not in {1, 58, *NAMES.values()}:
            yield {"protocol": protocol}


def protocol_of(written: object) -> int:
    try:
        return protocol_number(str(written))
    except ValueError:
        return 0


def span_of(port: object) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d+)(?::(\d+))?", str(port))
    return (int(found[1]), int(found[2] or found[1])) if found else None


def outside(policies: list[dict]) -> list[str]:
    """Addresses on both sides of every boundary of a net, none of them a pod's."""
    texts = [text for text in values(policies, "nets", "notNets", "cidr", "except") if isinstance(text, str)]
    found = {ip_address(text) for text in OUTSIDE}
    for net in (ip_network(text, strict=False) for text in texts):
        last = 2**net.max_prefixlen - 1
        numbers = edges([(int(net[0]), int(net[-1]))], 0, last)
        found |= {type(net[0])(number) for number in numbers}
    return sorted(str(address) for address in found if not str(address).startswith(POD_NET))


def flows(
    chosen: list[Pod], policies: list[dict], pods: list[Pod]
) -> Iterator[tuple[Connection, str | None, str | None]]:
    sampled = list(packets(policies, pods))
    for one, other in itertools.permutations(chosen, 2):
        for packet in sampled:
            ends = (one.fact.addresses[0], other.fact.addresses[0])
            yield Connection(source_address=ends[0], destination_address=ends[1], **packet), one.id, other.id
    for address, pod, packet in itertools.product(outside(policies), chosen, sampled):
        if ":" not in address:
            own = pod.fact.addresses[0]
            yield Connection(source_address=address, destination_address=own, **packet), None, pod.id
            yield Connection(source_address=own, destination_address=address, **packet), pod.id, None
