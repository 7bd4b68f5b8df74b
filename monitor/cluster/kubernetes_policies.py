"""Kubernetes' policies as facts: NetworkPolicy, ClusterNetworkPolicy and the two older admin kinds.

Trusts: the API server validated NetworkPolicy; what Calico cannot convert of the admin kinds is named, rule by rule
(policy_semantics.md 10.3-10.8; libcalico-go/lib/backend/k8s/conversion/clusternetworkpolicy.go).
"""

from __future__ import annotations

import re
from typing import Literal

from models import facts
from monitor.cluster import spec_shapes as specs
from monitor.cluster.address_text import network
from monitor.cluster.core_objects import identity
from monitor.cluster.shapes import MisshapenError, Object

AdminKind = Literal["ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"]

ACTIONS: dict[AdminKind, frozenset[str]] = {
    "ClusterNetworkPolicy": frozenset({"Accept", "Deny", "Pass"}),
    "AdminNetworkPolicy": frozenset({"Allow", "Deny", "Pass"}),
    "BaselineAdminNetworkPolicy": frozenset({"Allow", "Deny"}),
}
BASELINE_PRIORITY = 1000
"""10.2: the order that a baseline policy of the older kind gets."""

PORT_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


def network_policy(obj: Object) -> facts.KubernetesNetworkPolicy:
    """9.5: policyTypes that are absent count as Ingress alone."""
    return kubernetes_policy(obj, obj.part("spec", specs.KubernetesPolicySpec), staged_action=None)


def kubernetes_policy(
    obj: Object, spec: specs.KubernetesPolicySpec, *, staged_action: str | None
) -> facts.KubernetesNetworkPolicy:
    return facts.KubernetesNetworkPolicy(
        **identity(obj),
        pod_selector=spec.pod_selector,
        policy_types=spec.policy_types or ("Ingress",),
        ingress=tuple([facts.KubernetesRule(peers=rule.from_, ports=_ports(rule)) for rule in spec.ingress]),
        egress=tuple([facts.KubernetesRule(peers=rule.to, ports=_ports(rule)) for rule in spec.egress]),
        staged_action=staged_action,
    )


def cluster_network_policy(obj: Object) -> facts.AdminPolicy:
    return _admin_policy(obj, "ClusterNetworkPolicy")


def admin_network_policy(obj: Object) -> facts.AdminPolicy:
    return _admin_policy(obj, "AdminNetworkPolicy")


def baseline_admin_network_policy(obj: Object) -> facts.AdminPolicy:
    return _admin_policy(obj, "BaselineAdminNetworkPolicy")


def _ports(rule: specs.KubernetesRule) -> tuple[facts.KubernetesPort, ...] | None:
    return None if rule.ports is None else tuple([_numbered(port) for port in rule.ports])


def _numbered(port: facts.KubernetesPort) -> facts.KubernetesPort:
    """A port written as text of digits is that number."""
    written = port.port
    if not isinstance(written, str) or not (written.isascii() and written.isdigit()):
        return port
    return facts.KubernetesPort(protocol=port.protocol, port=int(written), end_port=port.end_port)


def _admin_policy(obj: Object, kind: AdminKind) -> facts.AdminPolicy:
    """MisshapenError for a policy that Calico skips whole: no subject, or a tier it does not know."""
    spec = obj.part("spec", specs.AdminSpec)
    is_baseline = kind == "BaselineAdminNetworkPolicy"
    if is_baseline and obj.metadata.name != "default":
        raise MisshapenError("metadata.name: the only BaselineAdminNetworkPolicy is the one named default")
    return facts.AdminPolicy(
        **identity(obj),
        policy_kind=kind,
        tier=_tier(spec, kind),
        priority=BASELINE_PRIORITY if is_baseline else spec.priority,
        subject=_subject(spec),
        ingress=tuple(_admin_rule(rule, rule.from_, kind) for rule in spec.ingress),
        egress=tuple(_admin_rule(rule, rule.to, kind) for rule in spec.egress),
    )


def _tier(spec: specs.AdminSpec, kind: AdminKind) -> str:
    if kind != "ClusterNetworkPolicy":
        return "Admin" if kind == "AdminNetworkPolicy" else "Baseline"
    if spec.tier not in {"Admin", "Baseline"}:
        raise MisshapenError(
            f"spec.tier: Calico skips a policy whose tier is neither Admin nor Baseline: {spec.tier!r}"
        )
    return spec.tier


