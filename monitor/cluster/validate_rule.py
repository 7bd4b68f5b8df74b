"""What Calico refuses in one rule of a policy or profile.

Trusts: shapes already read. Each check names its stage (see `refusals`).
Sources: libcalico-go/lib/validator/v3/validator.go (validateRule, validateEntityRule), the CEL rules of
api/config/crd, typha/pkg/validator/v1 (what Felix drops); policy_semantics.md 3.4, 3.5, 5.7, 6.2-6.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from models.facts import EntityRule, ICMPMatch
from monitor.cluster import rule_text
from monitor.cluster.address_text import has_host_bits, network, network_or_address
from monitor.cluster.refusals import Problem, Stage
from monitor.cluster.spec_shapes import HTTPMatch, Rule
from monitor.cluster.validate_metadata import LONGEST_NAME, SUBDOMAIN, annotation_problems
from monitor.policy import selectors

ACTIONS = frozenset({"Allow", "Deny", "Log", "Pass"})
LONGEST_SELECTOR = 1024
LONGEST_PATH = 1024
MOST_NETS = 256
MOST_PORTS = 50
MOST_HTTP = 20
ICMP_PROTOCOLS = {"ICMP": 4, 1: 4, "ICMPv6": 6, 58: 6}

_GLOBAL_ALONE = re.compile(r"[ \t]*global\([ \t]*\)[ \t]*")


def rule_problems(rule: Rule, path: str, *, is_global: bool) -> Iterator[Problem]:
    """All of them, in no particular order. MisshapenError for ports and protocols that cannot be decoded."""
    if rule.action not in ACTIONS:
        yield Problem(Stage.TYPE, f"{path}.action", f"{rule.action!r} is not one of {', '.join(sorted(ACTIONS))}")
    if rule.ip_version not in (None, 4, 6):
        yield Problem(Stage.TYPE, f"{path}.ipVersion", f"{rule.ip_version} is neither 4 nor 6")
    yield from _protocol_problems(rule, path)
    yield from _icmp_problems(rule, path)
    yield from _http_problems(rule, path)
    yield from _net_problems(rule, path)
    for side, entity in (("source", rule.source), ("destination", rule.destination)):
        yield from _entity_problems(entity, f"{path}.{side}", is_global=is_global)
        yield from _port_problems(rule, entity, f"{path}.{side}")
    yield from annotation_problems(rule.metadata.annotations, f"{path}.metadata.annotations")
    services = rule.destination.services
    if services is not None and (rule.destination.ports or rule.destination.not_ports):
        yield Problem(Stage.SCHEMA, f"{path}.destination", "ports and notPorts cannot stand beside services")


def selector_problems(expression: str, path: str, stage: Stage) -> Iterator[Problem]:
    """Whether it parses, and whether it is short enough for the CRD."""
    if len(expression) > LONGEST_SELECTOR:
        yield Problem(Stage.SCHEMA, path, f"longer than {LONGEST_SELECTOR} characters")
    try:
        selectors.parse(expression)
    except selectors.SelectorError as error:
        yield Problem(stage, path, f"the selector does not parse: {error}")


def blank_problems(expression: str, path: str) -> Iterator[Problem]:
    """Blanks alone are a selector that parses, but not in brackets, where Calico puts what it joins with others."""
    if expression and not expression.strip(" \t"):
        yield Problem(Stage.FELIX, path, "holds nothing but blanks; leave it out, or write all()")


def misplaced_global(expression: str, path: str) -> Iterator[Problem]:
    """global() belongs into the namespaceSelector of a rule and nowhere else."""
    if "global(" in expression:
        yield Problem(Stage.SCHEMA, path, "global() may only stand in the namespaceSelector of a rule")


def _protocol_problems(rule: Rule, path: str) -> Iterator[Problem]:
    for name, written in (("protocol", rule.protocol), ("notProtocol", rule.not_protocol)):
        if written is None:
            continue
        place = f"{path}.{name}"
        canonical = rule_text.protocol(written, place)
        if canonical == 0 or (isinstance(canonical, str) and canonical not in rule_text.PROTOCOL_NAMES):
            yield Problem(Stage.FELIX, place, f"{written!r} is no protocol")
        elif isinstance(canonical, str) and canonical != written:
            yield Problem(Stage.VALIDATOR, place, f"{written!r} must be written {canonical}")
        family = ICMP_PROTOCOLS.get(canonical)
        if family is not None and rule.ip_version not in (None, family):
            yield Problem(Stage.SCHEMA, place, f"{written} needs ipVersion {family}")


def _icmp_problems(rule: Rule, path: str) -> Iterator[Problem]:
    protocol = None if rule.protocol is None else rule_text.protocol(rule.protocol, f"{path}.protocol")
    if rule.icmp is not None and protocol not in ICMP_PROTOCOLS:
        yield Problem(Stage.SCHEMA, f"{path}.icmp", "icmp needs protocol ICMP or ICMPv6")
    for name, match in (("icmp", rule.icmp), ("notICMP", rule.not_icmp)):
        if match is not None:
            yield from _icmp_range_problems(match, f"{path}.{name}")


def _icmp_range_problems(match: ICMPMatch, path: str) -> Iterator[Problem]:
    if match.type is not None and not 0 <= match.type <= 254:
        yield Problem(Stage.FELIX, f"{path}.type", "ICMP types run from 0 to 254")
    if match.code is not None and not 0 <= match.code <= 255:
        yield Problem(Stage.FELIX, f"{path}.code", "ICMP codes run from 0 to 255")
    if match.code is not None and match.type is None:
        yield Problem(Stage.SCHEMA, f"{path}.code", "a code needs a type")


def _http_problems(rule: Rule, path: str) -> Iterator[Problem]:
    if rule.http is None:
        return
    place = f"{path}.http"
    if rule.protocol not in (None, "TCP", 6):
        yield Problem(Stage.SCHEMA, place, "an HTTP match needs protocol TCP, or none")
    if rule.action != "Allow":
        yield Problem(Stage.SCHEMA, place, "an HTTP match stands in Allow rules only")
    if max(len(rule.http.methods), len(rule.http.paths)) > MOST_HTTP:
        yield Problem(Stage.SCHEMA, place, f"at most {MOST_HTTP} methods and {MOST_HTTP} paths")
    yield from _http_match_problems(rule.http, place)


def _http_match_problems(match: HTTPMatch, path: str) -> Iterator[Problem]:
    if len(set(match.methods)) != len(match.methods):
        yield Problem(Stage.VALIDATOR, f"{path}.methods", "a method is named twice")
    for number, entry in enumerate(match.paths):
        place = f"{path}.paths[{number}]"
        if bool(entry.exact) == bool(entry.prefix):
            yield Problem(Stage.VALIDATOR, place, "exactly one of exact and prefix must be set")
        text = entry.exact or entry.prefix
        if len(text) > LONGEST_PATH:
            yield Problem(Stage.SCHEMA, place, f"longer than {LONGEST_PATH} characters")
        if text and (not text.startswith("/") or re.search("[? #]", text)):
            yield Problem(Stage.VALIDATOR, place, "a path begins with / and holds no ?, # or blank")


def _net_problems(rule: Rule, path: str) -> Iterator[Problem]:
    """Families over the whole rule; every single net of it."""
    seen: set[int] = set()
    for place, nets, is_negated in _net_lists(rule, path):
        if len(nets) > MOST_NETS:
            yield Problem(Stage.SCHEMA, place, f"more than {MOST_NETS} nets")
        for text in nets:
            yield from _one_net_problems(text, place, is_negated=is_negated)
        families = {net.version for net in map(network, nets) if net is not None}
        if rule.ip_version is not None and families - {rule.ip_version}:
            yield Problem(Stage.VALIDATOR, place, f"nets of another family than ipVersion {rule.ip_version}")
        seen |= families
        if len(seen) > 1:
            yield Problem(Stage.VALIDATOR, place, "the rule holds both IPv4 and IPv6 nets")


def _net_lists(rule: Rule, path: str) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    for side, entity in (("source", rule.source), ("destination", rule.destination)):
        yield f"{path}.{side}.nets", entity.nets, False
        yield f"{path}.{side}.notNets", entity.not_nets, True


def _one_net_problems(text: str, path: str, *, is_negated: bool) -> Iterator[Problem]:
    """What Felix cannot parse it skips, silently: only the validators refuse it."""
    net = network(text)
    if net is None:
        kind = "a plain address" if network_or_address(text) is not None else "no CIDR"
        yield Problem(Stage.VALIDATOR, path, f"{text!r} is {kind}")
    elif has_host_bits(text):
        yield Problem(Stage.VALIDATOR, path, f"{text!r} has bits set beyond its mask")
    elif is_negated and net.prefixlen == 0:
        yield Problem(Stage.VALIDATOR, path, f"{text!r} negated matches nothing")


def _entity_problems(entity: EntityRule, path: str, *, is_global: bool) -> Iterator[Problem]:
    accounts = entity.service_accounts
    written = {
        "selector": entity.selector,
        "notSelector": entity.not_selector,
        "namespaceSelector": entity.namespace_selector,
        "serviceAccounts.selector": accounts.selector if accounts is not None else "",
    }
    for name, expression in written.items():
        yield from selector_problems(expression, f"{path}.{name}", Stage.FELIX)
    yield from misplaced_global(entity.selector, f"{path}.selector")
    if "global(" in entity.namespace_selector and not _GLOBAL_ALONE.fullmatch(entity.namespace_selector):
        yield Problem(Stage.VALIDATOR, f"{path}.namespaceSelector", "global() must stand alone")
    yield from _joined_problems(entity, path, is_global=is_global)
    if entity.services is not None:
        yield from _service_problems(entity, path)


def _joined_problems(entity: EntityRule, path: str, *, is_global: bool) -> Iterator[Problem]:
    """5.1, 5.4: what stands beside a selector. Some of these stop Felix altogether."""
    accounts = entity.service_accounts
    is_scoped = bool(not is_global or entity.namespace_selector or (accounts and (accounts.names or accounts.selector)))
    if is_scoped or entity.not_selector:
        yield from blank_problems(entity.selector, f"{path}.selector")
    if is_scoped or entity.selector:
        yield from blank_problems(entity.not_selector, f"{path}.notSelector")


def _service_problems(entity: EntityRule, path: str) -> Iterator[Problem]:
    services = entity.services
    assert services is not None
    if not services.name:
        yield Problem(Stage.SCHEMA, f"{path}.services.name", "a service needs a name")
    for name, text in (("name", services.name), ("namespace", services.namespace)):
        if len(text) > LONGEST_NAME:
            yield Problem(Stage.SCHEMA, f"{path}.services.{name}", f"longer than {LONGEST_NAME} characters")
        if text and not SUBDOMAIN.fullmatch(text):
            yield Problem(Stage.VALIDATOR, f"{path}.services.{name}", f"{text!r} is no name")
    beside = {
        "selector": entity.selector,
        "notSelector": entity.not_selector,
        "namespaceSelector": entity.namespace_selector,
        "nets": entity.nets,
        "notNets": entity.not_nets,
        "serviceAccounts": entity.service_accounts is not None,
    }
    for name in (name for name, is_set in beside.items() if is_set):
        yield Problem(Stage.SCHEMA, f"{path}.{name}", "cannot stand beside services")


def _port_problems(rule: Rule, entity: EntityRule, path: str) -> Iterator[Problem]:
    protocol = None if rule.protocol is None else rule_text.protocol(rule.protocol, path)
    for name, ports in (("ports", entity.ports), ("notPorts", entity.not_ports)):
        place = f"{path}.{name}"
        parsed = [rule_text.port(written, place) for written in ports]
        if len(ports) > MOST_PORTS:
            yield Problem(Stage.SCHEMA, place, f"more than {MOST_PORTS} ports")
        if protocol is None and any(isinstance(port, rule_text.PortRange) for port in parsed):
            yield Problem(Stage.FELIX, place, "numeric ports need protocol TCP, UDP or SCTP")
        if protocol is not None and protocol not in rule_text.WITH_PORTS and parsed:
            yield Problem(Stage.FELIX, place, "ports need protocol TCP, UDP or SCTP")
        yield from port_value_problems(parsed, place)


def port_value_problems(ports: Iterable[rule_text.PortRange | str], path: str) -> Iterator[Problem]:
    for port in ports:
        if isinstance(port, str) and not rule_text.is_port_name(port):
            yield Problem(Stage.FELIX, path, f"{port!r} is no port name")
        elif isinstance(port, rule_text.PortRange) and port.first < 1:
            yield Problem(Stage.FELIX, path, "port 0: ports run from 1 to 65535")
