"""Addresses and nets as whole numbers: one line of numbers for both families, so that every range is a pair.

IPv4 addresses are 0 … 2^32-1, IPv6 addresses lie above 2^128. A net is the inclusive range (first, last).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

V6 = 1 << 128
"""Added to every IPv6 address."""

Net = tuple[int, int]

_OCTETS = {str(number): number for number in range(256)}

ANY_V4: Net = (0, (1 << 32) - 1)
ANY_V6: Net = (V6, V6 + (1 << 128) - 1)


@lru_cache(maxsize=262_144)
def address(text: str) -> int:
    """The number of an address. ValueError if it is none."""
    try:
        a, b, c, d = text.split(".")
        return _OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8 | _OCTETS[d]
    except (ValueError, KeyError):  # no IPv4 address as most are written
        parsed = ipaddress.ip_address(text)
        return int(parsed) + V6 if parsed.version == 6 else int(parsed)


@lru_cache(maxsize=65_536)
def net(text: str) -> Net:
    """The range of a CIDR or of a plain address. Host bits are cut off. ValueError if it is neither."""
    parsed = ipaddress.ip_network(text, strict=False)
    base = V6 if parsed.version == 6 else 0
    return int(parsed.network_address) + base, int(parsed.broadcast_address) + base


def version(number: int) -> int:
    return 6 if number >= V6 else 4


def text(number: int) -> str:
    """The address as people write it."""
    if number >= V6:
        return str(ipaddress.IPv6Address(number - V6))
    return str(ipaddress.IPv4Address(number))


def prefix_length(found: Net) -> int:
    """Of a range that is a net."""
    bits = 128 if found[0] >= V6 else 32
    return bits - (found[1] - found[0]).bit_length()
