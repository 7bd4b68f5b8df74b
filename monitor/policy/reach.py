"""Who can reach whom, exactly: for a pair of endpoints, for groups of them, and from and to the outside.

Trusts: the snapshot it is given (endpoints, sets, tiers and policies in order) is what Felix would evaluate.
Law 1: a connection is allowed when the source's egress and the destination's ingress both allow it; a side that is no
endpoint imposes nothing (policy_semantics.md 1.3). Law 2: the answer equals judging every packet one by one.
Law 3: what cannot be known is kept apart: `allowed` holds whatever the missing input is, `unknown` hangs on it.
Law 4: after `apply` the answers are those of a posture made anew.
Traffic of an endpoint to itself does not leave it and is in no answer (8.10).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from models.facts import Fact, FactKey
from monitor.policy import addresses, connections, intervals, reach_groups, reach_snapshot
from monitor.policy.addresses import Net
from monitor.policy.bits import ones
from monitor.policy.connections import NOTHING, ConnectionSet
from monitor.policy.engine import Affected, Engine
from monitor.policy.reach_classes import Classes, Snapshot
from monitor.policy.reach_field import Bound, Field
from monitor.policy.reach_ground import Ground
from monitor.policy.reach_groups import Between, Groups, Places, places_of
from monitor.policy.reach_regions import Region
from monitor.policy.reach_walks import EGRESS, INGRESS, Stage

__all__ = ["Answer", "Outside", "Posture", "Reach", "Stage"]

Named = Mapping[str, Collection[str]]
"""Groups of endpoint ids by name."""


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
    """The reachability of one cluster. Made of an engine it can follow its changes; made of facts it stays as it is."""

    def __init__(self, snapshot: Snapshot, engine: Engine | None = None) -> None:
        self._engine = engine
        self._ground = Ground(snapshot, engine.world if engine else None)
        self._fields: dict[Stage, Field] = {}

    @classmethod
    def of(cls, engine: Engine) -> Posture:
        """As the engine is now. One owner: apply to the engine, then here, then ask."""
        return cls(reach_snapshot.of(engine), engine)

    @classmethod
    def of_facts(cls, facts: Mapping[FactKey, Fact]) -> Posture:
        """The same, without an engine: for those who ask for sets only."""
        return cls(reach_snapshot.of_facts(facts))

    def apply(self, affected: Affected) -> None:
        """Follows the engine's last change. Small changes cost little; one that cuts classes anew makes all anew."""
        assert self._engine is not None
        if not self.follow(affected):
            self._ground = Ground(reach_snapshot.of(self._engine), self._engine.world)
            self._fields.clear()

    def follow(self, affected: Affected) -> bool:
        """Follows the engine's changes since the last time at little cost; `affected`: what all of them named.

        False: they cut classes anew. This posture is worth nothing then, and whoever has it makes another.
        """
        assert self._engine is not None
        return self._ground.follow(self._engine, affected, self._fields)

    @property
    def classes(self) -> int:
        """How many kinds of address the policies can tell apart, outside ranges counted in."""
        return len(self._classes.list)

    @property
    def endpoints(self) -> Collection[str]:
        """Ids of whoever is judged."""
        return self._classes.of_endpoint.keys()

    @property
    def edition(self) -> int:
        """As long as it is the same, groups with the same `places` have the same answers; of what is enforced."""
        return self._field(Stage.ENFORCED).edition

    def places(self, members: Iterable[str]) -> Places:
        """All that answers about a group hang on: its classes, with the endpoint where there is just one."""
        return places_of(self._classes, members)

    @property
    def _classes(self) -> Classes:
        return self._ground.classes

    def _field(self, stage: Stage) -> Field:
        if not self._ground.has_staged:
            stage = Stage.ENFORCED
        found = self._fields.get(stage)
        if found is None:
            found = self._fields[stage] = self._ground.field(stage)
        return found

    # --- pairs ---------------------------------------------------------------------------------------------------

    def allowed(self, source: str, destination: str, stage: Stage = Stage.ENFORCED) -> ConnectionSet:
        """What one endpoint may open to another, on some pair of their addresses. KeyError for an unknown endpoint."""
        return self.answer(source, destination, stage).allowed

    def answer(self, source: str, destination: str, stage: Stage = Stage.ENFORCED) -> Answer:
        """As `allowed`, with what is not known beside it."""
        places = self._classes.of_endpoint
        pairs = [(a, b) for a in places[source] for b in places[destination] if self._are_one_family(a, b)]
        if source == destination:
            return Answer(NOTHING)
        certain, possible = (connections.union(self._pair(a, b, stage, bound) for a, b in pairs) for bound in Bound)
        return Answer(certain, possible - certain)

    def answer_at(
        self,
        source: str,
        source_address: str,
        destination: str,
        destination_address: str,
        stage: Stage = Stage.ENFORCED,
    ) -> Answer:
        """As `answer`, for one address of each."""
        a, b = (
            self._classes.place_at(endpoint, addresses.address(address))
            for endpoint, address in ((source, source_address), (destination, destination_address))
        )
        certain, possible = (self._pair(a, b, stage, bound) for bound in Bound)
        return Answer(certain, possible - certain)

    def _are_one_family(self, a: int, b: int) -> bool:
        classes = self._classes
        return classes.zones[classes.list[a].zone].version == classes.zones[classes.list[b].zone].version

    def _pair(self, source: int, destination: int, stage: Stage, bound: Bound) -> ConnectionSet:
        field = self._field(stage)
        return field.at(source, EGRESS, destination, bound) & field.at(destination, INGRESS, source, bound)

    # --- groups --------------------------------------------------------------------------------------------------

    def reach_between(self, sources: Named, destinations: Named | None = None, stage: Stage = Stage.ENFORCED) -> Reach:
        """What some member of one group may open to some other member of another, or to the outside, and from there.

        Pairs without a word are left out. Groups may overlap. Unknown endpoint ids are passed over: they have no
        address and so no traffic.
        """
        origin = self._groups(sources)
        target = origin if destinations is None else self._groups(destinations)
        field = self._field(stage)
        certain = _Found(field, origin, target, Bound.CERTAIN)
        return self._told(certain, certain if field.is_known else _Found(field, origin, target, Bound.POSSIBLE))

    def reach_around(self, near: Mapping[str, Places], far: Mapping[str, Places]) -> Reach:
        """Of near groups: among one another, with far ones both ways, with the outside; of what is enforced.

        Where few of many groups are near: their rows and columns are all that is looked at.
        """
        own, all_, others = (Groups(self._classes, groups) for groups in (near, {**far, **near}, far))
        field = self._field(Stage.ENFORCED)
        certain = _Around(field, own, all_, others, Bound.CERTAIN)
        return self._told(certain, certain if field.is_known else _Around(field, own, all_, others, Bound.POSSIBLE))

    def _told(self, certain: _Found | _Around, possible: _Found | _Around) -> Reach:
        classes = self._classes
        to_outside = {
            name: _ranges(classes, certain.to_outside[name], by_place) for name, by_place in possible.to_outside.items()
        }
        from_outside = {
            name: _ranges(classes, certain.from_outside[name], by_place)
            for name, by_place in possible.from_outside.items()
        }
        return Reach(_answers(certain.between, possible.between), to_outside, from_outside)

    def _groups(self, groups: Named) -> Groups:
        return Groups(self._classes, {name: places_of(self._classes, members) for name, members in groups.items()})


