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
from monitor.store.periods import ChangeRow, Happening

SLICE = timedelta(seconds=5)
"""The log time that one slice of facts spans at most (docs/architecture.md, a change in the cluster)."""

NAMED = 3
"""Of what happened at one moment so much is named; the rest is counted."""


class Changes:
    """When what decides was changed, and how, in short."""

    def __init__(self) -> None:
        self._at: list[datetime] = []
        self._words: list[str] = []

    def add(self, row: ChangeRow) -> None:
        """In the order of time."""
        name = f"{row.namespace}/{row.name}" if row.namespace else row.name
        self._at.append(row.at)
        self._words.append(f"{row.change} {row.kind} {name}")

    def just_before(self, at: datetime) -> list[str]:
        """Newest first."""
        return self._words[bisect_right(self._at, at - SLICE) : bisect_right(self._at, at)][::-1]

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
            words = {at: self._words(section.control, at, changes) for at in self._ends(span)}
            if not words:
                continue
            began, ended = words.get(span.from_at, ()), words.get(span.to_at, ())
            if began and place and spans[place - 1].met is Met.NOT_EVALUATED:
                began = ("found at the first evaluation", *began)
            if place + 1 < len(spans) and (after := spans[place + 1]).met is Met.NOT_EVALUATED:
                ended = (f"not evaluated any more: {after.reason}",)
            spans[place] = structs.replace(span, began=began, ended=ended)
        return structs.replace(section, spans=tuple(spans))

    def _words(self, control: str, at: datetime, changes: Changes) -> tuple[str, ...]:
        moves = self._moves[control][at]
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
