"""What owners declared about a connection: the paths in and out of their domains (controls.md section 1).

Law 1: a boundary is crossed only where one end lies outside. Of the declared domains that hold an end and not the
other, the smallest one that declares paths has the say for that end.
Law 2: cluster DNS in a system namespace needs no declaration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from models.facts import DeclaredPath
from monitor.policy import addresses
from monitor.state.domains import Definition

DNS_PORT = 53


class Intent(StrEnum):
    DECLARED = "declared"  # the owner of one end at least intends it
    UNDECLARED = "undeclared"  # owners have declared their paths, and this is none of them
    UNSTATED = "unstated"  # nobody has declared paths for a boundary that it crosses


class End(Struct, frozen=True, kw_only=True):
    """One end of a connection. `namespace` is empty outside the cluster."""

    address: str
    domains: frozenset[str] = frozenset()
    namespace: str = ""


class Stated(Struct, frozen=True):
    """`domain`: whose declaration it is, or that lacks it."""

    intent: Intent
    domain: str = ""


class Port(Struct, frozen=True):
    """Protocol as in a flow record, and the destination's port; None where there is none."""

    protocol: str
    number: int | None


def stated(
    source: End, destination: End, port: Port, definitions: Mapping[str, Definition], system: Iterable[str]
) -> Stated:
    """What the owners of both ends say."""
    sides = []
    for own, other, is_source in ((source, destination, True), (destination, source, False)):
        definition = _with_a_say(own, other, definitions)
        if definition is not None:
            is_declared = any(_covers(path, other, port, definitions, is_source=is_source) for path in definition.allow)
            sides.append(Stated(Intent.DECLARED if is_declared else Intent.UNDECLARED, definition.domain.id))
    for intent in (Intent.DECLARED, Intent.UNDECLARED):
        found = next((each for each in sides if each.intent is intent), None)
        if found and (intent is Intent.DECLARED or not _is_dns(destination, port, system)):
            return found
    return Stated(Intent.UNSTATED)


def _with_a_say(own: End, other: End, definitions: Mapping[str, Definition]) -> Definition | None:
    held = (definitions[name] for name in own.domains - other.domains if name in definitions)
    return min((each for each in held if each.is_declared and each.allow), key=lambda each: each.rank, default=None)


def _is_dns(destination: End, port: Port, system: Iterable[str]) -> bool:
    return port.protocol in {"udp", "tcp"} and port.number == DNS_PORT and destination.namespace in set(system)


def _covers(
    path: DeclaredPath, other: End, port: Port, definitions: Mapping[str, Definition], *, is_source: bool
) -> bool:
    domain, nets = (path.to_domain, path.to_nets) if is_source else (path.from_domain, path.from_nets)
    if not (domain or nets) or not _has_port(path.ports, port):
        return False
    if domain:
        return any(name in definitions and domain in {name, definitions[name].domain.name} for name in other.domains)
    return any(_lies_in(other.address, net) for net in nets)


def _lies_in(address: str, net: str) -> bool:
    try:
        first, last = addresses.net(net)
        return first <= addresses.address(address) <= last
    except ValueError:
        return False


def _has_port(written: tuple[str, ...], port: Port) -> bool:
    """tcp/8080, tcp/1000:2000, icmp; none = any."""
    return not written or any(_is_port(each, port) for each in written)


def _is_port(written: str, port: Port) -> bool:
    protocol, _, numbers = written.partition("/")
    if protocol.lower() != port.protocol:
        return False
    if not numbers:
        return True
    first, _, last = numbers.partition(":")
    return port.number is not None and int(first) <= port.number <= int(last or first)
