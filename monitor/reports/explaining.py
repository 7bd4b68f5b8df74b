"""What changed at the ends of a gap: the moves of findings recorded at that very moment, and the policies before it.

A status changes at the end of a slice of facts, which spans at most 5 s of log time: a change of what decides within
those 5 s is named as what happened before, not as a proven cause.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from msgspec import structs

from monitor.reports.content import ControlMove, ControlSection, Met, Span
from monitor.store.periods import Happening

SLICE = timedelta(seconds=5)
"""The log time that one slice of facts spans at most (docs/architecture.md, a change in the cluster)."""

NAMED = 3
"""Of what happened at one moment so much is named; the rest is counted."""


class Changes:
    """When what decides was changed, and how, in short."""

    def __init__(self, rows: Iterable[tuple[datetime, str, str, str, str]]) -> None:
        """At, change, kind, namespace and name of each, in the order of time."""
        self._at: list[datetime] = []
        self._words: list[str] = []
        for at, change, kind, namespace, name in rows:
            self._at.append(at)
            self._words.append(f"{change} {kind} {namespace}/{name}" if namespace else f"{change} {kind} {name}")

    def just_before(self, at: datetime) -> list[str]:
        """Newest first."""
        end = begin = bisect_right(self._at, at)
        since = at - SLICE
        while begin and self._at[begin - 1] > since:
            begin -= 1
        return self._words[begin:end][::-1]

    def last_before(self, at: datetime) -> datetime | None:
        place = bisect_right(self._at, at)
        return self._at[place - 1] if place and self._at[place - 1] > at - SLICE else None


class Moments:
    """The ends of the gaps of one domain, and what is known of them."""

    def __init__(self, controls: Iterable[ControlSection], period: tuple[datetime, datetime]) -> None:
        self._period = period
        self._moves: dict[str, dict[datetime, list[str]]] = {
            section.control: {at: [] for span in section.spans for at in self._ends(span)} for section in controls
        }
        self._more: Counter[tuple[str, datetime]] = Counter()

    def __iter__(self) -> Iterator[datetime]:
        return iter({at for moments in self._moves.values() for at in moments})

    def see(self, control: str, subject: str, history: Iterable[ControlMove | Happening]) -> None:
        """Moves of a finding; those that explain no end of a gap are let go."""
        moments = self._moves.get(control)
        if not moments:
            return
        for move in history:
            if (moves := moments.get(move.at)) is None:
                continue
            if len(moves) < NAMED:
                moves.append(f"{move.transition} {subject}")
            else:
                self._more[control, move.at] += 1

    def explained(self, section: ControlSection, changes: Changes) -> ControlSection:
        spans = list(section.spans)
        for place, span in enumerate(section.spans):
            if not span.is_breach:
                continue
            began = self._words(section.control, span.from_at, changes)
            ended = self._words(section.control, span.to_at, changes)
            if began and place and spans[place - 1].met is Met.NOT_EVALUATED:
                began = ("found at the first evaluation", *began)
            if place + 1 < len(spans) and (after := spans[place + 1]).met is Met.NOT_EVALUATED:
                ended = (f"not evaluated any more: {after.reason}",)
            spans[place] = structs.replace(span, began=began, ended=ended)
        return structs.replace(section, spans=tuple(spans))

    def _words(self, control: str, at: datetime, changes: Changes) -> tuple[str, ...]:
        """What lies at the period's own ends did not change there: nothing is said of it."""
        moves = self._moves[control].get(at)
        if moves is None:
            return ()
        more = self._more[control, at] if len(moves) == NAMED else 0
        before = changes.just_before(at)
        return (*moves, *_counted(more), *before[:NAMED], *_counted(len(before) - NAMED))

    def _ends(self, span: Span) -> list[datetime]:
        """Those within the period: what lies at its own ends did not change there."""
        if not span.is_breach:
            return []
        begin, end = self._period
        return [at for at in (span.from_at, span.to_at) if begin < at < end]


def _counted(more: int) -> tuple[str, ...]:
    return (f"and {more} more",) if more > 0 else ()
