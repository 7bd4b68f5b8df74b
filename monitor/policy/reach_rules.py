"""Rules as boxes: which classes on the far side, with which connections, from where the rule's endpoint stands.

Trusts: `matching` is the meaning of a rule for one packet; this module is the same meaning for all packets at once
(policy_semantics.md sections 5 and 6). Selectors are evaluated on all label bags together: one look-up for each test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache, reduce
from itertools import chain, islice
from operator import or_

from msgspec import Struct

from monitor.policy import bits as sets
from monitor.policy import connections, intervals, model, selectors
from monitor.policy import reach_regions as regions
from monitor.policy.bits import ones
from monitor.policy.connections import EVERYTHING, ConnectionSet
from monitor.policy.model import Ports, Rule, Side
from monitor.policy.reach_classes import OTHER, AddressClass, Index
from monitor.policy.reach_regions import Box, Region, Step

_PORTED = connections.union(connections.protocol(number) for number in sorted(connections.PORTED))
_MANY_LISTS = 262_144
_SHORT = 8
"""Places that are put together anew each time: kept as bits, those of all label values would grow with the square."""
_DEAR = 128
"""Classes of a selector above which it is worth keeping when there are new ones."""
_ICMP_OF_VERSION = {4: connections.ICMP, 6: connections.ICMPV6}


class Sides(Struct, frozen=True, gc=False):
    """A rule's own endpoint and the far side. `perhaps`: far classes that match if a name resolves to them."""

    near: Region
    far: Region
    perhaps: Region


_NO_SIDES = Sides(regions.NOWHERE, regions.NOWHERE, regions.NOWHERE)


class Turned(Struct, frozen=True, gc=False):
    """A rule in one direction. `steps` are those at every endpoint; None where the rule asks where it stands."""

    rule: Rule
    sides: Sides
    steps: tuple[Step, ...] | None


class Listed(Struct, frozen=True, gc=False, eq=False):
    """The rules of a policy or profile in one direction. `steps` are those of all, where no rule asks.

    Equal rules are turned once, so each is equal to itself only.
    """

    rules: tuple[Turned, ...]
    asking: tuple[Turned, ...]
    steps: tuple[Step, ...]


Family = tuple[int, ConnectionSet, ConnectionSet]
"""Classes of one address family, or of both; what a rule matches there for certain, and on some dataplanes only."""


