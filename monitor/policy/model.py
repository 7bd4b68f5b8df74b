"""The flattened model that Felix evaluates: endpoints, sets, policies, rules (policy_semantics.md section 1).

Everything here is compiled: selectors are trees with their scope folded in, nets are ranges of numbers, protocols are
numbers. `convert` makes it from facts; `matching` and `verdict` read it; `reach` computes sets from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from models.facts import Kind, NamedPort
from monitor.policy.addresses import Net
from monitor.policy.selectors import Node

ALLOW, DENY, PASS, LOG = "allow", "deny", "pass", "log"
PROFILE_TIER = "__PROFILE__"
PROFILE_KIND = "Profile"

PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPV6": 58, "SCTP": 132, "UDPLITE": 136}
"""Names of the API, upper-cased, to IANA numbers."""

PORT_PROTOCOLS = frozenset({6, 17, 132})
"""Protocols whose ports rules may match on."""


class Endpoint(Struct, frozen=True, kw_only=True, gc=False):
    """A workload (pod) or a host interface. `labels` hold what it inherits (section 2)."""

    id: str  # pod:<namespace>/<name> or host:<name>
    namespace: str = ""
    name: str
    labels: Mapping[str, str]
    addresses: tuple[int, ...] = ()
    named_ports: tuple[tuple[str, int, int], ...] = ()  # name, protocol, port
    profiles: tuple[str, ...] = ()
    node: str = ""
    interface: str = ""

    @property
    def kind(self) -> str:
        return "host" if self.is_host else "pod"

    @property
    def is_host(self) -> bool:
        return self.id.startswith("host:")


class Set(Struct, frozen=True, kw_only=True, gc=False):
    """A network set: a peer, never a subject."""

    id: str  # set:<namespace>/<name>
    namespace: str = ""
    name: str
    labels: Mapping[str, str]
    nets: tuple[Net, ...]
    has_domains: bool = False  # who is in it, DNS decides on the node


class Ports(Struct, frozen=True, gc=False, cache_hash=True):
    """A port list: numeric ranges (inclusive) and names."""

    ranges: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ranges or self.names)


class Side(Struct, frozen=True, kw_only=True, gc=False, cache_hash=True):
    """Source or destination of a rule. `negated` stands alone only where there is no `selector` (5.4)."""

    nets: tuple[Net, ...] = ()
    not_nets: tuple[Net, ...] = ()
    selector: Node | None = None
    negated: Node | None = None
    ports: Ports = Ports()
    not_ports: Ports = Ports()
    service: tuple[str, str] | None = None  # namespace, name
    is_by_domain: bool = False  # DNS names decide: cannot be known from here


class Rule(Struct, frozen=True, kw_only=True, gc=False):
    """One converted rule. `origin` = index of the API rule that it came from (9.6)."""

    action: str
    version: int | None = None
    never: frozenset[int] = frozenset()  # families that this rule cannot match at all (6.2)
    protocol: int | None = None
    not_protocol: int | None = None
    icmp: tuple[int, int | None] | None = None  # type, code
    not_icmp: tuple[int, int | None] | None = None
    source: Side = Side()
    destination: Side = Side()
    is_http: bool = False
    origin: int = 0
    name: str = ""


class Policy(Struct, frozen=True, kw_only=True, gc=False):
    """One policy of any kind. Orders are floats; absent = +infinity."""

    kind: Kind
    namespace: str = ""
    name: str
    tier: str
    order: float
    selector: Node
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    is_ingress: bool
    is_egress: bool
    is_staged: bool = False
    is_untracked: bool = False
    is_pre_dnat: bool = False
    is_forward: bool = False  # applyOnForward
    tie: str = ""  # breaks ties of order, by version (7.6)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.kind.value, self.namespace, self.name)


class Tier(Struct, frozen=True, kw_only=True, gc=False):
    name: str
    order: float
    is_pass: bool  # default action


Program = tuple[tuple[Tier, tuple[Policy, ...]], ...]
"""The policies that select an endpoint in one direction, tier by tier, in order."""


class Profile(Struct, frozen=True, kw_only=True, gc=False):
    name: str
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()


def protocol_number(written: int | str) -> int:
    """ValueError for a name that Calico does not know."""
    if isinstance(written, int):
        return written
    if written.upper() in PROTOCOLS:
        return PROTOCOLS[written.upper()]
    return int(written)


def named_ports(ports: tuple[NamedPort, ...]) -> tuple[tuple[str, int, int], ...]:
    return tuple([(port.name, protocol_number(port.protocol), port.port) for port in ports])
