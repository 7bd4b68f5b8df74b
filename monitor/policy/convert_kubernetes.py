"""Kubernetes NetworkPolicy, and the staged kind of the same form: facts -> model (policy_semantics.md section 9).

One API rule becomes one converted rule per protocol and peer, in the order API rule, protocol, peer (9.6); `origin`
keeps the API rule's index. An API rule that cannot be converted is dropped, the policy stays (9.10): it still isolates.
The same words are converted once: a cluster's policies say few different things, and what is equal is then one object.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import structs

from models.facts import (
    EntityRule,
    Kind,
    KubernetesNetworkPolicy,
    KubernetesPeer,
    KubernetesPort,
    KubernetesRule,
    LabelRequirement,
    LabelSelector,
)
from monitor.policy import convert_calico, model, naming, scopes, selectors
from monitor.policy.dialect import Dialect
from monitor.policy.selectors import Equals, Has, In, Node, Not, NotIn

ORDER = 1000.0
TIER = "default"
IS_KUBERNETES = Equals(scopes.ORCHESTRATOR, "k8s")
ANYONE: Final = model.Side()
NO_FAMILY: Final = frozenset[int]()
_REMEMBERED: Final = 65_536

Words = tuple[tuple[tuple[str, str], ...], tuple[LabelRequirement, ...]]
"""Of a label selector: its labels in order, and its expressions."""


def policy(fact: KubernetesNetworkPolicy, dialect: Dialect) -> model.Policy | None:
    """None for a staged Delete, and for staged policies where the version has none."""
    is_staged = fact.staged_action is not None
    if is_staged and (not dialect.has_staged or fact.staged_action == "Delete"):
        return None
    kind = Kind.STAGED_KUBERNETES_NETWORK_POLICY if is_staged else Kind.KUBERNETES_NETWORK_POLICY
    types = set(fact.policy_types) & {"Ingress", "Egress"} or {"Ingress"}
    subject = (IS_KUBERNETES, *label_terms(fact.pod_selector), scopes.in_namespace(fact.namespace))
    return model.Policy(
        kind=kind,
        namespace=fact.namespace,
        name=fact.name,
        tier=TIER,
        order=ORDER,
        selector=selectors.conjunction(*subject),
        ingress=_rules(fact.ingress, fact.namespace, is_ingress=True),
        egress=_rules(fact.egress, fact.namespace, is_ingress=False),
        is_ingress="Ingress" in types,
        is_egress="Egress" in types,
        is_staged=is_staged,
        tie=naming.tie(kind, TIER, fact.namespace, fact.name, is_named_by_kind=dialect.is_named_by_kind),
    )


def _rules(written: tuple[KubernetesRule, ...], namespace: str, *, is_ingress: bool) -> tuple[model.Rule, ...]:
    rules: list[model.Rule] = []
    for origin, each in enumerate(written):
        try:
            groups = _port_groups(each.ports)
            sides = [peer(one, namespace) for one in each.peers] if each.peers else [(ANYONE, NO_FAMILY)]
        except ValueError:
            continue  # fails closed: the rule is gone, the policy still selects
        rules += [
            _rule(protocol, ports, far, origin=origin, is_ingress=is_ingress)
            for protocol, ports in groups
            for far in sides
        ]
    return tuple(rules)


def _rule(
    protocol: int | None, ports: model.Ports, far: tuple[model.Side, frozenset[int]], *, origin: int, is_ingress: bool
) -> model.Rule:
    side, never = far
    source, destination = (side, with_ports(ANYONE, ports)) if is_ingress else (ANYONE, with_ports(side, ports))
    return model.Rule(
        action=model.ALLOW, never=never, protocol=protocol, source=source, destination=destination, origin=origin
    )


@lru_cache(_REMEMBERED)
def with_ports(side: model.Side, ports: model.Ports) -> model.Side:
    return structs.replace(side, ports=ports)


@lru_cache(_REMEMBERED)
def _port_groups(written: tuple[KubernetesPort, ...] | None) -> tuple[tuple[int | None, model.Ports], ...]:
    """Ports by protocol, sorted by the protocol's name; none at all = any protocol and port (9.7)."""
    if not written:
        return ((None, model.Ports()),)
    groups: dict[str, list[int | str]] = {}
    whole: set[str] = set()
    for each in written:
        protocol = each.protocol or "TCP"
        texts = groups.setdefault(protocol, [])
        if each.port is None:
            whole.add(protocol)
        else:
            texts.append(_port(each))
    return tuple(
        (
            model.protocol_number(protocol),
            model.Ports() if protocol in whole else convert_calico.ports(tuple(groups[protocol])),
        )
        for protocol in sorted(groups)
    )


