"""From the record to a report: one consistent look, the whole period, everything that was in scope in it.

Law: no result without evidence. Time before the first evaluation, and time after the inputs were last vouched for, is
*not evaluated*. The same scope and record give the same report, whenever it is made. Domains are gathered one after
the other, so that a month of a large cluster fits in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection

from models.compliance import Control
from models.errors import CannotEvaluateError, UserError
from models.facts import ClusterInformation, FactKey, Kind
from monitor.compliance.catalogue import CONTROLS
from monitor.reports import judging, reconciling, rendering, waiving, wording
from monitor.reports.comparing import Before
from monitor.reports.content import DomainSection, Finding, Report, Result
from monitor.reports.counting import Counted
from monitor.reports.explaining import Changes, Moments
from monitor.reports.files import Pack
from monitor.reports.following import Following
from monitor.reports.holding import Holding
from monitor.reports.postures import Postures
from monitor.store import periods, populations, queries
from monitor.store.periods import DomainSpan, Scope

Progress = Callable[[int, int], None]
"""How many domains are done, of how many."""


def silent(_done: int, _of: int) -> None:
    """Nobody looks."""


class Making(Struct, frozen=True, kw_only=True):
    """The only things in a report that do not follow from the record."""

    at: datetime
    release: str


def gather(connection: Connection, scope: Scope, making: Making, pack: Pack, progress: Progress) -> Report:
    """All rows into the pack; returns what is said of the whole, and the manifest is written.

    UserError for a scope that cannot be; CannotEvaluateError where there is no evidence at all.
    """
    first = check(connection, scope, making.at)
    gathering = _Gathering(connection, scope, first, pack)
    gathering.changes_and_gaps()
    gathering.domains(progress)
    return gathering.report(making)


def check(connection: Connection, scope: Scope, now: datetime) -> datetime:
    """The time of the first evidence, if the period can be reported on."""
    if scope.from_at >= scope.to_at:
        raise UserError(f"the period ends ({_time(scope.to_at)}) before it begins ({_time(scope.from_at)})")
    if scope.to_at > now + timedelta(minutes=1):
        raise UserError(
            f"the period ends in the future ({_time(scope.to_at)}, now is {_time(now)})\n"
            "       fix: end it now or earlier, or set the clock of this machine"
        )
    recorded = periods.log_time(connection, scope.cluster)
    if recorded and recorded > now + timedelta(minutes=1):
        raise UserError(
            f"the record of {scope.cluster} goes up to {_time(recorded)}, and now is {_time(now)}\n"
            "       fix: set the clock of this machine, or that of the broker"
        )
    first = periods.first_evidence(connection, scope.cluster)
    if first is None or first >= scope.to_at:
        since = f"the first is of {_time(first)}" if first else "none has been recorded yet"
        raise CannotEvaluateError(f"{scope.cluster} was not evaluated before {_time(scope.to_at)}: {since}")
    return first


def identity(scope: Scope) -> str:
    """The same scope has the same id: a second report of it is a new version of the first."""
    text = f"{scope.cluster}\x00{scope.domain}\x00{scope.from_at.isoformat()}\x00{scope.to_at.isoformat()}"
    return "R-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def catalogue(controls: Iterable[Control]) -> str:
    """Digest of what the controls demand: under another one, results are not comparable line by line."""
    text = "\x00".join(f"{each.id}\x00{each.statement}\x00{each.severity.value}" for each in controls)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


class _Gathering:
    """One report being gathered."""

    def __init__(self, connection: Connection, scope: Scope, first: datetime, pack: Pack) -> None:
        self._connection = connection
        self._scope = scope
        self._first = first
        self._pack = pack
        everywhere = _everywhere(connection, scope)
        self._owner_of = {name: spans[-1].owner for name, spans in everywhere.items()}
        self._described = _wanted(everywhere, scope)
        self._postures = Postures(connection, scope, first)
        self._holding = Holding(f"cluster/{scope.cluster}", periods.held(connection, scope))
        self._following = Following(connection, scope)
        self._before = Before(connection, scope, first)
        self._changes = Changes()
        self._counted = Counted(scope)

    def changes_and_gaps(self) -> None:
        scope = self._scope
        for change in self._pack.changes(periods.policy_changes(self._connection, scope)):
            self._changes.add(change)
            self._counted.change(change)
        for gap in self._pack.gaps(queries.gaps(self._connection, scope.cluster, scope.from_at, scope.to_at)):
            self._counted.gap(gap)

    def domains(self, progress: Progress) -> None:
        with self._pack.domains():
            for number, (name, described) in enumerate(self._described.items()):
                progress(number, len(self._described))
                with self._pack.domain(name, described, is_first=number == 0):
                    section = self._section(name, described)
                    self._pack.section(section, rendering.domain(section, self._scope, number))
                self._counted.domain(section)
                self._before.compare(section)
        progress(len(self._described), len(self._described))

    def _section(self, name: str, described: Sequence[DomainSpan]) -> DomainSection:
        scope = self._scope
        start, end, ever = self._members(name)
        controls = self._postures.controls(name, described)
        moments = Moments(controls, (scope.from_at, scope.to_at))
        for finding in self._pack.findings(self._findings(name)):
            self._counted.finding(finding)
            for move in finding.history:
                moments.see(finding.control, move.at, finding.subject, move.transition)
        self._explain(name, moments)
        return DomainSection(
            id=name,
            described=tuple(described),
            workloads_at_start=start,
            workloads_at_end=end,
            workloads_ever=ever,
            controls=tuple(moments.explained(control, self._changes) for control in controls),
        )

    def _members(self, name: str) -> tuple[int, int, int]:
        """Workloads at the start, at the end, at any time."""
        start, end, ever = 0, 0, set()
        for member in self._pack.members(periods.members(self._connection, self._scope, name)):
            start += member.from_at <= self._scope.from_at
            end += member.to_at is None or member.to_at >= self._scope.to_at
            ever.add(member.subject)
        return start, end, len(ever)

    def _findings(self, domain: str) -> Iterator[Finding]:
        """Those that belong to it. In a report of one domain also those of others that are counted in it."""
        others = self._holding.owners(domain) if self._scope.domain else []
        for owner in (domain, *others):
            for trace in self._following.of(owner):
                finding = trace.finding(self._scope.to_at, self._owner_of.get(owner, ""), self._changes.last_before)
                if self._holding.counts(domain, owner, finding.subject):
                    yield finding

    def _explain(self, domain: str, moments: Moments) -> None:
        """In a report of all domains: by the findings of those that it holds, which are told elsewhere."""
        if self._scope.domain or not self._holding.owners(domain):
            return
        for each in periods.happenings(self._connection, self._scope, moments):
            if each.domain != domain and self._holding.counts(domain, each.domain, each.subject):
                moments.see(each.control, each.at, each.subject, each.transition)

    def report(self, making: Making) -> Report:
        scope, counted = self._scope, self._counted
        comparison = self._before.comparison()
        report = Report(
            id=identity(scope),
            cluster=scope.cluster,
            domain=scope.domain,
            from_at=scope.from_at,
            to_at=scope.to_at,
            made_at=making.at,
            release=making.release,
            catalogue=catalogue(CONTROLS),
            calico_version=self._calico_version(),
            first_evidence_at=self._first,
            chain=periods.chain_at(self._connection, scope.cluster, scope.to_at),
            sentence=wording.sentence(scope, counted),
            results={result.value: counted.results[result] for result in Result},
            share=judging.share(counted.seconds),
            seconds=counted.seconds,
            gaps=counted.gaps,
            findings=counted.finding_counts(),
            comparison=comparison,
            population=reconciling.population(self._connection, scope),
            changes=counted.changes.count,
            evidence_gaps=counted.evidence_gaps.count,
            waivers=tuple(waiving.waivers(self._connection, scope, counted.uses)),
            limitations=wording.LIMITATIONS,
        )
        self._pack.finish(report, counted)
        return report

    def _calico_version(self) -> str:
        key = FactKey(self._scope.cluster, Kind.CLUSTER_INFORMATION, "", "default")
        fact = populations.state_of(self._connection, [key], self._scope.to_at).get(key)
        return fact.calico_version if isinstance(fact, ClusterInformation) else ""


def _everywhere(connection: Connection, scope: Scope) -> dict[str, list[DomainSpan]]:
    """Every domain of the cluster in the period, by id."""
    found: dict[str, list[DomainSpan]] = {}
    whole = Scope(cluster=scope.cluster, domain="", from_at=scope.from_at, to_at=scope.to_at)
    for span in periods.domains(connection, whole):
        found.setdefault(span.id, []).append(span)
    return found


def _wanted(everywhere: dict[str, list[DomainSpan]], scope: Scope) -> dict[str, list[DomainSpan]]:
    if not scope.domain and everywhere:
        return everywhere
    if scope.domain in everywhere:
        return {scope.domain: everywhere[scope.domain]}
    known = ", ".join(sorted(everywhere)) or "none"
    raise UserError(f"no domain {scope.domain or 'at all'} in {scope.cluster} in this period; known: {known}")
