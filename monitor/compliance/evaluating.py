"""What is concluded of a cluster: every control for every domain that is asked for.

Law 1: an evaluation is a function of the state and the time; what is remembered between two is dropped by `State` as
soon as something that it rests on changes.
Law 2: a control whose inputs are not all fresh is `error` with the reason, whatever it could have said.
Law 3: a subject's finding belongs to the smallest domain that holds it and is counted in the larger ones.
Law 4: what is told is what differs from what was told before: judging much again costs the record nothing where it
comes to the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property

from msgspec import structs

from models.compliance import (
    ROLL_UP,
    Changed,
    Control,
    ControlResult,
    DomainPosture,
    Evaluation,
    Member,
    Outcome,
    Severity,
    SubjectResult,
    Vouched,
)
from models.topics import Position
from monitor.compliance import needs, waiving
from monitor.compliance.catalogue import CATALOGUE, Entry
from monitor.compliance.snapshot import Snapshot
from monitor.state.domains import Definition
from monitor.state.state import ALL, All, Dirty, State
from monitor.state.tallies import Basis, Tally, Told

SHIFT = {"low": -1, "medium": 0, "high": 0, "critical": 1}
"""A domain's criticality moves the default severity of its findings."""

NOTHING = "nothing to evaluate"
_SEVERITIES = tuple(Severity)


def evaluate(state: State, dirty: Dirty, *, at: datetime, position: Position) -> Evaluation:
    """Judge what is dirty; domains that do not exist are reported as gone."""
    names = frozenset(state.domains) if dirty.domains is ALL else dirty.domains
    gone = names - state.domains.keys()
    _forget(state, gone, dirty.workloads)
    judge = _Judge(Snapshot(state, at), dirty)
    definitions = [state.domains[name] for name in sorted(names & state.domains.keys())]
    for definition in definitions:
        judge.settle(definition, is_moved=bool(gone))
    postures = [posture for definition in definitions if (posture := judge.posture(definition)) is not None]
    return Evaluation(
        cluster=state.cluster,
        position=position,
        at=at,
        postures=tuple(postures),
        gone=tuple(sorted(gone)),
        changed=judge.changed(postures),
    )


def _forget(state: State, gone: frozenset[str], workloads: frozenset[str] | All) -> None:
    """Drop what was said of domains that are gone; of all, if anything may be another."""
    if workloads is ALL:
        state.tallies.clear()
        state.told.clear()
    elif gone:
        state.tallies = {place: tally for place, tally in state.tallies.items() if place[1] not in gone}
        state.told = {domain: told for domain, told in state.told.items() if domain not in gone}


def vouching(state: State, *, at: datetime) -> tuple[Vouched, ...]:
    """Every input and until when it was seen."""
    return tuple(state.inputs(at).values())