class Rules:
    """Turns selectors, sides and rules into bits and boxes; remembers what it has turned."""

    def __init__(self, classes: Index, *, is_nftables: bool | None) -> None:
        self._classes = classes
        self._is_nftables = is_nftables
        self._bags = _BagIndex(classes)
        self._expanded: dict[int, int] = {}
        self._bits: dict[selectors.Node, int] = {}
        self._regions: dict[tuple[int, str], tuple[Side, Region]] = {}
        self._lists: dict[tuple[int, str], tuple[tuple[Rule, ...], Listed]] = {}
        self._lists_alike: dict[tuple[tuple[Rule, ...], str], Listed] = {}
        self._families: dict[tuple[object, ...], tuple[Family, ...]] = {}
        self.everywhere: Region = ((classes.all_bits, EVERYTHING),)

    def grow(self) -> None:
        """There are new classes, and maybe new bags."""
        self._bags.grow()
        for known in (self._expanded, self._regions, self._lists, self._lists_alike, self._families):
            known.clear()
        size = self.everywhere[0][0].bit_length()
        self._bits = {
            selector: self._grown(selector, bits, size)
            for selector, bits in self._bits.items()
            if bits.bit_count() > _DEAR
        }
        self.everywhere = ((self._classes.all_bits, EVERYTHING),)

    def _grown(self, selector: selectors.Node, bits: int, size: int) -> int:
        """Wide ones are dear to expand: only the new classes are looked at."""
        bags = self._bags.bits(selector)
        for place in range(size, len(self._classes.list)):
            if any(bags >> bag & 1 for bag in self._classes.list[place].bags):
                bits |= 1 << place
        return bits

    def subjects(self, selector: selectors.Node) -> int:
        """The label bags that a policy's own selector holds for."""
        return self._bags.evaluated(selector)

    def _known(self, selector: selectors.Node) -> int:
        """The classes whose address belongs to an object that the selector holds for."""
        found = self._bits.get(selector)
        if found is None:
            found = self._bits[selector] = self._expand(self._bags.bits(selector))
        return found

    def _expand(self, bags: int) -> int:
        """The classes with one of these bags."""
        if not bags & (bags - 1):  # one, or none
            return sets.of(self._classes.places_of_bag.get(bags.bit_length() - 1, ()))
        found = self._expanded.get(bags)
        if found is None:
            found = self._expanded[bags] = self._with_most(bags) if self._bags.are_most(bags) else self._with_any(bags)
        return found

    def _with_any(self, bags: int) -> int:
        places = self._classes.places_of_bag
        return sets.of(place for bag in ones(bags) for place in places[bag])

    def _with_most(self, bags: int) -> int:
        """All but those with the other bags, unless they have one of these too."""
        classes = self._classes
        others = self._with_any(self._bags.all & ~bags)
        both = (
            place
            for place in ones(others & classes.with_bags_bits)
            if any(bags >> bag & 1 for bag in classes.list[place].bags)
        )
        return (classes.with_bag_bits & ~others) | sets.of(both)

    def listed(self, rules: tuple[Rule, ...], direction: str) -> Listed:
        """Rules are known by the tuple that holds them, and turned once for all policies that have equal ones."""
        key = (id(rules), direction)
        found = self._lists.get(key)
        if found is None:
            if len(self._lists) > _MANY_LISTS:  # most are of policies that are gone
                self._lists.clear()
                self._lists_alike.clear()
                self._regions.clear()
            found = self._lists[key] = (rules, self._alike(rules, direction))
        return found[1]

    def _alike(self, rules: tuple[Rule, ...], direction: str) -> Listed:
        found = self._lists_alike.get((rules, direction))
        if found is None:
            found = self._lists_alike[rules, direction] = self._listed(rules, direction)
        return found

    def _listed(self, rules: tuple[Rule, ...], direction: str) -> Listed:
        turned = tuple([self._turned(rule, direction) for rule in rules])
        asking = tuple([each for each in turned if each.steps is None])
        return Listed(turned, asking, () if asking else tuple([step for each in turned for step in each.steps or ()]))

    def steps(self, listed: Listed, place: int) -> Iterable[Step]:
        """The rules at the class `place`, in order; Log rules are none."""
        if not listed.asking:
            return listed.steps
        return (step for each in listed.rules for step in self._steps_at(each, place))

    def _steps_at(self, turned: Turned, place: int) -> Iterable[Step]:
        if turned.steps is not None:
            return turned.steps
        return self._steps(turned.rule, turned.sides, regions.at(turned.sides.near, place))

    def _turned(self, rule: Rule, direction: str) -> Turned:
        if rule.action == model.LOG:
            return Turned(rule, _NO_SIDES, ())
        far, perhaps = self._far(rule, direction)
        near = self._near(rule, direction) if far or perhaps else regions.NOWHERE
        if not near:
            return Turned(rule, _NO_SIDES, ())
        sides = Sides(near, far, perhaps)
        if len(near) == 1 and near[0][0] == self._classes.all_bits:
            return Turned(rule, sides, self._steps(rule, sides, near[0][1]))
        return Turned(rule, sides, None)

    def _near(self, rule: Rule, direction: str) -> Region:
        if direction == "ingress":
            return self._side(rule.destination, "destination")
        return self._side(rule.source, "source")

    def _far(self, rule: Rule, direction: str) -> tuple[Region, Region]:
        """With what depends on names."""
        if direction == "ingress":
            return self._side(rule.source, "source"), regions.NOWHERE
        return self._by_name(rule.destination)

    def _steps(self, rule: Rule, sides: Sides, here: ConnectionSet) -> tuple[Step, ...]:
        if not here:
            return ()
        is_certain = not (rule.is_http or rule.source.is_by_domain or rule.destination.is_by_domain)
        sure, doubtful = self._matches(rule, sides.far, here)
        step = Step(rule.action, sure, is_certain)
        if sides.perhaps:
            doubtful = (*doubtful, *chain.from_iterable(self._matches(rule, sides.perhaps, here)))
        return (step, Step(rule.action, doubtful, is_certain=False)) if doubtful else (step,)

    def _matches(self, rule: Rule, far: Region, here: ConnectionSet) -> tuple[Region, Region]:
        """What the rule matches for certain, and what it matches on some dataplanes only."""
        families = self._by_family(rule)
        if len(families) == 1 and not families[0][2]:  # nearly every rule: no family is told apart
            return tuple(_limited(far, families[0][0], connections.intersection(families[0][1], here))), ()
        certain: list[Box] = []
        doubtful: list[Box] = []
        for bits, sure, perhaps in families:
            certain += _limited(far, bits, sure & here)
            if perhaps:
                doubtful += _limited(far, bits, perhaps & here)
        return tuple(certain), tuple(doubtful)

    def _by_family(self, rule: Rule) -> tuple[Family, ...]:
        """Few kinds of rule are told apart by these clauses."""
        key = (rule.never, rule.version, rule.protocol, rule.not_protocol, rule.icmp, rule.not_icmp)
        found = self._families.get(key)
        if found is None:
            v4, v6 = self._protocols(rule, 4), self._protocols(rule, 6)
            bits = self._classes.bits_of_version
            found = ((self._classes.all_bits, *v4),) if v4 == v6 else ((bits[4], *v4), (bits[6], *v6))
            self._families[key] = found
        return found

    def _protocols(self, rule: Rule, version: int) -> tuple[ConnectionSet, ConnectionSet]:
        """6.2, 6.3, 6.5 for one family: matched for certain, and only on some dataplanes."""
        if version in rule.never or rule.version not in {None, version}:
            return connections.NOTHING, connections.NOTHING
        allowed = EVERYTHING if rule.protocol is None else connections.protocol(rule.protocol)
        if rule.not_protocol is not None:
            allowed -= connections.protocol(rule.not_protocol)
        if rule.icmp is not None:
            allowed &= _icmp(version, rule.icmp)
        if rule.not_icmp is None:
            return allowed, connections.NOTHING
        if self._is_nftables is None or rule.not_icmp[1] is None:
            return _without_icmp(allowed, version, rule.not_icmp)
        sure, perhaps = _without_icmp(allowed, version, rule.not_icmp)
        return (sure if self._is_nftables else sure | perhaps), connections.NOTHING

    # --- one side -------------------------------------------------------------------------------------------------

    def _side(self, side: Side, role: str) -> Region:
        key = (id(side), role)
        found = self._regions.get(key)
        if found is None:
            selected = self._classes.all_bits if side.selector is None else self._known(side.selector)
            found = self._regions[key] = (side, self._region(side, role, self._addresses(side, selected)))
        return found[1]

    def _by_name(self, side: Side) -> tuple[Region, Region]:
        """As `_side` of a destination, with what depends on names: nobody knows the addresses of a set of names."""
        if not self._classes.by_name_bags:
            return self._side(side, "destination"), regions.NOWHERE
        if side.selector is not None and self._bags.bits(side.selector) & self._classes.by_name_bags:
            others = self._addresses(side, self._classes.all_bits & ~self._known(side.selector))
            return self._side(side, "destination"), self._region(side, "destination", others)
        if side.negated is not None and self._bags.bits(side.negated) & self._classes.by_name_bags:
            return regions.NOWHERE, self._side(side, "destination")
        return self._side(side, "destination"), regions.NOWHERE

    def _region(self, side: Side, role: str, bits: int) -> Region:
        if not bits:
            return regions.NOWHERE
        if side.service is not None:
            served = self._classes.bits_of_service.get(side.service, 0) & bits
            if role == "source":
                bits = served
            else:
                return self._by_class(served, lambda one: _backend(one, side))
        if not side.ports and not side.not_ports:
            return self.everywhere if bits == self._classes.all_bits else ((bits, EVERYTHING),)
        return self._by_port(side, bits, role)

    def _addresses(self, side: Side, bits: int) -> int:
        """Of these classes, those that the other clauses on the address hold for."""
        if side.nets:
            bits &= self._in_nets(side.nets)
        if side.not_nets:
            bits &= ~self._in_nets(side.not_nets)
        if side.negated is not None:
            bits &= ~self._known(side.negated)
        return bits

    def _in_nets(self, nets: Iterable[tuple[int, int]]) -> int:
        return reduce(or_, (self._classes.bits_of_net[net] for net in nets), 0)

    def _by_port(self, side: Side, bits: int, role: str) -> Region:
        numeric = _numeric(side.ports, role) if side.ports else EVERYTHING
        without = _numeric(side.not_ports, role) if side.not_ports else connections.NOTHING
        if not side.ports.names and not side.not_ports.names:
            return ((bits, numeric - without),)

        def of(one: AddressClass) -> ConnectionSet:
            named = self._named(one, side, side.ports.names, role)
            return (
                ((numeric | named) if side.ports else EVERYTHING)
                - without
                - self._named(one, side, side.not_ports.names, role)
            )

        return self._by_class(bits, of)

    def _by_class(self, bits: int, allowed: Callable[[AddressClass], ConnectionSet]) -> Region:
        """One box for each set of connections; classes differ by the ports that they name or serve."""
        return regions.merged((1 << place, allowed(self._classes.list[place])) for place in ones(bits))

    def _named(self, one: AddressClass, side: Side, names: tuple[str, ...], role: str) -> ConnectionSet:
        """6.4: the named ports of the endpoints that own the address and that the positive selector holds for."""
        if not names:
            return connections.NOTHING
        selected = -1 if side.selector is None else self._bags.bits(side.selector)
        return connections.union(
            _port(role, protocol, (number, number + 1))
            for owner in one.owners
            if selected >> owner.bag & 1
            for name, protocol, number in owner.ports
            if name in names
        )


