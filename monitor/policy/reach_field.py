"""All that classes let through at one stage, by row (from a class) and by column (to a class), for both bounds.

Law: a row is what a class's egress lets out, as far as the ingress of the others lets it in. Outside classes have no
policy: everything is let through there, and what they do among themselves is nobody's question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from monitor.policy import reach_regions as regions
from monitor.policy.connections import EVERYTHING, ConnectionSet
from monitor.policy.model import Program
from monitor.policy.reach_classes import Classes
from monitor.policy.reach_matrix import Matrix
from monitor.policy.reach_regions import Bounds, Region
from monitor.policy.reach_walks import DIRECTIONS, EGRESS, INGRESS, Walks

ProgramOf = Callable[[int, str], Program]
"""The policies of the endpoints of a class, in a direction."""


class Bound(Enum):
    CERTAIN = 0
    POSSIBLE = 1


class Few(NamedTuple):
    """Classes that ask for what is new, then the new ones, as `walks` numbers them: it knows nobody else."""

    walks: Walks
    near: Sequence[int]
    far: Sequence[int]

    def retouch(self, matrix: Matrix, place: int, region: Region) -> None:
        """A region of these walks: what it says of the far classes."""
        for number, far in enumerate(self.far, len(self.near)):
            matrix.retouch(place, far, [allowed for bits, allowed in region if bits >> number & 1])


class Field:
    """One stage. `is_known`: no rule leaves anything open, so both bounds are one. `edition` counts what changed."""

    def __init__(self, classes: Classes, walks: Walks, program_of: ProgramOf) -> None:
        self.edition = 0
        self._classes = classes
        self._walks = walks
        places = [place for place, one in enumerate(classes.list) if one.owners]
        found = {
            direction: {place: walks.bounds(place, direction, program_of(place, direction)) for place in places}
            for direction in DIRECTIONS
        }
        self.is_known = all(_is_known(bounds) for by_place in found.values() for bounds in by_place.values())
        self._matrices = {
            (direction, bound): _matrix(by_place, bound, len(classes.list))
            for direction, by_place in found.items()
            for bound in ((Bound.CERTAIN,) if self.is_known else Bound)
        }

    def _matrix(self, direction: str, bound: Bound) -> Matrix:
        return self._matrices[direction, Bound.CERTAIN if self.is_known else bound]

    def row(self, place: int, bound: Bound) -> Region:
        """Where a class may open what."""
        return self._crossed(place, self._matrix(EGRESS, bound), self._matrix(INGRESS, bound))

    def column(self, place: int, bound: Bound) -> Region:
        """From where what may be opened to a class."""
        return self._crossed(place, self._matrix(INGRESS, bound), self._matrix(EGRESS, bound))

    def _crossed(self, place: int, own: Matrix, others: Matrix) -> Region:
        classes = self._classes
        one = classes.list[place]
        same_family = classes.bits_of_version[classes.zones[one.zone].version]
        inside = same_family & classes.inside_bits
        if not one.owners:
            return regions.merged([(bits & inside, allowed) for bits, allowed in others.letting(place)])
        letting = [(bits & inside, allowed) for bits, allowed in others.letting(place)]
        return regions.intersection(own.region(place), (*letting, (same_family ^ inside, EVERYTHING)))

    def at(self, place: int, direction: str, far: int, bound: Bound) -> ConnectionSet:
        """What a class lets through of one other."""
        return regions.at(self._matrix(direction, bound).region(place), far)

    def split(self, old: int) -> None:
        """A new last class that all others treat as the old one."""
        self.edition += 1
        for matrix in self._matrices.values():
            matrix.split(old)

    def update(self, places: Iterable[int], program_of: ProgramOf) -> bool:
        """These classes' own policies may have changed. False: the field must be made anew."""
        return all(
            self._take(
                place, direction, self._walks.bounds(place, direction, program_of(place, direction)), self._replace
            )
            for place in places
            for direction in DIRECTIONS
        )

    def retouch(self, few: Few, program_of: ProgramOf) -> bool:
        """These classes' policies are what they were, and ask for far classes that are new. False: as `update`."""
        return all(
            self._take(place, direction, few.walks.bounds(number, direction, program_of(place, direction)), few.retouch)
            for number, place in enumerate(few.near)
            for direction in DIRECTIONS
        )

    def _take(self, place: int, direction: str, bounds: Bounds, put: Callable[[Matrix, int, Region], None]) -> bool:
        if self.is_known and not _is_known(bounds):
            return False
        put(self._matrix(direction, Bound.CERTAIN), place, bounds.certain)
        if not self.is_known:
            put(self._matrix(direction, Bound.POSSIBLE), place, bounds.possible)
        return True

    def _replace(self, matrix: Matrix, place: int, region: Region) -> None:
        if not matrix.has(place, region):
            self.edition += 1
            matrix.replace(place, region)


def _is_known(bounds: Bounds) -> bool:
    return bounds.certain is bounds.possible


def _matrix(by_place: dict[int, Bounds], bound: Bound, size: int) -> Matrix:
    is_certain = bound is Bound.CERTAIN
    return Matrix({place: found.certain if is_certain else found.possible for place, found in by_place.items()}, size)