class _Judge:
    """One evaluation: what several domains ask for is found out once."""

    def __init__(self, snapshot: Snapshot, dirty: Dirty) -> None:
        self._snapshot = snapshot
        self._workloads = dirty.workloads
        self._moved = dirty.members
        self._changed = set(dirty.members)
        self._described: set[str] = set()
        self._stirred: set[tuple[str, str]] = set()  # tallies that say something else now
        self._unmet = {each.control.id: needs.unmet(each.control.needs, snapshot.inputs) for each in CATALOGUE}
        self._waivers = waiving.active(snapshot.state.waivers.values(), snapshot.at)
        self._weighed: dict[str, dict[str, SubjectResult]] = {each.control.id: {} for each in CATALOGUE}
        self._held: dict[str, frozenset[str]] = {}
        self._owners: dict[str, str] = {}

    def changed(self, told: Iterable[DomainPosture]) -> Changed | None:
        """What may be another; None: anything."""
        if self._workloads is ALL:
            return None
        members = {member.subject for posture in told for member in posture.members} | self._moved
        return Changed(
            subjects=frozenset(self._changed), members=frozenset(members), domains=frozenset(self._described)
        )

    # First: what is said now

    def settle(self, definition: Definition, *, is_moved: bool) -> None:
        """Bring every control's tally of the domain up to date. `is_moved`: a domain is gone, another holds its own."""
        for entry in CATALOGUE:
            if not self._unmet_of(entry, definition):
                self._settle(entry, definition, is_moved=is_moved)

    def _settle(self, entry: Entry, definition: Definition, *, is_moved: bool) -> None:
        tallies, place = self._snapshot.state.tallies, (entry.control.id, definition.domain.id)
        is_new = place not in tallies
        tally = tallies.setdefault(place, Tally())
        if entry.is_of_workloads:
            told = self._told_of(entry, definition, is_new=is_new)
            self._stir(place, [subject for subject, result in told if tally.put(subject, result)])
        basis = self._basis(entry, definition)
        if basis is None or basis != tally.basis:
            others = {subject: self._of_subject(entry, subject) for subject in entry.others(self._snapshot, definition)}
            self._stir(place, tally.replace_others(others, basis))
        if is_moved or is_new:
            self._stir(place, tally.others.keys())

    def _stir(self, place: tuple[str, str], subjects: Collection[str]) -> None:
        if subjects:
            self._stirred.add(place)
            self._changed.update(subjects)

    def _basis(self, entry: Entry, definition: Definition) -> Basis | None:
        """What the control's other subjects are judged by; None: by anything."""
        if entry.basis is None:
            return None
        return Basis(self._snapshot.policy_keys, definition, entry.basis(self._snapshot))

    def _told_of(
        self, entry: Entry, definition: Definition, *, is_new: bool
    ) -> Iterator[tuple[str, SubjectResult | None]]:
        """The workloads that are to be judged, and what is said of each; None: the domain does not hold it."""
        if self._workloads is ALL or is_new:
            yield from ((each, self._of_subject(entry, each)) for each in self._snapshot.workloads(definition))
        else:
            for each in self._workloads:
                yield each, self._of_subject(entry, each) if self._holds(definition, each) else None

    def _holds(self, definition: Definition, subject: str) -> bool:
        return definition.domain.id in self._holding(subject)

    def _holding(self, subject: str) -> frozenset[str]:
        found = self._held.get(subject)
        if found is None:
            found = self._held[subject] = self._snapshot.placement.domains_of(subject)
        return found

    def _unmet_of(self, entry: Entry, definition: Definition) -> str:
        """Why the control cannot be evaluated there; empty if it can."""
        return definition.problem or self._unmet[entry.control.id]

    # Then: what is told of it

    def posture(self, definition: Definition) -> DomainPosture | None:
        """What is to be told of a domain; None: nothing."""
        known = self._snapshot.state.told
        domain, before = definition.domain, known.get(definition.domain.id)
        told = Told(domain, {entry.control.id: self._rolled_up(entry, definition) for entry in CATALOGUE})
        known[domain.id] = told
        if before is None or before.domain != domain:
            self._described.add(domain.id)
        mine = self._changed_of.get(domain.id, ())  # news also if they are gone: others may have made up their number
        is_news = mine or self._moved or domain.id in self._described
        if not is_news and before is not None and before.results == told.results:
            return None
        results = tuple(self._results(definition, mine, told, before))
        return DomainPosture(domain=domain, members=tuple(self._members(definition)), results=results)

    def _members(self, definition: Definition) -> Iterable[Member]:
        placement, domain = self._snapshot.placement, definition.domain.id
        if self._workloads is ALL:
            return placement.members(domain)
        held = (subject for subject in sorted(self._moved) if self._holds(definition, subject))
        return (Member(subject=subject, pods=placement.pods(subject, domain)) for subject in held)

    def _results(
        self, definition: Definition, mine: Collection[str], told: Told, before: Told | None
    ) -> Iterator[ControlResult]:
        """Those that are to be told, with the subjects whose findings belong to the domain."""
        for entry in CATALOGUE:
            rolled_up = told.results[entry.control.id]
            subjects = tuple(self._subjects(entry, definition, mine))
            is_same = before is not None and before.results[entry.control.id] == rolled_up
            if subjects or not is_same or rolled_up.outcome is Outcome.ERROR:
                yield structs.replace(rolled_up, subjects=subjects)

    def _subjects(self, entry: Entry, definition: Definition, mine: Iterable[str]) -> Iterable[SubjectResult]:
        if self._unmet_of(entry, definition):
            return ()
        return self._snapshot.state.tallies[entry.control.id, definition.domain.id].of(mine)

    @cached_property
    def _changed_of(self) -> Mapping[str, list[str]]:
        """By the domain that they belong to, in order; once everything is settled."""
        found: dict[str, list[str]] = {}
        for subject in sorted(self._changed):
            for domain in {subject, self._owner(subject)}:
                found.setdefault(domain, []).append(subject)
        return found

    def _rolled_up(self, entry: Entry, definition: Definition) -> ControlResult:
        """One control for one domain, without subjects."""
        control, domain = entry.control, definition.domain.id
        unmet = self._unmet_of(entry, definition)
        if unmet:
            return _summary(control, Outcome.ERROR, unmet)
        known = self._snapshot.state.told.get(domain)
        if (control.id, domain) not in self._stirred and known is not None:
            return known.results[control.id]
        tally = self._snapshot.state.tallies[control.id, domain]
        outcome = next((each for each in ROLL_UP if tally.counts[each]), Outcome.SKIP)
        return structs.replace(
            _summary(control, outcome, _reason(outcome, tally)),
            counts={each.value: tally.counts[each] for each in ROLL_UP if tally.counts[each]},
            waived=tally.waived,
        )

    def _owner(self, subject: str) -> str:
        if subject not in self._owners:
            self._owners[subject] = self._snapshot.placement.owner_of(subject, self._snapshot.home_of(subject))
        return self._owners[subject]

    def _of_subject(self, entry: Entry, subject: str) -> SubjectResult:
        """What every domain that holds it is told."""
        known = self._weighed[entry.control.id]
        found = known.get(subject)
        if found is None:
            found = known[subject] = self._weigh(entry, subject)
        return found

    def _weigh(self, entry: Entry, subject: str) -> SubjectResult:
        """The check's answer, weighed by the domain it belongs to, with the waiver that covers it."""
        found = self._checked(entry, subject)
        if found.outcome is not Outcome.FAIL and found.outcome is not Outcome.WARN:
            return found
        owner = subject if subject in self._snapshot.state.domains else self._owner(subject)
        holding = {*self._holding(subject), owner}
        return structs.replace(
            found,
            severity=weighed(found.severity, self._snapshot.state.domains[owner].domain.criticality),
            waiver=waiving.waiver_of(entry.control.id, subject, holding, self._waivers)
            if found.outcome is Outcome.FAIL
            else "",
        )

    def _checked(self, entry: Entry, subject: str) -> SubjectResult:
        """A workload's answer is remembered until something about it changes."""
        if not self._snapshot.placement.holds(subject):
            return _guarded(entry, self._snapshot, subject)
        known = self._snapshot.state.memo.setdefault(entry.control.id, {})
        found = known.get(subject)
        if found is None:
            found = known[subject] = _guarded(entry, self._snapshot, subject)
        return found


