"""calico-dataplane: what real packets met and whether they arrived, recorded through Calico's real node agent.

The recordings have one node. Stage by stage the engine must give the verdict, trace, pending verdict and Log rules of
the recording; the stages together must predict what was observed wherever policy decided it.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from oracles.clusters import connection, engine_of, facts_of, keyed, logged, rejections, traced
from oracles.outcomes import Case, guarded, only

from models import facts
from models.facts import ProtoPort
from models.verdicts import Connection, Decision, Direction, Verdict
from monitor.cluster.normalise import Door, with_defaults
from monitor.policy import naming
from monitor.policy.engine import Engine

PACKET = {
    "src", "dst", "src_ip", "dst_ip", "proto", "sport", "dport", "icmp", "observed", "answered", "log_lines",
    "log_lines_reply", "oracle", "expected_reason", "attempts", "note", "pre_dnat_dst", "pre_dnat_dport", "via",
}  # fmt: skip
STAGE = {"stage", "direction", "action", "trace", "log", "pending", "failsafe", "endpoint", "no_match"}
PROFILE = "__PROFILE__"
NOBODY = "0|__PROFILE__|pro:__PROFILE__|deny|-1"
"""How the recorder writes an endpoint whose profiles decide nothing."""

INBOUND = (*(("tcp", port) for port in (22, 179, 2379, 2380, 5473, 6443, 6666, 6667)), ("udp", 68))
OUTBOUND = (("udp", 53), ("udp", 67), *(("tcp", port) for port in (179, 2379, 2380, 5473, 6443, 6666, 6667)))
POLICY_REASONS = ("workload", "normal", "forward", "untracked", "prednat")
HANDED_TO_HOST = {"Accept": True, "Return": True, "Drop": False, None: False}
"""13.7 and 18.6: Return does not hand pods' packets to host endpoint policy."""


@dataclass(frozen=True)
class Step:
    """One stage of the way. A failsafe port overrides what policy says."""

    stage: str
    direction: str
    verdict: Verdict
    pending: Verdict | None = None
    is_failsafe: bool = False

    @property
    def drops(self) -> bool:
        return self.verdict.decision is not Decision.ALLOW and not self.is_failsafe


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
    if stranger := unlisted_policy(recording):
        case.skipped = f"policy {stranger} decided and is not among the objects of the recording"
        return
    objects = [with_defaults(obj, door=Door.CRD) for obj in recording["objects"]]
    found = facts_of([*objects, {**obj, "spec": spec}], Door.CRD)
    case.same("objects that were applied and that we refuse", {}, rejections(found))
    node = Node(engine_of(found | keyed([])), recording, list(found.values()))
    for number, packet in enumerate(recording["packets"]):
        only(packet, PACKET, "a packet")
        compare(case, f"packet {number} {packet['src']}->{packet['dst']}", packet, node)


def unlisted_policy(recording: dict) -> str:
    """A recording that changes policy midway lists the objects from before: what then decided cannot be computed."""
    known = {obj["metadata"]["name"] for obj in recording["objects"]}
    for packet in recording["packets"]:
        for text in (text for stage in packet["oracle"] for text in stage["trace"] if PROFILE not in text):
            if naming.parse(text).name not in known:
                return text
    return ""


