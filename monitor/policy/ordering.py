"""Order in which Calico consults tiers, and policies inside a tier.

Law 1: absent order sorts last in a tier. Law 2: names break ties, by the version's rule. Law 3: a tier that a policy
names and nobody made sorts after all others and ends in deny. Source: policy_semantics.md section 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from monitor.policy.dialect import INFINITY
from monitor.policy.model import Policy, Tier


def tier_key(tier: Tier) -> tuple[float, str]:
    return (tier.order, tier.name)


def policy_key(policy: Policy) -> tuple[float, str]:
    return (policy.order, policy.tie)


def sorted_policies(policies: Iterable[Policy]) -> list[Policy]:
    return sorted(policies, key=policy_key)


def missing_tier(name: str) -> Tier:
    """7.4."""
    return Tier(name=name, order=INFINITY, is_pass=False)


def tiers_in_order(tiers: Mapping[str, Tier], named: Iterable[str]) -> list[Tier]:
    """The tiers that policies name, in order."""
    return sorted((tiers.get(name) or missing_tier(name) for name in set(named)), key=tier_key)