def _summary(control: Control, outcome: Outcome, reason: str) -> ControlResult:
    needed = tuple(need.value for need in control.needs)
    return ControlResult(control=control.id, outcome=outcome, reason=reason, needs=needed)


def _guarded(entry: Entry, snapshot: Snapshot, subject: str) -> SubjectResult:
    try:
        return entry.check(snapshot, subject)
    except Exception as error:  # noqa: BLE001 - a control that raises is not evaluated; the others go on
        reason = f"{entry.control.id} could not judge it: {type(error).__name__}: {error}"
        return SubjectResult(subject=subject, outcome=Outcome.ERROR, severity=entry.control.severity, reason=reason)


def _reason(outcome: Outcome, tally: Tally) -> str:
    """Why there is no number: that of the first subject, which stands for the others."""
    if outcome is not Outcome.ERROR and outcome is not Outcome.SKIP:
        return ""
    return next((each.reason for each in tally.all() if each.outcome is outcome and each.reason), NOTHING)


def weighed(severity: Severity, criticality: str) -> Severity:
    """The severity that a finding has in a domain of this criticality."""
    place = _SEVERITIES.index(severity) + SHIFT.get(criticality, 0)
    return _SEVERITIES[min(max(place, 0), len(_SEVERITIES) - 1)]
