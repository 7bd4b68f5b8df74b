"""One domain told: its members, findings and controls into the files, and what they add to the sums of the whole.

Whoever tells a domain gives connection, files and sums: two processes share the domains of a large report (`sharing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct, field
from sqlalchemy import Connection

from models.errors import UserError
from monitor.reports import rendering, strips
from monitor.reports.comparing import Before, Compared
from monitor.reports.content import DomainSection, Finding
from monitor.reports.counting import Counted
from monitor.reports.explaining import Changes, Moments
from monitor.reports.following import Following
from monitor.reports.holding import Holding
from monitor.reports.pieces import Domains
from monitor.reports.postures import Postures
from monitor.store import periods
from monitor.store.periods import DomainSpan, Scope


class Sums(Struct):
    """Over the domains that were told."""

    counted: Counted = field(default_factory=Counted)
    compared: Compared = field(default_factory=Compared)

    def merge(self, other: Sums) -> None:
        """With those of other domains."""
        self.counted.merge(other.counted)
        self.compared.merge(other.compared)


class Telling:
    """Of one cluster and period; `first`: when anything was evaluated first."""

    def __init__(self, connection: Connection, scope: Scope, first: datetime) -> None:
        self._scope = scope
        everywhere = _everywhere(connection, scope)
        self._owner_of = {name: spans[-1].owner for name, spans in everywhere.items()}
        self._postures = Postures(connection, scope, first)
        self.described = list(_wanted(everywhere, scope).items())
        self._holding = Holding(f"cluster/{scope.cluster}", periods.held(connection, scope))
        self._following = Following(connection, scope)
        self.before = Before(connection, scope, first)
        self._changes = Changes(periods.changes_in_short(connection, scope))

    def domain(self, connection: Connection, into: Domains, number: int, sums: Sums) -> None:
        name, described = self.described[number]
        with into.domain(name, described, is_first=number == 0):
            section = self._section(connection, into, number, sums)
            drawn = strips.drawn(section.controls, self._scope.from_at, self._scope.to_at)
            into.section(section, rendering.domain(section, drawn, number, len(self.described)))
        sums.counted.domain(section, drawn, number)
        self.before.compare(connection, section, sums.compared)

    def _section(self, connection: Connection, into: Domains, number: int, sums: Sums) -> DomainSection:
        scope, (name, described) = self._scope, self.described[number]
        start, end, ever = self._members(connection, into, name)
        controls = self._postures.controls(connection, name, described)
        moments = Moments(controls, (scope.from_at, scope.to_at))
        for finding in into.findings(self._findings(connection, name)):
            sums.counted.finding(finding)
            moments.see(finding.control, finding.subject, finding.history)
        self._explain(connection, name, moments)
        return DomainSection(
            id=name,
            described=tuple(described),
            workloads_at_start=start,
            workloads_at_end=end,
            workloads_ever=ever,
            controls=tuple(moments.explained(control, self._changes) for control in controls),
        )

    def _members(self, connection: Connection, into: Domains, name: str) -> tuple[int, int, int]:
        """Workloads at the start, at the end, at any time."""
        start, end, ever = 0, 0, set()
        for member in into.members(periods.members(connection, self._scope, name)):
            start += member.from_at <= self._scope.from_at
            end += member.to_at is None or member.to_at >= self._scope.to_at
            ever.add(member.subject)
        return start, end, len(ever)

    def _findings(self, connection: Connection, domain: str) -> Iterator[Finding]:
        """Those that belong to it. In a report of one domain also those of others that are counted in it."""
        others = self._holding.owners(domain) if self._scope.domain else []
        for owner in (domain, *others):
            for trace in self._following.of(connection, owner):
                finding = trace.finding(self._scope.to_at, self._owner_of.get(owner, ""), self._changes.last_before)
                if self._holding.counts(domain, owner, finding.subject):
                    yield finding

    def _explain(self, connection: Connection, domain: str, moments: Moments) -> None:
        """In a report of all domains: by the findings of those that it holds, which are told elsewhere."""
        if self._scope.domain or not self._holding.owners(domain):
            return
        for each in periods.happenings(connection, self._scope, moments):
            if each.domain != domain and self._holding.counts(domain, each.domain, each.subject):
                moments.see(each.control, each.subject, (each,))


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
