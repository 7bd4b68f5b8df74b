"""What people declare, from `domains.yaml` and `waivers.yaml` to facts (controls.md section 1).

Law: nothing is guessed. A key that is not known, a selector, port, net or date that does not parse, an approver who is
the requester: the whole file is refused with file and line, and what held before goes on holding.
A name in `from` or `to` is kept as written; it is resolved where paths are matched. A waiver's last day counts whole.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, TypeVar

import yaml
from msgspec import Struct

from models import facts
from models.errors import UserError
from models.facts import Fact, FactKey
from monitor.compliance import catalogue
from monitor.policy import selectors

T = TypeVar("T")

API_VERSION = "segmon/v1"
LEVELS = ("cluster", "tenant", "namespace", "workload")
CRITICALITIES = ("low", "medium", "high", "critical")
ACTIONS = ("Allow", "Deny", "Pass", "Log")
MOST_BYTES = 4 * 1024 * 1024

_PORT = re.compile(r"(?:tcp|udp|sctp)/(\d{1,5})(?::(\d{1,5}))?|icmp|icmpv6")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


class DeclaredError(UserError):
    """A declared file that cannot be used; the message has the place."""


class _At(Struct, frozen=True):
    """A value with the place where it stands: `domains[0].allow[1]` in a file."""

    file: str
    path: str
    node: yaml.Node

    def wrong(self, what: str) -> DeclaredError:
        line = self.node.start_mark.line + 1
        return DeclaredError(f"{self.file}:{line}: " + (f"{self.path}: {what}" if self.path else what))

    def mapping(self, known: Collection[str]) -> dict[str, _At]:
        """Its keys; DeclaredError for one that is not known or stands twice."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("is no mapping")
        found: dict[str, _At] = {}
        for key, value in self.node.value:
            name = str(key.value)
            here = _At(self.file, f"{self.path}.{name}" if self.path else name, value)
            if name not in known:
                raise DeclaredError(
                    f"{self.file}:{key.start_mark.line + 1}: unknown key {_quoted(name)}"
                    + (f" in {self.path}" if self.path else "")
                    + _nearest(name, known)
                )
            if name in found:
                raise here.wrong("stands twice")
            found[name] = here
        return found

    def items(self) -> list[_At]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("is no list")
        return [_At(self.file, f"{self.path}[{place}]", item) for place, item in enumerate(self.node.value)]

    def text(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag.endswith(":null"):
            raise self.wrong("is no text")
        return str(self.node.value).strip()

    def one_of(self, known: Collection[str]) -> str:
        text = self.text()
        if text not in known:
            raise self.wrong(f"{_quoted(text)} is none of {', '.join(known)}{_nearest(text, known)}")
        return text


def domains(file: str, data: bytes) -> list[Fact]:
    """The facts of a domains.yaml. DeclaredError names the place."""
    root = _root(file, data)
    known = ("apiVersion", "tenantLabel", "systemNamespaces", "frameworks", "tiers", "domains")
    found = _versioned(root, known)
    declaration = facts.Declaration(
        system_namespaces=tuple(_system_namespace(at) for at in _items(found, "systemNamespaces")),
        frameworks=_texts(found, "frameworks"),
        tiers=tuple(_tier(at) for at in _items(found, "tiers")),
        tenant_label=_text(found, "tenantLabel"),
    )
    return [declaration, *_unlike(_items(found, "domains"), _domain, lambda domain: f"{domain.level}/{domain.name}")]


def waivers(file: str, data: bytes) -> list[Fact]:
    """The facts of a waivers.yaml. DeclaredError names the place."""
    found = _versioned(_root(file, data), ("apiVersion", "waivers"))
    return [*_unlike(_items(found, "waivers"), _waiver, lambda waiver: waiver.name)]


def read(domains_file: Path | None, waivers_file: Path | None, *, cluster: str) -> dict[FactKey, Fact]:
    """What both files declare; a file that is not named declares nothing."""
    found = domains(str(domains_file), content(domains_file)) if domains_file else []
    found += waivers(str(waivers_file), content(waivers_file)) if waivers_file else []
    return {facts.key_of(cluster, fact): fact for fact in found}


def content(file: Path) -> bytes:
    """The file's bytes; DeclaredError if it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise DeclaredError(
            f"{file}: {error.strerror}\n       fix: --domains and --waivers each name one file that can be read"
        ) from None


def _root(file: str, data: bytes) -> _At:
    if len(data) > MOST_BYTES:
        raise DeclaredError(f"{file}: larger than {MOST_BYTES} bytes")
    try:
        node = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise DeclaredError(f"{file}: not UTF-8: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclaredError(f"{file}:{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise DeclaredError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if node is None:
        raise DeclaredError(f"{file}: is empty\n       fix: it begins with `apiVersion: {API_VERSION}`")
    return _At(file, "", node)


def _versioned(root: _At, known: Collection[str]) -> dict[str, _At]:
    found = root.mapping(known)
    version = _text(found, "apiVersion")
    if version != API_VERSION:
        raise root.wrong(f"apiVersion is {_quoted(version)}; this release reads {API_VERSION}")
    return found


def _system_namespace(at: _At) -> facts.SystemNamespace:
    found = at.mapping(("name", "reason"))
    return facts.SystemNamespace(name=_needed(at, found, "name"), reason=_needed(at, found, "reason"))


def _tier(at: _At) -> facts.DeclaredTier:
    found = at.mapping(("name", "owner", "actions"))
    actions = tuple(item.one_of(ACTIONS) for item in _items(found, "actions"))
    return facts.DeclaredTier(name=_needed(at, found, "name"), owner=_text(found, "owner"), actions=actions)


def _domain(at: _At) -> facts.DeclaredDomain:
    known = ("name", "level", "members", "owner", "criticality", "environment", "labelsRequired", "allow")
    found = at.mapping(known)
    name = _needed(at, found, "name")
    if not _NAME.fullmatch(name):
        raise found["name"].wrong(f"{_quoted(name)} is no name: letters, digits, dots, underscores and dashes")
    level: Any = found["level"].one_of(LEVELS) if "level" in found else _needed(at, found, "level")
    criticality: Any = found["criticality"].one_of(CRITICALITIES) if "criticality" in found else "medium"
    return facts.DeclaredDomain(
        level=level,
        name=name,
        members=_members(found["members"]) if "members" in found else _needed_members(at),
        owner=_text(found, "owner"),
        criticality=criticality,
        environment=_text(found, "environment"),
        labels_required=_texts(found, "labelsRequired"),
        allow=tuple(_path(item) for item in _items(found, "allow")),
    )


def _needed_members(at: _At) -> facts.DeclaredMembers:
    raise at.wrong("members is missing\n       fix: members: {namespaceSelector: …, selector: all()}")


def _members(at: _At) -> facts.DeclaredMembers:
    found = at.mapping(("namespaceSelector", "selector"))
    return facts.DeclaredMembers(
        namespace_selector=_selector(found, "namespaceSelector"), selector=_selector(found, "selector")
    )


def _selector(found: Mapping[str, _At], name: str) -> str:
    text = _text(found, name)
    try:
        if text:
            selectors.parse(text)
    except selectors.SelectorError as error:
        raise found[name].wrong(f"not a selector: {error}") from None
    return text


def _path(at: _At) -> facts.DeclaredPath:
    found = at.mapping(("from", "to", "ports", "reason", "approver", "reviewBy"))
    if ("from" in found) == ("to" in found):
        raise at.wrong("needs exactly one of from and to")
    from_domain, from_nets = _peer(found["from"]) if "from" in found else ("", ())
    to_domain, to_nets = _peer(found["to"]) if "to" in found else ("", ())
    return facts.DeclaredPath(
        from_domain=from_domain,
        from_nets=from_nets,
        to_domain=to_domain,
        to_nets=to_nets,
        ports=tuple(_port(item) for item in _items(found, "ports")),
        reason=_text(found, "reason"),
        approver=_text(found, "approver"),
        review_by=_date(found["reviewBy"]).date().isoformat() if "reviewBy" in found else "",
    )


def _peer(at: _At) -> tuple[str, tuple[str, ...]]:
    """A domain's name, or nets."""
    if isinstance(at.node, yaml.ScalarNode):
        name = at.text()
        if not name:
            raise at.wrong("is empty")
        return name, ()
    nets = tuple(_net(item) for item in _items(at.mapping(("nets",)), "nets"))
    if not nets:
        raise at.wrong("names no nets")
    return "", nets


def _net(at: _At) -> str:
    text = at.text()
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise at.wrong(f"not a network: {error}") from None


def _port(at: _At) -> str:
    text = at.text()
    match = _PORT.fullmatch(text)
    if match is None:
        raise at.wrong(f"{_quoted(text)} is no port: written tcp/8080, udp/53, tcp/1000:2000 or icmp")
    low, high = match[1], match[2]
    if low is not None and not 0 < int(low) <= int(high or low) <= 65535:
        raise at.wrong(f"{_quoted(text)}: ports go from 1 to 65535, the lower one first")
    return text


def _waiver(at: _At) -> facts.Waiver:
    known = ("name", "control", "domain", "subject", "reason", "requester", "approver", "ticket")
    found = at.mapping((*known, "compensatingControl", "granted", "expires"))
    needed = {name: _needed(at, found, name) for name in ("name", "reason", "requester", "approver")}
    _needed(at, found, "control"), _needed(at, found, "granted"), _needed(at, found, "expires")
    if needed["requester"].casefold() == needed["approver"].casefold():
        raise found["approver"].wrong("is the requester too: another person approves a waiver")
    granted_at = _date(found["granted"])
    expires_at = _date(found["expires"], end_of_day=time(23, 59, 59))
    if expires_at <= granted_at:
        raise found["expires"].wrong("is not after granted")
    return facts.Waiver(
        **needed,
        control=found["control"].one_of([control.id for control in catalogue.CONTROLS]),
        domain=_text(found, "domain"),
        subject=_text(found, "subject"),
        ticket=_text(found, "ticket"),
        compensating_control=_text(found, "compensatingControl"),
        granted_at=granted_at,
        expires_at=expires_at,
    )


def _date(at: _At, *, end_of_day: time = time()) -> datetime:
    """A day, or a moment with its zone. `end_of_day`: what a day without a time stands for."""
    text = at.text()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise at.wrong(f"{_quoted(text)} is no date: written 2027-01-31") from None
    if len(text) <= len("2027-01-31"):
        return datetime.combine(moment.date(), end_of_day, UTC)
    if moment.tzinfo is None:
        raise at.wrong(f"{_quoted(text)} has no time zone: written 2027-01-31T12:00:00Z")
    return moment.astimezone(UTC)


def _unlike(items: list[_At], read_one: Callable[[_At], T], name: Callable[[T], str]) -> list[T]:
    """Each read; two with one name would replace each other."""
    found: dict[str, T] = {}
    for at in items:
        one = read_one(at)
        if name(one) in found:
            raise at.wrong(f"{name(one)} is declared twice")
        found[name(one)] = one
    return list(found.values())


def _items(found: Mapping[str, _At], name: str) -> list[_At]:
    return found[name].items() if name in found else []


def _text(found: Mapping[str, _At], name: str) -> str:
    return found[name].text() if name in found else ""


def _texts(found: Mapping[str, _At], name: str) -> tuple[str, ...]:
    return tuple(item.text() for item in _items(found, name))


def _needed(at: _At, found: Mapping[str, _At], name: str) -> str:
    if not _text(found, name):
        raise at.wrong(f"{name} is missing")
    return found[name].text()


def _quoted(text: str) -> str:
    return f'"{text:.80}"'


def _nearest(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(known)}"
