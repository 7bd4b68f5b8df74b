"""Who can reach whom, exactly: for a pair of endpoints, for groups of them, and from and to the outside.

Trusts: the snapshot it is given (endpoints, sets, tiers and policies in order) is what Felix would evaluate.
Law 1: a connection is allowed when the source's egress and the destination's ingress both allow it; a side that is no
endpoint imposes nothing (policy_semantics.md 1.3). Law 2: the answer equals judging every packet one by one.
Law 3: what cannot be known is kept apart: `allowed` holds whatever the missing input is, `unknown` hangs on it.
Traffic of an endpoint to itself does not leave it and is in no answer (8.10).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from models.facts import Fact, FactKey
from monitor.policy import addresses, connections, intervals, reach_classes, reach_snapshot
from monitor.policy import reach_regions as regions
from monitor.policy.addresses import Net
from monitor.policy.connections import EVERYTHING, NOTHING, ConnectionSet
from monitor.policy.engine import Engine
from monitor.policy.reach_classes import Classes, Snapshot
from monitor.policy.reach_regions import Bounds, Region
from monitor.policy.reach_rules import ones
from monitor.policy.reach_walks import EGRESS, INGRESS, Stage, Walks

__all__ = ["Answer", "Outside", "Posture", "Reach", "Stage"]


class Answer(NamedTuple):
    """Connections allowed for certain, and those that the known inputs do not settle."""

    allowed: ConnectionSet
    unknown: ConnectionSet = NOTHING


class Outside(NamedTuple):
    """Ranges of addresses that are treated alike. Addresses of endpoints that lie in them are not meant."""

    ranges: tuple[Net, ...]
    answer: Answer


class Reach(NamedTuple):
    """Between groups, and from and to the outside. Only what is allowed, or not known, has an entry."""

    between: dict[tuple[str, str], Answer]
    to_outside: dict[str, tuple[Outside, ...]]
    from_outside: dict[str, tuple[Outside, ...]]


class Posture:
    """The reachability of one snapshot. Built once; rows are worked out when they are asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._classes = Classes(snapshot, reach_classes.vocabulary(snapshot))
        self._walks = Walks(snapshot, self._classes)
        self._fields: dict[Stage, _Field] = {}

    @classmethod
    def of(cls, engine: Engine) -> Posture:
        """As the engine is now."""
        return cls(reach_snapshot.of(engine))

    @classmethod
    def of_facts(cls, facts: Mapping[FactKey, Fact]) -> Posture:
        """The same, without an engine: for those who ask for sets only."""
        return cls(reach_snapshot.of_facts(facts))

    @property
    def classes(self) -> int:
        """How many kinds of address the policies can tell apart, outside ranges counted in."""
        return len(self._classes.list)

    def allowed(self, source: str, destination: str, stage: Stage = Stage.ENFORCED) -> ConnectionSet:
        """What one endpoint may open to another, on some pair of their addresses. KeyError for an unknown endpoint."""
        return self.answer(source, destination, stage).allowed

    def answer(self, source: str, destination: str, stage: Stage = Stage.ENFORCED) -> Answer:
        """As `allowed`, with what is not known beside it."""
        places = self._classes.of_endpoint
        pairs = [
            self._pair(a, b, stage)
            for a in places[source]
            for b in places[destination]
            if self._version(a) == self._version(b) and source != destination
        ]
        certain = connections.union(bounds[0] for bounds in pairs)
        return Answer(certain, connections.union(bounds[1] for bounds in pairs) - certain)

    def answer_at(
        self,
        source: str,
        source_address: str,
        destination: str,
        destination_address: str,
        stage: Stage = Stage.ENFORCED,
    ) -> Answer:
        """As `answer`, for one address of each. KeyError where the endpoint does not own the address."""
        places = [
            self._classes.place_at(endpoint, addresses.address(address))
            for endpoint, address in ((source, source_address), (destination, destination_address))
        ]
        certain, possible = self._pair(places[0], places[1], stage)
        return Answer(certain, possible - certain)

    def _version(self, place: int) -> int:
        return self._classes.zones[self._classes.list[place].zone].version

    def _pair(self, source: int, destination: int, stage: Stage) -> tuple[ConnectionSet, ConnectionSet]:
        out = self._walks.bounds(source, EGRESS, stage)
        into = self._walks.bounds(destination, INGRESS, stage)
        certain = regions.at(out.certain, destination) & regions.at(into.certain, source)
        if out.possible is out.certain and into.possible is into.certain:
            return certain, certain
        return certain, regions.at(out.possible, destination) & regions.at(into.possible, source)

    def reach_between(
        self,
        sources: Mapping[str, Collection[str]],
        destinations: Mapping[str, Collection[str]] | None = None,
        stage: Stage = Stage.ENFORCED,
    ) -> Reach:
        """Between named groups of endpoints: an entry holds what some member may open to some other one.

        Groups may overlap. Unknown endpoint ids are passed over: they have no address and so no traffic.
        """
        origin = _Groups(self._classes, sources)
        target = origin if destinations is None else _Groups(self._classes, destinations)
        if not self._walks.has_staged:
            stage = Stage.ENFORCED
        field = self._fields.setdefault(stage, _Field(self._classes, self._walks, stage))
        certain = _answers(field.certain, origin, target)
        if not field.is_known:
            return _with_unknown(certain, _answers(field.possible, origin, target), self._classes)
        return _with_unknown(certain, certain, self._classes)


