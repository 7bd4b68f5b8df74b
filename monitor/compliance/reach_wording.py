"""Reachability in words: what two domains may open to each other, and what a change of it has widened and closed.

`tcp/443`; `tcp/443 (203.0.113.0/24)` where only some addresses outside are meant; `perhaps tcp/443` where the known
inputs leave it open. No range means any address of IPv4, and of IPv6 where there is any.
Law: equal words mean equal reach: what is cut off for length is told by its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from monitor.policy import addresses, intervals
from monitor.policy.connections import NOTHING
from monitor.policy.intervals import Intervals
from monitor.policy.reach import Answer, Outside
from monitor.policy.reach_words import ranges_in_words

OUTSIDE: Final = "outside"
MOST_RANGES = 8
MOST_WORDS = 40
MOST_LINES = 50
"""Of one change; more are counted."""

Pair = tuple[str, str]
Cell = tuple[Outside, ...]
"""Of two domains: one entry without ranges. With the outside: one for each set of ranges. Empty: nothing."""

Changed = dict[Pair, tuple[Cell, Cell]]
"""Before and after."""

_ANYWHERE = ((addresses.ANY_V4,), (addresses.ANY_V4, addresses.ANY_V6))
_NO_RANGES = intervals.of([(0, 0)])  # stands for the space of a pair that has none

Part = tuple[Intervals, Answer]


def cell(found: Cell) -> tuple[str, ...]:
    """The connections of a pair, in the order of their ranges."""
    return tuple(word for part in found for word in _words(part.answer, _where(part.ranges)))


def _words(answer: Answer, where: str) -> Iterator[str]:
    yield from (f"{word}{where}" for word in _bounded(answer.allowed.words(), MOST_WORDS))
    yield from (f"perhaps {word}{where}" for word in _bounded(answer.unknown.words(), MOST_WORDS))


def _where(ranges: tuple[addresses.Net, ...]) -> str:
    if not ranges or ranges in _ANYWHERE:
        return ""
    return f" ({', '.join(_bounded(ranges_in_words(ranges), MOST_RANGES))})"


def _bounded(words: tuple[str, ...], most: int) -> tuple[str, ...]:
    if len(words) <= most:
        return words
    rest = words[most:]
    digest = hashlib.sha256("\n".join(rest).encode()).hexdigest()[:8]
    return (*words[:most], f"and {len(rest)} more [{digest}]")


# --- changes -----------------------------------------------------------------------------------------------------


def widened(changed: Changed, addition: str = "") -> tuple[str, ...]:
    """What may be opened that could not before: `shop -> payments tcp/5432`. `addition` ends every line."""
    return _lines(((pair, after, before) for pair, (before, after) in changed.items()), _gained, addition)


def closed(changed: Changed, addition: str = "") -> tuple[str, ...]:
    """What may not be opened any more."""
    return _lines(((pair, before, after) for pair, (before, after) in changed.items()), _lost, addition)


def _gained(now: Answer, before: Answer) -> Answer:
    return Answer(now.allowed - before.allowed, now.unknown - before.allowed - before.unknown)


def _lost(before: Answer, now: Answer) -> Answer:
    """What is now unknown is not lost for certain."""
    return Answer(before.allowed - now.allowed - now.unknown, before.unknown - now.allowed - now.unknown)


Rest = Callable[[Answer, Answer], Answer]


def _lines(pairs: Iterable[tuple[Pair, Cell, Cell]], rest: Rest, addition: str) -> tuple[str, ...]:
    found: list[str] = []
    for (source, destination), one, other in sorted(pairs, key=lambda each: each[0]):
        parts = tuple(Outside(ranges, answer) for ranges, answer in _left_over(one, other, rest))
        words = ", ".join(cell(parts))
        if words:
            found.append(f"{_name(source)} -> {_name(destination)} {words}{addition}")
    more = len(found) - MOST_LINES
    return (*found[:MOST_LINES], f"and {more} more{addition}") if more > 0 else tuple(found)


def _name(domain: str) -> str:
    """Namespaces are what people name; other levels are said."""
    return domain.removeprefix("namespace/")


def _left_over(one: Cell, other: Cell, rest: Rest) -> Iterator[tuple[tuple[addresses.Net, ...], Answer]]:
    """What remains of one cell, by ranges that share it."""
    spaces: dict[Answer, Intervals] = {}
    for space, answer in _compared(_parts(one), _parts(other), rest):
        if any(answer):
            spaces[answer] = intervals.union(spaces.get(answer, intervals.EMPTY), space)
    for answer, space in spaces.items():
        yield () if space == _NO_RANGES else tuple(intervals.ranges(space)), answer


def _compared(one: list[Part], other: list[Part], rest: Rest) -> Iterator[Part]:
    for space, answer in one:
        left = space
        for there, known in other:
            if common := intervals.intersection(left, there):
                yield common, rest(answer, known)
                left = intervals.difference(left, common)
        if left:
            yield left, rest(answer, Answer(NOTHING))


def _parts(found: Cell) -> list[Part]:
    return [(intervals.of(part.ranges) if part.ranges else _NO_RANGES, part.answer) for part in found]
