"""One direction of an answer, as a walk: tier after tier, the policies that were met or passed by, and what decided.

Trusts: the verdict's trace is the walk; this only lays it beside the policies that select the endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, structs

from models.facts import AdminPolicy, CalicoPolicy, Fact, FactKey, Kind, KubernetesNetworkPolicy, PolicyFact
from models.verdicts import Connection, Decision, Direction, Hit, Verdict
from monitor.cli import explain_words
from monitor.cli.explain_ends import Cluster
from monitor.policy import model
from monitor.policy.chains import Question
from monitor.policy.verdict import Stage, TierSteps


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A policy that selects the endpoint, and what became of it. `rule` counts in the policy's YAML list."""

    policy: str
    kind: str
    outcome: str  # allow, deny, pass, no match, not reached, end of tier
    rule: int | None = None
    words: str = ""
    decides: bool = False
    is_staged: bool = False


class TierWalk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`end`: what happens behind the last policy, where it was met."""

    tier: str
    steps: tuple[Step, ...] = ()
    end: str = ""


class Walk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A direction at one endpoint."""

    direction: Direction
    endpoint: str
    decision: Decision
    tiers: tuple[TierWalk, ...]
    logs: tuple[str, ...] = ()
    unknown_because: tuple[str, ...] = ()


def walk(
    cluster: Cluster, endpoint: str, direction: Direction, connection: Connection, *, is_pending: bool = False
) -> Walk:
    chain = cluster.engine.chain(endpoint, Question(direction, Stage.NORMAL, is_pending=is_pending))
    verdict = chain.verdict(cluster.engine.packet(connection))
    tiers = [*_tiers(cluster, chain.tiers, verdict, direction), *_profiles(verdict)]
    return Walk(
        direction=direction,
        endpoint=endpoint,
        decision=verdict.decision,
        tiers=tuple(tiers),
        logs=tuple(f"{policy_name(hit.namespace, hit.name)} rule {hit.rule}" for hit in verdict.logs),
        unknown_because=verdict.unknown_because,
    )


def _tiers(
    cluster: Cluster, chained: tuple[TierSteps, ...], verdict: Verdict, direction: Direction
) -> Iterator[TierWalk]:
    """Every tier that has policies, up to the one that decided."""
    hits = {hit.tier: hit for hit in verdict.trace}
    last = verdict.trace[-1] if verdict.trace and verdict.decision is not Decision.UNKNOWN else None
    by_name = {one.tier.name: one for one in chained}
    for tier, _ in cluster.engine.world.tiers_in_order():
        here = by_name.get(tier.name)
        if here is None:
            yield TierWalk(tier=tier.name)
            continue
        hit = hits.get(tier.name)
        steps = tuple(_steps(cluster.facts, cluster.name, here, hit, direction))
        steps = tuple(_marked(step, is_last=hit is not None and hit is last) for step in steps)
        yield TierWalk(tier=tier.name, steps=steps, end=_end(here, hit))
        if hit is not None and hit.action != model.PASS:
            return


def _marked(step: Step, *, is_last: bool) -> Step:
    if not (is_last and step.outcome in {model.ALLOW, model.DENY}):
        return step
    return Step(
        policy=step.policy,
        kind=step.kind,
        outcome=step.outcome,
        rule=step.rule,
        words=step.words,
        decides=True,
        is_staged=step.is_staged,
    )


def _steps(
    facts: Mapping[FactKey, Fact], cluster: str, tier: TierSteps, hit: Hit | None, direction: Direction
) -> Iterator[Step]:
    is_behind = False
    for policy in tier.policies:
        rules = policy.egress if direction is Direction.EGRESS else policy.ingress
        bare = Step(
            policy=policy_name(policy.namespace, policy.name),
            kind=policy.kind.value,
            outcome=_passed_by(rules, is_behind=is_behind),
            is_staged=policy.is_staged,
        )
        is_met = hit is not None and hit.rule >= 0 and _is(policy, hit)
        if is_met and hit is not None:
            rule = rules[hit.rule]
            fact = facts.get(FactKey(cluster, policy.kind, policy.namespace, policy.name))
            words = explain_words.rule_of(fact, direction, rule.origin) if isinstance(fact, _POLICIES) else ""
            yield structs.replace(bare, outcome=hit.action, rule=rule.origin, words=words)
        else:
            yield bare
        is_behind = is_behind or is_met


_POLICIES = (CalicoPolicy, KubernetesNetworkPolicy, AdminPolicy)


def _passed_by(rules: tuple[model.Rule, ...], *, is_behind: bool) -> str:
    if is_behind:
        return "not reached"
    return f"no match in {len(rules)} rule{'s' if len(rules) != 1 else ''}" if rules else "no rules"


def _is(policy: model.Policy, hit: Hit) -> bool:
    return (policy.kind.value, policy.namespace, policy.name) == (hit.kind, hit.namespace, hit.name)


def _end(tier: TierSteps, hit: Hit | None) -> str:
    if hit is None or hit.rule >= 0:
        return ""
    return "pass" if tier.is_pass else "deny"


def _profiles(verdict: Verdict) -> Iterator[TierWalk]:
    """8.6, 8.7: what decides when no tier did."""
    hits = [hit for hit in verdict.trace if hit.tier == model.PROFILE_TIER]
    for hit in hits:
        words = "no policy decides, so the namespace's profile does" if hit.name.startswith("kns.") else ""
        step = Step(
            policy=hit.name,
            kind="Profile",
            outcome=hit.action,
            rule=hit.rule,
            words=words,
            decides=hit.action != model.PASS,
        )
        yield TierWalk(tier="profiles", steps=(step,))
    ends_in_nothing = not verdict.trace or verdict.trace[-1].action == model.PASS
    if not hits and verdict.decision is Decision.DENY and ends_in_nothing:
        yield TierWalk(tier="profiles", end="deny")


def policy_name(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def fact_of(cluster: Cluster, hit: Hit) -> PolicyFact | None:
    """The policy that a hit is about, as written."""
    if hit.kind == model.PROFILE_KIND:
        return None
    found = cluster.facts.get(FactKey(cluster.name, Kind(hit.kind), hit.namespace, hit.name))
    return found if isinstance(found, _POLICIES) else None
