"""calico-rule-match: rules, tiers, profiles and host endpoint stages, packet by packet.

Every policy becomes a GlobalNetworkPolicy on one host endpoint (which has the profiles the case gives, or none), every
IP set a GlobalNetworkSet with a label, every port set host endpoints with named ports.
"""

import json
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from pathlib import Path

from oracles.clusters import connection, engine_of, keyed
from oracles.outcomes import Case, each, only

from models import facts
from models.facts import Fact
from models.verdicts import Connection, Decision, Direction, Verdict

Net = IPv4Network | IPv6Network

ACTIONS = {"allow": "Allow", "deny": "Deny", "pass": "Pass", "next-tier": "Pass", "log": "Log"}
CASE = {
    "id", "group", "name", "ip_version", "ip_sets", "packets", "tiers", "profiles", "host_profiles",
    "host_pre_dnat_tiers", "host_forward_tiers", "host_normal_tiers", "for_host_interface",
    "suppress_normal_host_policy", "untracked_xdp", "note",
}  # fmt: skip
PACKET = {
    "protocol", "src", "dst", "sport", "dport", "icmp_type", "icmp_code", "pre_dnat_dst", "pre_dnat_dport",
    "to_host", "from_host", "expect", "note",
}  # fmt: skip
RULE = {
    "action", "ip_version", "protocol", "not_protocol", "icmp", "not_icmp",
    *(f"{negation}{side}_{what}" for negation in ("", "not_") for side in ("src", "dst")
      for what in ("nets", "net", "ports", "ip_sets", "named_port_sets", "ip_port_sets")),
}  # fmt: skip
WORKLOAD, HOST, ROUTED = "workload", "host", "routed"
"""Subjects. The cases give forward and normal lists apart; in a cluster applyOnForward policy is in both (13.4)."""
PROTOCOL_NAMES = {
    "tcp": "TCP", "udp": "UDP", "sctp": "SCTP", "icmp": "ICMP", "icmpv6": "ICMPv6", "icmp6": "ICMPv6",
    "udplite": "UDPLite",
}  # fmt: skip


def cases(folder: Path) -> Iterator[Case]:
    data = json.loads((folder / "rule_match.json").read_text())
    yield from each(data["cases"], check)


def check(case: Case, item: dict) -> None:
    only(item, CASE, "the case")
    program = Program(item)
    for packet in item["packets"]:
        only(packet, PACKET, "a packet")
        case.same(json.dumps(packet), packet["expect"], program.outcome(packet))


class Program:
    """The cluster of one case, and what its stages make of a packet (felix/bpf/polprog, in that order)."""

    def __init__(self, item: dict) -> None:
        self.item = item
        self.sets = Sets(item["ip_sets"])
        self.engine = engine_of(keyed(self.made_facts()))

    def made_facts(self) -> list[Fact]:
        item = self.item
        found: list[Fact] = []
        found += self.endpoint(WORKLOAD, item.get("profiles", []))
        found += self.endpoint(HOST, item.get("host_profiles", []))
        found += self.endpoint(ROUTED, [])
        found.append(facts.FelixConfiguration(name="default", bpf_enabled=True))  # upstream runs its eBPF programs
        found += self.tiers("w", item.get("tiers", []), WORKLOAD, {})
        forwarded = {"apply_on_forward": True}
        found += self.tiers("p", item.get("host_pre_dnat_tiers", []), HOST, {**forwarded, "pre_dnat": True})
        found += self.tiers("f", item.get("host_forward_tiers", []), ROUTED, forwarded)
        untracked = {**forwarded, "do_not_track": True} if item.get("untracked_xdp") else {}
        found += self.tiers("n", item.get("host_normal_tiers", []), HOST, untracked)
        return found + self.sets.made_facts()

    def endpoint(self, name: str, profiles: list) -> list[Fact]:
        host = facts.HostEndpoint(
            name=name,
            node=name,
            interface_name="eth0",
            labels={"subject": name},
            expected_ips=(),
            profiles=tuple(f"{name}.{profile['name']}" for profile in profiles),
        )
        rules = [tuple(self.rule(rule) for rule in profile["rules"]) for profile in profiles]
        made = [
            facts.Profile(name=f"{name}.{profile['name']}", ingress=own, egress=own)
            for profile, own in zip(profiles, rules, strict=True)
        ]
        return [host, *made]

    def tiers(self, stage: str, tiers: list, subject: str, flags: dict) -> Iterator[Fact]:
        for order, tier in enumerate(tiers):
            only(tier, {"name", "end_action", "policies"}, "a tier")
            name = f"{stage}.{order}.{tier['name']}"
            yield facts.Tier(name=name, order=float(order), default_action=ACTIONS[tier["end_action"]])
            for place, policy in enumerate(tier["policies"]):
                only(policy, {"name", "rules", "note"}, "a policy")
                yield facts.CalicoPolicy(
                    policy_kind="GlobalNetworkPolicy",
                    name=f"{name}.{place}.{policy['name']}",
                    tier=name,
                    order=float(place),
                    selector=f"subject == '{subject}'",
                    types=("Ingress",),
                    ingress=tuple(self.rule(rule) for rule in policy["rules"]),
                    **flags,
                )

    def rule(self, rule: dict) -> facts.Rule:
        only(rule, RULE, "a rule")
        return facts.Rule(
            action=ACTIONS[rule["action"]],
            ip_version=rule.get("ip_version"),
            protocol=protocol(rule.get("protocol")),
            not_protocol=protocol(rule.get("not_protocol")),
            icmp=icmp(rule.get("icmp")),
            not_icmp=icmp(rule.get("not_icmp")),
            source=self.side(rule, "src"),
            destination=self.side(rule, "dst"),
        )

    def side(self, rule: dict, side: str) -> facts.EntityRule:
        return facts.EntityRule(
            nets=nets(rule, f"{side}_net"),
            not_nets=nets(rule, f"not_{side}_net"),
            selector=self.sets.selector(rule.get(f"{side}_ip_sets", []), all),
            not_selector=self.sets.selector(rule.get(f"not_{side}_ip_sets", []), any),
            ports=ports(rule.get(f"{side}_ports", [])) + self.sets.port_names(rule, side),
            not_ports=ports(rule.get(f"not_{side}_ports", [])) + self.sets.port_names(rule, f"not_{side}"),
        )

    def outcome(self, packet: dict) -> str:
        if self.item.get("untracked_xdp"):
            return words(self.stage("untracked", packet, is_before_nat=True), "no_match")
        allowed = self.host_allows(packet)
        if not allowed or self.item.get("for_host_interface"):
            return "allow" if allowed else "deny"
        return words(self.judged(WORKLOAD, packet), "deny")

    def host_allows(self, packet: dict) -> bool:
        """preDNAT decides alone; then normal policy to and from the host, apply-on-forward for what is routed."""
        first = words(self.stage("prednat", packet, is_before_nat=True), "no_match")
        if first != "no_match":
            return first == "allow"
        if not any(name.startswith("host") or name == "for_host_interface" for name in self.item):
            return True
        if not (packet.get("to_host") or packet.get("from_host")):
            return words(self.stage("forward", packet), "allow") == "allow"
        return bool(self.item.get("suppress_normal_host_policy")) or words(self.judged(HOST, packet), "deny") == "allow"

    def stage(self, stage: str, packet: dict, *, is_before_nat: bool = False) -> Verdict | None:
        flow = flow_of(packet, is_before_nat=is_before_nat)
        subject = ROUTED if stage == "forward" else HOST
        return self.engine.stage(f"host:{subject}", stage, Direction.INGRESS, flow)

    def judged(self, subject: str, packet: dict) -> Verdict | None:
        return self.engine.judge(flow_of(packet), source=None, destination=f"host:{subject}").ingress


