"""What is concluded of a cluster: every control for every domain that is asked for.

Law 1: an evaluation is a function of the state and the time; what is remembered between two is dropped by `State` as
soon as something that it rests on changes.
Law 2: a control whose inputs are not all fresh is `error` with the reason, whatever it could have said.
Law 3: a subject's finding belongs to the smallest domain that holds it and is counted in the larger ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from msgspec import structs

from models.compliance import (
    ROLL_UP,
    ControlResult,
    DomainPosture,
    Evaluation,
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
from monitor.state.state import ALL, All, State

SHIFT = {"low": -1, "medium": 0, "high": 0, "critical": 1}
"""A domain's criticality moves the default severity of its findings."""

NOTHING = "nothing to evaluate"
_SEVERITIES = tuple(Severity)


def evaluate(state: State, domains: frozenset[str] | All, *, at: datetime, position: Position) -> Evaluation:
    """Judge these domains; those that do not exist are reported as gone."""
    names = frozenset(state.domains) if domains is ALL else domains
    judge = _Judge(Snapshot(state, at))
    return Evaluation(
        cluster=state.cluster,
        position=position,
        at=at,
        postures=tuple(judge.posture(state.domains[name]) for name in sorted(names & state.domains.keys())),
        gone=tuple(sorted(names - state.domains.keys())),
    )


def vouching(state: State, *, at: datetime) -> tuple[Vouched, ...]:
    """Every input and until when it was seen."""
    return tuple(state.inputs(at).values())


class _Judge:
    """One evaluation: what several domains ask for is found out once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._unmet = {each.control.id: needs.unmet(each.control.needs, snapshot.inputs) for each in CATALOGUE}
        self._waivers = waiving.active(snapshot.state.waivers.values(), snapshot.at)
        self._passing: dict[str, dict[str, SubjectResult]] = {}

    def posture(self, definition: Definition) -> DomainPosture:
        return DomainPosture(
            domain=definition.domain,
            members=self._snapshot.state.placement.members(definition.domain.id),
            results=tuple(self._result(entry, definition) for entry in CATALOGUE),
        )

    def _result(self, entry: Entry, definition: Definition) -> ControlResult:
        """One control for one domain."""
        unmet = definition.problem or self._unmet[entry.control.id]
        if unmet:
            return self._rolled_up(entry, Outcome.ERROR, unmet)
        results = [self._of_subject(entry, subject) for subject in entry.subjects(self._snapshot, definition)]
        counts = Counter(each.outcome for each in results)
        outcome = next((each for each in ROLL_UP if counts[each]), Outcome.SKIP)
        return structs.replace(
            self._rolled_up(entry, outcome, _reason(outcome, results)),
            counts={each.value: counts[each] for each in ROLL_UP if counts[each]},
            waived=sum(bool(each.waiver) for each in results),
            subjects=tuple(each for each in results if self._belongs(each.subject, definition)),
        )

    def _rolled_up(self, entry: Entry, outcome: Outcome, reason: str) -> ControlResult:
        return ControlResult(
            control=entry.control.id,
            outcome=outcome,
            reason=reason,
            needs=tuple(need.value for need in entry.control.needs),
        )

    def _belongs(self, subject: str, definition: Definition) -> bool:
        return subject == definition.domain.id or self._owner(subject) == definition.domain.id

    def _owner(self, subject: str) -> str:
        return self._snapshot.state.placement.owner_of(subject, self._snapshot.home_of(subject))

    def _of_subject(self, entry: Entry, subject: str) -> SubjectResult:
        """The check's answer, weighed by the domain it belongs to, with the waiver that covers it."""
        found = self._checked(entry, subject)
        if found.outcome not in {Outcome.FAIL, Outcome.WARN}:
            return found
        owner = subject if subject in self._snapshot.state.domains else self._owner(subject)
        holding = {*self._snapshot.state.placement.domains_of(subject), owner}
        return structs.replace(
            found,
            severity=_weighed(found.severity, self._snapshot.state.domains[owner].domain.criticality),
            waiver=waiving.waiver_of(entry.control.id, subject, holding, self._waivers)
            if found.outcome is Outcome.FAIL
            else "",
        )

    def _checked(self, entry: Entry, subject: str) -> SubjectResult:
        """A workload's result is remembered until something about it changes, any other's for this evaluation."""
        state = self._snapshot.state
        memo = state.memo if state.placement.holds(subject) else self._passing
        known = memo.setdefault(entry.control.id, {})
        if subject not in known:
            known[subject] = _guarded(entry, self._snapshot, subject)
        return known[subject]


def _guarded(entry: Entry, snapshot: Snapshot, subject: str) -> SubjectResult:
    try:
        return entry.check(snapshot, subject)
    except Exception as error:  # noqa: BLE001 - a control that raises is not evaluated; the others go on
        reason = f"{entry.control.id} could not judge it: {type(error).__name__}: {error}"
        return SubjectResult(subject=subject, outcome=Outcome.ERROR, severity=entry.control.severity, reason=reason)


def _reason(outcome: Outcome, results: Iterable[SubjectResult]) -> str:
    """Why there is no number: that of the first subject, which stands for the others."""
    if outcome not in {Outcome.ERROR, Outcome.SKIP}:
        return ""
    return next((each.reason for each in results if each.outcome is outcome and each.reason), NOTHING)


def _weighed(severity: Severity, criticality: str) -> Severity:
    place = _SEVERITIES.index(severity) + SHIFT.get(criticality, 0)
    return _SEVERITIES[min(max(place, 0), len(_SEVERITIES) - 1)]
