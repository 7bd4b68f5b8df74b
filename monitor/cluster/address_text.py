"""Addresses and networks as Calico's parser reads them: Go's, not Python's.

Differs from `ipaddress` in what it refuses: net masks written as addresses, zones, blanks.
Source: net.ParseCIDR and net.ParseIP, libcalico-go/lib/net/ipnet.go.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SHAPE = re.compile(r"[0-9A-Fa-f:.]+(/[0-9]{1,3})?")


def address(text: str) -> Address | None:
    """The address this text is, or None."""
    if "/" in text or not _SHAPE.fullmatch(text):
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def network(text: str) -> Network | None:
    """The network this text is, host bits cleared; None for anything else, a plain address too."""
    if "/" not in text or not _SHAPE.fullmatch(text):
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def network_or_address(text: str) -> Network | None:
    """As `network`; an address is the network of itself alone."""
    alone = address(text)
    return network(text) if alone is None else ip_network(alone)


def has_host_bits(text: str) -> bool:
    """Whether the address before the slash is not the network's first one."""
    net = network(text)
    return net is not None and address(text.partition("/")[0]) != net.network_address
