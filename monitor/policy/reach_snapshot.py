"""What reachability needs to know: taken from an engine, or straight from facts where nobody will ask for a trace.

Law: both ways give the same snapshot. The short way leaves out what only single verdicts need (rules as checks, the
indexes that changes are followed with), which is most of the work of building an engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from models.facts import (
    AdminPolicy,
    CalicoPolicy,
    ClusterInformation,
    EndpointSlice,
    Fact,
    FactKey,
    FelixConfiguration,
    HostEndpoint,
    KubernetesNetworkPolicy,
    Namespace,
    NetworkSet,
    Pod,
    Profile,
    ServiceAccount,
    Tier,
)
from monitor.policy import convert, convert_calico, convert_endpoints, model, ordering, settings
from monitor.policy.engine import Engine
from monitor.policy.matching import Backends
from monitor.policy.places import Services
from monitor.policy.profiles import Profiles
from monitor.policy.reach_classes import Backend, Snapshot
from monitor.policy.settings import Settings
from monitor.policy.world import World

_NO_PROTOCOL = -1


def of(engine: Engine) -> Snapshot:
    world = engine.world
    return Snapshot(
        endpoints=dict(world.subjects.endpoints),
        sets=tuple(world.subjects.sets.values()),
        tiers=cache(world.tiers_in_order),
        profiles=dict(world.profiles.by_name),
        backends=lambda service: _backends(world.backends(service)),
        by_name=tuple(found.labels for found in world.domain_classes()),
        is_nftables=world.is_nftables(),
        is_pass_deny=world.chains.is_pass_deny,
    )


def of_facts(facts: Mapping[FactKey, Fact]) -> Snapshot:
    known = _ByType(facts.values())
    found = settings.of(known.of(ClusterInformation, FelixConfiguration, Tier))
    profiles, services = Profiles(World()), Services()
    for origin in known.of(Namespace, ServiceAccount, Profile):
        profiles.put(origin)
    for slice_ in known.of(EndpointSlice):
        services.put(slice_)
    sets = [convert_endpoints.network_set(fact, profiles.labels) for fact in known.of(NetworkSet)]
    return Snapshot(
        endpoints={each.id: each for each in _endpoints(known, profiles)},
        sets=sets,
        tiers=cache(lambda: _tiers(known, found)),
        profiles=profiles.by_name,
        backends=lambda service: _backends(services.backends(service)),
        by_name=tuple(each.labels for each in sets if each.has_domains),
        is_nftables=found.is_nftables,
        is_pass_deny=found.is_bpf is True,
    )


class _ByType:
    """Facts by what they are; looked through once."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._facts: dict[type[Any], list[Any]] = defaultdict(list)
        for fact in facts:
            self._facts[type(fact)].append(fact)

    def of(self, *types: type[Any]) -> list[Any]:
        return [fact for each in types for fact in self._facts[each]]


def _endpoints(known: _ByType, profiles: Profiles) -> Iterator[model.Endpoint]:
    yield from convert_endpoints.pods(known.of(Pod), profiles.labels)
    for host in known.of(HostEndpoint):
        yield convert_endpoints.host(host, profiles.labels)


def _tiers(known: _ByType, found: Settings) -> list[tuple[model.Tier, list[model.Policy]]]:
    tiers = {tier.name: tier for tier in found.dialect.builtin_tiers()}
    tiers |= {fact.name: convert_calico.tier(fact) for fact in known.of(Tier)}
    policies: dict[str, list[model.Policy]] = {}
    for fact in known.of(CalicoPolicy, KubernetesNetworkPolicy, AdminPolicy):
        policy = convert.policy(fact, found.dialect)
        if policy is not None:
            policies.setdefault(policy.tier, []).append(policy)
    in_order = ordering.tiers_in_order(tiers, policies)
    return [(tier, ordering.sorted_policies(policies[tier.name])) for tier in in_order]


def _backends(found: Backends) -> Iterator[Backend]:
    """With a port where the slice gives one; a backend without is still a source."""
    yield from found.targets
    with_port = {address for address, _, _ in found.targets}
    yield from ((address, _NO_PROTOCOL, None) for address in found.addresses if address not in with_port)
