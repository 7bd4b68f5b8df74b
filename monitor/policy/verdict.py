"""The walk of one packet through one endpoint's tiers, in one direction (policy_semantics.md section 8).

The trace is what the walk met; the decision is read off its end. Where a rule's answer depends on something that is not
known, both ways are taken (20.1): if all end alike the decision is certain, else it is UNKNOWN, with what is missing.
Law 1: tiers without a selecting policy add nothing. Law 2: only enforced policies make a tier deny at its end.
Law 3: Pass off the last tier leads to the profiles, and no profile that decides means deny.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import count
from typing import Final, TypeAlias

from msgspec import Struct

from models.verdicts import Decision, Hit, LogHit, Verdict
from models.words import Word
from monitor.policy import model
from monitor.policy.matching import CompiledRule, Packet, Peer, all_hold
from monitor.policy.reading import Header, Reads

END_OF_TIER: Final = -1
_MANY_WALKS: Final = 131_072


class Stage(Word):
    """The four policy lists of a host endpoint (13.4); a pod has the normal one only."""

    NORMAL = "normal"
    FORWARD = "forward"
    PRE_DNAT = "prednat"
    UNTRACKED = "untracked"


class Outcome(StrEnum):
    """How a walk can end. NEXT: nothing decided, and what comes after this list is asked."""

    ALLOW = "allow"
    DENY = "deny"
    NEXT = "next"


_OUTCOMES: Final = {model.ALLOW: Outcome.ALLOW, model.DENY: Outcome.DENY}


class Step:
    """A rule in its place: the rule, and what the trace says when it is met.

    `fits`: what its header checks say of the packets that it is kept for: True, or why it is not known.
    """

    __slots__ = ("action", "by_header", "by_owner", "compiled", "fits", "hit", "is_for_all", "log")

    def __init__(self, compiled: CompiledRule, hit: Hit, fits: bool | str = True) -> None:  # noqa: FBT001, FBT002
        self.action = hit.action
        self.compiled = compiled
        self.by_header, self.by_owner = compiled.by_header, compiled.by_owner
        self.fits = fits
        self.hit = hit
        self.log: LogHit | None = None  # Log rules of staged policies are not programmed (11.5)
        if hit.action == model.LOG and not hit.is_staged:
            self.log = LogHit(tier=hit.tier, kind=hit.kind, namespace=hit.namespace, name=hit.name, rule=hit.rule)
        # met in any case, whoever is at the packet's addresses
        self.is_for_all = fits is True and not self.by_owner and hit.action != model.LOG

    def depending(self, reason: str) -> Step:
        """The same, for packets of which its header checks cannot know."""
        return Step(self.compiled, self.hit, reason)


class CompiledPolicy:
    """A policy or profile ready to walk: its steps by direction."""

    __slots__ = ("egress", "ingress", "policy")

    def __init__(self, policy: model.Policy, ingress: Sequence[CompiledRule], egress: Sequence[CompiledRule]) -> None:
        self.policy = policy
        self.ingress = tuple(Step(rule, _hit(policy, rule.rule.action, at)) for at, rule in enumerate(ingress))
        self.egress = tuple(Step(rule, _hit(policy, rule.rule.action, at)) for at, rule in enumerate(egress))

    def rules(self) -> Iterator[CompiledRule]:
        for step in (*self.ingress, *self.egress):
            yield step.compiled


def _hit(policy: model.Policy, action: str, rule: int) -> Hit:
    return Hit(
        tier=policy.tier,
        kind=policy.kind.value,
        namespace=policy.namespace,
        name=policy.name,
        action=action,
        rule=rule,
        is_staged=policy.is_staged,
    )


class TierSteps:
    """A tier as one endpoint meets it: the policies that select it in this direction, and what happens at its end."""

    __slots__ = ("end", "is_pass", "policies", "steps", "tier")

    def __init__(
        self, tier: model.Tier, policies: Sequence[CompiledPolicy], *, is_egress: bool, is_silent: bool
    ) -> None:
        self.tier = tier
        self.policies = tuple([each.policy for each in policies])
        lists = [each.egress if is_egress else each.ingress for each in policies]
        self.steps = lists[0] if len(lists) == 1 else tuple([step for each in lists for step in each])
        self.is_pass = tier.is_pass or is_silent
        action = model.PASS if self.is_pass else model.DENY
        # 8.5: attributed to the first policy that took part. Untracked and preDNAT lists end without a word.
        self.end = None if is_silent else _hit(self.policies[0], action, END_OF_TIER)


class ProfileSteps:
    """A profile as endpoints meet it."""

    __slots__ = ("steps",)

    def __init__(self, name: str, rules: Iterable[CompiledRule]) -> None:
        self.steps = tuple(
            Step(
                rule,
                Hit(tier=model.PROFILE_TIER, kind=model.PROFILE_KIND, name=name, action=rule.rule.action, rule=at),
            )
            for at, rule in enumerate(rules)
        )


class Part(Struct, frozen=True):
    """A tier in which it matters who is at the addresses. `before`: what is met in front of it in any case."""

    before: tuple[Hit, ...]
    tier: TierSteps
    steps: tuple[Step, ...]


OwnersKey: TypeAlias = "int | tuple[int, int]"
"""Of the peers that are asked those that hold for the owners of the source, as bits; or of both ends."""


class Fits(Struct, frozen=True):
    """What is left of a chain for packets with one header. `after`: what is met behind the parts; it may decide.

    `of_source`, `of_destination`: the peers that are asked, as bits; `walks` are told apart by those that hold.
    """

    parts: tuple[Part, ...]
    after: tuple[Hit, ...]
    profiles: tuple[tuple[Step, ...], ...]
    of_source: int
    of_destination: int
    walks: dict[OwnersKey, Walked]


def _fits(parts: Sequence[Part], after: Sequence[Hit], profiles: Sequence[tuple[Step, ...]] = ()) -> Fits:
    asking = [step.compiled for steps in (*[part.steps for part in parts], *profiles) for step in steps]
    of_source = _bits([peer for rule in asking for peer in rule.of_source])
    of_destination = _bits([peer for rule in asking for peer in rule.of_destination])
    return Fits(tuple(parts), tuple(after), tuple(profiles), of_source, of_destination, {})


def _bits(peers: Sequence[Peer]) -> int:
    """Numbers of peers run high: one alone is kept as the object that it is."""
    bits = 0
    for peer in peers:
        bits = bits | peer.bit if bits else peer.bit
    return bits


class Memory:
    """What is remembered of packets, of all chains together: one bound for all.

    Chains have numbers here, never used again: keys that hold nothing but numbers are no work for the collector.
    """

    def __init__(self) -> None:
        self.fits: dict[Header, Fits] = {}
        self.walks = 0
        self.numbers = count()

    def make_room(self) -> None:
        """For one more walk."""
        if self.walks > _MANY_WALKS:
            self.clear()
        self.walks += 1

    def clear(self) -> None:
        self.fits.clear()
        self.walks = 0


class Chain:
    """Everything that one kind of endpoint meets in one direction at one stage, in order. Shared by those alike."""

    __slots__ = ("_memory", "_number", "end", "is_pass_deny", "profiles", "reads", "tiers")

    def __init__(
        self,
        tiers: Sequence[TierSteps],
        profiles: Sequence[ProfileSteps],
        end: Outcome,
        memory: Memory,
        *,
        is_pass_deny: bool,
    ) -> None:
        self.tiers = tuple(tiers)
        self.profiles = tuple(profiles)
        self.end = end
        steps: list[TierSteps | ProfileSteps] = [*self.tiers, *self.profiles]
        self.reads = Reads([step.compiled.rule for each in steps for step in each.steps])
        self._memory = memory
        self._number = next(memory.numbers)
        self.is_pass_deny = is_pass_deny  # Pass in a profile: deny on eBPF, the next profile elsewhere (8.6)

    def walked(self, packet: Packet) -> Walked:
        """Remembered for packets that the rules of this chain cannot tell apart."""
        memory, key = self._memory, self.reads.header(packet, self._number)
        fits = memory.fits.get(key)
        if fits is None:
            fits = memory.fits[key] = self._sifted(packet)
        source = packet.source_held & fits.of_source if fits.of_source else 0
        owners: OwnersKey = (source, packet.destination_held & fits.of_destination) if fits.of_destination else source
        found = fits.walks.get(owners)
        if found is None:
            memory.make_room()
            found = fits.walks[owners] = _Walk(packet).through(self, fits)
        return found

    def _sifted(self, packet: Packet) -> Fits:
        parts: list[Part] = []
        hits: list[Hit] = []
        for tier in self.tiers:
            steps = _fitting(tier.steps, packet)
            if steps and not steps[0].is_for_all:
                parts.append(Part(tuple(hits), tier, steps))
                hits.clear()
            elif met := steps[0].hit if steps else tier.end:
                hits.append(met)
                if met.action != model.PASS:
                    return _fits(parts, hits)
        return _fits(parts, hits, [_fitting(each.steps, packet) for each in self.profiles])

    def verdict(self, packet: Packet) -> Verdict:
        return self.walked(packet).verdict


def _fitting(steps: Iterable[Step], packet: Packet) -> tuple[Step, ...]:
    """Those whose header checks do not rule it out, up to the first that is met in any case."""
    found: list[Step] = []
    for step in steps:
        fits = all_hold(step.by_header, packet, True)
        if fits is True:
            found.append(step)
            if step.is_for_all:
                break
        elif fits is not False:
            found.append(step.depending(fits))
    return tuple(found)


class Walked(Struct, frozen=True, gc=False):
    """What came of a walk. `is_undecided`: nothing in this list decides, and what comes after it is asked."""

    verdict: Verdict
    is_undecided: bool


class _Walk:
    """One walk. The main way takes rules of which nothing certain can be said for rules that do not match."""

    __slots__ = ("_is_over", "_packet", "_sure", "logs", "outcomes", "reasons", "trace")

    def __init__(self, packet: Packet) -> None:
        self._packet = packet
        self._is_over = False  # the main way has ended; what follows is reached by the other ways only
        self._sure: tuple[int, int] | None = None  # length of trace and logs that hold on every way
        self.outcomes: set[Outcome] = set()  # of all ways
        self.trace: list[Hit] = []
        self.logs: list[LogHit] = []
        self.reasons: list[str] = []

    def through(self, chain: Chain, fits: Fits) -> Walked:
        self._take_tiers(chain, fits)
        return Walked(self._verdict(), self.outcomes == {Outcome.NEXT})

    def _take_tiers(self, chain: Chain, fits: Fits) -> None:
        for part in fits.parts:
            self._meet(part.before)
            if not self._goes_on_after(part.tier, part.steps):
                return
        self._meet(fits.after)
        if fits.after and fits.after[-1].action != model.PASS:
            self._end(_OUTCOMES[fits.after[-1].action])
            return
        for steps in fits.profiles:
            if not self._goes_on_after_profile(steps, is_pass_deny=chain.is_pass_deny):
                return
        self._end(chain.end)

    def _meet(self, hits: tuple[Hit, ...]) -> None:
        if hits and not self._is_over:
            self.trace += hits

    def _goes_on_after(self, tier: TierSteps, steps: Iterable[Step]) -> bool:
        met, may_have_passed = self._first_met(steps)
        if met is None:
            met = tier.end
            if met is None:
                return True
        if not self._is_over:
            self.trace.append(met)
        if met.action == model.PASS:
            return True
        self._end(_OUTCOMES[met.action])
        return may_have_passed

    def _goes_on_after_profile(self, steps: Iterable[Step], *, is_pass_deny: bool) -> bool:
        met, may_have_passed = self._first_met(steps)
        if may_have_passed and is_pass_deny:
            self.outcomes.add(Outcome.DENY)
        if met is None:
            return True
        if met.action == model.PASS:
            if is_pass_deny:
                self._end(Outcome.DENY)
            return not is_pass_deny
        if not self._is_over:
            self.trace.append(met)
        self._end(_OUTCOMES[met.action])
        return may_have_passed and not is_pass_deny

    def _first_met(self, steps: Iterable[Step]) -> tuple[Hit | None, bool]:
        """The first rule that surely matches and is no Log, and whether a Pass before it may have matched."""
        packet, may_have_passed = self._packet, False
        for step in steps:
            found = all_hold(step.by_owner, packet, step.fits) if step.by_owner else step.fits
            if found is False:
                continue
            if step.action == model.LOG:
                if found is True and step.log is not None and not self._is_over:
                    self.logs.append(step.log)
            elif found is True:
                return step.hit, may_have_passed
            else:
                self._depends_on(str(found), step.action)
                may_have_passed = may_have_passed or step.action == model.PASS
        return None, may_have_passed

    def _depends_on(self, reason: str, action: str) -> None:
        if self._sure is None:
            self._sure = (len(self.trace), len(self.logs))
        if reason not in self.reasons:
            self.reasons.append(reason)
        if action != model.PASS:
            self.outcomes.add(_OUTCOMES[action])

    def _end(self, outcome: Outcome) -> None:
        self.outcomes.add(outcome)
        self._is_over = True

    def _verdict(self) -> Verdict:
        """NEXT counts as allow: nothing here stands in the way."""
        trace, logs = self._sure or (len(self.trace), len(self.logs))
        is_denied = Outcome.DENY in self.outcomes
        if not is_denied or len(self.outcomes) == 1:
            decision = Decision.DENY if is_denied else Decision.ALLOW
            return Verdict(decision=decision, trace=tuple(self.trace), logs=tuple(self.logs[:logs]))
        return Verdict(
            decision=Decision.UNKNOWN,
            trace=tuple(self.trace[:trace]),
            logs=tuple(self.logs[:logs]),
            unknown_because=tuple(self.reasons),
        )
