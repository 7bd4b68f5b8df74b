"""Which connections: exact sets over protocol × ports × ICMP types and codes, for one address family.

A set holds what the first packet of a connection can be: TCP, UDP and SCTP with a destination and a source port, ICMP
and ICMPv6 with type and code, every other protocol as a whole.
Law 1: equal sets are equal objects by value, whatever made them; sets are immutable and hash fast.
Law 2: union, intersection and difference are exact; nothing is sampled or rounded.
Rules read only numeric ports of TCP, UDP and SCTP (policy_semantics.md 6.4), so UDPLite has no ports here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from models.verdicts import Connection
from monitor.policy import intervals
from monitor.policy.intervals import Intervals, Plane

TCP: Final = 6
UDP: Final = 17
SCTP: Final = 132
ICMP: Final = 1
ICMPV6: Final = 58
PORTED: Final = frozenset({TCP, UDP, SCTP})
TYPED: Final = frozenset({ICMP, ICMPV6})

NAMES: Final[Mapping[int, str]] = {
    ICMP: "icmp",
    2: "igmp",
    4: "ipip",
    TCP: "tcp",
    UDP: "udp",
    47: "gre",
    50: "esp",
    51: "ah",
    ICMPV6: "icmpv6",
    SCTP: "sctp",
    136: "udplite",
}
"""Words for protocol numbers; the rest are written as numbers."""

ANY_PORT: Final[Intervals] = (0, 65536)
ANY_BYTE: Final[Intervals] = (0, 256)

_NUMBERS: Final = {name: number for number, name in NAMES.items()}
_EVERY_PROTOCOL: Final = (1 << 256) - 1
_WHOLE_PORTS: Final = intervals.plane(ANY_PORT, ANY_PORT)
_WHOLE_TYPES: Final = intervals.plane(ANY_BYTE, ANY_BYTE)

Partial = tuple[tuple[int, Plane], ...]


class ConnectionSet(Struct, frozen=True, cache_hash=True, gc=False):
    """`whole`: bit n set = all of protocol n. `partial`: protocols of which only some, ascending.

    The first axis of a plane is the destination port or ICMP type, the second the source port or ICMP code.
    """

    whole: int
    partial: Partial = ()

    def __bool__(self) -> bool:
        return self.whole != 0 or self.partial != ()

    def __or__(self, other: ConnectionSet) -> ConnectionSet:
        return _union(self, other)

    def __and__(self, other: ConnectionSet) -> ConnectionSet:
        return intersection(self, other)

    def __sub__(self, other: ConnectionSet) -> ConnectionSet:
        return difference(self, other)

    def __le__(self, other: ConnectionSet) -> bool:
        return not difference(self, other)

    def __invert__(self) -> ConnectionSet:
        return difference(EVERYTHING, self)

    def __contains__(self, connection: Connection) -> bool:
        """Whether the connection, all of whose fields that its protocol has are known, is in the set."""
        if self.whole >> connection.protocol & 1:
            return True
        plane = self.plane(connection.protocol)
        if connection.protocol in PORTED:
            first, second = connection.destination_port, connection.source_port
        else:
            first, second = connection.icmp_type, connection.icmp_code
        return first is not None and second is not None and intervals.plane_holds(plane, first, second)

    def __repr__(self) -> str:
        return f"ConnectionSet({', '.join(self.words()) or 'nothing'})"

    def __str__(self) -> str:
        return ", ".join(self.words())

    @property
    def is_everything(self) -> bool:
        return self.whole == _EVERY_PROTOCOL

    def plane(self, protocol: int) -> Plane:
        """The part of one protocol. A protocol without ports or types is all or nothing: its plane stays empty."""
        if self.whole >> protocol & 1:
            return whole_plane(protocol)
        return next((plane for number, plane in self.partial if number == protocol), intervals.NOWHERE)

    def words(self) -> tuple[str, ...]:
        """`tcp/80`, `tcp/1000:2000`, `icmp/8`, `icmp/3/4`, `all`, `all but …`; the inverse of `from_words`."""
        return _in_words(self)

    def edges(self) -> Iterator[tuple[int, int | None, int | None]]:
        """(protocol, first axis, second axis) at both ends of every range and one past them: where answers change."""
        for number, plane in self.partial:
            limit = 65535 if number in PORTED else 255
            for start, stop, inner in plane:
                firsts = {start, stop - 1, max(start - 1, 0), min(stop, limit)}
                seconds = {
                    edge for a, b in intervals.ranges(inner) for edge in (a, b, max(a - 1, 0), min(b + 1, limit))
                }
                yield from ((number, first, second) for first in sorted(firsts) for second in sorted(seconds))


NOTHING: Final = ConnectionSet(0)
EVERYTHING: Final = ConnectionSet(_EVERY_PROTOCOL)


def whole_plane(protocol: int) -> Plane:
    if protocol in PORTED:
        return _WHOLE_PORTS
    return _WHOLE_TYPES if protocol in TYPED else intervals.NOWHERE


def protocol(number: int) -> ConnectionSet:
    """All connections of one protocol."""
    return ConnectionSet(1 << number)


def ports(number: int, destination: Intervals = ANY_PORT, source: Intervals = ANY_PORT) -> ConnectionSet:
    """Connections of TCP, UDP or SCTP by their ports."""
    return _of_planes(0, {number: intervals.plane(destination, source)})


def icmp(number: int, types: Intervals = ANY_BYTE, codes: Intervals = ANY_BYTE) -> ConnectionSet:
    """ICMP (1) or ICMPv6 (58) by type and code."""
    return _of_planes(0, {number: intervals.plane(types, codes)})


def union(parts: Iterable[ConnectionSet]) -> ConnectionSet:
    joined = NOTHING
    for part in parts:
        joined = _union(joined, part)
    return joined


def _of_planes(whole: int, planes: Mapping[int, Plane]) -> ConnectionSet:
    """Brings whole planes into `whole` and drops empty ones: the canonical form."""
    partial = []
    for number in sorted(planes):
        plane = planes[number]
        if whole >> number & 1 or not plane:
            continue
        if plane == whole_plane(number):
            whole |= 1 << number
        else:
            partial.append((number, plane))
    return ConnectionSet(whole, tuple(partial))


# A cluster has few distinct sets and asks the same questions of them over and over.
@lru_cache(maxsize=1 << 16)
def _union(left: ConnectionSet, right: ConnectionSet) -> ConnectionSet:
    planes = dict(left.partial)
    for number, plane in right.partial:
        planes[number] = intervals.plane_union(planes.get(number, intervals.NOWHERE), plane)
    return _of_planes(left.whole | right.whole, planes)


@lru_cache(maxsize=1 << 16)
def intersection(left: ConnectionSet, right: ConnectionSet) -> ConnectionSet:
    planes = {number: intervals.plane_intersection(plane, right.plane(number)) for number, plane in left.partial}
    planes |= {number: plane for number, plane in right.partial if left.whole >> number & 1}
    return _of_planes(left.whole & right.whole, planes)


@lru_cache(maxsize=1 << 16)
def difference(left: ConnectionSet, right: ConnectionSet) -> ConnectionSet:
    planes = {
        number: intervals.plane_difference(plane, right.plane(number))
        for number, plane in left.partial
        if not right.whole >> number & 1
    }
    for number, plane in right.partial:
        if left.whole >> number & 1:
            planes[number] = intervals.plane_difference(whole_plane(number), plane)
    cut = sum(1 << number for number, _ in right.partial)
    return _of_planes(left.whole & ~right.whole & ~cut, planes)


# --- words -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def _in_words(connections: ConnectionSet) -> tuple[str, ...]:
    if connections.is_everything:
        return ("all",)
    said = tuple(_words(connections))
    if connections.whole.bit_count() <= 128:
        return said
    return tuple(f"all but {word}" if place == 0 else word for place, word in enumerate(_words(~connections)))


def _words(connections: ConnectionSet) -> Iterator[str]:
    partial = dict(connections.partial)
    whole = (number for number in range(256) if connections.whole >> number & 1) if connections.whole else ()
    for number in sorted({*whole, *partial}):
        if number in partial:
            yield from (_slab_words(number, first, inner) for first, inner in _grouped(partial[number]))
        else:
            yield name(number)


def _grouped(plane: Plane) -> Iterator[tuple[str, Intervals]]:
    for start, stop, inner in plane:
        yield (str(start) if stop == start + 1 else f"{start}:{stop - 1}"), inner


def _slab_words(number: int, first: str, inner: Intervals) -> str:
    if number in PORTED:
        any_port = inner == ANY_PORT
        return f"{name(number)}/{first}" if any_port else f"{name(number)}/{first} from {_range_words(inner)}"
    return f"{name(number)}/{first}" if inner == ANY_BYTE else f"{name(number)}/{first}/{_range_words(inner)}"


def _range_words(numbers: Intervals) -> str:
    return "+".join(str(a) if a == b else f"{a}:{b}" for a, b in intervals.ranges(numbers))


def name(number: int) -> str:
    return NAMES.get(number, str(number))


_WORD = re.compile(
    r"(?P<protocol>[a-z][a-z0-9]*|\d{1,3})(?:/(?P<first>[\d:+]+)(?:/(?P<code>[\d:+]+)| from (?P<source>[\d:+]+))?)?",
    re.ASCII,
)


def from_words(words: Iterable[str]) -> ConnectionSet:
    """Reads `words()` and the same as people write them, as in domains.yaml. ValueError names the bad word."""
    joined = NOTHING
    is_complement = False
    for word in words:
        text = word.strip()
        if text.startswith("all but "):
            is_complement = True
            text = text.removeprefix("all but ").strip()
        joined |= EVERYTHING if text == "all" else _from_word(text)
    return ~joined if is_complement else joined


def _from_word(word: str) -> ConnectionSet:
    match = _WORD.fullmatch(word.lower())
    number = _protocol_number(match["protocol"]) if match else None
    if match is None or number is None:
        raise ValueError(f"{word!r} is no connection: write tcp/8080, udp/53, tcp/1000:2000, icmp, icmp/8 or icmp/3/4")
    if match["first"] is None:
        return protocol(number)
    if number in PORTED and match["code"] is None:
        source = _numbers(match["source"], 65535, word) if match["source"] else ANY_PORT
        return ports(number, _numbers(match["first"], 65535, word), source)
    if number in TYPED and match["source"] is None:
        codes = _numbers(match["code"], 255, word) if match["code"] else ANY_BYTE
        return icmp(number, _numbers(match["first"], 255, word), codes)
    raise ValueError(f"{word!r}: only tcp, udp and sctp have ports, only icmp and icmpv6 have types")


def _protocol_number(text: str) -> int | None:
    if text.isdecimal():
        return int(text) if int(text) < 256 else None
    return _NUMBERS.get(text)


def _numbers(text: str, limit: int, word: str) -> Intervals:
    found = []
    for part in text.split("+"):
        first, _, last = part.partition(":")
        if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) > limit:
            raise ValueError(f"{word!r}: {part!r} is not a number or a:b range up to {limit}")
        found.append((int(first), int(last or first)))
    numbers = intervals.of(found)
    if not numbers:
        raise ValueError(f"{word!r}: the range {text!r} runs backwards")
    return numbers
