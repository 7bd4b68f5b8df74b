"""Verdicts in words: one line per thing met, and which facts it rests on."""

from __future__ import annotations

from collections.abc import Iterable

from models.compliance import Evidence
from models.facts import FactKey, Kind
from models.verdicts import Decision, Hit, Verdict

KINDS = frozenset(Kind)
END_OF_TIER = -1
PROFILE = "Profile"


def policy(hit: Hit) -> str:
    """The policy of a hit, as people name it."""
    name = f"{hit.namespace}/{hit.name}" if hit.namespace else hit.name
    return f"{hit.kind} {name}"


def step(hit: Hit) -> str:
    if hit.kind == PROFILE:
        return f"no tier decided; profile {hit.name} rule {hit.rule}: {hit.action}"
    if hit.rule == END_OF_TIER:
        return f"tier {hit.tier}: {policy(hit)} selects it and no rule matched; end of tier: {hit.action}"
    return f"tier {hit.tier}: {policy(hit)} rule {hit.rule}: {hit.action}"


def steps(verdict: Verdict) -> tuple[str, ...]:
    found = tuple(step(hit) for hit in verdict.trace)
    if found or verdict.decision is not Decision.DENY:
        return found
    return ("no tier and no profile decided: deny",)


def facts(cluster: str, hits: Iterable[Hit]) -> tuple[str, ...]:
    """Keys of the policies met."""
    keys = {FactKey(cluster, Kind(hit.kind), hit.namespace, hit.name).text() for hit in hits if hit.kind in KINDS}
    return tuple(sorted(keys))


def evidence(cluster: str, about: str, verdict: Verdict) -> Evidence:
    """The proof of a verdict about one endpoint."""
    return Evidence(
        steps=tuple(f"{about}: {each}" for each in steps(verdict)),
        facts=facts(cluster, verdict.trace),
    )
