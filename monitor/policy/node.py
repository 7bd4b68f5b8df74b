"""One packet's way through one node: which policy lists it meets, in which order, and what each of them says.

Trusts: who says where the packet comes from and goes to, as seen on this node; the engine for every list's answer.
Law 1: a packet meets each list at most once, and none behind the first that drops it. Law 2: failsafe ports open what
host policy shuts, except for forwarded packets. Law 3: what is never policed (policy_semantics.md 14) has no station.
Order (13.4, 13.6): untracked, preDNAT, then either to a process of the node (normal) or through it (forward ingress,
the local pod's egress, the local pod's ingress, forward egress). What untracked or preDNAT policy allows skips the
host's later ingress lists, never a pod's own.
Source: projectcalico/calico felix/rules/static.go, felix/rules/endpoints.go, felix/dataplane/linux/endpoint_mgr.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from msgspec import Struct, field

from models.facts import FelixConfiguration, ProtoPort
from models.verdicts import Connection, Decision, Direction, LogHit, Verdict
from monitor.policy import addresses, model
from monitor.policy.chains import Question
from monitor.policy.engine import Engine
from monitor.policy.verdict import Stage

PROCESS: Final = "process"
"""A process of the node itself, or a host-networked pod on it."""

OUTSIDE: Final = "outside"
"""Beyond the node's interfaces: another node, or outside of the cluster."""

WORKLOAD: Final = "workload"
ALL_INTERFACES: Final = "*"

INBOUND: Final = (
    *(ProtoPort(protocol="tcp", port=port) for port in (22, 179, 2379, 2380, 5473, 6443, 6666, 6667)),
    ProtoPort(protocol="udp", port=68),
)
OUTBOUND: Final = (
    *(ProtoPort(protocol="udp", port=port) for port in (53, 67)),
    *(ProtoPort(protocol="tcp", port=port) for port in (179, 2379, 2380, 5473, 6443, 6666, 6667)),
)
"""Felix's built-in failsafe ports (13.5)."""

_PROTOCOLS: Final = {"tcp": 6, "udp": 17, "sctp": 132}
_ICMPV6: Final = 58
_NEIGHBOURS: Final = frozenset({130, 131, 132, 133, 135, 136})
_IP_IN_IP: Final = 4
_UDP: Final = 17
_VXLAN_PORT: Final = 4789


class Way(Struct, frozen=True, kw_only=True):
    """A packet on a node. Ends are PROCESS, OUTSIDE or the id of a pod of this node."""

    node: str
    source: str
    destination: str
    connection: Connection  # after service translation
    before_translation: Connection | None = None  # as it arrived; the same where nothing was translated
    interface: str = ""  # through which it enters or leaves; empty = the only one
    interface_addresses: tuple[str, ...] = ()  # of that interface, where a host endpoint is found by address (13.1)


class Station(Struct, frozen=True, kw_only=True):
    """One policy list on the way. `verdict` None: nothing in it decided. A failsafe port overrides what it says."""

    stage: str  # workload, or a stage of host endpoints
    direction: Direction
    endpoint: str
    verdict: Verdict | None
    pending: Verdict | None = None
    logs: tuple[LogHit, ...] = ()  # none where a failsafe port kept the list from being asked
    is_failsafe: bool = False


class Passage(Struct, frozen=True, kw_only=True):
    """What became of a packet on a node. `because` says what decided where no station did."""

    decision: Decision
    stations: tuple[Station, ...] = ()
    because: Literal["", "neighbour discovery", "encapsulated packet from a pod", "defaultEndpointToHostAction"] = ""
    unknown_because: tuple[str, ...] = field(default=())


def host_endpoint(engine: Engine, way: Way) -> model.Endpoint | None:
    """13.1: named for the interface or found by its addresses, the first by name; else the one for all interfaces."""
    here = sorted((each for each in engine.endpoints.values() if each.is_host and each.node == way.node), key=_name)
    own = {addresses.address(each) for each in way.interface_addresses}
    for each in here:
        if each.interface == ALL_INTERFACES:
            continue
        if each.interface and each.interface == (way.interface or each.interface):
            return each
        if not each.interface and not own.isdisjoint(each.addresses):
            return each
    return next((each for each in here if each.interface == ALL_INTERFACES), None)


