"""Protocols and ports of Calico rules in their one canonical form.

A protocol is a number or one of six names, a port a number, a range `a:b` or a name
(api/pkg/lib/numorstring: port.go, protocol.go). MisshapenError: no client of the API could decode it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from monitor.cluster.shapes import MisshapenError

PROTOCOL_NAMES = ("TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite")
WITH_PORTS = frozenset({"TCP", "UDP", "SCTP", 6, 17, 132})

_BY_LOWER = {name.lower(): name for name in PROTOCOL_NAMES}
_DECODABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_RANGE = re.compile(r"([0-9]+):([0-9]+)")
_PORT_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_PORT_NAME = 15


class PortRange(NamedTuple):
    """Both ends inclusive."""

    first: int
    last: int


def protocol(written: int | str, path: str) -> int | str:
    """A number, a name in Calico's spelling, or the unknown name as written."""
    if isinstance(written, str):
        number = _number(written) if re.fullmatch("[0-9]+", written) else None
        return number if number is not None and number <= 255 else _BY_LOWER.get(written.lower(), written)
    if not 0 <= written <= 255:
        raise MisshapenError(f"{path}: {written} is no protocol number (1 to 255)")
    return written


def port(written: int | str, path: str) -> PortRange | str:
    """A range, or a name."""
    if isinstance(written, int):
        return _range(written, written, path)
    if re.fullmatch("[0-9]+", written):
        return _range(_number(written), _number(written), path)
    found = _RANGE.fullmatch(written)
    if found:
        return _range(_number(found[1]), _number(found[2]), path)
    if not _DECODABLE_NAME.fullmatch(written):
        raise MisshapenError(f"{path}: {written!r} is neither a port, nor a range a:b, nor a port name")
    return written


def canonical_port(written: int | str, path: str) -> int | str:
    """A number, `a:b` or a name."""
    parsed = port(written, path)
    if isinstance(parsed, str):
        return parsed
    return parsed.first if parsed.first == parsed.last else f"{parsed.first}:{parsed.last}"


def is_port_name(name: str) -> bool:
    """Kubernetes' rule for port names (IANA_SVC_NAME)."""
    is_shaped = len(name) <= _LONGEST_PORT_NAME and _PORT_NAME.fullmatch(name) is not None
    return is_shaped and not name.replace("-", "").isdigit()


def _number(digits: str) -> int:
    """Its value; of very long ones just that it is far too big."""
    return int(digits.lstrip("0")[:9] or "0")


def _range(first: int, last: int, path: str) -> PortRange:
    if not (0 <= first <= 65535 and 0 <= last <= 65535):
        raise MisshapenError(f"{path}: ports run from 1 to 65535")
    if first > last:
        raise MisshapenError(f"{path}: the range {first}:{last} ends before it begins")
    return PortRange(first, last)
