"""Classes: addresses that no rule can tell apart, one bit each.

An address is told by the objects that own or cover it (endpoints, network sets), by their labels as far as a selector
looks at them, by the named ports and services that a rule mentions and by the nets that it lies in. An endpoint is in
one class per address; addresses of no endpoint are classes too, one for each zone (ranges cut at the same nets).
Matching is by address (policy_semantics.md 5.6): an address has every label that one of its objects has, but a
selector must hold for one object alone, hence `bags`: label sets, the rows that selectors are evaluated on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from monitor.policy import addresses, selectors
from monitor.policy import bits as sets
from monitor.policy.addresses import Net
from monitor.policy.model import Endpoint, Policy, Profile, Rule, Set, Side, Tier
from monitor.policy.selection import LabelClass

Backend = tuple[int, int, int | None]
"""Address, protocol, port of one service backend."""
Bag = frozenset[tuple[str, str | None]]
NamedPorts = tuple[tuple[str, int, int], ...]
OTHER = None
"""Stands for every value of a label that no selector mentions."""


class Snapshot(NamedTuple):
    """All that decides who reaches whom. `tiers`: in order, each with its policies in order, as they are when asked."""

    endpoints: dict[str, Endpoint]
    sets: Sequence[Set]
    tiers: Callable[[], Sequence[tuple[Tier, Sequence[Policy]]]]
    profiles: Mapping[str, Profile]
    backends: Callable[[tuple[str, str]], Iterable[Backend]]
    by_name: Sequence[Mapping[str, str]] = ()  # labels of network sets that hold domain names
    is_nftables: bool | None = None  # None: the configuration leaves it open
    is_pass_deny: bool = False  # Pass in a profile: deny on eBPF, the next profile elsewhere

    def policies(self) -> Iterator[Policy]:
        for _, policies in self.tiers():
            yield from policies

    def rules(self) -> Iterator[Rule]:
        for policy in self.policies():
            yield from (*policy.ingress, *policy.egress)
        for profile in self.profiles.values():
            yield from (*profile.ingress, *profile.egress)


class Vocabulary(NamedTuple):
    """What rules can tell apart. `values`: of each label key the values that matter; None = all of them."""

    values: dict[str, set[str] | None]
    port_names: set[str]
    services: set[tuple[str, str]]
    nets: set[Net]


def vocabulary(snapshot: Snapshot) -> Vocabulary:
    words = Vocabulary({}, set(), set(), set())
    sides = {id(side): side for rule in snapshot.rules() for side in (rule.source, rule.destination)}.values()
    for side in sides:
        _learn_side(words, side)
    for one in snapshot.sets:
        words.nets.update(one.nets)
    asked = {policy.selector for policy in snapshot.policies()}
    asked.update(selector for side in sides for selector in (side.selector, side.negated) if selector is not None)
    for leaf in {leaf for selector in asked for leaf in selector.leaves()}:
        _learn_leaf(words, leaf)
    return words


def _learn_side(words: Vocabulary, side: Side) -> None:
    words.nets.update(side.nets)
    words.nets.update(side.not_nets)
    words.port_names.update(side.ports.names)
    words.port_names.update(side.not_ports.names)
    if side.service is not None:
        words.services.add(side.service)


def _learn_leaf(words: Vocabulary, leaf: selectors.Node) -> None:
    if not isinstance(leaf, selectors.KeyTest):
        return
    known = words.values.setdefault(leaf.key, set())
    if known is None:
        return
    match leaf:
        case selectors.Equals() | selectors.NotEquals():
            known.add(leaf.value)
        case selectors.In() | selectors.NotIn():
            known.update(leaf.values)
        case selectors.Has():
            pass
        case _:
            words.values[leaf.key] = None


def bag_of(words: Vocabulary, labels: Mapping[str, str]) -> Bag:
    """The labels as far as selectors can tell them apart."""
    values = words.values
    return frozenset(
        [
            (key, value if (known := values[key]) is None or value in known else OTHER)
            for key, value in labels.items()
            if key in values
        ]
    )


class Owner(NamedTuple):
    """What an endpoint is to the policies: as their subject, and as the owner of an address."""

    bag: int
    ports: NamedPorts
    profiles: tuple[str, ...]
    is_host: bool


Served = frozenset[tuple[tuple[str, str], int, int | None]]
"""Services whose backend an address is: service, protocol, port."""
_NO_SERVICES: Served = frozenset()


class Zone(NamedTuple):
    """Addresses that lie in the same nets and sets, and are backends of the same services."""

    version: int
    nets: frozenset[Net]
    services: Served


class AddressClass(NamedTuple):
    """`owners`: of the address, first the one that this class is about; none = outside. `bags`: of owners and sets."""

    owners: tuple[Owner, ...]
    zone: int
    services: Served
    bags: frozenset[int]


class Index:
    """Classes by what a rule may ask for. The number of a class is its bit."""

    def __init__(self) -> None:
        self.bags: dict[Bag, int] = {}
        self.by_name_bags = 0  # those of network sets that hold domain names
        self.zones: list[Zone] = []
        self.list: list[AddressClass] = []
        self.all_bits = self.inside_bits = self.with_bag_bits = self.with_bags_bits = 0
        self.bits_of_version = {4: 0, 6: 0}
        self.bits_of_net: dict[Net, int] = defaultdict(int)
        self.places_of_bag: dict[int, list[int]] = defaultdict(list)  # nearly always few: as bits they would be large
        self.bits_of_service: dict[tuple[str, str], int] = defaultdict(int)

    def _index(self, first: int) -> None:
        """From this class on."""
        bits_of_zone: dict[int, int] = defaultdict(int)
        for number in range(first, len(self.list)):
            bits_of_zone[self.list[number].zone] |= 1 << number
            self._index_class(number, self.list[number])
        for zone, bits in bits_of_zone.items():
            self._index_zone(bits, self.zones[zone])

    def _index_class(self, number: int, one: AddressClass) -> None:
        bit = 1 << number
        self.all_bits |= bit
        for bag in one.bags:
            self.places_of_bag[bag].append(number)
        for service, _, _ in one.services:
            self.bits_of_service[service] |= bit
        if one.owners:
            self.inside_bits |= bit
        if one.bags:
            self.with_bag_bits |= bit
        if len(one.bags) > 1:
            self.with_bags_bits |= bit

    def _index_zone(self, bits: int, zone: Zone) -> None:
        self.bits_of_version[zone.version] |= bits
        for net in zone.nets:
            self.bits_of_net[net] |= bits


class Classes(Index):
    """All classes of one snapshot. An endpoint has one for each of its addresses."""

    def __init__(self, snapshot: Snapshot, words: Vocabulary) -> None:
        super().__init__()
        self.words = words
        self.of_endpoint: dict[str, tuple[int, ...]] = {}
        self._at: dict[tuple[str, int], int] = {}  # of endpoints with several addresses
        self._numbers: dict[AddressClass, int] = {}
        self._services = _by_address(snapshot.backends, words)
        self.ranges: list[list[Net]] = []
        self._starts: list[int] = []
        self._zone_at: list[int] = []
        self._cut_zones(_lone_backends(snapshot, self._services) | words.nets)
        self._set_bags = self._bags_of_zones(snapshot.sets)
        self._place(snapshot)
        self.by_name_bags = sets.of({self._bag(labels) for labels in snapshot.by_name})
        self._index(0)
        self._size = len(self.list)

    def _cut_zones(self, nets: set[Net]) -> None:
        """Sweeps over the edges of all nets; stretches in the same nets are one zone."""
        number: dict[Zone, int] = {}
        for first, last, covering in _stretches(nets):
            served = self._services.get(first, frozenset()) if first == last else frozenset()
            zone = Zone(addresses.version(first), covering, served)
            at = number.setdefault(zone, len(number))
            if at == len(self.zones):
                self.zones.append(zone)
                self.ranges.append([])
            self.ranges[at].append((first, last))
            self._starts.append(first)
            self._zone_at.append(at)

    def place_at(self, endpoint: str, address: int) -> int:
        """The class of an endpoint at one of its addresses."""
        places = self.of_endpoint[endpoint]
        return places[0] if len(places) == 1 else self._at[endpoint, address]

    def zone_of(self, address: int) -> int:
        return self._zone_at[bisect_right(self._starts, address) - 1]

    def _bags_of_zones(self, sets: Iterable[Set]) -> list[frozenset[int]]:
        """The label bags of the network sets that cover each zone."""
        bags_of_net: dict[Net, set[int]] = defaultdict(set)
        for one in sets:
            bag = self._bag(one.labels)
            for net in one.nets:
                bags_of_net[net].add(bag)
        return [
            frozenset(bag for net in zone.nets if net in bags_of_net for bag in bags_of_net[net]) for zone in self.zones
        ]

    def _bag(self, labels: Mapping[str, str]) -> int:
        return self.bags.setdefault(bag_of(self.words, labels), len(self.bags))

    def _place(self, snapshot: Snapshot) -> None:
        owners: dict[str, Owner] = {}
        owned: dict[int, list[str]] = defaultdict(list)
        bags: dict[int, int] = {}  # by dictionary: pods of one template share it
        for name, endpoint in snapshot.endpoints.items():
            bag = bags.get(id(endpoint.labels))
            if bag is None:
                bag = bags[id(endpoint.labels)] = self._bag(endpoint.labels)
            owners[name] = self._owner(endpoint, bag)
            for address in endpoint.addresses:
                owned[address].append(name)
        for name, endpoint in snapshot.endpoints.items():
            places = [self._class_of(name, address, owners, owned[address]) for address in endpoint.addresses]
            self._settle(name, endpoint, places)
        for number, one in enumerate(self.zones):
            self._number(AddressClass((), number, one.services, self._set_bags[number]))

    def _owner(self, endpoint: Endpoint, bag: int) -> Owner:
        names = self.words.port_names
        ports = tuple(sorted(port for port in endpoint.named_ports if port[0] in names)) if names else ()
        return Owner(bag, ports, endpoint.profiles, endpoint.is_host)

    def _class_of(self, name: str, address: int, owners: Mapping[str, Owner], sharing: Sequence[str]) -> int:
        own = owners[name]
        others = sorted(owners[other] for other in sharing if other != name) if len(sharing) > 1 else ()
        zone = self.zone_of(address)
        bags = self._set_bags[zone] | ({own.bag, *(other.bag for other in others)} if others else {own.bag})
        return self._number(AddressClass((own, *others), zone, self._services.get(address, _NO_SERVICES), bags))

    def _number(self, one: AddressClass) -> int:
        number = self._numbers.setdefault(one, len(self._numbers))
        if number == len(self.list):
            self.list.append(one)
        return number

    @property
    def outside(self) -> Iterator[int]:
        """Classes of addresses that no endpoint owns, in the order of their first address."""
        return (number for number, one in enumerate(self.list) if not one.owners)

    def only(self, places: Sequence[int]) -> Index:
        """These classes alone, numbered in this order. Bags keep their numbers."""
        few = Index()
        few.list = [self.list[place] for place in places]
        few.zones, few.by_name_bags = self.zones, self.by_name_bags
        all_bags = tuple(self.bags)
        kept = {bag for one in few.list for bag in one.bags}.union(sets.ones(self.by_name_bags))
        few.bags = {all_bags[bag]: bag for bag in sorted(kept)}
        few._index(0)  # noqa: SLF001 - its own kind
        return few

    # --- following changes ---------------------------------------------------------------------------------------

    def has_same_backends(self, backends: Callable[[tuple[str, str]], Iterable[Backend]]) -> bool:
        return _by_address(backends, self.words) == self._services

    def learn(self, words: Vocabulary, there: Iterable[LabelClass]) -> bool:
        """Takes in words that tell nobody apart. False, with nothing learnt, if they do. `there`: all labels."""
        known = self.words
        if not (words.nets <= known.nets and words.port_names <= known.port_names and words.services <= known.services):
            return False
        for key, values in words.values.items():
            labels = (each.labels for each in there)
            if key not in known.values:
                if any(key in each for each in labels):
                    return False
            elif _tells_apart(values, known.values[key], (each[key] for each in labels if key in each)):
                return False
        for key, values in words.values.items():
            before = known.values.setdefault(key, set())
            known.values[key] = None if values is None or before is None else before | values
        return True

    def move(self, name: str, old: Endpoint | None, new: Endpoint | None) -> list[int] | None:
        """Puts an endpoint where it belongs now. The classes that new ones were split from; None: it cannot be done."""
        here = {*(old.addresses if old else ()), *(new.addresses if new else ())}
        if any(len(self.list[place].owners) != 1 for place in self.of_endpoint.get(name, ())):
            return None
        if not here.isdisjoint(self._services):
            return None
        before = {address: self.place_at(name, address) for address in old.addresses} if old else {}
        self.of_endpoint.pop(name, None)
        splits = []
        places = []
        if new is None:
            return []
        for address in new.addresses:
            place = self._number(self._class_alone(new, address))
            if place >= self._size:
                splits.append(before.get(address, self._outside_at(address)))
                self._index(place)
                self._size = place + 1
            places.append(place)
        self._settle(name, new, places)
        return splits

    def _outside_at(self, address: int) -> int:
        zone = self.zone_of(address)
        return self._numbers[AddressClass((), zone, self.zones[zone].services, self._set_bags[zone])]

    def _class_alone(self, endpoint: Endpoint, address: int) -> AddressClass:
        own, zone = self._owner(endpoint, self._bag(endpoint.labels)), self.zone_of(address)
        return AddressClass((own,), zone, frozenset(), self._set_bags[zone] | {own.bag})

    def _settle(self, name: str, endpoint: Endpoint, places: Sequence[int]) -> None:
        self.of_endpoint[name] = tuple(dict.fromkeys(places))
        if len(places) > 1:
            self._at.update(((name, a), place) for a, place in zip(endpoint.addresses, places, strict=True))


def _tells_apart(new: set[str] | None, known: set[str] | None, found: Iterable[str]) -> bool:
    """Whether a label value that is really there was OTHER so far and is not any more."""
    if known is None or (new is not None and new <= known):
        return False
    return any(value not in known and (new is None or value in new) for value in found)


def _stretches(nets: set[Net]) -> Iterator[tuple[int, int, frozenset[Net]]]:
    """(first, last, nets that cover it), ascending, both families from end to end."""
    opening: dict[int, list[Net]] = defaultdict(list)
    closing: dict[int, list[Net]] = defaultdict(list)
    for net in nets:
        opening[net[0]].append(net)
        closing[net[1] + 1].append(net)
    for first, last in (addresses.ANY_V4, addresses.ANY_V6):
        edges = sorted({first, *(edge for edge in (*opening, *closing) if first < edge <= last)})
        covering: set[Net] = set()
        for start, stop in zip(edges, [*edges[1:], last + 1], strict=True):
            covering.difference_update(closing.get(start, ()))
            covering.update(opening.get(start, ()))
            yield start, stop - 1, frozenset(covering)


def _by_address(backends: Callable[[tuple[str, str]], Iterable[Backend]], words: Vocabulary) -> dict[int, Served]:
    """The services that rules mention, by the address of each backend."""
    found: dict[int, set[tuple[tuple[str, str], int, int | None]]] = defaultdict(set)
    for service in words.services:
        for address, protocol, port in backends(service):
            found[address].add((service, protocol, port))
    return {address: frozenset(served) for address, served in found.items()}


def _lone_backends(snapshot: Snapshot, services: Mapping[int, Served]) -> set[Net]:
    """Backends that no endpoint owns are zones of their own."""
    owned = (
        {address for endpoint in snapshot.endpoints.values() for address in endpoint.addresses} if services else set()
    )
    return {(address, address) for address in services if address not in owned}
