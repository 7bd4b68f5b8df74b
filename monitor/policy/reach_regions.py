"""Regions: sets of (peer, connection), and the walk through tiers that turns rules into one.

A region is a union of boxes (classes as bits, connections); boxes may overlap. Walking a tier splits the whole space
into what it may allow, deny and pass on. Where every rule can be decided the three are disjoint; a rule that cannot be
known leaves its box in several of them (policy_semantics.md 20.1), and so the final answer has two bounds.
Source of the walk: policy_semantics.md section 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from monitor.policy import connections
from monitor.policy.connections import ConnectionSet

Box = tuple[int, ConnectionSet]
Region = tuple[Box, ...]

NOWHERE: Region = ()


class Step(Struct, frozen=True, gc=False):
    """One rule as boxes. `is_certain`: whether it matches exactly there, or only perhaps."""

    action: str
    boxes: Region
    is_certain: bool = True


class Outcome(Struct, frozen=True, gc=False, eq=False):
    """What a tier, or a profile, may do with each (peer, connection). Worked out once: equal to itself only."""

    allow: Region
    deny: Region
    onward: Region
    is_certain: bool = True


class Bounds(Struct, frozen=True, gc=False):
    """What is allowed for certain, and what may be: the same object where everything is known."""

    certain: Region
    possible: Region


def merged(boxes: Iterable[Box]) -> Region:
    """One box per set of connections, none empty."""
    if not boxes:
        return NOWHERE
    bits_of: dict[ConnectionSet, int] = {}
    for bits, allowed in boxes:
        if bits and (allowed.whole or allowed.partial):  # bool() without a call: this is the innermost loop of reach
            bits_of[allowed] = bits_of.get(allowed, 0) | bits
    return tuple([(bits, allowed) for allowed, bits in bits_of.items()])


def intersection(left: Region, right: Region) -> Region:
    if not left or not right:
        return NOWHERE
    return merged(
        [
            (bits, connections.intersection(a, b) if a is not b else a)
            for left_bits, a in left
            for right_bits, b in right
            if (bits := left_bits & right_bits)
        ]
    )


def difference(left: Region, right: Iterable[Box]) -> Region:
    left_over: list[Box] = list(left)
    for cut_bits, cut in right:
        if not any(bits & cut_bits for bits, _ in left_over):
            continue
        left_over = [piece for box in left_over for piece in _cut(box, cut_bits, cut)]
    return merged(left_over)


def _cut(box: Box, cut_bits: int, cut: ConnectionSet) -> Iterable[Box]:
    bits, allowed = box
    common = bits & cut_bits
    if not common:
        return (box,)
    rest = connections.difference(allowed, cut)
    if rest == allowed:
        return (box,)
    pieces = [(common, rest)] if rest else []
    if outside := bits & ~cut_bits:
        pieces.append((outside, allowed))
    return pieces


def at(region: Region, place: int) -> ConnectionSet:
    """The connections of one class."""
    return connections.union(allowed for bits, allowed in region if bits >> place & 1)


def walked(steps: Sequence[Step], everything: Region, *, ends: str) -> Outcome:
    """Rules in order; `ends`: what becomes of what no rule matched, deny or pass."""
    if all([step.is_certain for step in steps]):  # noqa: C419 - a list is faster here, and lists of rules are short
        return _walked_for_certain(steps, everything, ends=ends)
    found: dict[str, list[Box]] = {"allow": [], "deny": [], "pass": []}
    decided: Region = NOWHERE
    for step in steps:
        boxes = difference(step.boxes, decided)
        found[step.action].extend(boxes)
        if step.is_certain:
            decided = merged((*decided, *boxes))
    found[ends].extend(difference(everything, decided))
    return Outcome(merged(found["allow"]), merged(found["deny"]), merged(found["pass"]), is_certain=False)


def _walked_for_certain(steps: Sequence[Step], everything: Region, *, ends: str) -> Outcome:
    """Allowing twice is allowing once: only what denies or passes is taken out of later rules.

    So boxes stay as the rules wrote them and are the same for many endpoints. What is passed on may hold what was
    allowed already, which changes nothing either.
    """
    allow: list[Box] = []
    onward: list[Box] = []
    turned_away: list[Box] = []  # what a later rule cannot allow any more
    for step in steps:
        boxes = difference(step.boxes, turned_away) if turned_away else step.boxes
        match step.action:
            case "allow":
                allow.extend(boxes)
            case "pass":
                onward.extend(boxes)
                turned_away.extend(boxes)
            case _:
                turned_away.extend(boxes)
    if ends == "pass":
        onward.extend(difference(everything, turned_away))
    return Outcome(merged(allow), NOWHERE, merged(onward))


class Passage(Struct, frozen=True, gc=False, eq=False):
    """What came through some tiers: allowed so far, and passed on to what follows, by what may be and for certain.

    Worked out once: equal to itself only.
    """

    possible: Region
    certain: Region
    onward: Region
    surely_onward: Region
    is_certain: bool = True

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.certain, self.possible)


def entering(everything: Region) -> Passage:
    """Before the first tier."""
    return Passage(NOWHERE, NOWHERE, everything, everything)


def passed(before: Passage, outcome: Outcome, everything: Region) -> Passage:
    """After one more tier."""
    entered, is_certain = before.onward, before.is_certain and outcome.is_certain
    allow = outcome.allow if entered is everything else intersection(entered, outcome.allow)
    possible = merged((*before.possible, *allow)) if before.possible else allow
    onward = intersection(entered, outcome.onward) if outcome.onward else NOWHERE
    if is_certain:
        return Passage(possible, possible, onward, onward)
    surely = before.surely_onward
    certain = merged((*before.certain, *_surely(surely, outcome, outcome.allow, outcome.onward)))
    return Passage(possible, certain, onward, _surely(surely, outcome, outcome.onward, NOWHERE), is_certain=False)


def _surely(entered: Region, outcome: Outcome, wanted: Region, other: Region) -> Region:
    """What came here on every way and, on every way, does not end in a deny, nor in `other`.

    Where all rules are certain only one thing can happen to a packet, and what overlaps was allowed before.
    """
    here = intersection(entered, wanted)
    return here if outcome.is_certain else difference(here, (*outcome.deny, *other))
