"""Calico policies, profiles and tiers: facts -> model (policy_semantics.md sections 4 to 7).

A rule that cannot be converted drops its whole policy, as Felix treats an invalid object as missing (3.5): ValueError.
The exception that Calico makes, a CIDR that does not parse, is made here too.
"""

from __future__ import annotations

from functools import lru_cache

from models.facts import CalicoPolicy, EntityRule, ICMPMatch, Kind, Profile, Rule, Tier
from monitor.policy import addresses, model, naming, scopes
from monitor.policy.dialect import DEFAULT_TIER_ORDER, INFINITY, Dialect

_ACTIONS = {"allow": model.ALLOW, "deny": model.DENY, "pass": model.PASS, "next-tier": model.PASS, "log": model.LOG}
_STAGED = {
    Kind.STAGED_NETWORK_POLICY: Kind.NETWORK_POLICY,
    Kind.STAGED_GLOBAL_NETWORK_POLICY: Kind.GLOBAL_NETWORK_POLICY,
}


def policy(fact: CalicoPolicy, dialect: Dialect) -> model.Policy | None:
    """None for a staged Delete, which is not evaluated at all (11.2). ValueError if Felix would drop it."""
    kind = Kind(fact.policy_kind)
    is_staged = kind in _STAGED
    if is_staged and (not dialect.has_staged or fact.staged_action == "Delete"):
        return None
    namespaced = bool(fact.namespace)
    selector = (
        scopes.namespaced_policy(fact.selector, fact.service_account_selector, fact.namespace)
        if namespaced
        else scopes.global_policy(fact.selector, fact.namespace_selector, fact.service_account_selector)
    )
    types = {written.lower() for written in fact.types} or {"ingress", "egress"}
    tier = fact.tier or "default"
    return model.Policy(
        kind=kind,
        namespace=fact.namespace,
        name=fact.name,
        tier=tier,
        order=INFINITY if fact.order is None else fact.order,
        selector=selector,
        ingress=tuple(rule(each, fact.namespace, at) for at, each in enumerate(fact.ingress)),
        egress=tuple(rule(each, fact.namespace, at) for at, each in enumerate(fact.egress)),
        is_ingress="ingress" in types,
        is_egress="egress" in types,
        is_staged=is_staged,
        is_untracked=fact.do_not_track,
        is_pre_dnat=fact.pre_dnat,
        is_forward=fact.apply_on_forward,
        tie=naming.tie(kind, tier, fact.namespace, fact.name, is_named_by_kind=dialect.is_named_by_kind),
    )


def profile(fact: Profile) -> model.Profile:
    """Profile rules are read as global (12.3)."""
    return model.Profile(
        name=fact.name,
        ingress=tuple(rule(each, "", at) for at, each in enumerate(fact.ingress)),
        egress=tuple(rule(each, "", at) for at, each in enumerate(fact.egress)),
    )


def tier(fact: Tier) -> model.Tier:
    """7.1, 7.3: without order 1,000,000; Deny unless it is exactly Pass."""
    order = DEFAULT_TIER_ORDER if fact.order is None else fact.order
    return model.Tier(name=fact.name, order=order, is_pass=fact.default_action == "Pass")


def rule(written: Rule, namespace: str, origin: int) -> model.Rule:
    """One v3 rule. ValueError for what cannot be read."""
    version, protocol = _family(written)
    source, source_never = side(written.source, namespace)
    destination, destination_never = side(written.destination, namespace)
    return model.Rule(
        action=_ACTIONS[written.action.lower()],
        version=version,
        never=source_never | destination_never,
        protocol=protocol,
        not_protocol=None if written.not_protocol is None else model.protocol_number(written.not_protocol),
        icmp=_icmp(written.icmp),
        not_icmp=_icmp(written.not_icmp),
        source=source,
        destination=destination,
        is_http=written.http is not None,
        origin=origin,
        name=written.annotations.get("kubernetes.policy.rule.name", ""),
    )


def _family(written: Rule) -> tuple[int | None, int | None]:
    """6.2: the names ICMP and ICMPv6 imply a family, the numbers do not."""
    if written.protocol is None:
        return written.ip_version, None
    implied = {"icmp": 4, "icmpv6": 6}.get(str(written.protocol).lower())
    if implied and written.ip_version not in {None, implied}:
        return 0, model.protocol_number(written.protocol)  # contradicts itself: no family
    return implied or written.ip_version, model.protocol_number(written.protocol)


def _icmp(match: ICMPMatch | None) -> tuple[int, int | None] | None:
    return None if match is None or match.type is None else (match.type, match.code)


def side(entity: EntityRule, namespace: str) -> tuple[model.Side, frozenset[int]]:
    """An entity rule, and the families that its nets keep it from matching (6.2)."""
    nets, not_nets = _nets(entity.nets), _nets(entity.not_nets)
    selector, negated = scopes.peer(entity, namespace)
    never = _without_family(nets) | _without_family(not_nets) | _cut_out(not_nets)
    made = model.Side(
        nets=nets,
        not_nets=not_nets,
        selector=selector,
        negated=negated,
        ports=ports(entity.ports),
        not_ports=ports(entity.not_ports),
        service=None if entity.services is None else (entity.services.namespace, entity.services.name),
        is_by_domain=bool(entity.domains),
    )
    return _one(made), never


@lru_cache(maxsize=65_536)
def _one(side: model.Side) -> model.Side:
    """The same object for equal ones: what has been found out about it is known by that (reach_rules.py)."""
    return side


def _nets(written: tuple[str, ...]) -> tuple[addresses.Net, ...]:
    """A CIDR that does not parse is skipped; nothing left matches any address: Calico does so, and it widens (3.5)."""
    found = []
    for each in written:
        try:
            found.append(addresses.net(each))
        except ValueError:
            continue
    return tuple(found)


def _without_family(nets: tuple[addresses.Net, ...]) -> frozenset[int]:
    if not nets:
        return frozenset()
    return frozenset({4, 6} - {addresses.version(first) for first, _ in nets})


def _cut_out(not_nets: tuple[addresses.Net, ...]) -> frozenset[int]:
    """A negated catch-all leaves nothing of its family."""
    catch_all = {addresses.ANY_V4: 4, addresses.ANY_V6: 6}
    return frozenset(catch_all[each] for each in not_nets if each in catch_all)


def ports(written: tuple[int | str, ...]) -> model.Ports:
    """Numbers, ranges "a:b" and names. A policy with port 0 does not come here: Felix drops it (6.4)."""
    ranges: list[tuple[int, int]] = []
    names: list[str] = []
    for each in written:
        found = _range(each)
        if found is None:
            names.append(str(each))
        else:
            ranges.append(found)
    return model.Ports(tuple(ranges), tuple(names))


def _range(written: int | str) -> tuple[int, int] | None:
    text = str(written)
    first, colon, last = text.partition(":")
    if not first.isdecimal() or (colon and not last.isdecimal()):
        return None
    low, high = int(first), int(last) if colon else int(first)
    if not 0 <= low <= high <= 65_535:
        raise ValueError(f"port {text} is not within 0 to 65535")
    return low, high
