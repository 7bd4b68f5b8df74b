"""What an endpoint's policies let through, for all far classes at once: one region per direction and stage.

Endpoints share one walk if their policies have the same rules, in the same order, and their profiles are the same,
unless a rule asks for the endpoint's own address or port. A tier with the same rules is walked once for all of them.
Source: policy_semantics.md section 8 (tiers), 11 (pending), 12 (profiles).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain

from msgspec.structs import replace

from monitor.policy import model
from monitor.policy import reach_regions as regions
from monitor.policy.bits import ones
from monitor.policy.connections import ConnectionSet
from monitor.policy.model import Policy, Profile, Program
from monitor.policy.reach_classes import Classes, Owner, Snapshot
from monitor.policy.reach_regions import Bounds, Outcome, Passage, Step
from monitor.policy.reach_rules import Listed, Rules

INGRESS, EGRESS = "ingress", "egress"
DIRECTIONS = (INGRESS, EGRESS)


class Stage(StrEnum):
    """Whose verdict: what is enforced, or what would be with the staged policies live."""

    ENFORCED = "enforced"
    PENDING = "pending"


class Walks:
    """Regions by class, each distinct one worked out once."""

    def __init__(self, classes: Classes, profiles: Mapping[str, Profile], rules: Rules, *, is_pass_deny: bool) -> None:
        self.rules = rules
        self._classes = classes
        self._profiles = profiles
        self._is_pass_deny = is_pass_deny
        self._outcomes: dict[tuple[object, ...], Outcome] = {}
        self._bounds: dict[tuple[object, ...], Bounds] = {}
        self._profile_lists: dict[tuple[tuple[str, ...], str], list[Listed]] = {}
        self._passages: dict[tuple[int, int], tuple[Passage, Outcome, Passage]] = {}
        self._entrance: Passage | None = None
        self._kept: list[list[list[Listed]]] = []  # the keys hold ids: what they are ids of must stay

    def forget(self, profiles: Mapping[str, Profile]) -> None:
        """The classes, a policy or a profile have changed: what is asked again is worked out again."""
        self._profiles = profiles
        self._outcomes.clear()
        self._bounds.clear()
        self._profile_lists.clear()
        self._passages.clear()
        self._entrance = None
        self._kept.clear()

    def bounds(self, place: int, direction: str, program: Program) -> Bounds:
        """What the endpoint of this class lets through in a direction, by far class."""
        owner = self._classes.list[place].owners[0]
        tiers = [[self._listed(policy, direction) for policy in policies] for _, policies in program]
        profiles = self._listed_profiles(owner.profiles, direction)
        asked = _asked([*chain.from_iterable(tiers), *profiles], place)
        key = (direction, _key(program, tiers), owner.profiles, asked)
        found = self._bounds.get(key)
        if found is None:
            self._kept.append(tiers)
            outcomes = self._outcomes_of(program, tiers, owner, place, direction)
            found = self._bounds[key] = self._through(outcomes)
        return found

    def _listed_profiles(self, names: tuple[str, ...], direction: str) -> list[Listed]:
        key = (names, direction)
        found = self._profile_lists.get(key)
        if found is None:
            resolved = [known for name in names if (known := self._profiles.get(name))]
            found = self._profile_lists[key] = [self._listed(known, direction) for known in resolved]
        return found

    def _through(self, outcomes: Iterable[Outcome]) -> Bounds:
        """The tiers one after the other. The first ones are often the same for many: what came through is kept."""
        if self._entrance is None:
            self._entrance = regions.entering(self.rules.everywhere)
        passage = self._entrance
        for outcome in outcomes:
            if passage is self._entrance and outcome.is_certain and not outcome.onward:
                return Bounds(outcome.allow, outcome.allow)
            key = (id(passage), id(outcome))
            found = self._passages.get(key)
            if found is None:  # with what the key holds ids of
                found = passage, outcome, regions.passed(passage, outcome, self.rules.everywhere)
                self._passages[key] = found
            passage = found[2]
            if not passage.onward:
                break
        return passage.bounds

    def _listed(self, holder: Policy | Profile, direction: str) -> Listed:
        return self.rules.listed(holder.ingress if direction == INGRESS else holder.egress, direction)

    def _outcomes_of(
        self, program: Program, tiers: Sequence[Sequence[Listed]], owner: Owner, place: int, direction: str
    ) -> Iterator[Outcome]:
        for (tier, _), lists in zip(program, tiers, strict=True):
            key = (direction, tier.is_pass, tuple(map(id, lists)), _asked(lists, place))
            found = self._outcomes.get(key)
            if found is None:
                ends = model.PASS if tier.is_pass else model.DENY  # 8.4
                found = self._outcomes[key] = regions.walked(
                    self._steps(lists, place), self.rules.everywhere, ends=ends
                )
            yield found
        yield from self._profile_outcomes(owner, place, direction)

    def _profile_outcomes(self, owner: Owner, place: int, direction: str) -> Iterator[Outcome]:
        """8.6, 12.2: one after the other; one that does not resolve drops everything at its place in the list."""
        for name in owner.profiles:
            profile = self._profiles.get(name)
            if profile is None:
                break
            listed = self._listed(profile, direction)
            key = (direction, name, _asked([listed], place))
            found = self._outcomes.get(key)
            if found is None:
                found = self._outcomes[key] = self._of_profile(listed, place)
            yield found
        yield regions.CLOSED

    def _of_profile(self, listed: Listed, place: int) -> Outcome:
        steps = self._steps([listed], place)
        if self._is_pass_deny:
            steps = [replace(step, action=model.DENY) if step.action == model.PASS else step for step in steps]
        return regions.walked(steps, self.rules.everywhere, ends=model.PASS)

    def _steps(self, lists: Iterable[Listed], place: int) -> list[Step]:
        return [step for listed in lists for step in self.rules.steps(listed, place)]


def _asked(lists: Iterable[Listed], place: int) -> tuple[ConnectionSet, ...]:
    """What the rules that look at their own endpoint find there: part of what tells walks apart."""
    return tuple([regions.at(turned.sides.near, place) for listed in lists for turned in listed.asking])


def selected(snapshot: Snapshot, classes: Classes, rules: Rules, direction: str, stage: Stage) -> list[Program]:
    """For every label bag its policies, tier by tier (8.1)."""
    picked: list[dict[int, list[Policy]]] = [{} for _ in classes.bags]
    tiers = snapshot.tiers()
    for number, (_, policies) in enumerate(tiers):
        for policy in policies:
            if takes_part(policy, direction, stage):
                for bag in ones(rules.subjects(policy.selector)):
                    picked[bag].setdefault(number, []).append(policy)
    return [tuple((tiers[number][0], tuple(found)) for number, found in by_tier.items()) for by_tier in picked]


def takes_part(policy: Policy, direction: str, stage: Stage) -> bool:
    """8.1, 11.3, 11.4: staged policies count in the pending stage as if they were enforced."""
    if policy.is_untracked or policy.is_pre_dnat or (policy.is_staged and stage is Stage.ENFORCED):
        return False
    return policy.is_ingress if direction == INGRESS else policy.is_egress


def _key(program: Program, tiers: Iterable[Iterable[Listed]]) -> tuple[tuple[bool, tuple[int, ...]], ...]:
    """Tiers differ for a walk only by their rules and their default action."""
    return tuple([(tier.is_pass, tuple(map(id, lists))) for (tier, _), lists in zip(program, tiers, strict=True)])
