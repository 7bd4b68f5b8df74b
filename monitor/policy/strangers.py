"""Peers that nothing names: what a policy does to them shows what it does by default.

A stranger's address is no endpoint's, in no network set and in no net of a rule; its ports are none that a rule or the
endpoint names. Where sets and nets cover everything it lies in as few as can be: of the ranges that their borders cut
the public addresses into, the widest is taken, since a net around that means everybody, or nearly so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from models.verdicts import Decision, Direction, Verdict
from monitor.policy import addresses, bits, model
from monitor.policy.addresses import Net
from monitor.policy.matching import Packet
from monitor.policy.reading import Line
from monitor.policy.verdict import Chain, ProfileSteps, TierSteps
from monitor.policy.world import World

_TCP: Final = 6
_PUBLIC: Final = {
    4: ("1.0.0.0/8", "11.0.0.0/8", "20.0.0.0/6", "128.0.0.0/3", "208.0.0.0/4"),
    6: ("2000::/3",),
}
"""Parts of the unicast space without private and special blocks."""

_SOME_ADDRESS: Final = addresses.address("192.0.2.1")  # for documentation, so nobody's
_ENOUGH: Final = 256
NamedPorts = tuple[tuple[str, int, int], ...]
Alike = tuple[Chain, Direction, NamedPorts, tuple[tuple[int, int], ...]]

_MOST_OPEN_FIRST: Final = (Decision.ALLOW, Decision.UNKNOWN, Decision.DENY)


class Strangers:
    """Strangers to one world; what they must avoid is gathered again when an endpoint or set has moved.

    The same stranger does for all endpoints that meet the same chain, or chains with the same nets and ports.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._moves = -1
        self._gaps: dict[int, list[Net]] = {}
        self._near: dict[Chain, int] = {}  # the peers that a chain asks the endpoint itself for, as bits
        self._known: dict[tuple[Line, int], int] = {}
        self._ports: dict[tuple[Line, NamedPorts], int] = {}

    def forget(self) -> None:
        """The chains are others now, or what they must avoid is."""
        self._near.clear()
        self._known.clear()
        self._ports.clear()

    def alike(self, endpoint: model.Endpoint, chain: Chain, direction: Direction) -> Alike | None:
        """Equal for endpoints that this chain cannot tell apart before a stranger. None: it looks at addresses."""
        reads = chain.reads
        if reads.is_exact:
            return None
        nets = reads.source_nets if direction is Direction.EGRESS else reads.destination_nets
        places = tuple([(nets.kind(at), self._near_held(chain, direction, at)) for at in endpoint.addresses])
        return (chain, direction, endpoint.named_ports, places)

    def _near_held(self, chain: Chain, direction: Direction, address: int) -> int:
        """Of the peers that the chain asks an endpoint of its own for, those that hold for the address; mostly none."""
        near = self._near.get(chain)
        if near is None:
            near = self._near[chain] = _near_peers(chain, direction)
        return near and near & self._world.held(address)

    def packets(self, endpoint: model.Endpoint, chain: Chain, direction: Direction) -> Iterator[Packet]:
        """One for each address of the endpoint. A host endpoint may have none: then any will do."""
        is_egress = direction is Direction.EGRESS
        source_port = self._middle_port(chain.reads.source_ports, endpoint.named_ports)
        destination_port = self._middle_port(chain.reads.destination_ports, endpoint.named_ports)
        for address in endpoint.addresses or (_SOME_ADDRESS,):
            nets = chain.reads.destination_nets if is_egress else chain.reads.source_nets
            far = self._address(nets, addresses.version(address))
            ends = (address, far) if is_egress else (far, address)
            near_held, far_held = self._near_held(chain, direction, address), self._world.held(far)
            held = (near_held, far_held) if is_egress else (far_held, near_held)
            told = (addresses.version(far), _TCP, source_port, destination_port, None, None, *held)
            yield Packet(*ends, *told, self._world.generation)

    def _middle_port(self, read: Line, named: NamedPorts) -> int:
        found = self._ports.get((read, named))
        if found is None:
            found = self._ports[read, named] = _middle_port(read.borders, named)
        return found

    def _address(self, nets: Line, version: int) -> int:
        if self._moves != self._world.moves:
            self._moves = self._world.moves
            self._gaps = {each: self._widest(each) for each in _PUBLIC}
        found = self._known.get((nets, version))
        if found is None:
            parts = (part for gap in self._gaps[version] for part in _cut(gap, nets.borders))
            found = self._known[nets, version] = _middle(max(parts, key=_width))
        return found

    def _widest(self, version: int) -> list[Net]:
        """The widest ranges between the borders of all sets and endpoints."""
        subjects = self._world.subjects
        borders = {
            border for each in subjects.sets.values() for first, last in each.nets for border in (first, last + 1)
        }
        borders |= {border for each in subjects.endpoints.values() for at in each.addresses for border in (at, at + 1)}
        cut = sorted(borders)
        gaps = [part for block in _PUBLIC[version] for part in _cut(addresses.net(block), cut)]
        return sorted(gaps, key=_width, reverse=True)[:_ENOUGH]


def most_open(verdicts: Iterable[Verdict]) -> Verdict:
    """Default-deny holds only where it holds for every address."""
    return min(verdicts, key=lambda verdict: _MOST_OPEN_FIRST.index(verdict.decision))


def _near_peers(chain: Chain, direction: Direction) -> int:
    parts: list[TierSteps | ProfileSteps] = [*chain.tiers, *chain.profiles]
    rules = [step.compiled for each in parts for step in each.steps]
    asked = [rule.of_source if direction is Direction.EGRESS else rule.of_destination for rule in rules]
    return bits.of(peer.number for peers in asked for peer in peers)


def _cut(whole: Net, borders: list[int]) -> Iterator[Net]:
    first, last = whole
    inside = [border for border in borders if first < border <= last]
    for start, stop in pairwise((first, *inside, last + 1)):
        yield start, stop - 1


def _width(found: Net) -> int:
    return found[1] - found[0]


def _middle(found: Net) -> int:
    return (found[0] + found[1]) // 2


def _middle_port(borders: list[int], named: Iterable[tuple[str, int, int]]) -> int:
    ports = {border for _, _, port in named for border in (port, port + 1)}
    return _middle(max(_cut((1, 65_535), sorted(ports.union(borders))), key=_width))
