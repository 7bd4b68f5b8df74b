"""A control over a period as a strip: pieces of equal time, each showing the worst of its time, drawn as SVG paths.

Worst wins, so that a gap of a minute is seen in a strip of a month. Text and pattern say the same as the colour.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from math import ceil

from monitor.reports.content import ControlSection, Met, Span

PIECES = 240
HEIGHT = 10

_RANKED = (Met.NOT_APPLICABLE, Met.MET, Met.NOT_EVALUATED, Met.WAIVED, Met.NOT_MET)
"""The better ones first; what a control counts as in one of several domains is the worst of them."""

_RANK = {met: (1 << rank) - 1 for rank, met in enumerate(_RANKED, start=1)}
"""Each has the bits of the better ones, so that the worst of many pieces is one *or* of them all."""
STYLES = {met: met.value.replace(", ", "-").replace(" ", "-") for met in Met}
_PAINT = {met: bytes([rank]) for met, rank in _RANK.items()}
_STYLE_OF_RANK = {rank: STYLES[met] for met, rank in _RANK.items()}

Drawn = dict[str, bytes]
"""The pieces of controls, by their ids."""

EMPTY = bytes(PIECES)
"""Not in scope at any time."""


def pieces(spans: Iterable[Span], begin: datetime, end: datetime) -> bytes:
    """The rank of each piece; 0 = not in scope."""
    width = (end - begin).total_seconds() / PIECES
    found = bytearray(PIECES)
    for span in sorted(spans, key=lambda span: _RANK[span.met]):  # the worst last: it is painted over the others
        first = min(int((span.from_at - begin).total_seconds() / width), PIECES - 1)
        last = max(ceil((span.to_at - begin).total_seconds() / width), first + 1)
        last = min(last, PIECES)
        found[first:last] = _PAINT[span.met] * (last - first)
    return bytes(found)


def drawn(controls: Iterable[ControlSection], begin: datetime, end: datetime) -> Drawn:
    """Of every control of a domain."""
    return {control.control: pieces(control.spans, begin, end) for control in controls}


def worst(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) | int.from_bytes(other)).to_bytes(PIECES)


def paths(every: bytes) -> list[tuple[str, str]]:
    """Style and path, one for each kind of time that there is."""
    drawn: dict[int, list[str]] = {}
    place = 0
    for rank, run in groupby(every):
        length = len(list(run))
        if rank:
            drawn.setdefault(rank, []).append(f"M{place} 0h{length}v{HEIGHT}h-{length}z")
        place += length
    return [(_STYLE_OF_RANK[rank], "".join(parts)) for rank, parts in sorted(drawn.items())]
