"""Regions turned round: for each far class, which classes let it through with what.

A region says for one class whom it lets through. Asked the other way, "who lets this one through", 4,000 regions would
have to be looked at; the matrix has the answer at hand. Few distinct boxes exist, so they are turned together, and a
box that covers most classes is kept as "all but".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from monitor.policy.bits import ones
from monitor.policy.connections import ConnectionSet
from monitor.policy.reach_regions import Box, Region

_Bits = dict[ConnectionSet, int]


class Matrix:
    """`size` is the number of classes; it grows when a class is split off. Nothing is turned before somebody asks."""

    def __init__(self, by_place: Mapping[int, Region], size: int) -> None:
        self._size = size
        self._heirs: dict[int, int] = {}  # the classes that were split off a class, as bits
        self._with_heirs = 0
        self._regions: dict[int, tuple[Region, int]] = {place: (region, size) for place, region in by_place.items()}
        self._is_turned = False
        self._all_but: _Bits = defaultdict(int)
        self._also: dict[int, _Bits] = defaultdict(lambda: defaultdict(int))
        self._not: dict[int, _Bits] = defaultdict(lambda: defaultdict(int))

    def _turn(self) -> None:
        self._is_turned = True
        self._regions = {place: (self.region(place), self._size) for place in self._regions}
        for (far, allowed), letting in _distinct(self._regions).items():
            self._put(far, allowed, letting)

    def _put(self, far: int, allowed: ConnectionSet, letting: int) -> None:
        if far.bit_count() * 2 <= self._size:
            for place in ones(far):
                self._also[place][allowed] |= letting
            return
        self._all_but[allowed] |= letting
        for place in ones(_first(self._size) & ~far):
            self._not[place][allowed] |= letting

    def letting(self, place: int) -> Iterator[Box]:
        """(classes, connections): who lets this class through with what. Boxes may overlap."""
        if not self._is_turned:
            self._turn()
        not_ = self._not.get(place, {})
        for allowed, bits in self._all_but.items():
            yield bits & ~not_.get(allowed, 0), allowed
        for allowed, bits in self._also.get(place, {}).items():
            yield bits, allowed

    def region(self, place: int) -> Region:
        """Whom a class lets through. Kept as it is now: not every split there ever was is gone through each time."""
        region, size = self._regions[place]
        if size < self._size:
            region = tuple([(self._grown(bits, size), allowed) for bits, allowed in region])
            self._regions[place] = (region, self._size)
        return region

    def _grown(self, bits: int, size: int) -> int:
        """With what was split off since there were so many. Few have heirs, among those in or else among those out."""
        if bits.bit_count() * 2 > size:
            return _first(self._size) & ~self._grown(_first(size) & ~bits, size)
        left = bits & self._with_heirs
        while left:
            old = (left & -left).bit_length() - 1
            heirs = self._heirs[old] >> size << size
            bits |= heirs
            left = left & (left - 1) | heirs & self._with_heirs
        return bits

    def has(self, place: int, region: Region) -> bool:
        """Whether it is known that the class lets this through."""
        return place in self._regions and self.region(place) == region

    def replace(self, place: int, region: Region) -> None:
        """The class lets through something else now. Boxes that stay are not touched."""
        if self._is_turned:
            before = self.region(place) if place in self._regions else ()
            for far, allowed in set(before).difference(region):
                self._remove(far, allowed, place)
            for far, allowed in set(region).difference(before):
                self._put(far, allowed, 1 << place)
        self._regions[place] = (region, self._size)

    def _remove(self, far: int, allowed: ConnectionSet, place: int) -> None:
        keep = ~(1 << place)
        if self._all_but.get(allowed, 0) >> place & 1:  # so it was put, whatever share of the classes it is now
            self._all_but[allowed] &= keep
            _clear(self._not, ones(_first(self._size) & ~far), allowed, keep)
        else:
            _clear(self._also, ones(far), allowed, keep)

    def split(self, old: int) -> int:
        """A new class that is let through as the old one is; returns its number."""
        new = self._size
        self._size += 1
        self._heirs[old] = self._heirs.get(old, 0) | 1 << new
        self._with_heirs |= 1 << old
        for table in (self._also, self._not):
            if old in table:
                table[new] = defaultdict(int, table[old])
        return new


def _first(many: int) -> int:
    """So many classes, as bits."""
    return (1 << many) - 1


def _clear(table: dict[int, _Bits], places: Iterable[int], allowed: ConnectionSet, keep: int) -> None:
    for place in places:
        table[place][allowed] &= keep


def _distinct(regions: Mapping[int, tuple[Region, int]]) -> dict[Box, int]:
    """Each distinct box with the classes that have it."""
    owners: dict[int, tuple[Region, int]] = {}
    for place, (region, _) in regions.items():
        known = owners.get(id(region))
        owners[id(region)] = (region, known[1] | 1 << place if known else 1 << place)
    turned: dict[Box, int] = defaultdict(int)
    for region, letting in owners.values():
        for box in region:
            turned[box] |= letting
    return turned