class _Groups:
    """Named groups of endpoints by class, with the class's member where a group has a single one in it."""

    def __init__(self, classes: Classes, groups: Mapping[str, Collection[str]]) -> None:
        self.classes = classes
        self.of_class: dict[int, list[str]] = defaultdict(list)
        self.places: dict[str, dict[int, str | None]] = {}
        for name, members in groups.items():
            places: dict[int, str | None] = {}
            for member in members:
                for place in classes.of_endpoint.get(member, ()):
                    places[place] = None if place in places and places[place] != member else member
            self.places[name] = places
            for place in places:
                self.of_class[place].append(name)
        self.bits = {name: sum(1 << place for place in places) for name, places in self.places.items()}

    def reached(self, region: Region) -> Iterator[tuple[str, ConnectionSet]]:
        """(group, connections) for every group that a region touches; a group may come more than once."""
        for bits, allowed in region:
            if bits.bit_count() < len(self.bits):
                for name in {name for place in ones(bits) for name in self.of_class.get(place, ())}:
                    yield name, allowed
            else:
                for name, own in self.bits.items():
                    if own & bits:
                        yield name, allowed


class _Rows(NamedTuple):
    """Answers of one bound, before they are put into words: outside by class."""

    between: dict[tuple[str, str], ConnectionSet]
    to_outside: dict[str, Region]
    from_outside: dict[str, dict[int, ConnectionSet]]


class _Field:
    """All rows of one stage: for each class the region that it may open to."""

    def __init__(self, classes: Classes, walks: Walks, stage: Stage) -> None:
        inside = [number for number, one in enumerate(classes.list) if one.owners]
        out = {place: walks.bounds(place, EGRESS, stage) for place in inside}
        into = {place: walks.bounds(place, INGRESS, stage) for place in inside}
        self.is_known = all(known.certain is known.possible for known in (*out.values(), *into.values()))
        self.certain = _Matrix(classes, _picked(out, "certain"), _picked(into, "certain"))
        self.possible = self.certain
        if not self.is_known:
            self.possible = _Matrix(classes, _picked(out, "possible"), _picked(into, "possible"))


def _picked(bounds: Mapping[int, Bounds], which: str) -> dict[int, Region]:
    return {place: getattr(known, which) for place, known in bounds.items()}


class _Matrix:
    """Egress by source beside ingress by source: a row is their intersection.

    Ingress regions are turned round once: for each source class, which destinations accept what from it. Few distinct
    boxes exist, and one that covers most sources is kept as "all but".
    """

    def __init__(self, classes: Classes, out: Mapping[int, Region], into: Mapping[int, Region]) -> None:
        self._classes = classes
        self._out = out
        self._accepting: dict[ConnectionSet, int] = defaultdict(int)
        self._also: dict[int, dict[ConnectionSet, int]] = defaultdict(lambda: defaultdict(int))
        self._not: dict[int, dict[ConnectionSet, int]] = defaultdict(lambda: defaultdict(int))
        for (sources, allowed), destinations in _turned(into).items():
            if sources.bit_count() * 2 <= len(classes.list):
                for place in ones(sources):
                    self._also[place][allowed] |= destinations
            else:
                self._accepting[allowed] |= destinations
                for place in ones(classes.all_bits & ~sources):
                    self._not[place][allowed] |= destinations

    def row(self, place: int) -> Region:
        """Where the addresses of a class may open what. Outside addresses among themselves are not looked at."""
        version = self._classes.zones[self._classes.list[place].zone].version
        same_family = self._classes.bits_of_version[version]
        accepting = regions.merged(
            (bits & same_family, allowed)
            for bits, allowed in (
                *self._accepted(place),
                (self._classes.all_bits & ~self._classes.inside_bits, EVERYTHING),
            )
        )
        if place in self._out:
            return regions.intersection(self._out[place], accepting)
        return tuple((kept, allowed) for bits, allowed in accepting if (kept := bits & self._classes.inside_bits))

    def _accepted(self, place: int) -> Iterator[tuple[int, ConnectionSet]]:
        refused = self._not.get(place, {})
        for allowed, bits in self._accepting.items():
            yield bits & ~refused.get(allowed, 0), allowed
        for allowed, bits in self._also.get(place, {}).items():
            yield bits, allowed