def _limited(region: Region, bits: int, allowed: ConnectionSet) -> list[Box]:
    return [
        (kept, both)
        for box, inside in region
        if (kept := box & bits) and (both := connections.intersection(inside, allowed))
    ]


@lru_cache(maxsize=65_536)
def _numeric(ports: Ports, role: str) -> ConnectionSet:
    numbers = intervals.of(ports.ranges)
    return connections.union(_port(role, protocol, numbers) for protocol in sorted(connections.PORTED))


def _port(role: str, protocol: int, numbers: intervals.Intervals) -> ConnectionSet:
    if role == "source":
        return connections.ports(protocol, source=numbers)
    return connections.ports(protocol, numbers)


def _backend(one: AddressClass, side: Side) -> ConnectionSet:
    """5.7: address, protocol and port together; a port without a number adds nothing."""
    return connections.union(
        connections.ports(protocol, (port, port + 1))
        for service, protocol, port in one.services
        if service == side.service and port is not None
    )


def _icmp(version: int, match: tuple[int, int | None]) -> ConnectionSet:
    kind, code = match
    codes = connections.ANY_BYTE if code is None else (code, code + 1)
    return connections.icmp(_ICMP_OF_VERSION[version], (kind, kind + 1), codes)


def _without_icmp(
    allowed: ConnectionSet, version: int, match: tuple[int, int | None]
) -> tuple[ConnectionSet, ConnectionSet]:
    """6.5: with type and code, nftables leaves out what has either, iptables and eBPF what has both."""
    kind, code = match
    both = _icmp(version, match)
    if code is None:
        return allowed - both, connections.NOTHING
    either = _icmp(version, (kind, None)) | connections.icmp(_ICMP_OF_VERSION[version], codes=(code, code + 1))
    return allowed - either, (allowed & either) - both


