"""From the record to a report: one consistent look, the whole period, everything that was in scope in it.

Law: no result without evidence. Time before the first evaluation, and time after the inputs were last vouched for, is
*not evaluated*. The same scope and record give the same report, whenever it is made.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from itertools import groupby

from msgspec import Struct
from sqlalchemy import Connection

from models.errors import CannotEvaluateError, UserError
from monitor.compliance.catalogue import CONTROLS
from monitor.reports import judging, tracing, wording
from monitor.reports.content import ControlSection, DomainSection, Report
from monitor.store import periods, queries
from monitor.store.periods import DomainSpan, MemberSpan, Scope

FIRST_LOOK = timedelta(seconds=60)
"""What was seen so soon after the first evaluation was there before it, and nobody knows how it was then."""

_TITLES = {control.id: control.title for control in CONTROLS}


class Making(Struct, frozen=True, kw_only=True):
    """The only things in a report that do not follow from the record."""

    at: datetime
    release: str


def report(connection: Connection, scope: Scope, making: Making) -> Report:
    """UserError for a scope that cannot be; CannotEvaluateError where there is no evidence at all."""
    first = _checked(connection, scope, making.at)
    domains = _domains(connection, scope, first)
    seconds = judging.added(control.seconds for domain in domains for control in domain.controls)
    findings = tracing.findings(
        periods.standing(connection, scope),
        periods.transitions(connection, scope),
        {
            "opened_at": periods.opened_at(connection, scope.cluster, scope.from_at),
            "waived": periods.waived_at(connection, scope.cluster, scope.from_at),
            "fixes": periods.fixes(connection, scope.cluster),
        },
        (scope.from_at, scope.to_at),
    )
    return Report(
        id=identity(scope),
        cluster=scope.cluster,
        domain=scope.domain,
        from_at=scope.from_at,
        to_at=scope.to_at,
        made_at=making.at,
        release=making.release,
        first_evidence_at=first,
        chain=periods.chain_at(connection, scope.cluster, scope.to_at),
        sentence=wording.sentence(scope, domains),
        share=judging.share(seconds),
        seconds=seconds,
        population_at_start=periods.population(connection, scope.cluster, scope.from_at),
        population_at_end=periods.population(connection, scope.cluster, scope.to_at),
        domains=tuple(domains),
        findings=tuple(findings),
        changes=tuple(periods.policy_changes(connection, scope)),
        waivers=tuple(periods.waivers(connection, scope)),
        gaps=tuple(queries.gaps(connection, scope.cluster, scope.from_at, scope.to_at)),
        limitations=wording.LIMITATIONS,
    )


def identity(scope: Scope) -> str:
    """The same scope has the same id: a second report of it is a new version of the first."""
    text = f"{scope.cluster}\x00{scope.domain}\x00{scope.from_at.isoformat()}\x00{scope.to_at.isoformat()}"
    return "R-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _checked(connection: Connection, scope: Scope, now: datetime) -> datetime:
    """The time of the first evidence."""
    if scope.from_at >= scope.to_at:
        raise UserError(f"the period ends ({_time(scope.to_at)}) before it begins ({_time(scope.from_at)})")
    if scope.to_at > now + timedelta(minutes=1):
        raise UserError(
            f"the period ends in the future ({_time(scope.to_at)}, now is {_time(now)})\n"
            "       fix: end it now or earlier, or set the clock of this machine"
        )
    first = periods.first_evidence(connection, scope.cluster)
    if first is None or first >= scope.to_at:
        since = f"the first is of {_time(first)}" if first else "none has been recorded yet"
        raise CannotEvaluateError(f"{scope.cluster} was not evaluated before {_time(scope.to_at)}: {since}")
    return first


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _domains(connection: Connection, scope: Scope, first: datetime) -> list[DomainSection]:
    described: dict[str, list[DomainSpan]] = {}
    for span in periods.domains(connection, scope):
        described.setdefault(span.id, []).append(span)
    if not described:
        raise UserError(_unknown_domain(connection, scope))
    members: dict[str, list[MemberSpan]] = {}
    for member in periods.members(connection, scope):
        members.setdefault(member.domain, []).append(member)
    controls = _controls(connection, scope, first)
    return [
        _domain(scope, tuple(spans), members.get(name, []), controls.get(name, [])) for name, spans in described.items()
    ]


def _unknown_domain(connection: Connection, scope: Scope) -> str:
    everywhere = periods.domains(
        connection, Scope(cluster=scope.cluster, domain="", from_at=scope.from_at, to_at=scope.to_at)
    )
    known = ", ".join(sorted({span.id for span in everywhere})) or "none"
    return f"no domain {scope.domain or 'at all'} in {scope.cluster} in this period; known: {known}"


def _domain(
    scope: Scope, described: tuple[DomainSpan, ...], members: list[MemberSpan], controls: list[ControlSection]
) -> DomainSection:
    return DomainSection(
        id=described[0].id,
        described=described,
        workloads_at_start=sum(member.from_at <= scope.from_at for member in members),
        workloads_at_end=sum(member.to_at is None or member.to_at >= scope.to_at for member in members),
        workloads_ever=len({member.subject for member in members}),
        members=tuple(members),
        controls=tuple(controls),
    )


def _controls(connection: Connection, scope: Scope, first: datetime) -> dict[str, list[ControlSection]]:
    """By domain. An interval that is open in the record counts only as far as its inputs were vouched for."""
    inputs = queries.inputs(connection, scope.cluster)
    counted = queries.as_counted(periods.statuses(connection, scope), inputs, scope.to_at)
    found: dict[str, list[ControlSection]] = {}
    for (domain, control), rows in groupby(counted, key=lambda row: (row.domain, row.control)):
        every = list(rows)
        unseen_until = first if every[0].from_at <= first + FIRST_LOOK else None
        spans = judging.spans(every, (scope.from_at, scope.to_at), unseen_until=unseen_until)
        found.setdefault(domain, []).append(judging.section(control, _TITLES.get(control, control), spans))
    return found
