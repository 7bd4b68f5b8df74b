"""calico-dataplane: what real packets met and whether they arrived, recorded through Calico's real node agent.

The recordings have one node. Stage by stage the engine must give the verdict, trace, pending verdict and Log rules of
the recording; the stages together must predict what was observed wherever policy decided it.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from oracles.clusters import connection, engine_of, facts_of, keyed, logged, rejections, traced
from oracles.outcomes import Case, guarded

from models import facts
from models.verdicts import Connection, Decision
from monitor.cluster.normalise import Door, with_defaults
from monitor.policy import naming
from monitor.policy.engine import Engine
from monitor.policy.node import OUTSIDE, PROCESS, Passage, Station, Way, passage

PROFILE = "__PROFILE__"
NOBODY = "0|__PROFILE__|pro:__PROFILE__|deny|-1"
"""How the recorder writes an endpoint whose profiles decide nothing."""

POLICY_REASONS = ("workload", "normal", "forward", "untracked", "prednat")
ESTABLISHED = "established before the policy"
NODE_REASONS = ("defaultEndpointToHostAction", "encapsulated packet from a pod")


def cases(folder: Path) -> Iterator[Case]:
    for file in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(file, "rt") as lines:
            for recording in map(json.loads, lines):
                case = Case(f"{recording['dataplane']}/{recording['id']}")
                yield guarded(case, lambda case, recording=recording: check(case, recording))


def check(case: Case, recording: dict) -> None:
    felix = recording["felix_configuration"]
    spec = {key: value for key, value in felix.items() if value is not None}
    obj = {"apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration", "metadata": {"name": "default"}}
    objects = [with_defaults(obj, door=Door.CRD) for obj in recording["objects"]]
    found = facts_of([*objects, {**obj, "spec": spec}], Door.CRD)
    case.same("objects that were applied and that we refuse", {}, rejections(found))
    node = Node(engine_of(found | keyed([])), recording, list(found.values()))
    for number, packet in enumerate(recording["packets"]):
        what = f"packet {number} {packet['src']}->{packet['dst']}"
        if not is_of_later_policy(recording, packet):
            compare(case, what, packet, node)
            compare_lines(case, what, packet, node)
        elif packet["expected_reason"] == ESTABLISHED:
            case.same(f"{what} observed", packet["observed"], observed(node.passage(packet)))


def is_of_later_policy(recording: dict, packet: dict) -> bool:
    """A recording that changes policy midway lists the objects from before: what then decided cannot be computed."""
    known = {obj["metadata"]["name"] for obj in recording["objects"]}
    traces = (text for stage in packet["oracle"] for text in stage["trace"] if PROFILE not in text)
    return any(naming.parse(text).name not in known for text in traces)


class Node:
    """The one node of a recording, as monitor.policy.node sees a packet's way through it (13.4-13.7)."""

    def __init__(self, engine: Engine, recording: dict, found: list) -> None:
        self.engine = engine
        self.felix = next(fact for fact in found if isinstance(fact, facts.FelixConfiguration))
        self.node = recording["node"]

    def passage(self, packet: dict) -> Passage:
        way = Way(
            node=self.node["name"],
            source=end_of(packet["src"]),
            destination=end_of(packet["dst"]),
            connection=flow_of(packet),
            interface=self.node["interface"],
            interface_addresses=tuple(self.node["addresses"]),
        )
        return passage(self.engine, way, self.felix)


def compare(case: Case, what: str, packet: dict, node: Node) -> None:
    """What policy decided must be predicted; what something else decided (conntrack, spoofing) policy cannot say."""
    if not is_policy(packet):
        case.checks += 1
        return
    reason = packet.get("expected_reason", "")
    found = node.passage(packet)
    case.same(f"{what} observed", packet["observed"], observed(found))
    case.same(f"{what} dropped by", reason, dropped_by(found))
    if not found.because or packet["oracle"]:
        compare_stages(case, what, [stage for stage in packet["oracle"] if is_decision(stage)], found.stations)


def is_policy(packet: dict) -> bool:
    reason = packet.get("expected_reason", "")
    return not reason or reason.startswith((*POLICY_REASONS, *NODE_REASONS))


def is_decision(stage: dict) -> bool:
    """Untracked and preDNAT lists may be met without deciding."""
    return stage["action"] in ("allow", "deny")


def observed(found: Passage) -> str:
    return "allowed" if found.decision is Decision.ALLOW else "blocked"


def dropped_by(found: Passage) -> str:
    if found.decision is Decision.ALLOW:
        return ""
    last = found.stations[-1] if found.stations else None
    return found.because or f"{last.stage} {last.direction.value}"


def compare_stages(case: Case, what: str, expected: list[dict], met: Sequence[Station]) -> None:
    decided = [station for station in met if station.verdict is not None]
    case.same(
        f"{what} stages",
        [(stage["stage"], stage["direction"], bool(stage.get("failsafe"))) for stage in expected],
        [(station.stage, station.direction.value, station.is_failsafe) for station in decided],
    )
    for stage, station in zip(expected, decided, strict=False):
        where = f"{what} {stage['stage']} {stage['direction']}"
        case.same(where, stage["action"], station.verdict.decision.value)
        case.same(f"{where} trace", without_nobody(stage["trace"]), traced(station.verdict))
        case.same(f"{where} log", stage.get("log", []), [log_text(hit) for hit in logged(station.verdict)])
        if "pending" in stage:
            pending = stage["pending"]
            case.same(f"{where} pending", pending["action"], station.pending and station.pending.decision.value)
            case.same(f"{where} pending trace", without_nobody(pending["trace"]), traced(station.pending))


def compare_lines(case: Case, what: str, packet: dict, node: Node) -> None:
    """As many kernel lines as Log rules were met; Felix limits their rate where it is told to, senders may repeat."""
    if "attempts" not in packet and is_policy(packet) and not node.felix.log_action_rate_limit:
        lines = sum(len(station.logs) for station in node.passage(packet).stations)
        case.same(f"{what} lines", len(packet["log_lines"]), lines)


def log_text(hit: tuple[str, str, str, str, int]) -> str:
    tier, kind, namespace, name, rule = hit
    return f"{tier}|{kind}|{namespace}/{name}|{rule}" if namespace else f"{tier}|{kind}|{name}|{rule}"


def without_nobody(trace: list[str]) -> tuple[str, ...]:
    return tuple(text for text in trace if not text.endswith(NOBODY.partition("|")[2]))


def end_of(written: str) -> str:
    return f"pod:{written}" if "/" in written else PROCESS if written == "node" else OUTSIDE


def flow_of(packet: dict) -> Connection:
    icmp = packet.get("icmp") or {}
    return connection(
        packet["src_ip"],
        packet["dst_ip"],
        packet["proto"],
        source_port=packet.get("sport"),
        destination_port=packet.get("dport"),
        icmp_type=icmp.get("type"),
        icmp_code=icmp.get("code"),
    )
