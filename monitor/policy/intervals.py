"""Sets of whole numbers as sorted edges: ports, ICMP types and codes, addresses; and sets of pairs of them.

An interval set is a tuple (start, stop, start, stop, …), each stop one past the end, strictly ascending.
A plane is a set of pairs, cut along its first axis: ((start, stop, interval set), …).
Law 1: both forms are canonical, so equal sets are equal tuples and can be keys. In a plane, neighbouring slabs differ
and none is empty.
Law 2: the empty tuple is the empty set; there is no universal set, the caller names the space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

Intervals = tuple[int, ...]
Slab = tuple[int, int, Intervals]
Plane = tuple[Slab, ...]

EMPTY: Intervals = ()
NOWHERE: Plane = ()


def of(ranges: Iterable[tuple[int, int]]) -> Intervals:
    """From inclusive (first, last) pairs in any order, overlapping or not. A pair that runs backwards is empty."""
    edges: list[int] = []
    for first, last in sorted(ranges):
        if first > last:
            continue
        if edges and first <= edges[-1]:
            edges[-1] = max(edges[-1], last + 1)
        else:
            edges += (first, last + 1)
    return tuple(edges)


def ranges(numbers: Intervals) -> Iterator[tuple[int, int]]:
    """The inclusive (first, last) pairs, ascending."""
    for place in range(0, len(numbers), 2):
        yield numbers[place], numbers[place + 1] - 1


def size(numbers: Intervals) -> int:
    return sum(numbers[1::2]) - sum(numbers[::2])


def holds(numbers: Intervals, number: int) -> bool:
    return any(numbers[place] <= number < numbers[place + 1] for place in range(0, len(numbers), 2))


def union(left: Intervals, right: Intervals) -> Intervals:
    if not left or left == right:
        return right
    if not right:
        return left
    return _swept(left, right, _either)


def intersection(left: Intervals, right: Intervals) -> Intervals:
    if left == right:
        return left
    if not left or not right:
        return EMPTY
    return _swept(left, right, _both)


def difference(left: Intervals, right: Intervals) -> Intervals:
    if left == right:
        return EMPTY
    if not left or not right:
        return left
    return _swept(left, right, _first_only)


def _either(left: int, right: int) -> int:
    return left | right


def _both(left: int, right: int) -> int:
    return left & right


def _first_only(left: int, right: int) -> int:
    return left & ~right & 1


def _swept(left: Intervals, right: Intervals, kept: Callable[[int, int], int]) -> Intervals:
    """One pass over both edge lists; an edge is kept where the answer changes."""
    edges: list[int] = []
    at_left = at_right = inside = 0
    while at_left < len(left) or at_right < len(right):
        if at_right == len(right) or (at_left < len(left) and left[at_left] <= right[at_right]):
            edge = left[at_left]
        else:
            edge = right[at_right]
        at_left += at_left < len(left) and left[at_left] == edge
        at_right += at_right < len(right) and right[at_right] == edge
        now = kept(at_left & 1, at_right & 1)
        if now != inside:
            edges.append(edge)
            inside = now
    return tuple(edges)


# --- planes ------------------------------------------------------------------------------------------------------


def plane(first: Intervals, second: Intervals) -> Plane:
    """All pairs of one from `first` and one from `second`."""
    if not second:
        return NOWHERE
    return tuple((first[place], first[place + 1], second) for place in range(0, len(first), 2))


def plane_holds(pairs: Plane, first: int, second: int) -> bool:
    return any(start <= first < stop and holds(inner, second) for start, stop, inner in pairs)


def plane_union(left: Plane, right: Plane) -> Plane:
    if not left or left == right:
        return right
    if not right:
        return left
    return _overlaid(left, right, union)


def plane_intersection(left: Plane, right: Plane) -> Plane:
    if left == right:
        return left
    if not left or not right:
        return NOWHERE
    return _overlaid(left, right, intersection)


def plane_difference(left: Plane, right: Plane) -> Plane:
    if left == right:
        return NOWHERE
    if not left or not right:
        return left
    return _overlaid(left, right, difference)


def _overlaid(left: Plane, right: Plane, joined: Callable[[Intervals, Intervals], Intervals]) -> Plane:
    """Both planes cut at each other's slab edges and joined slab by slab."""
    edges = sorted({edge for slab in (*left, *right) for edge in slab[:2]})
    slabs: list[Slab] = []
    at_left = at_right = 0
    for start, stop in pairwise(edges):
        at_left = _slab_at(left, at_left, start)
        at_right = _slab_at(right, at_right, start)
        inner = joined(_inner(left, at_left, start), _inner(right, at_right, start))
        if not inner:
            continue
        if slabs and slabs[-1][1] == start and slabs[-1][2] == inner:
            slabs[-1] = (slabs[-1][0], stop, inner)
        else:
            slabs.append((start, stop, inner))
    return tuple(slabs)


def _slab_at(pairs: Plane, place: int, number: int) -> int:
    """The first slab at or after `place` that does not end before `number`."""
    while place < len(pairs) and pairs[place][1] <= number:
        place += 1
    return place


def _inner(pairs: Plane, place: int, number: int) -> Intervals:
    if place < len(pairs) and pairs[place][0] <= number:
        return pairs[place][2]
    return EMPTY
