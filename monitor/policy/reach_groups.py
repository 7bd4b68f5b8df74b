"""Rows and columns of classes summed up for named groups of endpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from monitor.policy import bits as sets
from monitor.policy import reach_regions as regions
from monitor.policy.bits import ones
from monitor.policy.connections import ConnectionSet
from monitor.policy.reach_classes import Classes
from monitor.policy.reach_regions import Region

Between = dict[tuple[str, str], ConnectionSet]


Places = dict[int, str | None]
"""Of a group: its classes, with the endpoint where there is just one."""


def places_of(classes: Classes, members: Iterable[str]) -> Places:
    places: Places = {}
    for member in members:
        for place in classes.of_endpoint.get(member, ()):
            places[place] = None if place in places and places[place] != member else member
    return places


class Groups:
    """Endpoints of each group by class."""

    def __init__(self, classes: Classes, groups: Mapping[str, Places]) -> None:
        self.classes = classes
        self.places = groups
        self.of_class: dict[int, list[str]] = defaultdict(list)
        for name, places in groups.items():
            for place in places:
                self.of_class[place].append(name)
        self.bits = {name: sets.of(places) for name, places in groups.items()}

    def touched(self, region: Region) -> Iterator[tuple[str, ConnectionSet]]:
        """(group, connections) for every group that a region touches; a group may come more than once."""
        for bits, allowed in region:
            if bits.bit_count() < len(self.bits):
                for name in dict.fromkeys(name for place in ones(bits) for name in self.of_class.get(place, ())):
                    yield name, allowed
            else:
                for name, own in self.bits.items():
                    if own & bits:
                        yield name, allowed


def crossed(line: Callable[[int], Region], near: Groups, far: Groups) -> tuple[Between, dict[str, Region]]:
    """Between near and far groups, and what each near group shares with the outside. `line`: a row or a column."""
    between: Between = {}
    outside: dict[str, Region] = {}
    inside = near.classes.inside_bits
    beyond = ~inside
    lines = {place: line(place) for place in near.of_class}
    for name, places in near.places.items():
        whole: list[regions.Box] = []
        for place, member in places.items():
            region = lines[place]
            if member is not None:
                own = near.classes.of_endpoint[member]
                add(between, name, _not_with_itself(region, member, own, far))
                others = ~sets.of(own)
                region = tuple([(bits & others, allowed) for bits, allowed in region])
            whole += region
        joined = regions.merged(whole)
        add(between, name, far.touched(tuple([(bits & inside, allowed) for bits, allowed in joined])))
        outside[name] = tuple([(kept, allowed) for bits, allowed in joined if (kept := bits & beyond)])
    return between, outside


def _not_with_itself(
    region: Region, member: str, places: Iterable[int], far: Groups
) -> Iterator[tuple[str, ConnectionSet]]:
    """An endpoint's own classes count only where another endpoint is in them too."""
    for place in places:
        allowed = regions.at(region, place)
        if allowed:
            yield from ((name, allowed) for name in far.of_class.get(place, ()) if far.places[name][place] != member)


def add(between: Between, name: str, found: Iterable[tuple[str, ConnectionSet]]) -> None:
    for other, allowed in found:
        known = between.get((name, other))
        between[name, other] = allowed if known is None else known | allowed
