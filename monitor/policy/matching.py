"""Does a rule match a packet: yes, no, or "that depends on …".

A rule becomes a row of checks, one for each clause that it has, cheap ones first; all must hold (6.1). Where an input
is missing a check answers with the missing input's name, and the walk (verdict.py) takes both ways.
Matching is by address (5.6): an address matches a selector if one of its owners does.
Source: policy_semantics.md sections 5 and 6 (projectcalico/calico felix/rules/policy.go, felix/calc/rule_scanner.go).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, Protocol

from msgspec import Struct

from monitor.policy import model
from monitor.policy.addresses import Net
from monitor.policy.selection import LabelClass
from monitor.policy.selectors import Node

Answer = bool | str
"""True, False, or what it depends on."""

SOURCE_PORT: Final = "the source port is not known"
DESTINATION_PORT: Final = "the destination port is not known"
ICMP_TYPE: Final = "the ICMP type is not known"
ICMP_CODE: Final = "the ICMP code is not known"
HTTP: Final = "a rule matches on the HTTP request, which cannot be known from here"
DOMAINS: Final = "a rule matches on domain names, which DNS decides on the node"
NOT_ICMP: Final = "notICMP with type and code means one thing on iptables and eBPF and another on nftables"

_ICMP_OF_VERSION: Final = {4: 1, 6: 58}


class Owners(Struct, gc=False):
    """Who owns or covers an address, as far as selectors can tell. `key` is equal for equal answers.

    `held` and `seen` belong to `Peers`, as those of a class do.
    """

    key: tuple[int, ...] = ()
    classes: tuple[LabelClass, ...] = ()
    held: int = 0
    seen: int = -1


class Packet(Struct, frozen=True, gc=False):
    """The first packet of a connection. `…_held`: the peers that hold for the owners of an address, as bits."""

    source: int
    destination: int
    version: int
    protocol: int
    source_port: int | None
    destination_port: int | None
    icmp_type: int | None
    icmp_code: int | None
    source_held: int
    destination_held: int
    generation: int  # of what is looked up by exact address


class Peer:
    """A selector as a peer. `bit` stands for it in what holds for a class; `users` are the policies that ask it."""

    __slots__ = ("bit", "node", "number", "users")

    def __init__(self, number: int, node: Node) -> None:
        self.number = number
        self.bit = 1 << number
        self.node = node
        self.users: set[Hashed] = set()


Hashed = tuple[str, str, str]
"""The key of a policy: kind, namespace, name."""


class Surroundings(Protocol):
    """What rules look up beside the packet."""

    def peer(self, node: Node) -> Peer: ...

    def holding(self, asked: LabelClass) -> int:
        """The peers that hold for a class, as bits."""

    def named_at(self, address: int) -> Iterable[tuple[LabelClass, tuple[tuple[str, int, int], ...]]]:
        """Endpoints at an address: their class and named ports."""

    def backends(self, service: tuple[str, str]) -> Backends: ...

    def domain_classes(self) -> Iterable[LabelClass]:
        """Network sets that hold domain names."""

    def is_nftables(self) -> bool | None:
        """None where the configuration leaves it open."""


class Backends(Struct, frozen=True):
    """Where a service leads: backend addresses, and (address, protocol, port)."""

    addresses: frozenset[int] = frozenset()
    targets: frozenset[tuple[int, int, int]] = frozenset()


Check = Callable[[Packet], Answer]


class CompiledRule:
    """A rule as two rows of checks, with whom it asks (for changes).

    Packets with the same header (reading.py) get the same answer from the first row; the second asks who is at the
    packet's addresses.
    """

    __slots__ = ("by_header", "by_owner", "of_destination", "of_source", "rule", "service")

    def __init__(self, rule: model.Rule, surroundings: Surroundings, *, is_egress: bool) -> None:
        self.rule = rule
        sides = (
            _Side(rule.source, surroundings, is_source=True),
            _Side(rule.destination, surroundings, is_source=False),
        )
        self.of_source, self.of_destination = (side.peers for side in sides)
        self.service = rule.source.service or rule.destination.service
        self.by_header = tuple(_by_header(rule, sides, surroundings))
        self.by_owner = tuple(_by_owner(rule, sides, is_egress=is_egress))

    @property
    def peers(self) -> tuple[Peer, ...]:
        return self.of_source + self.of_destination


def all_hold(checks: tuple[Check, ...], packet: Packet, so_far: Answer) -> Answer:
    """False if any does not; else the first reason why it cannot be known, if there is one."""
    for check in checks:
        found = check(packet)
        if found is True:
            continue
        if found is False:
            return False
        if so_far is True:
            so_far = found
    return so_far


def _by_header(rule: model.Rule, sides: tuple[_Side, _Side], surroundings: Surroundings) -> Iterator[Check]:
    """Cheap ones first."""
    yield from _family(rule)
    yield from _protocol(rule)
    for side in sides:
        yield from side.ports()
    if rule.icmp is not None:
        yield _is_icmp(*rule.icmp)
    if rule.not_icmp is not None:
        yield _is_not_icmp(*rule.not_icmp, surroundings)
    for side in sides:
        yield from side.nets()


def _by_owner(rule: model.Rule, sides: tuple[_Side, _Side], *, is_egress: bool) -> Iterator[Check]:
    for side in sides:
        yield from side.selectors(is_by_name=is_egress and not side.is_source)
        yield from side.services()
    if rule.is_http:
        yield lambda _: HTTP


# --- the packet's own fields -------------------------------------------------------------------------------------


def _family(rule: model.Rule) -> Iterator[Check]:
    """6.2: a rule is filtered for the family first."""
    versions = {4, 6} - rule.never
    if rule.version is not None:
        versions &= {rule.version}
    if not versions:
        yield lambda _: False
    elif len(versions) == 1:
        wanted = versions.pop()
        yield lambda packet: packet.version == wanted


def _protocol(rule: model.Rule) -> Iterator[Check]:
    if rule.protocol is not None:
        yield _is_protocol(rule.protocol)
    if rule.not_protocol is not None:
        yield _is_not_protocol(rule.not_protocol)


# Checks that ask for nothing but numbers are the same object for all rules: there are few.


@lru_cache(maxsize=256)
def _is_protocol(wanted: int) -> Check:
    return lambda packet: packet.protocol == wanted


@lru_cache(maxsize=256)
def _is_not_protocol(unwanted: int) -> Check:
    return lambda packet: packet.protocol != unwanted


def _is_icmp(wanted_type: int, wanted_code: int | None) -> Check:
    """6.5: ICMP on IPv4, ICMPv6 on IPv6."""

    def check(packet: Packet) -> Answer:
        if packet.protocol != _ICMP_OF_VERSION[packet.version]:
            return False
        if packet.icmp_type is None:
            return ICMP_TYPE
        if packet.icmp_type != wanted_type:
            return False
        if wanted_code is None:
            return True
        return ICMP_CODE if packet.icmp_code is None else packet.icmp_code == wanted_code

    return check


def _is_not_icmp(unwanted_type: int, unwanted_code: int | None, surroundings: Surroundings) -> Check:
    def check(packet: Packet) -> Answer:
        if packet.protocol != _ICMP_OF_VERSION[packet.version]:
            return True
        if packet.icmp_type is None:
            return ICMP_TYPE
        if unwanted_code is None:
            return packet.icmp_type != unwanted_type
        if packet.icmp_code is None:
            return ICMP_CODE
        return _differs((packet.icmp_type, packet.icmp_code), (unwanted_type, unwanted_code), surroundings)

    return check


def _differs(found: tuple[int, int], unwanted: tuple[int, int], surroundings: Surroundings) -> Answer:
    """Of the pair: iptables and eBPF negate the pair; nftables asks that both differ."""
    same = (found[0] == unwanted[0]) + (found[1] == unwanted[1])
    if same != 1:
        return same == 0
    is_nftables = surroundings.is_nftables()
    return NOT_ICMP if is_nftables is None else not is_nftables


# --- source and destination --------------------------------------------------------------------------------------


class _Side:
    """The checks of one entity rule. Source and destination differ only in which fields of the packet they read."""

    def __init__(self, side: model.Side, surroundings: Surroundings, *, is_source: bool) -> None:
        self._side = side
        self._surroundings = surroundings
        self.is_source = is_source
        self.selector = None if side.selector is None else surroundings.peer(side.selector)
        self.negated = None if side.negated is None else surroundings.peer(side.negated)

    @property
    def peers(self) -> tuple[Peer, ...]:
        return tuple(peer for peer in (self.selector, self.negated) if peer is not None)

    def nets(self) -> Iterator[Check]:
        if self._side.nets:
            yield _within(self._side.nets, is_source=self.is_source)
        if self._side.not_nets:
            yield _outside(self._side.not_nets, is_source=self.is_source)

    def ports(self) -> Iterator[Check]:
        """6.4: a packet without ports matches no positive list and no negated one."""
        if self._side.ports:
            yield self._port_check(self._side.ports, is_wanted=True)
        if self._side.not_ports:
            yield self._port_check(self._side.not_ports, is_wanted=False)

    def _port_check(self, ports: model.Ports, *, is_wanted: bool) -> Check:
        numbered = _has_port(ports.ranges, is_source=self.is_source, is_wanted=is_wanted)
        if not ports.names:
            return numbered
        is_source, names = self.is_source, frozenset(ports.names)

        def check(packet: Packet) -> Answer:
            found = numbered(packet)
            if found is is_wanted or packet.protocol not in model.PORT_PROTOCOLS:
                return found
            port = packet.source_port if is_source else packet.destination_port
            if port is not None:
                return is_wanted if port in self._named(packet, names) else found
            is_named = next(self._named(packet, names), None) is not None
            return found if is_named or ports.ranges else not is_wanted

        return check

    def _named(self, packet: Packet, names: frozenset[str]) -> Iterator[int]:
        """What endpoints at the address call by one of these names, as far as the positive selector holds for them."""
        address = packet.source if self.is_source else packet.destination
        for owner, named in self._surroundings.named_at(address):
            if self.selector is None or self._surroundings.holding(owner) & self.selector.bit:
                yield from (number for name, protocol, number in named if protocol == packet.protocol and name in names)

    def selectors(self, *, is_by_name: bool) -> Iterator[Check]:
        """`is_by_name`: sets with domain names count here too, and who is in them is not known."""
        if self.selector is not None:
            yield self._peer_check(self.selector, is_by_name=is_by_name, is_wanted=True)
        if self.negated is not None:
            yield self._peer_check(self.negated, is_by_name=is_by_name, is_wanted=False)
        if self._side.is_by_domain:
            yield lambda _: DOMAINS

    def _peer_check(self, peer: Peer, *, is_by_name: bool, is_wanted: bool) -> Check:
        is_source, surroundings, bit = self.is_source, self._surroundings, peer.bit

        def check(packet: Packet) -> Answer:
            if (packet.source_held if is_source else packet.destination_held) & bit:
                return is_wanted
            if is_by_name and any(surroundings.holding(each) & bit for each in surroundings.domain_classes()):
                return DOMAINS
            return not is_wanted

        return check

    def services(self) -> Iterator[Check]:
        if self._side.service is None:
            return
        service, surroundings = self._side.service, self._surroundings
        if self.is_source:
            yield lambda packet: packet.source in surroundings.backends(service).addresses
        else:
            yield lambda packet: _is_target(packet, surroundings.backends(service))


@lru_cache(maxsize=4096)
def _has_port(ranges: tuple[tuple[int, int], ...], *, is_source: bool, is_wanted: bool) -> Check:
    missing = SOURCE_PORT if is_source else DESTINATION_PORT
    low, high = _merged(ranges)

    def check(packet: Packet) -> Answer:
        if packet.protocol not in model.PORT_PROTOCOLS:
            return not is_wanted
        port = packet.source_port if is_source else packet.destination_port
        if port is None:
            return missing
        at = bisect_right(low, port) - 1
        return is_wanted if at >= 0 and port <= high[at] else not is_wanted

    return check


def _is_target(packet: Packet, backends: Backends) -> Answer:
    """5.7: the backend's address, protocol and target port, as policy sees packets after service translation."""
    if packet.destination_port is not None:
        return (packet.destination, packet.protocol, packet.destination_port) in backends.targets
    if packet.protocol not in model.PORT_PROTOCOLS:
        return False
    could = any(at == packet.destination and number == packet.protocol for at, number, _ in backends.targets)
    return DESTINATION_PORT if could else False


def _within(nets: tuple[Net, ...], *, is_source: bool) -> Check:
    low, high = _merged(nets)

    def check(packet: Packet) -> Answer:
        address = packet.source if is_source else packet.destination
        at = bisect_right(low, address) - 1
        return at >= 0 and address <= high[at]

    return check


def _outside(nets: tuple[Net, ...], *, is_source: bool) -> Check:
    within = _within(nets, is_source=is_source)
    return lambda packet: not within(packet)


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Ascending, not touching: firsts and lasts."""
    low: list[int] = []
    high: list[int] = []
    for first, last in sorted(ranges):
        if high and first <= high[-1] + 1:
            high[-1] = max(high[-1], last)
        else:
            low.append(first)
            high.append(last)
    return low, high
