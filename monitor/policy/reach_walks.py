"""What an endpoint's policies let through, for all far classes at once: one region per direction and stage.

Endpoints share one walk if their policies have the same rules, in the same order, and their profiles are the same,
unless a rule asks for the endpoint's own address or port. A tier with the same rules is walked once for all of them.
Source: policy_semantics.md section 8 (tiers), 11 (pending), 12 (profiles).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from msgspec.structs import replace

from monitor.policy import model
from monitor.policy import reach_regions as regions
from monitor.policy.bits import ones
from monitor.policy.connections import ConnectionSet
from monitor.policy.model import Policy, Profile, Program, Tier
from monitor.policy.reach_classes import Index, Snapshot
from monitor.policy.reach_regions import Bounds, Outcome, Passage
from monitor.policy.reach_rules import Listed, Rules

INGRESS, EGRESS = "ingress", "egress"
DIRECTIONS = (INGRESS, EGRESS)

Asked = tuple[ConnectionSet, ...]


class Stage(StrEnum):
    """Whose verdict: what is enforced, or what would be with the staged policies live."""

    ENFORCED = "enforced"
    PENDING = "pending"


class Walks:
    """Regions by class, each distinct one worked out once."""

    def __init__(self, classes: Index, profiles: Mapping[str, Profile], rules: Rules, *, is_pass_deny: bool) -> None:
        self.rules = rules
        self._classes = classes
        self._profiles = profiles
        self._is_pass_deny = is_pass_deny
        self._outcomes: dict[tuple[str, tuple[Listed, ...], Asked], Outcome] = {}
        self._passages: dict[tuple[Passage, Outcome], Passage] = {}
        self._entrance: Passage | None = None

    def forget(self, profiles: Mapping[str, Profile]) -> None:
        """The classes, a policy or a profile have changed: what is asked again is worked out again."""
        self._profiles = profiles
        self._outcomes.clear()
        self._passages.clear()
        self._entrance = None

    def bounds(self, place: int, direction: str, program: Program) -> Bounds:
        """What the endpoint of this class lets through in a direction, by far class."""
        if self._entrance is None:
            self._entrance = regions.entering(self.rules.everywhere)
        passage = self._entrance
        for outcome in self._outcomes_of(program, place, direction):
            passage = self._passed(passage, outcome)
            if not passage.onward:
                break
        return passage.bounds

    def _passed(self, before: Passage, outcome: Outcome) -> Passage:
        """The first tiers are often the same for many: what came through is kept."""
        found = self._passages.get((before, outcome))
        if found is None:
            found = self._passages[before, outcome] = regions.passed(before, outcome, self.rules.everywhere)
        return found

    def _outcomes_of(self, program: Program, place: int, direction: str) -> Iterator[Outcome]:
        """The tiers, then the profiles one after the other: one that does not resolve drops all there (8.6, 12.2)."""
        for tier, policies in program:
            lists = tuple([self._listed(policy, direction) for policy in policies])
            yield self._outcome(model.PASS if tier.is_pass else model.DENY, lists, place)  # 8.4
        for name in self._classes.list[place].owners[0].profiles:
            profile = self._profiles.get(name)
            if profile is None:
                break
            yield self._outcome(model.PROFILE_TIER, (self._listed(profile, direction),), place)

    def _listed(self, holder: Policy | Profile, direction: str) -> Listed:
        return self.rules.listed(holder.ingress if direction == INGRESS else holder.egress, direction)

    def _outcome(self, ends: str, lists: tuple[Listed, ...], place: int) -> Outcome:
        key = (ends, lists, _asked(lists, place))
        found = self._outcomes.get(key)
        if found is None:
            found = self._outcomes[key] = self._walked(ends, lists, place)
        return found

    def _walked(self, ends: str, lists: tuple[Listed, ...], place: int) -> Outcome:
        """`ends`: what becomes of what no rule matched; a profile passes it on."""
        steps = [step for listed in lists for step in self.rules.steps(listed, place)]
        if ends == model.PROFILE_TIER:
            ends = model.PASS
            if self._is_pass_deny:
                steps = [replace(step, action=model.DENY) if step.action == model.PASS else step for step in steps]
        return regions.walked(steps, self.rules.everywhere, ends=ends)


def _asked(lists: Iterable[Listed], place: int) -> Asked:
    """What the rules that look at their own endpoint find there: part of what tells walks apart."""
    return tuple([regions.at(turned.sides.near, place) for listed in lists for turned in listed.asking])


def selected(snapshot: Snapshot, classes: Index, rules: Rules, stage: Stage) -> dict[str, list[Program]]:
    """For both directions and every label bag its policies, tier by tier (8.1)."""
    picked: dict[str, list[list[tuple[Tier, list[Policy]]]]] = {each: [[] for _ in classes.bags] for each in DIRECTIONS}
    for tier, policies in snapshot.tiers():
        for policy in policies:
            directions = [each for each in DIRECTIONS if takes_part(policy, each, stage)]
            bags = list(ones(rules.subjects(policy.selector))) if directions else ()
            for direction in directions:
                _pick(picked[direction], bags, tier, policy)
    return {direction: [_program(found) for found in by_bag] for direction, by_bag in picked.items()}


def _pick(by_bag: list[list[tuple[Tier, list[Policy]]]], bags: Iterable[int], tier: Tier, policy: Policy) -> None:
    for bag in bags:
        here = by_bag[bag]
        if here and here[-1][0] is tier:
            here[-1][1].append(policy)
        else:
            here.append((tier, [policy]))


def _program(found: Iterable[tuple[Tier, list[Policy]]]) -> Program:
    return tuple([(tier, tuple(policies)) for tier, policies in found])


def takes_part(policy: Policy, direction: str, stage: Stage) -> bool:
    """8.1, 11.3, 11.4: staged policies count in the pending stage as if they were enforced."""
    if policy.is_untracked or policy.is_pre_dnat or (policy.is_staged and stage is Stage.ENFORCED):
        return False
    return policy.is_ingress if direction == INGRESS else policy.is_egress