class Sets:
    """IP sets as network sets with a label of their own, port sets as endpoints with a named port."""

    def __init__(self, members: dict[str, list[str]]) -> None:
        self.members = members
        self.made: dict[str, facts.NetworkSet] = {}
        self.named: dict[str, str] = {}

    def selector(self, names: list[str], join: object) -> str:
        """Addresses in all of the sets (positive), or in any of them (negated), as one label."""
        if not names:
            return ""
        lists = [[ip_network(text, strict=False) for text in self.members[name]] for name in names]
        nets = lists[0]
        for other in lists[1:]:
            nets = intersection(nets, other) if join is all else nets + other
        label = f"set{len(self.made)}"
        self.made[label] = facts.NetworkSet(name=label, labels={"ipset": label}, nets=tuple(str(net) for net in nets))
        return f"ipset == '{label}'"

    def port_names(self, rule: dict, side: str) -> tuple[str, ...]:
        names = rule.get(f"{side}_named_port_sets", []) + rule.get(f"{side}_ip_port_sets", [])
        return tuple(self.named.setdefault(name, f"port{len(self.named)}") for name in names)

    def made_facts(self) -> list[Fact]:
        found: list[Fact] = list(self.made.values())
        for name, port_name in self.named.items():
            for number, member in enumerate(self.members[name]):
                address, _, port = member.partition(",")
                protocol_name, _, number_text = port.partition(":")
                found.append(
                    facts.HostEndpoint(
                        name=f"{port_name}-{number}",
                        node="elsewhere",
                        interface_name="eth0",
                        expected_ips=(str(ip_network(address)[0]),),
                        ports=(facts.NamedPort(name=port_name, protocol=protocol_name.upper(), port=int(number_text)),),
                    )
                )
        return found


def intersection(some: list[Net], others: list[Net]) -> list[Net]:
    pairs = [(one, other) for one in some for other in others if one.version == other.version]
    smaller = [one if one.subnet_of(other) else other for one, other in pairs if one.overlaps(other)]
    return [net for version in (4, 6) for net in collapse_addresses(net for net in smaller if net.version == version)]


def flow_of(packet: dict, *, is_before_nat: bool = False) -> Connection:
    destination, port = packet["dst"], packet.get("dport")
    if is_before_nat and "pre_dnat_dst" in packet:
        destination, port = packet["pre_dnat_dst"], packet["pre_dnat_dport"]
    return connection(
        packet["src"],
        destination,
        packet["protocol"],
        source_port=packet.get("sport"),
        destination_port=port,
        icmp_type=packet.get("icmp_type"),
        icmp_code=packet.get("icmp_code"),
    )


def words(verdict: Verdict | None, without: str) -> str:
    """The verdict's word; `without` where the stage has nothing to say."""
    return without if verdict is None else {Decision.UNKNOWN: "unknown"}.get(verdict.decision, verdict.decision.value)


def protocol(written: str | int | None) -> str | int | None:
    if written is None or isinstance(written, int):
        return written
    return int(written) if written.isdigit() else PROTOCOL_NAMES[written.lower()]


def icmp(match: dict | int | None) -> facts.ICMPMatch | None:
    if match is None:
        return None
    return facts.ICMPMatch(type=match) if isinstance(match, int) else facts.ICMPMatch(**match)


def nets(rule: dict, name: str) -> tuple[str, ...]:
    one = rule.get(name)
    return tuple(rule.get(f"{name}s", ())) + ((one,) if isinstance(one, str) else tuple(one or ()))


def ports(ranges: list) -> tuple[int | str, ...]:
    return tuple(f"{first}:{last}" for first, last in ranges)
