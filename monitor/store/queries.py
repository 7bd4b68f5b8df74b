"""Named questions to the record, one function each; rows come back as plain Structs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection, case, func, or_, select

from models import tables
from models.facts import STALE_AFTER

Look = Connection
"""What `Store.look` gives; the edges above name it so and need no SQL library."""

SEVERITIES = ("critical", "high", "medium", "low", "info")
_finding = tables.finding
_status = tables.control_status
_move = tables.finding_transition


class FindingRow(Struct, frozen=True, kw_only=True):
    id: str
    cluster: str
    domain: str
    control: str
    subject: str
    state: str
    severity: str
    sentence: str
    fix: str
    evidence: dict[str, Any]
    waiver: str
    owner: str
    is_last_known: bool
    first_at: datetime
    opened_at: datetime
    last_at: datetime
    resolved_at: datetime | None


class StatusRow(Struct, frozen=True):
    """One interval. An open one is to be counted by `as_counted` only."""

    domain: str
    control: str
    outcome: str
    reason: str
    counts: dict[str, int]
    waived: int
    needs: list[str] | None  # None: it is closed, and nobody asks
    from_at: datetime
    to_at: datetime | None


class DomainRow(Struct, frozen=True, kw_only=True):
    id: str
    level: str
    name: str
    owner: str
    criticality: str
    environment: str
    workloads: int
    from_at: datetime
    to_at: datetime | None


class TransitionRow(Struct, frozen=True, kw_only=True):
    id: int
    finding_id: str
    cluster: str
    domain: str
    control: str
    subject: str
    severity: str
    transition: str
    at: datetime
    sentence: str
    reason: str


class InputRow(Struct, frozen=True, kw_only=True):
    input: str
    state: str
    reason: str
    from_at: datetime | None
    until: datetime | None
    judged_at: datetime  # of the last live evaluation that looked at it


class SourceRow(Struct, frozen=True, kw_only=True):
    source: str
    node: str
    heard_at: datetime
    records: int
    unparsed: int
    lost: int


class PathRow(Struct, frozen=True, kw_only=True):
    source: str
    destination: str
    source_domains: list[str]
    destination_domains: list[str]
    protocol: str
    port: int | None
    flow_class: str
    basis: str
    cause: str
    since: datetime
    last_at: datetime
    count: int


class GapRow(Struct, frozen=True, kw_only=True):
    input: str
    from_at: datetime
    to_at: datetime
    reason: str


class MemberRow(Struct, frozen=True, kw_only=True):
    subject: str
    pods: list[str]
    from_at: datetime
    to_at: datetime | None


def last_evaluated_at(connection: Connection, cluster: str) -> datetime | None:
    """Log time of the last live evaluation; None before the first."""
    table = tables.vouched
    found: datetime | None = connection.execute(
        select(func.max(table.c.at, type_=table.c.at.type)).where(table.c.cluster == cluster)
    ).scalar_one()
    return found


def clusters(connection: Connection) -> list[str]:
    return sorted(connection.execute(select(tables.applied.c.cluster).distinct()).scalars())


def open_findings(connection: Connection, cluster: str, domain: str = "") -> list[FindingRow]:
    """Not resolved, worst first, then oldest."""
    statement = select(_finding).where(_finding.c.cluster == cluster, _finding.c.state != "resolved")
    if domain:
        statement = statement.where(_finding.c.domain == domain)
    rows = [FindingRow(**row) for row in connection.execute(statement).mappings()]
    return sorted(rows, key=lambda row: (SEVERITIES.index(row.severity), row.opened_at, row.domain, row.id))


def findings_counted_in(connection: Connection, cluster: str, domain: str) -> list[FindingRow]:
    """Open findings of a domain, and those that belong to smaller ones and are about its members (controls.md 2)."""
    subjects = {member.subject for member in members(connection, cluster, domain)}
    return [row for row in open_findings(connection, cluster) if row.domain == domain or row.subject in subjects]


def domains(connection: Connection, cluster: str) -> list[DomainRow]:
    """Those that exist, larger ones first."""
    members = (
        select(tables.domain_member.c.domain, func.count().label("workloads"))
        .where(tables.domain_member.c.cluster == cluster, tables.domain_member.c.to_at.is_(None))
        .group_by(tables.domain_member.c.domain)
        .subquery()
    )
    statement = (
        select(tables.domain, func.coalesce(members.c.workloads, 0).label("workloads"))
        .outerjoin(members, members.c.domain == tables.domain.c.id)
        .where(tables.domain.c.cluster == cluster, tables.domain.c.to_at.is_(None))
    )
    rows = [
        DomainRow(**{name: row[name] for name in DomainRow.__struct_fields__})
        for row in connection.execute(statement).mappings()
    ]
    levels = ("cluster", "tenant", "namespace", "workload")
    return sorted(rows, key=lambda row: (levels.index(row.level), row.name))


def open_statuses(connection: Connection, cluster: str) -> list[StatusRow]:
    return _statuses(connection, _status.c.cluster == cluster, _status.c.to_at.is_(None))


class OutcomeRow(Struct, frozen=True, kw_only=True):
    domain: str
    control: str
    outcome: str


def open_outcomes(connection: Connection, cluster: str) -> list[OutcomeRow]:
    """Of the open intervals no more than this: a scrape reads all of them."""
    columns = (_status.c.domain, _status.c.control, _status.c.outcome)
    rows = connection.execute(select(*columns).where(_status.c.cluster == cluster, _status.c.to_at.is_(None)))
    return [OutcomeRow(domain=domain, control=control, outcome=outcome) for domain, control, outcome in rows]


class FindingCount(Struct, frozen=True, kw_only=True):
    """`waived`: how many of them are under an active waiver."""

    domain: str
    control: str
    severity: str
    number: int
    waived: int


def open_finding_counts(connection: Connection, cluster: str) -> list[FindingCount]:
    columns = (_finding.c.domain, _finding.c.control, _finding.c.severity)
    waived = func.sum(case((_finding.c.state == "waived", 1), else_=0))
    statement = (
        select(*columns, func.count(), waived)
        .where(_finding.c.cluster == cluster, _finding.c.state != "resolved")
        .group_by(*columns)
    )
    return [
        FindingCount(domain=domain, control=control, severity=severity, number=number, waived=int(of_it))
        for domain, control, severity, number, of_it in connection.execute(statement)
    ]


def statuses_between(connection: Connection, cluster: str, from_at: datetime, to_at: datetime) -> list[StatusRow]:
    """Every interval that touches the period, in order."""
    return _statuses(
        connection,
        _status.c.cluster == cluster,
        _status.c.from_at < to_at,
        or_(_status.c.to_at.is_(None), _status.c.to_at > from_at),
    )


def _statuses(connection: Connection, *where: Any) -> list[StatusRow]:
    rows = connection.execute(
        select(_status).where(*where).order_by(_status.c.domain, _status.c.control, _status.c.from_at)
    )
    return [StatusRow(**{name: row[name] for name in StatusRow.__struct_fields__}) for row in rows.mappings()]


def transitions_after(connection: Connection, cluster: str, after_id: int, limit: int = 500) -> list[TransitionRow]:
    """In the order in which they were recorded."""
    statement = select(_move).where(_move.c.cluster == cluster, _move.c.id > after_id).order_by(_move.c.id).limit(limit)
    return list(_transitions(connection, statement))


def last_transitions(connection: Connection, cluster: str, limit: int = 20) -> list[TransitionRow]:
    """Newest first."""
    return list(
        _transitions(
            connection, select(_move).where(_move.c.cluster == cluster).order_by(_move.c.id.desc()).limit(limit)
        )
    )


def _transitions(connection: Connection, statement: Any) -> Iterator[TransitionRow]:
    for row in connection.execute(statement).mappings():
        yield TransitionRow(**{name: row[name] for name in TransitionRow.__struct_fields__})


def inputs(connection: Connection, cluster: str) -> list[InputRow]:
    table = tables.vouched
    rows = connection.execute(select(table).where(table.c.cluster == cluster).order_by(table.c.input)).mappings()
    return [
        InputRow(
            input=row["input"],
            state=row["state"],
            reason=row["reason"],
            from_at=row["from_at"],
            until=row["until"],
            judged_at=row["at"],
        )
        for row in rows
    ]


def sources(connection: Connection, cluster: str) -> list[SourceRow]:
    """One row a source: its generations together."""
    table = tables.source_position
    statement = (
        select(
            table.c.source,
            func.max(table.c.node).label("node"),
            func.max(table.c.heard_at).label("heard_at"),
            func.sum(table.c.records).label("records"),
            func.sum(table.c.unparsed).label("unparsed"),
            func.sum(table.c.lost).label("lost"),
        )
        .where(table.c.cluster == cluster)
        .group_by(table.c.source)
        .order_by(table.c.source)
    )
    return [
        SourceRow(
            source=row.source,
            node=row.node,
            heard_at=row.heard_at,
            records=int(row.records),
            unparsed=int(row.unparsed),
            lost=int(row.lost),
        )
        for row in connection.execute(statement)
    ]


class SourcePlace(Struct, frozen=True, kw_only=True):
    source: str
    generation: str
    position: int


def source_places(connection: Connection, cluster: str) -> list[SourcePlace]:
    """Up to where each source is counted, in its newest generation."""
    table = tables.source_position
    statement = select(table).where(table.c.cluster == cluster).order_by(table.c.heard_at, table.c.generation)
    newest = {row["source"]: row for row in connection.execute(statement).mappings()}
    return [
        SourcePlace(source=name, generation=row["generation"], position=row["position"])
        for name, row in sorted(newest.items())
    ]


def server_time(connection: Connection) -> datetime:
    """The database's own clock."""
    if connection.dialect.name == "sqlite":
        text_ = connection.exec_driver_sql("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')").scalar_one()
        return datetime.fromisoformat(str(text_))
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found


