"""Rules in the words of their YAML, one line each, as a person on call reads them.

Trusts: the facts as written. Says what the rule says, and warns where it reaches further than it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.facts import (
    AdminPeer,
    AdminPolicy,
    AdminPort,
    AdminRule,
    CalicoPolicy,
    EntityRule,
    ICMPMatch,
    KubernetesNetworkPolicy,
    KubernetesPeer,
    KubernetesPort,
    KubernetesRule,
    LabelSelector,
    PolicyFact,
    Rule,
)
from models.verdicts import Direction

WIDER = "← wider than it looks: any namespace"


def rule_of(fact: PolicyFact, direction: Direction, origin: int) -> str:
    """The rule at this place of the policy's list."""
    rule = (fact.egress if direction is Direction.EGRESS else fact.ingress)[origin]
    match fact, rule:
        case CalicoPolicy(), Rule():
            return calico(rule, fact.namespace, direction)
        case KubernetesNetworkPolicy(), KubernetesRule():
            return kubernetes(rule, fact.namespace, direction)
        case AdminPolicy(), AdminRule():
            return admin(rule, direction)
    raise AssertionError(f"{type(fact).__name__} does not hold {type(rule).__name__}")


def calico(rule: Rule, namespace: str, direction: Direction) -> str:
    parts = [
        _protocol(rule),
        _entity("from", rule.source, namespace),
        _entity("to", rule.destination, namespace),
        f"http {_http(rule)}" if rule.http else "",
    ]
    far = rule.source if direction is Direction.INGRESS else rule.destination
    if not namespace and far.selector and not far.namespace_selector:
        parts.append(WIDER)
    return " ".join(part for part in parts if part)


def _protocol(rule: Rule) -> str:
    parts = [str(rule.protocol).lower() if rule.protocol is not None else "anything"]
    if rule.not_protocol is not None:
        parts.append(f"but {str(rule.not_protocol).lower()}")
    if rule.ip_version is not None:
        parts.append(f"over IPv{rule.ip_version}")
    parts += [f"{word} {_icmp(match)}" for word, match in (("type", rule.icmp), ("not type", rule.not_icmp)) if match]
    return " ".join(parts)


def _icmp(match: ICMPMatch) -> str:
    return f"{match.type}" if match.code is None else f"{match.type} code {match.code}"


def _http(rule: Rule) -> str:
    assert rule.http is not None
    return " ".join((*rule.http.methods, *rule.http.paths))


def _entity(word: str, side: EntityRule, namespace: str) -> str:
    said = " ".join(_clauses(side, namespace))
    return f"{word} {said}" if said else ""


def _clauses(side: EntityRule, namespace: str) -> Iterator[str]:
    names_peers = side.selector or side.not_selector or side.service_accounts
    if side.namespace_selector and not names_peers:
        yield "pods"
    yield from _given("pods with", side.selector)
    yield from _given("pods without", side.not_selector)
    if side.service_accounts:
        names = ", ".join(side.service_accounts.names)
        yield from _given(
            "service accounts", " ".join(part for part in (names, side.service_accounts.selector) if part)
        )
    if side.namespace_selector:
        yield f"in namespaces with {side.namespace_selector}"
    elif namespace and names_peers:
        yield f"in namespace {namespace}"
    yield from _given("", ", ".join(side.nets))
    yield from _given("outside of", ", ".join(side.not_nets))
    if side.services:
        yield f"service {side.services.namespace}/{side.services.name}"
    yield from _given("domains", ", ".join(side.domains))
    yield from _given("ports", ", ".join(map(str, side.ports)))
    yield from _given("all ports but", ", ".join(map(str, side.not_ports)))


def _given(word: str, said: str) -> Iterator[str]:
    if said:
        yield f"{word} {said}".strip()


# --- Kubernetes --------------------------------------------------------------------------------------------------


def kubernetes(rule: KubernetesRule, namespace: str, direction: Direction) -> str:
    word = "from" if direction is Direction.INGRESS else "to"
    peers = " or ".join(_kubernetes_peer(peer, namespace) for peer in rule.peers or ()) or "anyone"
    return f"{_kubernetes_ports(rule.ports)} {word} {peers}"


def _kubernetes_ports(ports: Iterable[KubernetesPort] | None) -> str:
    return ", ".join(_kubernetes_port(port) for port in ports or ()) or "anything"


def _kubernetes_port(port: KubernetesPort) -> str:
    protocol = (port.protocol or "TCP").lower()
    if port.port is None:
        return protocol
    return f"{protocol}/{port.port}" + (f":{port.end_port}" if port.end_port else "")


def _kubernetes_peer(peer: KubernetesPeer, namespace: str) -> str:
    if peer.ip_block is not None:
        without = f" without {', '.join(peer.ip_block.except_)}" if peer.ip_block.except_ else ""
        return f"{peer.ip_block.cidr}{without}"
    pods = "all pods" if peer.pod_selector is None else _labels(peer.pod_selector, "all pods", "pods with")
    if peer.namespace_selector is None:
        return f"{pods} in namespace {namespace}"
    return f"{pods} in {_labels(peer.namespace_selector, 'every namespace', 'namespaces with')}"


def _labels(selector: LabelSelector, everything: str, some: str) -> str:
    said = [f"{key}={value}" for key, value in sorted(selector.match_labels.items())]
    said += [f"{one.key} {one.operator} {', '.join(one.values)}".strip() for one in selector.match_expressions]
    return f"{some} {' and '.join(said)}" if said else everything


# --- admin policies ----------------------------------------------------------------------------------------------


def admin(rule: AdminRule, direction: Direction) -> str:
    word = "from" if direction is Direction.INGRESS else "to"
    ports = ", ".join(_admin_port(port) for port in rule.ports or ()) or "anything"
    named = f" “{rule.name}”" if rule.name else ""
    return f"{ports} {word} {' or '.join(_admin_peer(peer) for peer in rule.peers) or 'nobody'}{named}"


def _admin_port(port: AdminPort) -> str:
    protocol = (port.protocol or "any protocol").lower()
    if port.named_port:
        return f"{protocol}/{port.named_port}"
    if port.port is None:
        return protocol
    return f"{protocol}/{port.port}" + (f":{port.end_port}" if port.end_port else "")


def _admin_peer(peer: AdminPeer) -> str:
    if peer.unsupported:
        return f"{peer.unsupported} (Calico cannot convert it)"
    if peer.networks is not None:
        return ", ".join(peer.networks)
    if peer.namespaces is not None:
        return _labels(peer.namespaces, "every namespace", "namespaces with")
    pods = _labels(peer.pods_pod_selector or LabelSelector(), "all pods", "pods with")
    namespaces = _labels(peer.pods_namespace_selector or LabelSelector(), "every namespace", "namespaces with")
    return f"{pods} in {namespaces}"
