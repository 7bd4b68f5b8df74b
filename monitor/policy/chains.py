"""Per endpoint, the ordered list of what it meets: tiers, their policies, profiles.

Endpoints that the same policies select and that list the same profiles share one chain: an engine of 20,000 endpoints
has some hundred. Chains are built when first asked for and dropped when something in them changes.
Source: policy_semantics.md 8.1, 13.4 (projectcalico/calico felix/calc/event_sequencer.go, policy_sorter.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from msgspec import Struct

from models.verdicts import Direction
from monitor.policy import model, ordering
from monitor.policy.matching import Hashed
from monitor.policy.verdict import Chain, CompiledPolicy, Memory, Outcome, ProfileSteps, Stage, TierSteps

Rank = tuple[float, str, float, str]
ProfileOf = Callable[[str, Direction], ProfileSteps]

_END = {
    Stage.NORMAL: Outcome.DENY,
    Stage.FORWARD: Outcome.ALLOW,
    Stage.PRE_DNAT: Outcome.NEXT,
    Stage.UNTRACKED: Outcome.NEXT,
}
_SILENT = frozenset({Stage.PRE_DNAT, Stage.UNTRACKED})


class Question(Struct, frozen=True):
    """Which list of an endpoint: direction, stage, and whether staged policies count."""

    direction: Direction
    stage: Stage = Stage.NORMAL
    is_pending: bool = False

    def concerns(self, policy: model.Policy) -> bool:
        """8.1, 13.4: whether a policy that selects the endpoint is in this list."""
        if policy.is_staged and not self.is_pending:
            return False
        if not (policy.is_egress if self.direction is Direction.EGRESS else policy.is_ingress):
            return False
        match self.stage:
            case Stage.UNTRACKED:
                return policy.is_untracked
            case Stage.PRE_DNAT:
                return policy.is_pre_dnat and self.direction is Direction.INGRESS
            case Stage.FORWARD:
                return policy.is_forward and not policy.is_untracked and not policy.is_pre_dnat
        return not policy.is_untracked and not policy.is_pre_dnat


Asked = tuple[frozenset[Hashed], tuple[str, ...], Question]
"""All policies that select an endpoint, its profiles, and which of its lists is asked for."""
Content = tuple[frozenset[Hashed], tuple[str, ...], Direction, Stage]
"""The policies and profiles in a list. Their order follows from what they are."""


class Chains:
    """Chains by content, over the policies and tiers that the engine holds."""

    def __init__(
        self, policies: dict[Hashed, CompiledPolicy], tiers: dict[str, model.Tier], profile: ProfileOf
    ) -> None:
        self._policies = policies
        self._tiers = tiers
        self._profile = profile
        self._asked: dict[Asked, Chain] = {}
        self._chains: dict[Content, Chain] = {}
        self._ranks: dict[Hashed, Rank] = {}
        self._memory = Memory()
        self.is_pass_deny = False

    def chain(self, selecting: Iterable[Hashed], profiles: tuple[str, ...], question: Question) -> Chain:
        """The chain of an endpoint that these policies select, in whatever order they come."""
        asked = (frozenset(selecting), profiles, question)
        found = self._asked.get(asked)
        if found is None:
            found = self._asked[asked] = self._chain(*asked)
        return found

    def _chain(self, selecting: frozenset[Hashed], profiles: tuple[str, ...], question: Question) -> Chain:
        listed = frozenset(self._listed(selecting, question))
        content = (listed, profiles if question.stage is Stage.NORMAL else (), question.direction, question.stage)
        found = self._chains.get(content)
        if found is None:
            found = self._chains[content] = self._made(listed, content[1], question)
        return found

    def program(self, selecting: Iterable[Hashed], question: Question) -> model.Program:
        """What a chain is made of, for those who ask for no verdict."""
        found = self._by_tier(self._listed(selecting, question))
        return tuple([(tier, tuple([each.policy for each in policies])) for tier, policies in found])

    def _listed(self, selecting: Iterable[Hashed], question: Question) -> list[Hashed]:
        return [each for each in selecting if question.concerns(self._policies[each].policy)]

    def _by_tier(self, listed: Iterable[Hashed]) -> Iterator[tuple[model.Tier, list[CompiledPolicy]]]:
        policies = [self._policies[key] for key in self.ordered(listed)]
        for name, here in groupby(policies, key=lambda each: each.policy.tier):
            yield self.tier(name), list(here)

    def ordered(self, keys: Iterable[Hashed]) -> tuple[Hashed, ...]:
        return tuple(sorted(keys, key=self.rank))

    def rank(self, key: Hashed) -> Rank:
        found = self._ranks.get(key)
        if found is None:
            policy = self._policies[key].policy
            found = self._ranks[key] = (*ordering.tier_key(self.tier(policy.tier)), *ordering.policy_key(policy))
        return found

    def tier(self, name: str) -> model.Tier:
        return self._tiers.get(name) or ordering.missing_tier(name)

    def forget(self) -> None:
        """What every rule may look up has changed: verdicts are."""
        self._memory.clear()

    def drop(self, *, policies: frozenset[Hashed] = frozenset(), profiles: frozenset[str] = frozenset()) -> None:
        """Drops the chains in which one of these is."""
        for key in policies:
            self._ranks.pop(key, None)
        for asked in [each for each in self._asked if _holds(each[0], each[1], policies, profiles)]:
            del self._asked[asked]
        for content in [each for each in self._chains if _holds(each[0], each[1], policies, profiles)]:
            del self._chains[content]

    def _made(self, listed: Iterable[Hashed], profiles: tuple[str, ...], question: Question) -> Chain:
        is_egress = question.direction is Direction.EGRESS
        tiers = [
            TierSteps(tier, policies, is_egress=is_egress, is_silent=question.stage in _SILENT)
            for tier, policies in self._by_tier(listed)
        ]
        steps = [self._profile(name, question.direction) for name in profiles]
        return Chain(tiers, steps, _END[question.stage], self._memory, is_pass_deny=self.is_pass_deny)


def _holds(
    listed: frozenset[Hashed], steps: tuple[str, ...], policies: frozenset[Hashed], profiles: frozenset[str]
) -> bool:
    return not policies.isdisjoint(listed) or not profiles.isdisjoint(steps)