class Node:
    """The one node of a recording: which stages a packet goes through on it (13.4-13.7)."""

    def __init__(self, engine: Engine, recording: dict, found: list) -> None:
        self.engine = engine
        self.felix = next(fact for fact in found if isinstance(fact, facts.FelixConfiguration))
        self.host = self.host_endpoint([fact for fact in found if isinstance(fact, facts.HostEndpoint)], recording)

    def host_endpoint(self, known: list[facts.HostEndpoint], recording: dict) -> str | None:
        """13.1: by interface name, the alphabetically first; else by address; else the one for all interfaces."""
        own, interface = set(recording["node"]["addresses"]), recording["node"]["interface"]
        ranked = [
            [host for host in known if host.interface_name == interface],
            [host for host in known if not host.interface_name and own & set(host.expected_ips)],
            [host for host in known if host.interface_name == "*"],
        ]
        names = [sorted(host.name for host in hosts) for hosts in ranked if hosts]
        return f"host:{names[0][0]}" if names else None

    def steps(self, packet: dict) -> Iterator[Step]:
        """Every stage in order; the caller stops at the first one that drops."""
        flow = flow_of(packet)
        source, destination = kind_of(packet["src"]), kind_of(packet["dst"])
        if source == "pod":
            yield from self.pod("egress", packet["src"], flow)
        if destination != "pod" and source == "outside":
            yield from self.to_host(flow)
        elif source == "outside":
            yield from self.routed("ingress", flow)
        if source != "node" and destination == "pod":
            yield from self.pod("ingress", packet["dst"], flow)
        if source == "pod" and destination == "outside":
            yield from self.routed("egress", flow)
        if source == "node" and destination == "outside":
            yield from self.normal("egress", flow)

    def pod(self, direction: str, name: str, flow: Connection) -> Iterator[Step]:
        is_egress = direction == "egress"
        judged = self.engine.judge(
            flow, source=f"pod:{name}" if is_egress else None, destination=None if is_egress else f"pod:{name}"
        )
        verdict = judged.egress if is_egress else judged.ingress
        if verdict is not None:
            pending = judged.egress_pending if is_egress else judged.ingress_pending
            yield Step("workload", direction, verdict, pending)

    def stage(self, stage: str, direction: str, flow: Connection) -> Verdict | None:
        return self.host and self.engine.stage(self.host, stage, Direction(direction), flow)

    def before(self, flow: Connection) -> Iterator[Step]:
        """Untracked and preDNAT; what they allow skips the host's later stages."""
        for stage in ("untracked", "prednat"):
            verdict = self.stage(stage, "ingress", flow)
            if verdict is not None:
                yield Step(stage, "ingress", verdict, is_failsafe=self.is_failsafe("ingress", flow))

    def to_host(self, flow: Connection) -> Iterator[Step]:
        early = list(self.before(flow))
        yield from early
        if not any(step.verdict.decision is Decision.ALLOW for step in early):
            yield from self.normal("ingress", flow)

    def routed(self, direction: str, flow: Connection) -> Iterator[Step]:
        early = list(self.before(flow)) if direction == "ingress" else []
        yield from early
        verdict = self.stage("forward", direction, flow)
        if verdict is not None and not any(step.verdict.decision is Decision.ALLOW for step in early):
            yield Step("forward", direction, verdict)

    def normal(self, direction: str, flow: Connection) -> Iterator[Step]:
        if self.host is None:
            return
        is_egress = direction == "egress"
        judged = self.engine.judge(
            flow, source=self.host if is_egress else None, destination=None if is_egress else self.host
        )
        verdict = judged.egress if is_egress else judged.ingress
        pending = judged.egress_pending if is_egress else judged.ingress_pending
        yield Step("normal", direction, verdict, pending, self.is_failsafe(direction, flow))

    def is_failsafe(self, direction: str, flow: Connection) -> bool:
        """13.5."""
        is_inbound = direction == "ingress"
        own = self.felix.failsafe_inbound_host_ports if is_inbound else self.felix.failsafe_outbound_host_ports
        default = INBOUND if is_inbound else OUTBOUND
        open_ports = [ProtoPort(protocol=name, port=port) for name, port in default] if own is None else own
        peer = ip_address(flow.source_address if is_inbound else flow.destination_address)
        return any(
            port.port == flow.destination_port
            and {"tcp": 6, "udp": 17, "sctp": 132}[port.protocol.lower()] == flow.protocol
            and (not port.net or peer in ip_network(port.net, strict=False))
            for port in open_ports
        )

    def is_handed_to_host(self) -> bool:
        return HANDED_TO_HOST[self.felix.default_endpoint_to_host_action]


def compare(case: Case, what: str, packet: dict, node: Node) -> None:
    reason = packet.get("expected_reason", "")
    is_policy = not reason or reason.startswith(POLICY_REASONS)
    expected = [stage for stage in packet["oracle"] if only(stage, STAGE, "a stage") is None]
    if not is_policy and reason != "defaultEndpointToHostAction" and not expected:
        case.checks += 1  # dropped before any policy: there is nothing that policy could say
        return
    met: list[Step] = []
    dropped_by = ""
    for step in node.steps(packet):
        met.append(step)
        if step.drops:
            dropped_by = f"{step.stage} {step.direction}"
            break
    if not dropped_by and kind_of(packet["src"]) == "pod" and packet["dst"] == "node" and not node.is_handed_to_host():
        dropped_by = "defaultEndpointToHostAction"
    compare_stages(case, what, expected, met)
    if is_policy or reason == "defaultEndpointToHostAction":
        case.same(f"{what} dropped by", reason, dropped_by)
        case.same(f"{what} observed", packet["observed"], "blocked" if dropped_by else "allowed")


def compare_stages(case: Case, what: str, expected: list[dict], met: list[Step]) -> None:
    case.same(
        f"{what} stages",
        [(stage["stage"], stage["direction"], bool(stage.get("failsafe"))) for stage in expected],
        [(step.stage, step.direction, step.is_failsafe) for step in met],
    )
    for stage, step in zip(expected, met, strict=False):
        where = f"{what} {stage['stage']} {stage['direction']}"
        case.same(where, stage["action"], step.verdict.decision.value)
        case.same(f"{where} trace", without_nobody(stage["trace"]), traced(step.verdict))
        case.same(f"{where} log", stage.get("log", []), [log_text(hit) for hit in logged(step.verdict)])
        if "pending" in stage:
            pending = stage["pending"]
            case.same(f"{where} pending", pending["action"], step.pending and step.pending.decision.value)
            case.same(f"{where} pending trace", without_nobody(pending["trace"]), traced(step.pending))


def log_text(hit: tuple[str, str, str, str, int]) -> str:
    tier, kind, namespace, name, rule = hit
    return f"{tier}|{kind}|{namespace}/{name}|{rule}" if namespace else f"{tier}|{kind}|{name}|{rule}"


def without_nobody(trace: list[str]) -> tuple[str, ...]:
    return tuple(text for text in trace if not text.endswith(NOBODY.partition("|")[2]))


def kind_of(written: str) -> str:
    return "pod" if "/" in written else "node" if written == "node" else "outside"


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
