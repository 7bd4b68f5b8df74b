"""ClusterNetworkPolicy and the older AdminNetworkPolicy, BaselineAdminNetworkPolicy: facts -> model (section 10).

Which kinds are read depends on the Calico version; the others are inert. A rule that Calico cannot convert becomes an
unconditional Deny if it was a Deny or a Pass, and nothing if it was an Allow (10.8): that fails closed.
"""

from __future__ import annotations

from collections.abc import Iterator

from models.facts import AdminPeer, AdminPolicy, AdminPort, AdminRule, EntityRule, Kind, LabelSelector
from monitor.policy import addresses, convert_calico, convert_kubernetes, model, naming, selectors
from monitor.policy.dialect import Dialect
from monitor.policy.selectors import Node

_ACTIONS = {"allow": model.ALLOW, "accept": model.ALLOW, "deny": model.DENY, "pass": model.PASS}
_OLD_BASELINE_ORDER = 1000.0


def policy(fact: AdminPolicy, dialect: Dialect) -> model.Policy | None:
    """None where the version does not read the kind, or there is no subject or tier that it knows (10.4)."""
    kind = Kind(fact.policy_kind)
    tier = {"Admin": dialect.admin_tier, "Baseline": dialect.baseline_tier}.get(_tier(fact, kind), "")
    subject = _subject(fact.subject)
    if kind not in dialect.admin_kinds or not tier or subject is None:
        return None
    ingress = tuple(_rules(fact.ingress, is_ingress=True))
    egress = tuple(_rules(fact.egress, is_ingress=False))
    none_at_all = not ingress and not egress  # Felix reads empty types as both (10.5)
    return model.Policy(
        kind=kind,
        name=fact.name,
        tier=tier,
        order=_OLD_BASELINE_ORDER if kind is Kind.BASELINE_ADMIN_NETWORK_POLICY else float(fact.priority),
        selector=selectors.conjunction(convert_kubernetes.IS_KUBERNETES, *subject),
        ingress=ingress,
        egress=egress,
        is_ingress=bool(ingress) or none_at_all,
        is_egress=bool(egress) or none_at_all,
        tie=naming.tie(kind, tier, "", fact.name, is_named_by_kind=dialect.is_named_by_kind),
    )


def _tier(fact: AdminPolicy, kind: Kind) -> str:
    return {Kind.ADMIN_NETWORK_POLICY: "Admin", Kind.BASELINE_ADMIN_NETWORK_POLICY: "Baseline"}.get(kind, fact.tier)


def _subject(written: AdminPeer | None) -> tuple[Node, ...] | None:
    if written is None or written.unsupported:
        return None
    if written.namespaces is not None:
        return convert_kubernetes.namespace_terms(written.namespaces)
    if written.pods_namespace_selector is None and written.pods_pod_selector is None:
        return None
    return _pods(written)


def _pods(written: AdminPeer) -> tuple[Node, ...]:
    terms = convert_kubernetes.namespace_terms(written.pods_namespace_selector or LabelSelector())
    return terms + convert_kubernetes.label_terms(written.pods_pod_selector or LabelSelector())


def _rules(written: tuple[AdminRule, ...], *, is_ingress: bool) -> Iterator[model.Rule]:
    for origin, each in enumerate(written):
        action = _ACTIONS.get(each.action.lower())
        try:
            _refuse(each.unsupported or ("" if action else f"action {each.action!r}"))
            sides = [_peer(one) for one in each.peers]
            groups = _port_groups(each.ports)
        except ValueError:
            if action != model.ALLOW:
                yield model.Rule(action=model.DENY, origin=origin, name=each.name)
            continue
        for protocol, ports in groups:
            for far in sides:
                yield _rule(each, (protocol, ports), far, origin=origin, is_ingress=is_ingress)


def _refuse(why: str) -> None:
    if why:
        raise ValueError(why)


def _rule(
    written: AdminRule,
    group: tuple[int | None, model.Ports],
    far: tuple[model.Side, frozenset[int]],
    *,
    origin: int,
    is_ingress: bool,
) -> model.Rule:
    protocol, ports = group
    side, never = far
    anyone = convert_kubernetes.ANYONE
    return model.Rule(
        action=_ACTIONS[written.action.lower()],
        never=never,
        protocol=protocol,
        source=side if is_ingress else anyone,
        destination=convert_kubernetes.with_ports(anyone if is_ingress else side, ports),
        origin=origin,
        name=written.name,
    )


def _peer(written: AdminPeer) -> tuple[model.Side, frozenset[int]]:
    """10.7: `namespaces` has no orchestrator condition, so sets of those namespaces match too; `pods` has it."""
    _refuse(written.unsupported)
    if written.networks is not None:
        return convert_calico.side(EntityRule(nets=_checked(written.networks)), "")
    if written.namespaces is not None:
        terms = convert_kubernetes.namespace_terms(written.namespaces)
    elif written.pods_namespace_selector is not None or written.pods_pod_selector is not None:
        terms = (convert_kubernetes.IS_KUBERNETES, *_pods(written))
    else:
        raise ValueError("an empty peer")
    return convert_kubernetes.selected(terms), frozenset()


def _checked(networks: tuple[str, ...]) -> tuple[str, ...]:
    """A bad CIDR fails the whole rule here (10.8), unlike in Calico's own policies."""
    for each in networks:
        addresses.net(each)
    return networks


def _port_groups(written: tuple[AdminPort, ...] | None) -> list[tuple[int | None, model.Ports]]:
    """By protocol as in 9.6; a named port without protocol matches the declared one and comes first."""
    if not written:
        return [(None, model.Ports())]
    groups: dict[str, list[int | str]] = {}
    whole: set[str] = set()
    for each in written:
        texts = groups.setdefault(each.protocol or "", [])
        port = _port(each)
        if port is None:
            whole.add(each.protocol or "")
        else:
            texts.append(port)
    return [
        (
            model.protocol_number(protocol) if protocol else None,
            model.Ports() if protocol in whole else convert_calico.ports(tuple(groups[protocol])),
        )
        for protocol in sorted(groups)
    ]


def _port(written: AdminPort) -> int | str | None:
    if written.named_port:
        return written.named_port
    if written.port is None:
        return None
    return written.port if written.end_port is None else f"{written.port}:{written.end_port}"
