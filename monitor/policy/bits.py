"""Sets of small numbers as the bits of one whole number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_

_FEW_PLACES = 4
"""Up to them shifting is faster."""
_MANY_ONES = 32
"""Set bits from which on they are found faster in the number written out."""


def of(places: Iterable[int]) -> int:
    """The bits at these places. Each costs a step, however long the number is."""
    found = list(places)
    if len(found) == 1:
        return 1 << found[0]
    if len(found) <= _FEW_PLACES:
        return reduce(or_, [1 << place for place in found], 0)
    held = bytearray(max(found) // 8 + 1)
    for place in found:
        held[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(held, "little")


def ones(bits: int) -> Iterator[int]:
    """The places of the set bits, ascending."""
    if bits.bit_count() > _MANY_ONES:
        yield from _many_ones(f"{bits:b}"[::-1])
        return
    while bits:
        rest = bits & (bits - 1)
        yield (bits ^ rest).bit_length() - 1
        bits = rest


def _many_ones(digits: str) -> Iterator[int]:
    """Looked for in a text, lowest digit first: a step costs the same however long the number is."""
    place = digits.find("1")
    while place >= 0:
        yield place
        place = digits.find("1", place + 1)
