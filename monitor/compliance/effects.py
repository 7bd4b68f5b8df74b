"""What a change of a policy did to what may connect: reach before and after it, everything else being as it was.

In the words of the smallest domains: what tenants gain or lose are the gains and losses of their namespaces.
Law: a change that decides nothing that is enforced has no effect, whatever is known; of any other nothing is said
(None) unless reach is known before and after.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.facts import CHANGE_KINDS, FactKey, Kind
from models.recording import PolicyEffect
from models.topics import Position
from monitor.compliance import needs, reach_wording
from monitor.compliance.reach_wording import Changed

ENFORCED = frozenset(
    {
        *needs.POLICIES,
        Kind.TIER,
        Kind.NETWORK_SET,
        Kind.GLOBAL_NETWORK_SET,
        Kind.HOST_ENDPOINT,
        Kind.PROFILE,
        Kind.FELIX_CONFIGURATION,
    }
)
"""Kinds whose change can change what may connect."""

HARMLESS = CHANGE_KINDS - ENFORCED
"""Kinds that are recorded as changes too, and decide nothing that is enforced."""

Change = tuple[FactKey, Position]


def none(change: Change) -> PolicyEffect:
    key, position = change
    return PolicyEffect(key=key, position=position)


def of(changes: Sequence[Change], moved: Changed) -> tuple[PolicyEffect, ...]:
    """Of changes that were taken in together: which of them did what cannot be told, and the words say so."""
    told = {pair: both for pair, both in moved.items() if not any(domain.startswith("tenant/") for domain in pair)}
    addition = f" (one of {len(changes)} changes at once)" if len(changes) > 1 else ""
    gained, lost = reach_wording.widened(told, addition), reach_wording.closed(told, addition)
    return tuple(PolicyEffect(key=key, position=position, widened=gained, closed=lost) for key, position in changes)