# --- selectors on all bags at once -------------------------------------------------------------------------------


class _BagIndex:
    """Label bags by key and value: a selector is a few unions and intersections of bits."""

    def __init__(self, classes: Index) -> None:
        self._classes = classes
        self.all = 0
        self._having: dict[str, int] = defaultdict(int)
        self._equal: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        self._wide: dict[tuple[str, str | None], int] = {}  # of the long lists among these
        self._values: dict[str, set[str]] = defaultdict(set)
        self._known: dict[selectors.Node, int] = {}
        self.grow()

    def grow(self) -> None:
        """Takes in the bags that are new."""
        self._known.clear()
        for bag, number in islice(self._classes.bags.items(), self.all.bit_length(), None):
            bit = 1 << number
            self.all |= bit
            for key, value in bag:
                self._having[key] |= bit
                self._equal[key, value].append(number)
                if (key, value) in self._wide:
                    self._wide[key, value] |= bit
                if value is not OTHER:
                    self._values[key].add(value)

    def are_most(self, bags: int) -> bool:
        return bags.bit_count() * 2 > self.all.bit_count()

    def bits(self, selector: selectors.Node) -> int:
        found = self._known.get(selector)
        if found is None:
            found = self._known[selector] = self.evaluated(selector)
        return found

    def evaluated(self, node: selectors.Node) -> int:
        """As `bits`, without remembering it."""
        match node:
            case selectors.And():
                bits = self.all
                for term in node.terms:
                    bits &= self.evaluated(term)
                return bits
            case selectors.KeyTest():
                return self._tested(node)
            case selectors.Or():
                return reduce(or_, (self.evaluated(term) for term in node.terms), 0)
            case selectors.Not():
                return self.all & ~self.evaluated(node.term)
            case _:  # all() and global()
                return self.all

    def _tested(self, test: selectors.KeyTest) -> int:
        match test:
            case selectors.Equals():
                return self._with(test.key, test.value)
            case selectors.NotEquals():
                return self.all & ~self._with(test.key, test.value)
            case selectors.In():
                return self._any_of(test.key, test.values)
            case selectors.NotIn():
                return self.all & ~self._any_of(test.key, test.values)
            case selectors.Has():
                return self._having.get(test.key, 0)
            case _:  # contains, starts with, ends with: of such a key every value is kept
                values = self._values.get(test.key, set())
                return self._any_of(test.key, (value for value in values if test.matches({test.key: value})))

    def _any_of(self, key: str, values: Iterable[str]) -> int:
        return reduce(or_, (self._with(key, value) for value in values), 0)

    def _with(self, key: str, value: str) -> int:
        """The bags that hold this value of the label."""
        bags = self._equal.get((key, value), ())
        if len(bags) <= _SHORT:
            return sets.of(bags)
        found = self._wide.get((key, value))
        if found is None:
            found = self._wide[key, value] = sets.of(bags)
        return found