def passage(engine: Engine, way: Way, felix: FelixConfiguration | None = None) -> Passage:
    """The stations that a packet meets up to where it is dropped, and what became of it."""
    return _Passing(engine, way, felix or FelixConfiguration(name="default")).passage()


def _name(endpoint: model.Endpoint) -> str:
    return endpoint.name


class _Passing:
    """One packet under way."""

    def __init__(self, engine: Engine, way: Way, felix: FelixConfiguration) -> None:
        self._engine = engine
        self._way = way
        self._felix = felix
        self._host = host_endpoint(engine, way)
        self._is_accepted = False  # by untracked or preDNAT policy

    def passage(self) -> Passage:
        if self._way.source not in (PROCESS, OUTSIDE):
            exception = self._pod_exception()
            if exception is not None:
                return exception
        stations: list[Station] = []
        unknown: list[str] = []
        for station in self._stations():
            stations.append(station)
            if station.verdict is None or station.is_failsafe:
                continue
            if station.verdict.decision is Decision.DENY:
                return Passage(decision=Decision.DENY, stations=tuple(stations))
            unknown += station.verdict.unknown_because
        if self._is_dropped_at_host():
            return Passage(decision=Decision.DENY, stations=tuple(stations), because="defaultEndpointToHostAction")
        decision = Decision.UNKNOWN if unknown else Decision.ALLOW
        return Passage(decision=decision, stations=tuple(stations), unknown_because=tuple(unknown))

    def _stations(self) -> Iterator[Station]:
        source, destination = self._way.source, self._way.destination
        if source == OUTSIDE:
            yield from self._early()
        if destination == PROCESS:
            yield from self._to_process()
        elif source == PROCESS:
            yield from self._from_process()
        else:
            yield from self._through()

    def _early(self) -> Iterator[Station]:
        """Untracked policy is not there on a host endpoint for all interfaces."""
        if self._host is None:
            return
        before = self._way.before_translation or self._way.connection
        for stage in (Stage.UNTRACKED, Stage.PRE_DNAT):
            if self._is_accepted or (stage is Stage.UNTRACKED and self._host.interface == ALL_INTERFACES):
                continue
            station = self._list(self._host, stage, Direction.INGRESS, before)
            if station is not None:
                self._is_accepted = _allows(station)
                yield station

    def _to_process(self) -> Iterator[Station]:
        """A pod's packet meets its own policy, and then no host policy, whatever the action is (13.7, 18.6)."""
        if self._way.source != OUTSIDE:
            yield from self._pod(self._way.source, Direction.EGRESS)
        elif self._host is not None and not self._is_accepted:
            yield self._normal(self._host, Direction.INGRESS)

    def _from_process(self) -> Iterator[Station]:
        """To a pod of this node: never policed (14.2)."""
        if self._way.destination != OUTSIDE or self._host is None:
            return
        if self._host.interface != ALL_INTERFACES:
            station = self._list(self._host, Stage.UNTRACKED, Direction.EGRESS, self._way.connection)
            if station is not None:
                yield station
                if _allows(station):
                    return
        yield self._normal(self._host, Direction.EGRESS)

    def _through(self) -> Iterator[Station]:
        way = self._way
        if way.source == OUTSIDE and not self._is_accepted:
            yield from self._forward(Direction.INGRESS)
        if way.source != OUTSIDE:
            yield from self._pod(way.source, Direction.EGRESS)
        if way.destination == OUTSIDE:
            yield from self._forward(Direction.EGRESS)
        else:
            yield from self._pod(way.destination, Direction.INGRESS)

    def _pod(self, pod: str, direction: Direction) -> Iterator[Station]:
        yield self._judged(WORKLOAD, pod, direction, is_failsafe=False)

    def _normal(self, host: model.Endpoint, direction: Direction) -> Station:
        is_failsafe = self._is_failsafe(direction, self._way.connection)
        return self._judged(Stage.NORMAL, host.id, direction, is_failsafe=is_failsafe)

    def _judged(self, stage: str, endpoint: str, direction: Direction, *, is_failsafe: bool) -> Station:
        is_egress = direction is Direction.EGRESS
        judged = self._engine.judge(
            self._way.connection, source=endpoint if is_egress else None, destination=None if is_egress else endpoint
        )
        verdict = judged.egress if is_egress else judged.ingress
        return Station(
            stage=stage,
            direction=direction,
            endpoint=endpoint,
            verdict=verdict,
            pending=judged.egress_pending if is_egress else judged.ingress_pending,
            logs=() if verdict is None or is_failsafe else verdict.logs,
            is_failsafe=is_failsafe,
        )

    def _forward(self, direction: Direction) -> Iterator[Station]:
        if self._host is not None:
            station = self._list(self._host, Stage.FORWARD, direction, self._way.connection)
            if station is not None:
                yield station

    def _list(self, host: model.Endpoint, stage: Stage, direction: Direction, connection: Connection) -> Station | None:
        """A list that holds nothing is no station; one in which nothing decides may have logged."""
        chain = self._engine.chain(host.id, Question(direction, stage))
        if not chain.tiers:
            return None
        walked = chain.walked(self._engine.packet(connection))
        is_failsafe = stage is not Stage.FORWARD and self._is_failsafe(direction, connection, stage)
        return Station(
            stage=stage,
            direction=direction,
            endpoint=host.id,
            verdict=None if walked.is_undecided else walked.verdict,
            logs=() if is_failsafe else walked.verdict.logs,
            is_failsafe=is_failsafe,
        )

    def _is_failsafe(self, direction: Direction, connection: Connection, stage: Stage = Stage.NORMAL) -> bool:
        """13.5. Before conntrack the other direction's ports are open too, for answers, by their source port."""
        is_inbound = direction is Direction.INGRESS
        far = addresses.address(connection.source_address if is_inbound else connection.destination_address)
        inbound, outbound = self._felix.failsafe_inbound_host_ports, self._felix.failsafe_outbound_host_ports
        lists = (INBOUND if inbound is None else inbound, OUTBOUND if outbound is None else outbound)
        own, other = lists if is_inbound else reversed(lists)
        if _is_listed(own, connection.protocol, connection.destination_port, far):
            return True
        return stage is Stage.UNTRACKED and _is_listed(other, connection.protocol, connection.source_port, far)

    def _pod_exception(self) -> Passage | None:
        """14.3, 14.4: decided before the pod's policy."""
        connection = self._way.connection
        if self._way.destination == PROCESS and connection.protocol == _ICMPV6 and connection.icmp_type in _NEIGHBOURS:
            return Passage(decision=Decision.ALLOW, because="neighbour discovery")
        is_vxlan = connection.protocol == _UDP and connection.destination_port == _VXLAN_PORT
        if is_vxlan or connection.protocol == _IP_IN_IP:
            return Passage(decision=Decision.DENY, because="encapsulated packet from a pod")
        return None

    def _is_dropped_at_host(self) -> bool:
        """13.7: Drop is Felix's built-in default; manifests and operator set Accept."""
        if self._way.destination != PROCESS or self._way.source in (PROCESS, OUTSIDE):
            return False
        return (self._felix.default_endpoint_to_host_action or "Drop") == "Drop"


def _allows(station: Station) -> bool:
    """A failsafe port lets a packet by this list only."""
    verdict = station.verdict
    return verdict is not None and verdict.decision is Decision.ALLOW and not station.is_failsafe


def _is_listed(ports: Iterable[ProtoPort], protocol: int, port: int | None, far: int) -> bool:
    """Limited to the far side's net, where the entry names one."""
    return any(
        _PROTOCOLS.get(each.protocol.lower()) == protocol
        and each.port == port
        and (not each.net or _holds(each.net, far))
        for each in ports
    )


def _holds(net: str, address: int) -> bool:
    try:
        first, last = addresses.net(net)
    except ValueError:
        return False
    return first <= address <= last
