"""What a slice of facts does to a cluster: folded, judged if live, and put together as one recording. Pure.

Law 1: nothing is judged before the first `done(all)` of the epoch: a half-read cluster has no findings.
Law 2: the first evaluation after a build covers every domain in State or still open in SQL, and declares gone what SQL
knows and State lacks: a topic that was re-created, or a tombstone long compacted, leaves nothing behind.
Law 3: from the last live evaluation to this one nobody was looking if slices were only folded, or more than 60 s went
by.
Law 4: a policy's change is weighed alone, reach before and after it; too many at once are weighed together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from msgspec import Struct, field, structs

from models.compliance import Evaluation, Revision
from models.facts import MARK_KINDS, FactKey, Kind
from models.recording import PolicyEffect, Recording, Span, WaiverRow
from models.topics import Position
from monitor import compliance
from monitor.compliance import effects
from monitor.compliance.reaching import Reaching
from monitor.state import state
from monitor.state.state import State
from streams.decoding import Incoming
from streams.slicing import LIVE_AGE, Slice

WITHOUT_REVISION = MARK_KINDS | {Kind.SOURCES_HEARD}
"""What only orders the others or says how fresh they are; each comes again within a minute."""


class Remembered(Struct, frozen=True, kw_only=True):
    """What SQL knows of the cluster that State may not; read for the first evaluation after a build."""

    keys: frozenset[FactKey] = frozenset()
    domains: frozenset[str] = frozenset()


MOST_WEIGHED = 8
"""Changes of policies in one slice that are weighed one by one."""


class Known(Struct, kw_only=True):
    """One cluster in memory. Mutable, one owner."""

    state: State
    reaching: Reaching = field(default_factory=Reaching)
    log_at: datetime | None = None  # log time: the greatest timestamp folded
    live_at: datetime | None = None  # log time of the last live evaluation
    was_unseen: bool = False  # a slice was only folded since
    is_reconciled: bool = False  # evaluated in full since it was built
    is_waiver_changed: bool = True


class Place(Struct, frozen=True):
    """Where SQL must stand, and of which partition."""

    partition: int
    recorded: Position | None


def fold(known: Known, facts: Iterable[Incoming]) -> None:
    """Fold in order; nothing is recorded."""
    for fact in facts:
        known.log_at = fact.at if known.log_at is None else max(known.log_at, fact.at)
        state.fold(known.state, fact.key, fact.value, position=fact.position, at=fact.at)
        known.is_waiver_changed |= fact.key is not None and fact.key.kind is Kind.WAIVER


def may_be_judged(known: Known, part: Slice) -> bool:
    """Whether the slice can be evaluated once it is folded: only a mark ends what blocks that."""
    if not part.is_live:
        return False
    times = [fact.at for fact in part.facts]
    at = max(times if known.log_at is None else [known.log_at, *times])
    return not known.state.blocked(at) or bool(_of_kinds(part.facts, MARK_KINDS))


def recording(known: Known, part: Slice, place: Place, remembered: Remembered) -> Recording:
    """Fold the slice, judge it if it is live and the cluster is read in full."""
    weighed = _folded_and_weighed(known, part)
    at = known.log_at or part.facts[-1].at
    made = Recording(
        partition=place.partition,
        cluster=known.state.cluster,
        expected=place.recorded,
        position=part.facts[-1].position,
        at=at,
        revisions=_revisions(part.facts),
        effects=weighed,
    )
    known.was_unseen |= not part.is_live
    if not part.is_live or known.state.blocked(at):
        return made
    return _judged(known, made, remembered)


# --- what policies did -------------------------------------------------------------------------------------------


def _folded_and_weighed(known: Known, part: Slice) -> tuple[PolicyEffect, ...]:
    """Fold the slice, and say of its policies what each did to what may connect, where that can be known."""
    harmless = tuple(effects.none(_change(fact)) for fact in _of_kinds(part.facts, effects.HARMLESS))
    weighty = _of_kinds(part.facts, effects.ENFORCED)
    if not weighty or not part.is_live or not known.is_reconciled:
        fold(known, part.facts)
        return harmless
    found: list[PolicyEffect] = []
    for before, together in _weighings(part.facts, weighty):
        fold(known, before)
        found += _weighed(known, together)
    return (*harmless, *found)


def _of_kinds(facts: Iterable[Incoming], kinds: frozenset[Kind]) -> list[Incoming]:
    return [fact for fact in facts if fact.key is not None and fact.key.kind in kinds]


def _change(fact: Incoming) -> effects.Change:
    assert fact.key is not None
    return fact.key, fact.position


def _weighings(
    facts: Sequence[Incoming], weighty: Sequence[Incoming]
) -> Iterator[tuple[Sequence[Incoming], Sequence[Incoming]]]:
    """The facts in order, as (to be folded, to be weighed). Too many are weighed at once, with what lies between."""
    if len(weighty) > MOST_WEIGHED:
        first = facts.index(weighty[0])
        yield facts[:first], facts[first:]
        return
    begin = 0
    for place in [place for place, fact in enumerate(facts) if any(fact is each for each in weighty)]:
        yield facts[begin:place], facts[place : place + 1]
        begin = place + 1
    yield facts[begin:], ()


def _weighed(known: Known, facts: Sequence[Incoming]) -> tuple[PolicyEffect, ...]:
    """Fold these; what the changes of policies among them did."""
    was_known = _is_reach_known(known)
    fold(known, facts)
    if not was_known or known.log_at is None or known.state.blocked(known.log_at):
        return ()
    moved = known.reaching.refresh(known.state, at=known.log_at)
    if moved is None:
        return ()
    return effects.of([_change(fact) for fact in _of_kinds(facts, effects.ENFORCED)], moved)


def _is_reach_known(known: Known) -> bool:
    at = known.log_at
    return at is not None and not known.state.blocked(at) and known.reaching.refresh(known.state, at=at) is not None


# --- judging -----------------------------------------------------------------------------------------------------


def _judged(known: Known, made: Recording, remembered: Remembered) -> Recording:
    evaluation = compliance.evaluate(known.state, known.state.take_dirty(), at=made.at, position=made.position)
    revisions = made.revisions
    if not known.is_reconciled:
        known.state.engine.forget_answers()  # before reach is worked out: that is where memory is at its highest
        evaluation = _with_gone_domains(evaluation, remembered)
        revisions += _gone_keys(known, made, remembered)
    judged = structs.replace(
        made,
        revisions=revisions,
        evaluation=evaluation,
        vouched=compliance.vouching(known.state, at=made.at),
        not_evaluated=_unseen(known, made.at),
        waivers=_waivers(known) if known.is_waiver_changed else None,
        reach=known.reaching.take(known.state, at=made.at),
    )
    known.is_reconciled, known.is_waiver_changed = True, False
    known.live_at, known.was_unseen = made.at, False
    return judged


def _with_gone_domains(evaluation: Evaluation, remembered: Remembered) -> Evaluation:
    there = {posture.domain.id for posture in evaluation.postures}
    return structs.replace(evaluation, gone=tuple(sorted({*evaluation.gone, *(remembered.domains - there)})))


def _gone_keys(known: Known, made: Recording, remembered: Remembered) -> tuple[Revision, ...]:
    held = known.state
    there = {*held.facts, *held.observed, *held.waivers, *held.unread, *held.inventory.unread}
    return tuple(
        Revision(
            key=key,
            position=made.position,
            at=made.at,
            raw=None,
            reason="not in the facts after a full listing",
            is_synthetic=True,
        )
        for key in sorted(remembered.keys - there)
    )


def _unseen(known: Known, at: datetime) -> tuple[Span, ...]:
    """The time since the last live evaluation, if nobody evaluated meanwhile."""
    if known.live_at is None or known.live_at >= at:
        return ()
    if known.was_unseen or at - known.live_at > LIVE_AGE:
        return (Span(from_at=known.live_at, to_at=at, reason="nobody evaluated: no worker kept up with the facts"),)
    return ()


def _revisions(facts: Sequence[Incoming]) -> tuple[Revision, ...]:
    return tuple(
        Revision(
            key=fact.key,
            position=fact.position,
            at=fact.at,
            raw=fact.record.value,
            reason=fact.problem or _said_of_going(fact, "reason"),
            is_synthetic=_said_of_going(fact, "synthetic") == "true",
        )
        for fact in facts
        if fact.key is not None and fact.key.kind not in WITHOUT_REVISION
    )


def _said_of_going(fact: Incoming, header: str) -> str:
    """Of a thing that is there nothing of the sort is said."""
    return fact.record.header(header) if fact.record.value is None else ""


def _waivers(known: Known) -> tuple[WaiverRow, ...]:
    return tuple(
        WaiverRow(**{name: getattr(fact, name) for name in WaiverRow.__struct_fields__})
        for fact in known.state.waivers.values()
    )
