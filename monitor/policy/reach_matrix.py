"""Regions turned round: for each far class, which classes let it through with what.

A region says for one class whom it lets through. Asked the other way, "who lets this one through", 4,000 regions would
have to be looked at; the matrix has the answer at hand, cell by cell. Few distinct boxes exist, so they are turned
together, and a wide one is no cells but a shape, that others share which differ from it in few cells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from monitor.policy.bits import ones
from monitor.policy.connections import ConnectionSet
from monitor.policy.reach_regions import Box, Region

NARROW = 32
"""Cells that cost less than a shape of one's own: each question looks at all shapes."""
MANY_SHAPES = 128

_Bits = dict[ConnectionSet, int]


class _Shape:
    """A set of far classes, as of `size` classes, and who lets them through, but for single cells."""

    __slots__ = ("far", "letting", "size")

    def __init__(self, far: int, size: int) -> None:
        self.far = far
        self.size = size
        self.letting = 0


class Matrix:
    """`size` is the number of classes; it grows when a class is split off. Nothing is turned before somebody asks."""

    def __init__(self, by_place: Mapping[int, Region], size: int) -> None:
        self._size = size
        self._heirs: dict[int, int] = {}  # the classes that were split off a class, as bits
        self._with_heirs = 0
        self._regions: dict[int, tuple[Region, int]] = {place: (region, size) for place, region in by_place.items()}
        self._is_turned = False
        self._shapes: dict[ConnectionSet, list[_Shape]] = {}
        self._many_shapes = 0
        self._also: dict[int, _Bits] = defaultdict(lambda: defaultdict(int))  # outside of a shape, or without one
        self._not: dict[int, _Bits] = defaultdict(lambda: defaultdict(int))  # inside of a shape

    def _turn(self) -> None:
        self._is_turned = True
        self._regions = {place: (self.region(place), self._size) for place in self._regions}
        for (far, allowed), letting in _distinct(self._regions).items():
            self._put(far, allowed, letting)

    def _put(self, far: int, allowed: ConnectionSet, letting: int) -> None:
        shape = self._shape_for(far, allowed)
        if shape is not None:
            shape.letting |= letting
        for table, places in self._cells(shape, far):
            for place in places:
                table[place][allowed] |= letting

    def _shape_for(self, far: int, allowed: ConnectionSet) -> _Shape | None:
        """The nearest, if it is near; else a new one as long as there are not too many. None: cells are as good."""
        nearest, distance = None, far.bit_count()
        if distance <= NARROW:
            return None
        shapes = self._shapes.setdefault(allowed, [])
        for shape in shapes:
            differing = (self._far(shape) ^ far).bit_count()
            if differing < distance:
                nearest, distance = shape, differing
        if distance > NARROW and (not shapes or self._many_shapes < MANY_SHAPES):
            nearest = _Shape(far, self._size)
            shapes.append(nearest)
            self._many_shapes += 1
        return nearest

    def _cells(self, shape: _Shape | None, far: int) -> Iterator[tuple[dict[int, _Bits], Iterable[int]]]:
        """Where a box differs from its shape."""
        inside = 0 if shape is None else self._far(shape)
        yield self._also, ones(far & ~inside)
        yield self._not, ones(inside & ~far)

    def _far(self, shape: _Shape) -> int:
        if shape.size < self._size:
            shape.far, shape.size = self._grown(shape.far, shape.size), self._size
        return shape.far

    def letting(self, place: int) -> Iterator[Box]:
        """(classes, connections): who lets this class through with what. Boxes may overlap."""
        if not self._is_turned:
            self._turn()
        not_ = self._not.get(place, {})
        for allowed, shapes in self._shapes.items():
            for shape in shapes:
                if self._far(shape) >> place & 1:
                    yield shape.letting & ~not_.get(allowed, 0), allowed
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
        return place in self._regions and set(self.region(place)) == set(region)

    def replace(self, place: int, region: Region) -> None:
        """The class lets through something else now. Boxes that stay are not touched."""
        if self._is_turned:
            before = self.region(place) if place in self._regions else ()
            for far, allowed in set(before).difference(region):
                self._remove(far, allowed, place)
            for far, allowed in set(region).difference(before):
                self._put(far, allowed, 1 << place)
        self._regions[place] = (region, self._size)

    def retouch(self, place: int, far: int, wanted: Collection[ConnectionSet]) -> None:
        """The class lets through something else of one far class now: these sets of connections, all told.

        A box that loses its last class stays: it may have a shape.
        """
        before = self.region(place)
        changed = {allowed for bits, allowed in before if bits >> far & 1}.symmetric_difference(wanted)
        if not changed:
            return
        bit = 1 << far
        region = [(bits ^ bit if allowed in changed else bits, allowed) for bits, allowed in before]
        new = changed.difference([allowed for _, allowed in before])
        self._regions[place] = ((*region, *[(bit, allowed) for allowed in new]), self._size)
        if self._is_turned:
            for allowed in changed:
                self._flip(place, far, allowed)

    def _flip(self, place: int, far: int, allowed: ConnectionSet) -> None:
        shape = self._shape_of(place, allowed)
        table = self._not if shape is not None and self._far(shape) >> far & 1 else self._also
        table[far][allowed] ^= 1 << place

    def _remove(self, far: int, allowed: ConnectionSet, place: int) -> None:
        keep = ~(1 << place)
        shape = self._shape_of(place, allowed)
        for table, places in self._cells(shape, far):
            for each in places:
                table[each][allowed] &= keep
        if shape is not None:
            shape.letting &= keep
            if not shape.letting:
                self._shapes[allowed].remove(shape)
                self._many_shapes -= 1

    def _shape_of(self, place: int, allowed: ConnectionSet) -> _Shape | None:
        """The one that a class's box has: a class has one box for each set of connections."""
        return next((each for each in self._shapes.get(allowed, ()) if each.letting >> place & 1), None)

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
