"""What differs between Calico versions (policy_semantics.md section 17). Without a version, the newest."""

from __future__ import annotations

import re

from msgspec import Struct

from models.facts import Kind
from monitor.policy.model import Tier

INFINITY = float("inf")
DEFAULT_TIER_ORDER = 1_000_000.0


class Dialect(Struct, frozen=True, kw_only=True):
    """The rules of one Calico version."""

    admin_kinds: frozenset[Kind]  # the admin policy kinds that are read; the others are inert (10.1)
    admin_tier: str
    baseline_tier: str
    is_named_by_kind: bool  # 3.32: names without tier prefix, ties by name/namespace/kind (7.6, 7.7)
    has_staged: bool
    has_tiers: bool

    def builtin_tiers(self) -> tuple[Tier, ...]:
        """Used where no Tier object says otherwise (7.2)."""
        tiers = [Tier(name="default", order=DEFAULT_TIER_ORDER, is_pass=False)]
        if self.admin_tier:
            tiers.append(Tier(name=self.admin_tier, order=1_000.0, is_pass=True))
        if self.baseline_tier:
            tiers.append(Tier(name=self.baseline_tier, order=10_000_000.0, is_pass=True))
        return tuple(tiers)


_CURRENT = Dialect(
    admin_kinds=frozenset({Kind.CLUSTER_NETWORK_POLICY}),
    admin_tier="kube-admin",
    baseline_tier="kube-baseline",
    is_named_by_kind=True,
    has_staged=True,
    has_tiers=True,
)
_UP_TO_3_31 = Dialect(
    admin_kinds=frozenset({Kind.ADMIN_NETWORK_POLICY, Kind.BASELINE_ADMIN_NETWORK_POLICY}),
    admin_tier="adminnetworkpolicy",
    baseline_tier="baselineadminnetworkpolicy",
    is_named_by_kind=False,
    has_staged=True,
    has_tiers=True,
)
_UP_TO_3_29 = Dialect(
    admin_kinds=frozenset({Kind.ADMIN_NETWORK_POLICY}),
    admin_tier="adminnetworkpolicy",
    baseline_tier="",
    is_named_by_kind=False,
    has_staged=False,
    has_tiers=True,
)
_UP_TO_3_28 = Dialect(
    admin_kinds=frozenset(),
    admin_tier="",
    baseline_tier="",
    is_named_by_kind=False,
    has_staged=False,
    has_tiers=False,
)


def of_version(calico_version: str) -> Dialect:
    """The dialect of `v3.31.2`; an unknown or empty version is the newest."""
    found = re.match(r"v?(\d+)\.(\d+)", calico_version)
    if not found:
        return _CURRENT
    version = (int(found.group(1)), int(found.group(2)))
    if version >= (3, 32):
        return _CURRENT
    if version >= (3, 30):
        return _UP_TO_3_31
    return _UP_TO_3_29 if version == (3, 29) else _UP_TO_3_28