def _subject(spec: specs.AdminSpec) -> facts.AdminPeer:
    if spec.subject.namespaces is not None:
        return facts.AdminPeer(namespaces=spec.subject.namespaces)
    if spec.subject.pods is None:
        raise MisshapenError("spec.subject: Calico skips a policy whose subject is neither namespaces nor pods")
    return _pods(spec.subject.pods)


def _pods(pods: specs.NamespacedPods) -> facts.AdminPeer:
    return facts.AdminPeer(pods_namespace_selector=pods.namespace_selector, pods_pod_selector=pods.pod_selector)


def _admin_rule(rule: specs.AdminRule, peers: tuple[specs.AdminPeer, ...], kind: AdminKind) -> facts.AdminRule:
    ports, problem = _admin_ports(rule)
    if rule.action not in ACTIONS[kind]:
        problem = f"action {rule.action!r} is not one of {', '.join(sorted(ACTIONS[kind]))}"
    return facts.AdminRule(
        action=rule.action,
        name=rule.name,
        peers=tuple(_peer(peer) for peer in peers),
        ports=ports,
        unsupported=problem,
    )


def _peer(peer: specs.AdminPeer) -> facts.AdminPeer:
    """10.7, 10.8. `pods` wins where both are set; `networks` adds to either."""
    bad = [text for text in peer.networks if network(text) is None]
    if bad:
        return facts.AdminPeer(unsupported=f"{bad[0]!r} is no CIDR")
    if peer.pods is None and peer.namespaces is None and not peer.networks:
        return facts.AdminPeer(unsupported="none of namespaces, pods and networks is set")
    networks = peer.networks or None
    if peer.pods is not None:
        return facts.AdminPeer(
            pods_namespace_selector=peer.pods.namespace_selector,
            pods_pod_selector=peer.pods.pod_selector,
            networks=networks,
        )
    return facts.AdminPeer(namespaces=peer.namespaces, networks=networks)


def _admin_ports(rule: specs.AdminRule) -> tuple[tuple[facts.AdminPort, ...] | None, str]:
    """The ports of either version, and why Calico cannot convert them."""
    if rule.protocols:
        ports = tuple(_protocol_port(entry) for entry in rule.protocols)
    elif rule.ports:
        ports = tuple(_port(entry) for entry in rule.ports)
    else:
        return None, ""
    return ports, next((problem for problem in map(_port_problem, ports) if problem), "")


def _protocol_port(entry: specs.AdminProtocol) -> facts.AdminPort:
    """v1alpha2: the first protocol that is set; none of them means a name, or everything."""
    for protocol, match in (("TCP", entry.tcp), ("UDP", entry.udp), ("SCTP", entry.sctp)):
        if match is not None:
            return _numbers(protocol, match.destination_port)
    return facts.AdminPort(named_port=entry.destination_named_port or None)


def _numbers(protocol: str, port: specs.DestinationPort | None) -> facts.AdminPort:
    if port is not None and port.number:
        return facts.AdminPort(protocol=protocol, port=port.number)
    if port is not None and port.range is not None:
        return facts.AdminPort(protocol=protocol, port=port.range.start, end_port=port.range.end)
    return facts.AdminPort(protocol=protocol)


def _port(entry: specs.AdminPort) -> facts.AdminPort:
    """v1alpha1."""
    if entry.port_number is not None:
        return facts.AdminPort(protocol=entry.port_number.protocol, port=entry.port_number.port)
    if entry.port_range is not None:
        spread = entry.port_range
        return facts.AdminPort(protocol=spread.protocol, port=spread.start, end_port=spread.end)
    return facts.AdminPort(named_port=entry.named_port or None)


def _port_problem(port: facts.AdminPort) -> str:
    if port.named_port is not None and not PORT_NAME.fullmatch(port.named_port):
        return f"{port.named_port!r} is no port name"
    if port.end_port is not None and port.port is not None and port.end_port < port.port:
        return f"the port range {port.port}-{port.end_port} ends before it begins"
    return ""
