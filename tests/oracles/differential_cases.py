"""calico-differential: whole clusters judged packet by packet by Calico's own calculation graph."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from oracles.clusters import connection, engine_of, facts_of, is_allowed, logged, rejections, traced
from oracles.outcomes import Case, each, only

from models.verdicts import Connection, FlowVerdict, Verdict
from monitor.cluster.normalise import Door, with_defaults
from monitor.policy.engine import Engine

FLOW = {
    "id", "src", "dst", "src_ip", "dst_ip", "proto", "sport", "dport", "icmp_type", "icmp_code", "ip_version", "expect"
}  # fmt: skip
SIDES = ("egress", "ingress", "egress_pending", "ingress_pending")
DOORS = {"clientv3": Door.VALIDATORS, "crd": Door.CRD}


def cases(folder: Path) -> Iterator[Case]:
    index = json.loads((folder / "index.json").read_text())
    door = DOORS[index["front_door"]]
    for name in index["files"]:
        with gzip.open(folder / name, "rt") as lines:
            clusters = (json.loads(line) for line in lines)
            yield from each(clusters, lambda case, cluster: check(case, cluster, door))


def check(case: Case, cluster: dict, door: Door) -> None:
    found = facts_of((defaulted(obj, door) for obj in cluster["objects"]), door)
    refused = {(item["kind"], item.get("namespace", ""), item["name"]) for item in cluster["rejected"]}
    case.same("refused objects", refused, set(rejections(found)))
    engine = engine_of(found)
    for flow in cluster["flows"]:
        only(flow, FLOW, "a flow")
        compare(case, flow, judged(engine, flow))


def defaulted(obj: dict, door: Door) -> dict:
    """Calico's objects went through the door named in the index; the others are as the API server gives them."""
    return with_defaults(obj, door=door) if "projectcalico.org/" in obj["apiVersion"] else obj


def endpoint(engine: Engine, written: str) -> str | None:
    """`ns/pod`, `hep:NAME` or an address, as the engine names endpoints; None for what is none (15.1)."""
    if written.startswith("hep:"):
        return f"host:{written.removeprefix('hep:')}"
    if "/" not in written:
        owners = sorted(owner.id for owner in engine.endpoints_at(written) if not owner.is_host)
        return owners[0] if owners else None
    return f"pod:{written}" if f"pod:{written}" in engine.endpoints else None


def packet(flow: dict) -> Connection:
    return connection(
        flow["src_ip"],
        flow["dst_ip"],
        flow["proto"],
        source_port=flow.get("sport"),
        destination_port=flow.get("dport"),
        icmp_type=flow.get("icmp_type"),
        icmp_code=flow.get("icmp_code"),
    )


def judged(engine: Engine, flow: dict) -> FlowVerdict:
    source, destination = endpoint(engine, flow["src"]), endpoint(engine, flow["dst"])
    return engine.judge(packet(flow), source=source, destination=destination)


def compare(case: Case, flow: dict, verdict: FlowVerdict) -> None:
    expected = flow["expect"]
    what = f"packet {flow['id']} {flow['src']}->{flow['dst']}"
    case.same(what, expected["allowed"], is_allowed(verdict.decision))
    for side in (side for side in SIDES if side in expected):
        compare_side(case, f"{what} {side}", expected[side], getattr(verdict, side))


def compare_side(case: Case, what: str, expected: dict | None, found: Verdict | None) -> None:
    if expected is None or found is None:
        case.same(what, expected and expected["action"], found and found.decision.value)
        return
    logs = [(hit["tier"], hit["kind"], hit["namespace"], hit["name"], hit["rule_index"]) for hit in expected["log"]]
    case.same(what, expected["action"], found.decision.value)
    case.same(f"{what} trace", tuple(expected["trace"]), traced(found))
    case.same(f"{what} log", logs, logged(found))