def _turned(into: Mapping[int, Region]) -> dict[tuple[int, ConnectionSet], int]:
    """Each distinct box of sources with the destinations that have it."""
    members: dict[int, tuple[Region, int]] = {}
    for place, region in into.items():
        known = members.get(id(region))
        members[id(region)] = (region, (known[1] if known else 0) | 1 << place)
    turned: dict[tuple[int, ConnectionSet], int] = defaultdict(int)
    for region, destinations in members.values():
        for box in region:
            turned[box] |= destinations
    return turned


def _answers(matrix: _Matrix, origin: _Groups, target: _Groups) -> _Rows:
    between: dict[tuple[str, str], ConnectionSet] = {}
    to_outside: dict[str, Region] = {}
    inside = matrix_inside = origin.classes.inside_bits
    rows = {place: matrix.row(place) for place in origin.of_class}
    for name, places in origin.places.items():
        whole: list[regions.Box] = []
        for place, member in places.items():
            row = rows[place]
            if member is not None:
                own = sum(1 << same for same in origin.classes.of_endpoint[member])
                _add(between, name, _not_to_itself(row, member, origin.classes.of_endpoint[member], target))
                row = tuple((bits & ~own, allowed) for bits, allowed in row)
            whole += row
        region = regions.merged(whole)
        _add(between, name, target.reached(tuple((bits & inside, allowed) for bits, allowed in region)))
        to_outside[name] = tuple((kept, allowed) for bits, allowed in region if (kept := bits & ~matrix_inside))
    return _Rows(between, to_outside, _from_outside(matrix, target))


def _not_to_itself(
    row: Region, member: str, places: Iterable[int], target: _Groups
) -> Iterator[tuple[str, ConnectionSet]]:
    """Its own classes count only where another endpoint is in them too."""
    for place in places:
        allowed = regions.at(row, place)
        if allowed:
            yield from (
                (name, allowed) for name in target.of_class.get(place, ()) if target.places[name][place] != member
            )


def _add(between: dict[tuple[str, str], ConnectionSet], name: str, found: Iterable[tuple[str, ConnectionSet]]) -> None:
    for other, allowed in found:
        known = between.get((name, other))
        between[name, other] = allowed if known is None else known | allowed


def _from_outside(matrix: _Matrix, target: _Groups) -> dict[str, dict[int, ConnectionSet]]:
    found: dict[str, dict[int, ConnectionSet]] = {name: {} for name in target.places}
    for place in target.classes.outside:
        for name, allowed in target.reached(matrix.row(place)):
            found[name][place] = found[name].get(place, NOTHING) | allowed
    return found


# --- into words --------------------------------------------------------------------------------------------------


def _with_unknown(certain: _Rows, possible: _Rows, classes: Classes) -> Reach:
    between = {
        pair: Answer(sure := certain.between.get(pair, NOTHING), NOTHING if possible is certain else allowed - sure)
        for pair, allowed in possible.between.items()
        if allowed
    }
    to_outside = {
        name: _ranges(classes, _by_place(certain.to_outside[name]), _by_place(region))
        for name, region in possible.to_outside.items()
    }
    from_outside = {
        name: _ranges(classes, certain.from_outside[name], by_place) for name, by_place in possible.from_outside.items()
    }
    return Reach(between, to_outside, from_outside)


def _by_place(region: Region) -> dict[int, ConnectionSet]:
    found: dict[int, ConnectionSet] = {}
    for bits, allowed in region:
        for place in ones(bits):
            found[place] = found.get(place, NOTHING) | allowed
    return found


def _ranges(
    classes: Classes, certain: Mapping[int, ConnectionSet], possible: Mapping[int, ConnectionSet]
) -> tuple[Outside, ...]:
    """Zones with equal answers as one, their ranges joined."""
    ranges_of: dict[Answer, list[Net]] = defaultdict(list)
    for place, allowed in possible.items():
        sure = certain.get(place, NOTHING)
        ranges_of[Answer(sure, allowed - sure)] += classes.ranges[classes.list[place].zone]
    found = [
        Outside(tuple(intervals.ranges(intervals.of(ranges))), answer)
        for answer, ranges in ranges_of.items()
        if any(answer)
    ]
    return tuple(sorted(found, key=lambda one: one.ranges))
