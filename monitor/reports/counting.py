"""Sums over the whole of a report, taken while its rows pass: what the first page says, and the worst of long lists."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from monitor.reports import judging, strips, tracing
from monitor.reports.content import DomainSection, Durations, Finding, FindingCounts, Result
from monitor.reports.strips import Drawn
from monitor.reports.waiving import Uses
from monitor.store.periods import ChangeRow
from monitor.store.queries import GapRow

LISTED = 100
"""Rows of one list that the HTML shows; the CSV beside it has all."""

T = TypeVar("T")


class Foremost(Generic[T]):
    """The first of a list by some rank, and how long the list is."""

    def __init__(self, rank: Callable[[T], Any]) -> None:
        self._rank = rank
        self._rows: list[T] = []
        self._last: Any = None  # rank: what stands behind it is not among the first
        self.count = 0

    def add(self, row: T) -> None:
        self.count += 1
        if self._last is not None and self._rank(row) > self._last:
            return
        self._rows.append(row)
        if len(self._rows) > 4 * LISTED:
            self._rows = self.rows
            self._last = self._rank(self._rows[-1])

    def merge(self, other: Foremost[T]) -> None:
        self.count += other.count
        self._rows += other.rows

    @property
    def rows(self) -> list[T]:
        return sorted(self._rows, key=self._rank)[:LISTED]

    @property
    def more(self) -> int:
        return max(0, self.count - LISTED)


class ControlSum(Struct):
    """One control over all domains of the report."""

    control: str
    title: str
    domains: int = 0
    results: Counter[Result] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=judging.nothing)
    gaps: int = 0
    pieces: bytes = strips.EMPTY

    def merge(self, other: ControlSum) -> None:
        self.domains += other.domains
        self.results += other.results
        judging.add(self.seconds, other.seconds)
        self.gaps += other.gaps
        self.pieces = strips.worst(self.pieces, other.pieces)

    @property
    def result(self) -> Result:
        """Of all domains together: met only where every one met it."""
        counts = {each for each in self.results if each is not Result.NOT_APPLICABLE}
        if len(counts) == 1:
            return next(iter(counts))
        if not counts:
            return Result.NOT_APPLICABLE
        if counts == {Result.MET, Result.WAIVED}:
            return Result.WAIVED
        return Result.NOT_MET if counts <= {Result.NOT_MET, Result.NOT_EVALUATED} else Result.PARTIALLY


class DomainSum(Struct, frozen=True, kw_only=True):
    """One line of the table of domains."""

    number: int
    id: str
    owner: str
    results: dict[Result, int]
    share: float | None
    seconds: dict[str, float]
    gaps: int


class Severities(Struct):
    """Findings of one severity."""

    opened: int = 0
    reopened: int = 0
    resolved: int = 0
    to_resolve: list[float] = field(default_factory=list)
    to_detect: list[float] = field(default_factory=list)

    def merge(self, other: Severities) -> None:
        self.opened += other.opened
        self.reopened += other.reopened
        self.resolved += other.resolved
        self.to_resolve += other.to_resolve
        self.to_detect += other.to_detect


def _newest(row: ChangeRow) -> float:
    return -row.at.timestamp()


def _longest(row: GapRow) -> tuple[Any, ...]:
    return (row.from_at - row.to_at, row.from_at, row.input)


class Counted:
    """Filled by gathering."""

    def __init__(self) -> None:
        self._severities: dict[str, Severities] = {}
        self._states: Counter[str] = Counter()
        self.uses = Uses()
        self.results: Counter[Result] = Counter()
        self.gaps = 0
        self.breached = 0  # controls of domains that have a gap
        self.controls: dict[str, ControlSum] = {}
        self.domains: list[DomainSum] = []
        self.findings: Foremost[Finding] = Foremost(tracing.rank)
        self.changes: Foremost[ChangeRow] = Foremost(_newest)
        self.evidence_gaps: Foremost[GapRow] = Foremost(_longest)

    def merge(self, other: Counted) -> None:
        """With what was counted of other domains."""
        for name, severity in other._severities.items():
            self._severities.setdefault(name, Severities()).merge(severity)
        self._states += other._states
        self.uses.merge(other.uses)
        self.results += other.results
        self.gaps += other.gaps
        self.breached += other.breached
        for name, control in other.controls.items():
            self.controls.setdefault(name, ControlSum(name, control.title)).merge(control)
        self.domains = sorted(self.domains + other.domains, key=lambda each: each.number)
        self.findings.merge(other.findings)

    @property
    def seconds(self) -> dict[str, float]:
        return judging.total([each.seconds for each in self.domains])

    def change(self, row: ChangeRow) -> None:
        self.changes.add(row)

    def gap(self, row: GapRow) -> None:
        self.evidence_gaps.add(row)

    def domain(self, section: DomainSection, drawn: Drawn, number: int) -> None:
        seconds = judging.nothing()
        for control in section.controls:
            judging.add(seconds, control.seconds)
            of_all = self.controls.setdefault(control.control, ControlSum(control.control, control.title))
            of_all.domains += 1
            of_all.results[control.result] += 1
            of_all.gaps += control.gaps
            judging.add(of_all.seconds, control.seconds)
            of_all.pieces = strips.worst(of_all.pieces, drawn[control.control])
        results = Counter(control.result for control in section.controls)
        gaps = sum(control.gaps for control in section.controls)
        self.results += results
        self.gaps += gaps
        self.breached += sum(control.gaps > 0 for control in section.controls)
        self.domains.append(
            DomainSum(
                number=number,
                id=section.id,
                owner=section.described[-1].owner,
                results=dict(results),
                share=judging.share(seconds),
                seconds=seconds,
                gaps=gaps,
            )
        )

    def finding(self, finding: Finding) -> None:
        self.findings.add(finding)
        self.uses.add(finding)
        self._states[finding.state] += 1
        self._states["at start"] += finding.was_open_at_start
        of_all = self._severities.setdefault(finding.severity, Severities())
        of_all.opened += bool(finding.history) and finding.history[0].transition == "opened"
        of_all.reopened += finding.reopened
        if finding.resolved_after_seconds is not None:
            of_all.resolved += 1
            of_all.to_resolve.append(finding.resolved_after_seconds)
        if finding.detected_seconds is not None:
            of_all.to_detect.append(finding.detected_seconds)

    def finding_counts(self) -> FindingCounts:
        every = [_durations(name, self._severities[name]) for name in tracing.SEVERITIES if name in self._severities]
        return FindingCounts(
            at_start=self._states["at start"],
            opened=sum(each.opened for each in every),
            reopened=sum(each.reopened for each in every),
            resolved=self._states["resolved"],
            at_end=self._states["open"] + self._states["waived"],
            waived_at_end=self._states["waived"],
            by_severity=tuple(every),
        )


def _durations(severity: str, of_all: Severities) -> Durations:
    return Durations(
        severity=severity,
        opened=of_all.opened,
        reopened=of_all.reopened,
        resolved=of_all.resolved,
        median_seconds_to_resolve=statistics.median(of_all.to_resolve) if of_all.to_resolve else None,
        longest_seconds_to_resolve=max(of_all.to_resolve, default=None),
        median_seconds_to_detect=statistics.median(of_all.to_detect) if of_all.to_detect else None,
    )