def _port(written: KubernetesPort) -> int | str:
    if written.end_port is None:
        return written.port or 0
    if isinstance(written.port, str):
        raise ValueError(f"named port {written.port} with endPort")  # noqa: TRY004 - a bad value of the object
    return f"{written.port}:{written.end_port}"


def peer(written: KubernetesPeer, namespace: str) -> tuple[model.Side, frozenset[int]]:
    """9.8, 9.9. An empty peer is read as the pods of the own namespace."""
    if written.ip_block is not None:
        return convert_calico.side(
            EntityRule(nets=(written.ip_block.cidr,), not_nets=written.ip_block.except_), namespace
        )
    if written.namespace_selector is None:
        return _peer(namespace, None, _words(written.pod_selector)), NO_FAMILY
    return _peer("", _words(written.namespace_selector), _words(written.pod_selector)), NO_FAMILY


def _words(written: LabelSelector | None) -> Words:
    """No selector at all is one that asks for nothing."""
    if written is None:
        return ((), ())
    labels = written.match_labels
    return tuple(labels.items() if len(labels) < 2 else sorted(labels.items())), written.match_expressions


@lru_cache(_REMEMBERED)
def _peer(namespace: str, namespaces: Words | None, pods: Words) -> model.Side:
    """Pods of one namespace, or of those that a selector holds for."""
    scope = (scopes.in_namespace(namespace),) if namespaces is None else _of_namespaces(_terms(*namespaces))
    return selected((IS_KUBERNETES, *scope, *_terms(*pods)))


@lru_cache(_REMEMBERED)
def selected(terms: tuple[Node, ...]) -> model.Side:
    return model.Side(selector=selectors.conjunction(*terms))


def namespace_terms(written: LabelSelector) -> tuple[Node, ...]:
    """A selector of namespaces, as a test of pods; an empty one is every namespace, and so no host or global set."""
    return _of_namespaces(label_terms(written))


@lru_cache(_REMEMBERED)
def _of_namespaces(terms: tuple[Node, ...]) -> tuple[Node, ...]:
    return tuple(selectors.prefixed(term, scopes.NAMESPACE_PREFIX) for term in terms) or (Has(scopes.NAMESPACE),)


def label_terms(written: LabelSelector) -> tuple[Node, ...]:
    """9.4: NotIn is true where the label is missing, in Kubernetes as in Calico."""
    return _terms(*_words(written))


@lru_cache(_REMEMBERED)
def _terms(labels: tuple[tuple[str, str], ...], requirements: tuple[LabelRequirement, ...]) -> tuple[Node, ...]:
    written = [*(Equals(key, value) for key, value in labels), *map(_requirement, requirements)]
    return tuple(term for term in written if term is not None)


def _requirement(written: LabelRequirement) -> Node | None:
    """In and NotIn of nothing mean the empty value, an unknown operator nothing: the staged kind may hold both."""
    match written.operator:
        case "In":
            return In(written.key, frozenset(written.values or ("",)))
        case "NotIn":
            return NotIn(written.key, frozenset(written.values or ("",)))
        case "Exists":
            return Has(written.key)
        case "DoesNotExist":
            return Not(Has(written.key))
    return None
