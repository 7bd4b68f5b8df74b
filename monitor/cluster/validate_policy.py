"""What Calico refuses in a policy, a tier, a set, a host endpoint: all but its single rules.

Trusts: shapes already read. Sources as in `validate_rule`; names and labels: k8s.io/apimachinery's validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from models.facts import LabelSelector, ServiceMatch
from monitor.cluster import rule_text
from monitor.cluster import spec_shapes as specs
from monitor.cluster.address_text import address, network_or_address
from monitor.cluster.refusals import Problem, Stage
from monitor.cluster.shapes import MisshapenError, Object
from monitor.cluster.spec_shapes import CalicoPolicySpec, Rule
from monitor.cluster.validate_metadata import LONGEST_LABEL, SUBDOMAIN, label_problems, metadata_problems
from monitor.cluster.validate_rule import (
    blank_problems,
    misplaced_global,
    port_value_problems,
    rule_problems,
    selector_problems,
)
from monitor.policy import selectors

MOST_RULES = 1024
STAGED_ACTIONS = frozenset({"Set", "Delete", "Learn", "Ignore"})
DIRECTIONS = frozenset({"Ingress", "Egress"})
POLICY_FIELDS = frozenset(["order", "selector", "serviceAccountSelector", "ingress", "egress", "performanceHints"])
GLOBAL_FIELDS = POLICY_FIELDS | frozenset(["namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward"])
KUBERNETES_FIELDS = frozenset(["podSelector", "ingress", "egress", "policyTypes"])
HINTS = frozenset({"AssumeNeededOnEveryNode"})
TIERS = {"default": (1_000_000.0, "Deny"), "kube-admin": (1_000.0, "Pass"), "kube-baseline": (10_000_000.0, "Pass")}
"""Order and default action that the built-in tiers must have."""

NAMESPACE_LABEL = "projectcalico.org/namespace"

_LABEL_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_TIER_NAME = re.compile(_LABEL_NAME)
_GLOBAL_POLICY_NAME = re.compile(rf"({_LABEL_NAME}\.)?{_LABEL_NAME}")
_POLICY_NAME = re.compile(rf"({_LABEL_NAME}(\.{_LABEL_NAME})?|(knp|ossg)\.default\.{SUBDOMAIN.pattern})")
_INTERFACE = re.compile(r"\*|[a-zA-Z0-9_.-]{1,15}")
_FELIX_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


def policy_problems(obj: Object, kind: str) -> Iterator[Problem]:
    """Of the four Calico policy kinds."""
    spec = obj.part("spec", CalicoPolicySpec)
    is_global = "Global" in kind
    yield from metadata_problems(obj.metadata, _GLOBAL_POLICY_NAME if is_global else _POLICY_NAME)
    yield from _choice_problems(spec, is_staged=kind.startswith("Staged"))
    if spec.tier and not SUBDOMAIN.fullmatch(spec.tier):
        yield Problem(Stage.VALIDATOR, "spec.tier", f"{spec.tier!r} is no name")
    if len(spec.tier) > LONGEST_LABEL:
        yield Problem(Stage.VALIDATOR, "spec.tier", f"longer than {LONGEST_LABEL} characters: it becomes a label")
    yield from _empty_types_problems(obj, "types")
    yield from _selector_problems(spec, is_global=is_global)
    yield from _rules_problems(spec, is_global=is_global)
    if is_global:
        yield from _host_policy_problems(spec)
    if kind.startswith("Staged") and spec.staged_action == "Delete":
        yield from staged_delete_problems(obj, GLOBAL_FIELDS if is_global else POLICY_FIELDS)
    else:
        yield from _direction_problems(spec, is_global=is_global)


def staged_delete_problems(obj: Object, fields: frozenset[str]) -> Iterator[Problem]:
    """A staged Delete says which policy goes, none of these. An empty list counts as set, and so does order 0."""
    for name, value in obj.body.get("spec", {}).items():
        if name in fields and (value or isinstance(value, list) or name == "order"):
            yield Problem(Stage.VALIDATOR, f"spec.{name}", "a staged Delete has no other field than its tier")


def staged_kubernetes_problems(obj: Object) -> Iterator[Problem]:
    spec = obj.part("spec", specs.KubernetesPolicySpec)
    yield from metadata_problems(obj.metadata, SUBDOMAIN)
    if spec.staged_action not in STAGED_ACTIONS:
        yield Problem(Stage.TYPE, "spec.stagedAction", f"{spec.staged_action!r} is not a staged action")
    yield from _empty_types_problems(obj, "policyTypes")
    if spec.staged_action == "Delete":
        yield from staged_delete_problems(obj, KUBERNETES_FIELDS)
        return
    for direction, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
        for number, rule in enumerate(rules):
            yield from _kubernetes_port_problems(rule, f"spec.{direction}[{number}].ports")
            for peer in (*(rule.from_ or ()), *(rule.to or ())):
                yield from _label_selector_problems(peer.pod_selector, f"spec.{direction}[{number}]")
                yield from _label_selector_problems(peer.namespace_selector, f"spec.{direction}[{number}]")
    yield from _label_selector_problems(spec.pod_selector, "spec.podSelector")


def tier_problems(obj: Object) -> Iterator[Problem]:
    spec = obj.part("spec", specs.TierSpec)
    name = obj.metadata.name
    yield from metadata_problems(obj.metadata, _TIER_NAME)
    if len(name) > LONGEST_LABEL:
        yield Problem(Stage.VALIDATOR, "metadata.name", f"longer than {LONGEST_LABEL} characters")
    if obj.body.get("spec", {}).get("defaultAction", "Deny") not in {"Deny", "Pass"}:
        yield Problem(Stage.SCHEMA, "spec.defaultAction", f"{spec.default_action!r} is neither Deny nor Pass")
    order, action = TIERS.get(name, (spec.order, spec.default_action))
    if spec.order not in (None, order):
        yield Problem(Stage.SCHEMA, "spec.order", f"the built-in tier {name} has order {order:g}")
    if spec.default_action not in ("", action):
        yield Problem(Stage.SCHEMA, "spec.defaultAction", f"the built-in tier {name} has default action {action}")


def network_set_problems(obj: Object) -> Iterator[Problem]:
    """Felix skips what it cannot parse; only the validators refuse it."""
    yield from metadata_problems(obj.metadata, SUBDOMAIN)
    for text in obj.part("spec", specs.NetworkSetSpec).nets:
        if network_or_address(text) is None:
            yield Problem(Stage.VALIDATOR, "spec.nets", f"{text!r} is neither a CIDR nor an address")
    if NAMESPACE_LABEL in obj.metadata.labels:
        yield Problem(Stage.VALIDATOR, "metadata.labels", f"{NAMESPACE_LABEL} is set by Calico itself")


def host_endpoint_problems(obj: Object) -> Iterator[Problem]:
    spec = obj.part("spec", specs.HostEndpointSpec)
    yield from metadata_problems(obj.metadata, SUBDOMAIN)
    if not spec.node:
        yield Problem(Stage.SCHEMA, "spec.node", "must be set")
    elif not SUBDOMAIN.fullmatch(spec.node):
        yield Problem(Stage.VALIDATOR, "spec.node", f"{spec.node!r} is no name")
    if not spec.interface_name and not spec.expected_ips:
        yield Problem(Stage.SCHEMA, "spec", "interfaceName or expectedIPs must be set")
    if spec.interface_name and not _INTERFACE.fullmatch(spec.interface_name):
        yield Problem(Stage.FELIX, "spec.interfaceName", f"{spec.interface_name!r} is no interface name")
    for text in spec.expected_ips:
        if address(text) is None:
            yield Problem(Stage.VALIDATOR, "spec.expectedIPs", f"{text!r} is no address")
    yield from _profile_name_problems(spec.profiles)
    yield from _host_port_problems(spec.ports)


def profile_problems(obj: Object) -> Iterator[Problem]:
    spec = obj.part("spec", specs.ProfileSpec)
    yield from metadata_problems(obj.metadata, SUBDOMAIN)
    for key, value in spec.labels_to_apply.items():
        yield from label_problems(key, value, "spec.labelsToApply")
    yield from _each_rule(spec.ingress, "spec.ingress", is_global=True)
    yield from _each_rule(spec.egress, "spec.egress", is_global=True)


def ip_pool_problems(obj: Object) -> Iterator[Problem]:
    cidr = obj.part("spec", specs.IPPoolSpec).cidr
    yield from metadata_problems(obj.metadata, SUBDOMAIN)
    net = network_or_address(cidr)
    if net is None or address(cidr.partition("/")[0]) != net.network_address:
        yield Problem(Stage.VALIDATOR, "spec.cidr", f"{cidr!r} is no CIDR, or has bits set beyond its mask")


def _choice_problems(spec: CalicoPolicySpec, *, is_staged: bool) -> Iterator[Problem]:
    if is_staged and spec.staged_action not in STAGED_ACTIONS:
        yield Problem(Stage.TYPE, "spec.stagedAction", f"{spec.staged_action!r} is not a staged action")
    for name in spec.types:
        if name not in DIRECTIONS:
            yield Problem(Stage.TYPE, "spec.types", f"{name!r} is neither Ingress nor Egress")
    if len(set(spec.types)) != len(spec.types):
        yield Problem(Stage.VALIDATOR, "spec.types", "a type is named twice")
    if set(spec.performance_hints) - HINTS or len(spec.performance_hints) > 1:
        yield Problem(Stage.FELIX, "spec.performanceHints", f"may hold {' '.join(HINTS)}, once")


def _empty_types_problems(obj: Object, name: str) -> Iterator[Problem]:
    if obj.body.get("spec", {}).get(name) == []:
        yield Problem(Stage.SCHEMA, f"spec.{name}", "is empty; leave it out, and Calico fills it in")


def _selector_problems(spec: CalicoPolicySpec, *, is_global: bool) -> Iterator[Problem]:
    """Felix ignores a namespace or account selector that does not parse (3.5)."""
    yield from selector_problems(spec.selector, "spec.selector", Stage.FELIX)
    if not is_global or spec.namespace_selector or spec.service_account_selector:
        yield from blank_problems(spec.selector, "spec.selector")
    yield from misplaced_global(spec.selector, "spec.selector")
    others = {"spec.serviceAccountSelector": spec.service_account_selector}
    if is_global:
        others["spec.namespaceSelector"] = spec.namespace_selector
    for path, expression in others.items():
        yield from selector_problems(expression, path, Stage.VALIDATOR)
        yield from misplaced_global(expression, path)


def _rules_problems(spec: CalicoPolicySpec, *, is_global: bool) -> Iterator[Problem]:
    for name, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
        if len(rules) > MOST_RULES:
            yield Problem(Stage.SCHEMA, f"spec.{name}", f"more than {MOST_RULES} rules")
        yield from _each_rule(rules, f"spec.{name}", is_global=is_global)


def _each_rule(rules: Iterable[Rule], path: str, *, is_global: bool) -> Iterator[Problem]:
    for number, rule in enumerate(rules):
        yield from rule_problems(rule, f"{path}[{number}]", is_global=is_global)


def _host_policy_problems(spec: CalicoPolicySpec) -> Iterator[Problem]:
    """4.6."""
    if spec.do_not_track and spec.pre_dnat:
        yield Problem(Stage.SCHEMA, "spec.preDNAT", "cannot stand beside doNotTrack")
    if (spec.do_not_track or spec.pre_dnat) and not spec.apply_on_forward:
        yield Problem(Stage.SCHEMA, "spec.applyOnForward", "must be true with doNotTrack or preDNAT")
    if spec.pre_dnat and spec.egress:
        yield Problem(Stage.SCHEMA, "spec.egress", "a preDNAT policy has no egress rules")
    if spec.pre_dnat and "Egress" in spec.types:
        yield Problem(Stage.SCHEMA, "spec.types", "a preDNAT policy has no type Egress")


def _direction_problems(spec: CalicoPolicySpec, *, is_global: bool) -> Iterator[Problem]:
    """5.7: services stand on the far side of a rule; in a global policy with their namespace."""
    for number, rule in enumerate(spec.egress):
        path = f"spec.egress[{number}]"
        if rule.source.services is not None:
            yield Problem(Stage.VALIDATOR, f"{path}.source.services", "not allowed as source of an egress rule")
        if rule.http is not None:
            yield Problem(Stage.VALIDATOR, f"{path}.http", "not allowed in an egress rule")
        if is_global:
            yield from _needs_namespace(rule.destination.services, f"{path}.destination")
    for number, rule in enumerate(spec.ingress):
        path = f"spec.ingress[{number}]"
        if rule.destination.services is not None:
            yield Problem(Stage.VALIDATOR, f"{path}.destination.services", "not allowed in an ingress rule")
        if is_global:
            yield from _needs_namespace(rule.source.services, f"{path}.source")


def _needs_namespace(services: ServiceMatch | None, path: str) -> Iterator[Problem]:
    if services is not None and not services.namespace:
        yield Problem(Stage.VALIDATOR, f"{path}.services.namespace", "a global policy must name it")


def _label_selector_problems(selector: LabelSelector | None, path: str) -> Iterator[Problem]:
    """No one checks labels of the staged kind. Calico writes them into a selector, and drops what does not parse."""
    if selector is None:
        return
    requirements = selector.match_expressions
    for key in (*selector.match_labels, *(each.key for each in requirements)):
        if not selectors.is_label(key):
            yield Problem(Stage.FELIX, path, f"{key!r} is no label key")
    listed = (value for each in requirements if each.operator in {"In", "NotIn"} for value in each.values)
    for value in (*selector.match_labels.values(), *listed):
        if "'" in value:
            yield Problem(Stage.FELIX, path, f"{value!r} is no label value")


def _kubernetes_port_problems(rule: specs.KubernetesRule, path: str) -> Iterator[Problem]:
    """9.7: what cannot be converted, and what Felix drops when it is."""
    for entry in rule.ports or ():
        protocol = rule_text.protocol(entry.protocol or "TCP", path)
        if protocol not in rule_text.PROTOCOL_NAMES:
            yield Problem(Stage.FELIX, path, f"{entry.protocol!r} is no protocol")
        elif entry.port is not None and protocol not in rule_text.WITH_PORTS:
            yield Problem(Stage.FELIX, path, "ports need protocol TCP, UDP or SCTP")
        if entry.port is None:
            continue
        text = str(entry.port) if entry.end_port is None else f"{entry.port}:{entry.end_port}"
        try:
            parsed = rule_text.port(text, path)
        except MisshapenError as error:
            yield Problem(Stage.VALIDATOR, path, str(error).removeprefix(f"{path}: "))
            continue
        yield from port_value_problems((parsed,), path)


def _profile_name_problems(names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        if not _FELIX_NAME.fullmatch(name):
            yield Problem(Stage.FELIX, "spec.profiles", f"{name!r} is no name")
        elif not SUBDOMAIN.fullmatch(name):
            yield Problem(Stage.VALIDATOR, "spec.profiles", f"{name!r} is no name")


def _host_port_problems(ports: Iterable[specs.HostPort]) -> Iterator[Problem]:
    for port in ports:
        protocol = rule_text.protocol(port.protocol, "spec.ports")
        if not 1 <= port.port <= 65535:
            yield Problem(Stage.TYPE, "spec.ports", f"{port.port}: ports run from 1 to 65535")
        if protocol not in rule_text.WITH_PORTS:
            yield Problem(Stage.FELIX, "spec.ports", f"{port.protocol!r}: ports need protocol TCP, UDP or SCTP")
        elif isinstance(port.protocol, int):
            yield Problem(Stage.FELIX, "spec.ports", f"{port.protocol}: Felix takes the protocol by name only")
        elif protocol != port.protocol:
            yield Problem(Stage.VALIDATOR, "spec.ports", f"{port.protocol!r} must be written {protocol}")
        if not _FELIX_NAME.fullmatch(port.name):
            yield Problem(Stage.FELIX, "spec.ports", f"{port.name!r} is no name")
        elif not rule_text.is_port_name(port.name):
            yield Problem(Stage.VALIDATOR, "spec.ports", f"{port.name!r} is no port name")
