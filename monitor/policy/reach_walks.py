"""What an endpoint's policies let through, for all far classes at once: one region per direction and stage.

Endpoints with the same policies, in the same order, and the same profiles share one walk, unless a rule asks for the
endpoint's own address or port. A tier with the same policies is walked once, whoever it selects.
Source: policy_semantics.md section 8 (tiers), 11 (pending), 12 (profiles).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from monitor.policy import model
from monitor.policy import reach_regions as regions
from monitor.policy.connections import ConnectionSet
from monitor.policy.model import Policy, Rule
from monitor.policy.reach_classes import Classes, Owner, Snapshot
from monitor.policy.reach_regions import Bounds, Outcome, Step
from monitor.policy.reach_rules import Rules, ones

INGRESS, EGRESS = "ingress", "egress"


class Stage(StrEnum):
    """Whose verdict: what is enforced, or what would be with the staged policies live."""

    ENFORCED = "enforced"
    PENDING = "pending"


Program = tuple[tuple[int, tuple[int, ...]], ...]
"""The policies that select an endpoint in one direction: (tier, policies) by their numbers, in order."""


class Asked(NamedTuple):
    """What the rules that look at their own endpoint found there; part of what tells walks apart."""

    found: tuple[ConnectionSet, ...]


class Walks:
    """Regions by class, each distinct one worked out once."""

    def __init__(self, snapshot: Snapshot, classes: Classes) -> None:
        self.classes = classes
        self.rules = Rules(classes, is_nftables=snapshot.is_nftables)
        self.everywhere = self.rules.everywhere
        self._snapshot = snapshot
        self._policies: list[Policy] = list(snapshot.policies())
        self._outcomes: dict[tuple[object, ...], Outcome] = {}
        self._bounds: dict[tuple[object, ...], Bounds] = {}
        self._asking: dict[tuple[str, object], tuple[Rule, ...]] = {}
        self.has_staged = any(policy.is_staged for policy in self._policies)
        self._programs = {
            (direction, stage): self._selected(direction, stage) for direction in (INGRESS, EGRESS) for stage in Stage
        }

    def _selected(self, direction: str, stage: Stage) -> list[Program]:
        """For every label bag its policies, tier by tier (8.1)."""
        picked: list[dict[int, list[int]]] = [{} for _ in self.classes.bags]
        number = -1
        for tier, (_, policies) in enumerate(self._snapshot.tiers):
            for policy in policies:
                number += 1
                if _takes_part(policy, direction, stage):
                    for bag in ones(self.rules.subjects(policy.selector)):
                        picked[bag].setdefault(tier, []).append(number)
        return [tuple((tier, tuple(numbers)) for tier, numbers in by_tier.items()) for by_tier in picked]

    def bounds(self, place: int, direction: str, stage: Stage) -> Bounds:
        """What the endpoint of this class lets through in a direction, by far class."""
        owner = self.classes.list[place].owners[0]
        program = self._programs[direction, stage][owner.bag]
        key = (direction, program, owner.profiles, self._asked(program, owner, place, direction))
        found = self._bounds.get(key)
        if found is None:
            outcomes = self._outcomes_of(program, owner, place, direction)
            found = self._bounds[key] = regions.bounded(outcomes, self.everywhere)
        return found

    def _asked(self, program: Program, owner: Owner, place: int, direction: str) -> Asked:
        asking = [rule for _, numbers in program for number in numbers for rule in self._asking_of(number, direction)]
        for name in owner.profiles:
            asking += self._asking_of(name, direction)
        return Asked(tuple(regions.at(self.rules.near(rule, direction), place) for rule in asking))

    def _asking_of(self, owner: int | str, direction: str) -> tuple[Rule, ...]:
        """The rules of a policy (by number) or profile (by name) that look at their own endpoint."""
        found = self._asking.get((direction, owner))
        if found is None:
            written = self._profile_rules(owner, direction) if isinstance(owner, str) else None
            rules = _rules(self._policies[owner], direction) if isinstance(owner, int) else written or ()
            found = tuple(rule for rule in rules if self.rules.near(rule, direction) is not self.everywhere)
            self._asking[direction, owner] = found
        return found

    def _profile_rules(self, name: str, direction: str) -> tuple[Rule, ...] | None:
        profile = self._snapshot.profiles.get(name)
        return None if profile is None else profile.ingress if direction == INGRESS else profile.egress

    def _outcomes_of(self, program: Program, owner: Owner, place: int, direction: str) -> Iterator[Outcome]:
        for tier, numbers in program:
            asked = self._asked(((tier, numbers),), owner._replace(profiles=()), place, direction)
            key = (direction, tier, numbers, asked)
            found = self._outcomes.get(key)
            if found is None:
                steps = self._steps((_rules(self._policies[number], direction) for number in numbers), direction, place)
                found = self._outcomes[key] = regions.walked(steps, self.everywhere, ends=self._end(tier))
            yield found
        yield from self._profiles(owner, place, direction)

    def _end(self, tier: int) -> str:
        """8.4: a tier denies at its end, unless it passes by default."""
        return model.PASS if self._snapshot.tiers[tier][0].is_pass else model.DENY

    def _profiles(self, owner: Owner, place: int, direction: str) -> Iterator[Outcome]:
        """8.6, 12.2: one after the other; one that does not resolve drops everything at its place in the list."""
        for name in owner.profiles:
            rules = self._profile_rules(name, direction)
            if rules is None:
                break
            steps = self._steps([rules], direction, place)
            if self._snapshot.is_pass_deny:
                steps = [step._replace(action=model.DENY) if step.action == model.PASS else step for step in steps]
            yield regions.walked(steps, self.everywhere, ends=model.PASS)
        yield regions.walked((), self.everywhere, ends=model.DENY)

    def _steps(self, lists: Iterable[Iterable[Rule]], direction: str, place: int) -> list[Step]:
        return [step for rules in lists for rule in rules for step in self.rules.steps(rule, direction, place)]


def _rules(policy: Policy, direction: str) -> tuple[Rule, ...]:
    return policy.ingress if direction == INGRESS else policy.egress


def _takes_part(policy: Policy, direction: str, stage: Stage) -> bool:
    """8.1, 11.3, 11.4: staged policies count in the pending stage as if they were enforced."""
    if policy.is_untracked or policy.is_pre_dnat or (policy.is_staged and stage is Stage.ENFORCED):
        return False
    return policy.is_ingress if direction == INGRESS else policy.is_egress