def paths(connection: Connection, cluster: str) -> list[PathRow]:
    """What is being seen, newest first."""
    table = tables.observed_path
    statement = select(table).where(table.c.cluster == cluster, table.c.is_gone.is_(False))
    rows = connection.execute(statement.order_by(table.c.last_at.desc(), table.c.path_id)).mappings()
    return [PathRow(**{name: row[name] for name in PathRow.__struct_fields__}) for row in rows]


def gaps(connection: Connection, cluster: str, from_at: datetime, to_at: datetime) -> list[GapRow]:
    table = tables.evidence_gap
    rows = connection.execute(
        select(table)
        .where(table.c.cluster == cluster, table.c.from_at < to_at, table.c.to_at > from_at)
        .order_by(table.c.from_at, table.c.id)
    ).mappings()
    return [GapRow(**{name: row[name] for name in GapRow.__struct_fields__}) for row in rows]


def members(connection: Connection, cluster: str, domain: str) -> list[MemberRow]:
    """In scope now."""
    table = tables.domain_member
    rows = connection.execute(
        select(table)
        .where(table.c.cluster == cluster, table.c.domain == domain, table.c.to_at.is_(None))
        .order_by(table.c.subject)
    ).mappings()
    return [MemberRow(**{name: row[name] for name in MemberRow.__struct_fields__}) for row in rows]


