"""What of a cluster's configuration changes verdicts: the Calico version, the dataplane.

Where the configuration does not say, the version is read off the built-in tiers, and the dataplane stays open.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from models.facts import ClusterInformation, Fact, FelixConfiguration, Tier
from monitor.policy import dialect
from monitor.policy.dialect import Dialect

_NEWEST = ""
_VERSION_OF_TIER = (
    ("kube-admin", _NEWEST),
    ("baselineadminnetworkpolicy", "v3.31.0"),
    ("adminnetworkpolicy", "v3.29.0"),
)


class Settings(Struct, frozen=True):
    """`is_nftables` and `is_bpf` are None where nobody says."""

    dialect: Dialect
    is_nftables: bool | None = None
    is_bpf: bool | None = None


def of(facts: Iterable[Fact]) -> Settings:
    version, tiers = "", set()
    felix = FelixConfiguration(name="default")
    for fact in facts:
        match fact:
            case ClusterInformation():
                version = fact.calico_version
            case Tier():
                tiers.add(fact.name)
            case FelixConfiguration(name="default"):
                felix = fact
    return Settings(dialect.of_version(version or _version_of(tiers)), _is_nftables(felix), felix.bpf_enabled)


def _version_of(tiers: set[str]) -> str:
    """The tiers that Calico makes itself tell its version apart (7.2)."""
    return next((version for name, version in _VERSION_OF_TIER if name in tiers), _NEWEST)


def _is_nftables(felix: FelixConfiguration) -> bool | None:
    if felix.bpf_enabled:
        return False
    return {"enabled": True, "disabled": False}.get((felix.nftables_mode or "").lower())
