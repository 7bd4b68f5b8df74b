"""A kernel LOG line (rule action Log) to a flow record.

Law 1: a line that looks like a LOG line and cannot be read is `Malformed`, never skipped: it is a loss of evidence.
Law 2: what the line does not say stays None (fragments, SCTP, damaged packets): the verdict names what is missing.
Law 3: fields are positional: what stands before PROTO= is the IP header's, what follows is the transport's, and what
stands in brackets is another packet's (an ICMP error quotes it).
Source: policy_semantics.md 18; Linux net/netfilter/nf_log_syslog.c for the order of fields.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from msgspec import Struct

from models.flows import FlowRecord
from monitor.flows.log_headers import Closed, NotTheKernel, Opened, Reference, opened

PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "ICMP": "icmp", "ICMPv6": "icmp6", "UDPLITE": "136", "AH": "51", "ESP": "50"}
"""As the kernel writes them; every other protocol is a number."""

NUMBERED = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmp6", "132": "sctp"}

LAST_FIELD = {"tcp": "URGP", "udp": "LEN", "icmp": "CODE", "icmp6": "CODE"}
"""Without it the line was cut off, unless the kernel itself says that the packet was incomplete or a fragment."""

ECHOES = {"icmp": (0, 8), "icmp6": (128, 129)}
"""ICMP types whose lines go on to SEQ=."""

_FIELD_LIST = re.compile(r"IN=(?P<input>[^ =]*) OUT=(?P<output>[^ =]*)(?: (?P<fields>.*))?$", re.DOTALL)
_CUT_OFF = re.compile(r": IN=[^ =]*(?: O?U?T?)?$")
_UNFINISHED = ("INCOMPLETE", "TRUNCATED")


class NotALogLine(Struct, frozen=True):
    """Any other line of a log."""


class Malformed(Struct, frozen=True):
    """A LOG line that cannot be read. `reason` is one of few texts: it is counted by."""

    reason: str


NOT_A_LOG_LINE = NotALogLine()


class _MalformedError(ValueError):
    pass


def parse(
    line: bytes | str, reference: Reference, *, prefixes: tuple[str, ...] = ()
) -> FlowRecord | NotALogLine | Malformed:
    """One line without its newline.

    prefixes: what the LOG prefix must begin with, to leave out other software's lines; empty = any.
    """
    text = line.decode(errors="replace") if isinstance(line, bytes) else line
    text = text.rstrip("\r\n")
    if "IN=" not in text:
        return NOT_A_LOG_LINE
    header = opened(text, reference)
    match header:
        case NotTheKernel():
            return NOT_A_LOG_LINE
        case Closed():
            return Malformed(header.reason) if _FIELD_LIST.search(text) else NOT_A_LOG_LINE
        case Opened():
            return _parsed(header, prefixes)


def _parsed(header: Opened, prefixes: tuple[str, ...]) -> FlowRecord | NotALogLine | Malformed:
    fields = _last_field_list(header.message)
    if fields is None:
        return Malformed("cut off before the fields") if _CUT_OFF.search(header.message) else NOT_A_LOG_LINE
    prefix = _without_separator(header.message[: fields.start()])
    if prefixes and not prefix.startswith(prefixes):
        return NOT_A_LOG_LINE
    try:
        return _record(header, fields, prefix)
    except _MalformedError as error:
        return Malformed(str(error))


def _last_field_list(message: str) -> re.Match[str] | None:
    """A long prefix runs straight into `IN=` (18.2), so it is looked for from the end."""
    at = message.rfind("IN=")
    while at >= 0:
        if found := _FIELD_LIST.match(message, at):
            return found
        at = message.rfind("IN=", 0, at)
    return None


def _without_separator(prefix: str) -> str:
    """Felix adds ": ", of which the kernel's tools may have cut off one or both characters."""
    return prefix.strip(" ").removesuffix(":")


def _record(header: Opened, found: re.Match[str], prefix: str) -> FlowRecord:
    """_MalformedError names what cannot be read."""
    outer, _, _ = (found["fields"] or "").partition("[")
    ip_part, has_protocol, transport = outer.partition(" PROTO=")
    ip_fields = _values(ip_part)
    source, destination = _address(ip_fields, "SRC"), _address(ip_fields, "DST")
    if source.version != destination.version:
        raise _MalformedError("addresses of two families")
    if not has_protocol:
        raise _MalformedError("cut off before PROTO=")
    name, _, rest = transport.partition(" ")
    protocol, fields = _protocol(name), _values(rest)
    _check_whole(protocol, fields, outer)
    return FlowRecord(
        at=header.at,
        source_address=str(source),
        destination_address=str(destination),
        protocol=protocol,
        source_port=_number(fields, "SPT", 65535),
        destination_port=_number(fields, "DPT", 65535),
        icmp_type=_number(fields, "TYPE", 255),
        icmp_code=_number(fields, "CODE", 255),
        in_interface=found["input"],
        out_interface=found["output"],
        prefix=prefix,
        packet_id=_number(ip_fields, "ID", 65535) if source.version == 4 else None,
    )


def _values(text: str) -> dict[str, str]:
    """The first value of each field; words without a value are flags."""
    values: dict[str, str] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if equals:
            values.setdefault(name, value)
    return values


def _address(fields: dict[str, str], name: str) -> IPv4Address | IPv6Address:
    if name not in fields:
        raise _MalformedError(f"no {name}=")
    try:
        return ip_address(fields[name])
    except ValueError:
        raise _MalformedError(f"{name}= is no address") from None


def _protocol(name: str) -> str:
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if not (name.isascii() and name.isdigit() and int(name) <= 255):
        raise _MalformedError("PROTO= is no protocol")
    number = str(int(name))
    return NUMBERED.get(number, number)


def _number(fields: dict[str, str], name: str, most: int) -> int | None:
    written = fields.get(name)
    if written is None:
        return None
    if not (written.isascii() and written.isdigit() and int(written) <= most):
        raise _MalformedError(f"{name}= is no number up to {most}")
    return int(written)


def _check_whole(protocol: str, fields: dict[str, str], outer: str) -> None:
    """A cut DPT=443 would read as a port of its own: a transport part must reach its last field."""
    last = LAST_FIELD.get(protocol)
    if _number(fields, "TYPE", 255) in ECHOES.get(protocol, ()):
        last = "SEQ"
    if last is None or last in fields or any(word in outer for word in _UNFINISHED):
        return
    if "FRAG:" in outer and not fields.keys() & {"SPT", "TYPE"}:
        return
    raise _MalformedError(f"cut off before {last}=")
