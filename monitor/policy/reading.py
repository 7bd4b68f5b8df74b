"""What a row of rules can tell apart in a packet, without asking who is at its addresses.

Law: packets with the same header get the same answer from every check that these rules make of the header. What they
meet is worked out once for each, and there are few: ports or addresses that the same lists hold are one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

from monitor.policy import addresses, intervals, model
from monitor.policy.matching import Packet

Header = tuple[int | None, ...]
Ranges = tuple[tuple[int, int], ...]


class Line:
    """All ports or all addresses, cut at the `borders` of the lists of a row of rules.

    `kinds` has for each stretch, as bits, which of the lists hold it: one more than there are borders.
    """

    __slots__ = ("borders", "kinds")

    def __init__(self, lists: Iterable[Ranges]) -> None:
        turns: dict[int, int] = {}
        for place, ranges in enumerate(lists):
            for border in intervals.of(ranges):
                turns[border] = turns.get(border, 0) ^ 1 << place
        self.borders = sorted(turns)
        self.kinds = [0]
        for border in self.borders:
            self.kinds.append(self.kinds[-1] ^ turns[border])

    def kind(self, number: int) -> int:
        return self.kinds[bisect_right(self.borders, number)]


@lru_cache(maxsize=4096)
def _line(lists: frozenset[Ranges]) -> Line:
    """One object for all chains that ask alike: most ask for next to nothing."""
    return Line(lists)


class Reads:
    """See the module. A rule that names a port or a service reads the address and port of that end as they are."""

    __slots__ = (
        "_is_destination_exact",
        "_is_source_exact",
        "destination_nets",
        "destination_ports",
        "is_exact",
        "source_nets",
        "source_ports",
    )

    def __init__(self, rules: Iterable[model.Rule]) -> None:
        source, destination = _Lists(), _Lists()
        for rule in rules:
            source.add(rule.source)
            destination.add(rule.destination)
        self.source_nets, self.destination_nets = source.nets(), destination.nets()
        self.source_ports, self.destination_ports = source.ports(), destination.ports()
        self._is_source_exact, self._is_destination_exact = source.is_exact, destination.is_exact
        self.is_exact = source.is_exact or destination.is_exact

    def header(self, packet: Packet, number: int = 0) -> Header:
        """With a number in front, of whose rules they are. Asked for every verdict: no call for each line."""
        source_nets, destination_nets = self.source_nets, self.destination_nets
        source_ports, destination_ports = self.source_ports, self.destination_ports
        source_port, destination_port = packet.source_port, packet.destination_port
        header = (
            number,
            packet.protocol,
            packet.icmp_type,
            packet.icmp_code,
            source_nets.kinds[bisect_right(source_nets.borders, packet.source)],
            destination_nets.kinds[bisect_right(destination_nets.borders, packet.destination)],
            None if source_port is None else source_ports.kinds[bisect_right(source_ports.borders, source_port)],
            None
            if destination_port is None
            else destination_ports.kinds[bisect_right(destination_ports.borders, destination_port)],
        )
        return header + self._exactly(packet) if self.is_exact else header

    def _exactly(self, packet: Packet) -> Header:
        source = (packet.source, packet.source_port) if self._is_source_exact else ()
        destination = (packet.destination, packet.destination_port) if self._is_destination_exact else ()
        return (packet.generation, *source, *destination)


class _Lists:
    """What rules ask of one end of packets."""

    __slots__ = ("_nets", "_ports", "is_exact")

    def __init__(self) -> None:
        self._nets: set[Ranges] = {(addresses.ANY_V6,)}  # the families are always told apart
        self._ports: set[Ranges] = set()
        self.is_exact = False

    def add(self, side: model.Side) -> None:
        if side.nets:
            self._nets.add(side.nets)
        if side.not_nets:
            self._nets.add(side.not_nets)
        if side.ports.ranges:
            self._ports.add(side.ports.ranges)
        if side.not_ports.ranges:
            self._ports.add(side.not_ports.ranges)
        if side.ports.names or side.not_ports.names or side.service is not None:
            self.is_exact = True

    def nets(self) -> Line:
        return _line(frozenset(self._nets))

    def ports(self) -> Line:
        return _line(frozenset(self._ports))
