"""How a batch of facts is cut before it is judged; pure.

Law 1: a slice spans at most 5 s of log time, so that a hole that opened and closed inside one batch is judged open.
Law 2: a slice that is older than 60 s against now is only folded: nobody was looking then, so nothing may be called
compliant for it (architecture.md section 4). Neighbouring slices of that sort are one: nothing is judged between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, groupby

from msgspec import Struct

from streams.decoding import Incoming

SLICE_SPAN = timedelta(seconds=5)
LIVE_AGE = timedelta(seconds=60)


class Slice(Struct, frozen=True):
    """Facts of one cluster in order. Only a live one is evaluated."""

    facts: tuple[Incoming, ...]
    is_live: bool


def slices(facts: Sequence[Incoming], *, now: datetime) -> Iterator[Slice]:
    """The facts in order, cut. Log time is the greatest timestamp so far: a broker's clock may step back."""
    reached = accumulate((fact.at for fact in facts), max)
    for is_live, group in groupby(zip(facts, reached, strict=True), key=lambda pair: now - pair[1] <= LIVE_AGE):
        if is_live:
            yield from _spans(group)
        else:
            yield Slice(tuple(fact for fact, _ in group), is_live=False)


def _spans(pairs: Iterable[tuple[Incoming, datetime]]) -> Iterator[Slice]:
    current: list[Incoming] = []
    began: datetime | None = None
    for fact, at in pairs:
        began = began or at
        if current and at - began > SLICE_SPAN:
            yield Slice(tuple(current), is_live=True)
            current, began = [], at
        current.append(fact)
    yield Slice(tuple(current), is_live=True)
