"""Who talks to whom: what may connect beside what was seen, for the domains of one level. Rows -> view, no I/O.

Law 1: where reach is not known a pair that was not seen is `?`, never nothing.
Law 2: what is shown is bounded: the domains with the worst traffic first, then by name; the rest is counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from monitor.store.pairs import OUTSIDE, UNKNOWN, ReachRow, TrafficRow
from monitor.web.views import Crossing, PairRow

MOST_DOMAINS = 16
MOST_PAIRS = 60

Pair = tuple[str, str]
Seen = Mapping[Pair, Mapping[str, int]]
"""Paths by class."""

_WORST_FIRST = ("escaped", "cannot tell", "denied", "allowed but never seen", "allowed and seen")
_DENIED = ("rejected", "misdropped")


def seen_between(rows: Iterable[TrafficRow], level: str) -> Seen:
    """Traffic of the domains of a level among themselves, with the outside, and with ends that nobody can tell."""
    found: defaultdict[Pair, dict[str, int]] = defaultdict(dict)
    for row in rows:
        for pair in _pairs(row, level):
            found[pair][row.flow_class] = found[pair].get(row.flow_class, 0) + row.paths
    return found


def _pairs(row: TrafficRow, level: str) -> Iterator[Pair]:
    for source in _ends(row.sources, level):
        for destination in _ends(row.destinations, level):
            if "/" in source or "/" in destination:
                yield source, destination


def _ends(domains: Iterable[str], level: str) -> list[str]:
    return [each for each in domains if each.startswith(f"{level}/") or each in {OUTSIDE, UNKNOWN}]


def chosen(domains: Collection[str], seen: Seen) -> tuple[str, ...]:
    """The domains to show, in the order of their names; all of them if they are few."""
    if len(domains) <= MOST_DOMAINS:
        return tuple(sorted(domains))
    worst: dict[str, int] = {}
    for pair, classes in seen.items():
        rank = _WORST_FIRST.index(_state(classes, is_allowed=True))
        for end in pair:
            worst[end] = min(worst.get(end, rank), rank)
    ranked = sorted(domains, key=lambda each: (worst.get(each, len(_WORST_FIRST)), each))
    return tuple(sorted(ranked[:MOST_DOMAINS]))


def crossing(
    level: str, domains: Collection[str], seen: Seen, reach: Sequence[ReachRow], *, is_known: bool
) -> Crossing:
    """`reach`: among the domains that are chosen, and the outside."""
    shown = chosen(domains, seen)
    ends = (*shown, OUTSIDE, *((UNKNOWN,) if any(UNKNOWN in pair for pair in seen) else ()))
    allowed = {(row.source, row.destination): row for row in reach} if is_known else {}
    told = {
        pair: _pair(pair, allowed.get(pair), seen.get(pair, {}))
        for pair in sorted(allowed.keys() | seen.keys())
        if set(pair) <= set(ends)
    }
    worst = sorted(told.values(), key=lambda each: (_WORST_FIRST.index(each.state), each.source, each.destination))
    return Crossing(
        level=level,
        ends=ends,
        states={pair: row.state for pair, row in told.items()},
        pairs=tuple(worst[:MOST_PAIRS]),
        more_pairs=max(0, len(worst) - MOST_PAIRS),
        more_domains=len(domains) - len(shown),
        is_known=is_known,
    )


def _pair(pair: Pair, allowed: ReachRow | None, classes: Mapping[str, int]) -> PairRow:
    return PairRow(
        source=pair[0],
        destination=pair[1],
        state=_state(classes, is_allowed=allowed is not None),
        connections=tuple(allowed.connections) if allowed else (),
        seen=dict(sorted(classes.items())),
    )


def _state(classes: Mapping[str, int], *, is_allowed: bool) -> str:
    """In the words of the view `matrix`."""
    if classes.get("escaped"):
        return "escaped"
    if classes.get("permitted"):
        return "allowed and seen"
    if any(classes.get(each) for each in _DENIED):
        return "denied"
    return "allowed but never seen" if is_allowed and not classes else "cannot tell"
