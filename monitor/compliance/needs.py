"""Inputs that controls rest on. An input that is not fresh turns what rests on it into `error` (law 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.compliance import Input, Vouched
from models.facts import Kind

PLACES: tuple[Kind, ...] = (Kind.NAMESPACE, Kind.POD, Kind.REPLICA_SET, Kind.JOB)
"""Who there is, and whom it belongs to."""

POLICIES: tuple[Kind, ...] = (
    Kind.KUBERNETES_NETWORK_POLICY,
    Kind.CLUSTER_NETWORK_POLICY,
    Kind.ADMIN_NETWORK_POLICY,
    Kind.BASELINE_ADMIN_NETWORK_POLICY,
    Kind.NETWORK_POLICY,
    Kind.GLOBAL_NETWORK_POLICY,
)
"""What is enforced."""

STAGED: tuple[Kind, ...] = (
    Kind.STAGED_NETWORK_POLICY,
    Kind.STAGED_GLOBAL_NETWORK_POLICY,
    Kind.STAGED_KUBERNETES_NETWORK_POLICY,
)
"""What only reports."""

VERDICTS: tuple[Kind, ...] = (
    *PLACES,
    *POLICIES,
    Kind.SERVICE_ACCOUNT,
    Kind.SERVICE,
    Kind.ENDPOINT_SLICE,
    Kind.TIER,
    Kind.NETWORK_SET,
    Kind.GLOBAL_NETWORK_SET,
    Kind.HOST_ENDPOINT,
    Kind.PROFILE,
    Kind.CLUSTER_INFORMATION,
)
"""Everything that a verdict can hang on."""

ALWAYS: tuple[Kind, ...] = (Kind.DECLARATION, Kind.DECLARED_DOMAIN)
"""Without them nobody knows what a domain is."""

USABLE = frozenset({"fresh", "not_served"})


def unmet(needs: Iterable[Kind | Input], inputs: Mapping[str, Vouched]) -> str:
    """Why a control with these needs cannot be evaluated; empty if it can."""
    bad = [inputs[need.value] for need in (*ALWAYS, *needs) if inputs[need.value].state not in USABLE]
    if not bad:
        return ""
    first, more = bad[0], len(bad) - 1
    return f"{first.input}: {first.reason or first.state}" + (f"; and {more} more inputs" if more else "")
