"""Calico's own objects as facts: policies, tiers, network sets, host endpoints, profiles and configuration.

Trusts: shapes already read. Fields stay as written, but protocols and ports take their canonical form, and what
Calico itself reads as absent is absent. Nets that do not parse stay in: Calico skips them (policy_semantics.md 3.5),
which can widen a rule to any address, and whoever judges or reports must see that.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import asdict, replace

from models import facts
from monitor.cluster import rule_text
from monitor.cluster import spec_shapes as specs
from monitor.cluster.address_text import address
from monitor.cluster.core_objects import identity, kept_annotations
from monitor.cluster.kubernetes_policies import kubernetes_policy
from monitor.cluster.shapes import Object

PolicyKind = Literal["NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"]


def calico_policy(obj: Object, kind: PolicyKind) -> facts.CalicoPolicy:
    spec = obj.part("spec", specs.CalicoPolicySpec)
    is_global = "Global" in kind
    return facts.CalicoPolicy(
        **identity(obj),
        policy_kind=kind,
        tier=spec.tier or "default",
        order=spec.order,
        selector=spec.selector,
        namespace_selector=spec.namespace_selector if is_global else "",
        service_account_selector=spec.service_account_selector,
        types=spec.types,
        ingress=_rules(spec.ingress, "spec.ingress"),
        egress=_rules(spec.egress, "spec.egress"),
        do_not_track=is_global and spec.do_not_track,
        pre_dnat=is_global and spec.pre_dnat,
        apply_on_forward=is_global and spec.apply_on_forward,
        staged_action=spec.staged_action or "Set" if kind.startswith("Staged") else None,
        annotations=kept_annotations(obj.metadata.annotations),
    )


def network_policy(obj: Object) -> facts.CalicoPolicy:
    return calico_policy(obj, "NetworkPolicy")


def global_network_policy(obj: Object) -> facts.CalicoPolicy:
    return calico_policy(obj, "GlobalNetworkPolicy")


def staged_network_policy(obj: Object) -> facts.CalicoPolicy:
    return calico_policy(obj, "StagedNetworkPolicy")


def staged_global_network_policy(obj: Object) -> facts.CalicoPolicy:
    return calico_policy(obj, "StagedGlobalNetworkPolicy")


def staged_kubernetes_network_policy(obj: Object) -> facts.KubernetesNetworkPolicy:
    spec = obj.part("spec", specs.KubernetesPolicySpec)
    return kubernetes_policy(obj, spec, staged_action=spec.staged_action or "Set")


def tier(obj: Object) -> facts.Tier:
    spec = obj.part("spec", specs.TierSpec)
    return facts.Tier(**identity(obj), order=spec.order, default_action=spec.default_action)


def network_set(obj: Object) -> facts.NetworkSet:
    spec = obj.part("spec", specs.NetworkSetSpec)
    return facts.NetworkSet(**identity(obj), nets=spec.nets, domains=spec.allowed_egress_domains)


def host_endpoint(obj: Object) -> facts.HostEndpoint:
    """Expected addresses that do not parse are skipped, as Calico skips them."""
    spec = obj.part("spec", specs.HostEndpointSpec)
    known = [address(text) for text in spec.expected_ips]
    return facts.HostEndpoint(
        **identity(obj),
        node=spec.node,
        interface_name=spec.interface_name,
        expected_ips=tuple(dict.fromkeys(str(found) for found in known if found is not None)),
        profiles=spec.profiles,
        ports=tuple(_host_port(port) for port in spec.ports),
    )


def profile(obj: Object) -> facts.Profile:
    spec = obj.part("spec", specs.ProfileSpec)
    return facts.Profile(
        **identity(obj),
        labels_to_apply=spec.labels_to_apply,
        ingress=_rules(spec.ingress, "spec.ingress"),
        egress=_rules(spec.egress, "spec.egress"),
    )


def felix_configuration(obj: Object) -> facts.FelixConfiguration:
    return facts.FelixConfiguration(**identity(obj), **asdict(obj.part("spec", specs.FelixSpec)))


def ip_pool(obj: Object) -> facts.IPPool:
    spec = obj.part("spec", specs.IPPoolSpec)
    return facts.IPPool(**identity(obj), cidr=spec.cidr, is_disabled=spec.disabled, nat_outgoing=spec.nat_outgoing)


def cluster_information(obj: Object) -> facts.ClusterInformation:
    return facts.ClusterInformation(**identity(obj), **asdict(obj.part("spec", specs.ClusterInformationSpec)))


def _host_port(port: specs.HostPort) -> facts.NamedPort:
    protocol = rule_text.protocol(port.protocol, "spec.ports")
    return facts.NamedPort(name=port.name, protocol=str(protocol), port=port.port)


def _rules(rules: tuple[specs.Rule, ...], path: str) -> tuple[facts.Rule, ...]:
    return tuple(_rule(rule, f"{path}[{number}]") for number, rule in enumerate(rules))


def _rule(rule: specs.Rule, path: str) -> facts.Rule:
    return facts.Rule(
        action=rule.action,
        ip_version=rule.ip_version,
        protocol=_protocol(rule.protocol, f"{path}.protocol"),
        not_protocol=_protocol(rule.not_protocol, f"{path}.notProtocol"),
        icmp=rule.icmp,
        not_icmp=rule.not_icmp,
        source=_entity(rule.source, f"{path}.source"),
        destination=_entity(rule.destination, f"{path}.destination"),
        http=None if rule.http is None else _http(rule.http),
        annotations=rule.metadata.annotations,
    )


def _protocol(written: int | str | None, path: str) -> int | str | None:
    return None if written is None else rule_text.protocol(written, path)


def _entity(entity: facts.EntityRule, path: str) -> facts.EntityRule:
    if not (entity.ports or entity.not_ports):
        return entity
    return replace(
        entity,
        ports=tuple(rule_text.canonical_port(port, f"{path}.ports") for port in entity.ports),
        not_ports=tuple(rule_text.canonical_port(port, f"{path}.notPorts") for port in entity.not_ports),
    )


def _http(match: specs.HTTPMatch) -> facts.HTTPMatch:
    return facts.HTTPMatch(
        methods=match.methods,
        paths=tuple(f"exact:{path.exact}" if path.exact else f"prefix:{path.prefix}" for path in match.paths),
    )
