"""Ranges of addresses as people write them: CIDRs where a range is one, first-last where it is not."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.policy import addresses
from monitor.policy.addresses import ANY_V4, ANY_V6, Net

ANYWHERE = {ANY_V4: "any IPv4", ANY_V6: "any IPv6"}


def ranges_in_words(ranges: Iterable[Net]) -> tuple[str, ...]:
    return tuple(ANYWHERE.get(one) or _range(one) for one in ranges)


def _range(one: Net) -> str:
    first, last = one
    size = last - first + 1
    base = first - addresses.V6 if first >= addresses.V6 else first
    if size & (size - 1) == 0 and base % size == 0:
        length = addresses.prefix_length(one)
        return addresses.text(first) if size == 1 else f"{addresses.text(first)}/{length}"
    return f"{addresses.text(first)}-{addresses.text(last)}"