def first_waiver_expiry(connection: Connection, cluster: str, at: datetime) -> datetime | None:
    """When the first of the waivers that hold at a time expires."""
    table = tables.waiver
    statement = select(func.min(table.c.expires_at)).where(
        table.c.cluster == cluster, table.c.is_declared, table.c.granted_at <= at, table.c.expires_at > at
    )
    found: datetime | None = connection.execute(statement).scalar_one()
    return found


def reported_until(connection: Connection, cluster: str) -> dict[str, datetime]:
    """By schedule: the end of the last period for which a report was made."""
    table = tables.report
    statement = (
        select(table.c.schedule, func.max(table.c.to_at).label("until"))
        .where(table.c.cluster == cluster, table.c.schedule != "", table.c.manifest.is_not(None))
        .group_by(table.c.schedule)
    )
    return {row.schedule: row.until for row in connection.execute(statement)}


class Shares(Struct, frozen=True, kw_only=True):
    """Seconds of a period by what they count as. Waived seconds are among `not_compliant` too."""

    compliant: float = 0.0
    not_compliant: float = 0.0
    not_evaluated: float = 0.0
    not_applicable: float = 0.0

    @property
    def total(self) -> float:
        """What counts: time that was not applicable leaves the denominator (controls.md section 2)."""
        return self.compliant + self.not_compliant + self.not_evaluated


_COUNTS_AS = {"pass": "compliant", "warn": "compliant", "fail": "not_compliant", "error": "not_evaluated"}

UNVOUCHED = "nobody vouched for its inputs any more"


def shares(statuses: Sequence[StatusRow], inputs_: Sequence[InputRow], period: tuple[datetime, datetime]) -> Shares:
    """Time-weighted over all given intervals. An open interval counts only as far as its inputs were vouched for."""
    begin, end = period
    seconds: dict[str, float] = {}
    for row in as_counted(statuses, inputs_, end):
        kind = _COUNTS_AS.get(row.outcome, "not_applicable")
        seconds[kind] = seconds.get(kind, 0.0) + _span(max(row.from_at, begin), row.to_at or end)
    return Shares(**seconds)


def as_counted(statuses: Iterable[StatusRow], inputs_: Sequence[InputRow], end: datetime) -> Iterator[StatusRow]:
    """The intervals up to `end`, closed; what an open one says after its inputs were last vouched for is `error`."""
    until = {row.input: row.until for row in inputs_}
    judged_at = max((row.judged_at for row in inputs_), default=None)
    for row in statuses:
        if row.to_at is not None and row.from_at < row.to_at <= end:  # as nearly all are
            yield row
            continue
        stop = min(row.to_at or end, end)
        vouched = stop if row.to_at is not None else max(row.from_at, _vouched_until(row, until, judged_at, stop))
        if row.from_at < vouched:
            yield row if row.to_at == vouched else structs.replace(row, to_at=vouched)
        if vouched < stop:
            reason = row.reason if row.outcome == "error" else UNVOUCHED
            yield structs.replace(row, outcome="error", reason=reason, from_at=vouched, to_at=stop)


def settled_until(inputs_: Sequence[InputRow], now: datetime) -> datetime:
    """Where a look at the present ends its period: up to there every input that is fresh was vouched for.

    The next heartbeats tell what came since: until then it is neither met nor missed, and shares move with heartbeats
    only. What went stale holds nothing back: `as_counted` has it as not evaluated.
    """
    oldest = now - STALE_AFTER
    seen = [min(row.until, row.judged_at) for row in inputs_ if row.until]
    return min((moment for moment in seen if moment >= oldest), default=now)


def _vouched_until(
    row: StatusRow, until: Mapping[str, datetime | None], judged_at: datetime | None, stop: datetime
) -> datetime:
    """The least of what its inputs, and the evaluation itself, were last seen at; nothing known counts from nowhere."""
    limits = [judged_at, *(until.get(name) for name in row.needs or ())]
    return min([stop, *(limit or row.from_at for limit in limits)])


def _span(start: datetime, stop: datetime) -> float:
    return max(0.0, (stop - start).total_seconds())