class _Found:
    """One bound, before it is put into words: outside by class."""

    def __init__(self, field: Field, origin: Groups, target: Groups, bound: Bound) -> None:
        self.between, outside = reach_groups.crossed(lambda place: field.row(place, bound), origin, target)
        self.to_outside = {name: _by_place(region) for name, region in outside.items()}
        self.from_outside: dict[str, dict[int, ConnectionSet]] = {name: {} for name in target.places}
        for place in target.classes.outside:
            for name, allowed in target.touched(field.row(place, bound)):
                found = self.from_outside[name]
                found[place] = found.get(place, NOTHING) | allowed


class _Around:
    """As `_Found`, of near groups with all: what comes to them is read off their columns."""

    def __init__(self, field: Field, near: Groups, all_: Groups, far: Groups, bound: Bound) -> None:
        self.between, to_outside = reach_groups.crossed(lambda place: field.row(place, bound), near, all_)
        turned, from_outside = reach_groups.crossed(lambda place: field.column(place, bound), near, far)
        self.between |= {(other, name): allowed for (name, other), allowed in turned.items()}
        self.to_outside = {name: _by_place(region) for name, region in to_outside.items()}
        self.from_outside = {name: _by_place(region) for name, region in from_outside.items()}


def _by_place(region: Region) -> dict[int, ConnectionSet]:
    found: dict[int, ConnectionSet] = {}
    for bits, allowed in region:
        for place in ones(bits):
            found[place] = found.get(place, NOTHING) | allowed
    return found


def _answers(certain: Between, possible: Between) -> dict[tuple[str, str], Answer]:
    if certain is possible:
        return {pair: Answer(allowed) for pair, allowed in certain.items() if allowed}
    return {
        pair: Answer(sure := certain.get(pair, NOTHING), allowed - sure)
        for pair, allowed in possible.items()
        if allowed
    }


def _ranges(
    classes: Classes, certain: Mapping[int, ConnectionSet], possible: Mapping[int, ConnectionSet]
) -> tuple[Outside, ...]:
    """Zones with equal answers as one, their ranges joined."""
    if not possible:
        return ()
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
