"""Questions about a period: everything that was in scope at any moment of it, deleted things included.

Law: an answer depends on the period and on what was recorded up to its end only, so that the same report can be made
again later. A finding's state at the end is read off its transitions, never off its row of today.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Table, func, or_, select

from models import tables
from monitor.store.queries import StatusRow, TransitionRow

_move = tables.finding_transition


class Scope(Struct, frozen=True, kw_only=True):
    """A cluster, one domain of it ("" = all), and a period: from included, to excluded."""

    cluster: str
    domain: str
    from_at: datetime
    to_at: datetime


class DomainSpan(Struct, frozen=True, kw_only=True):
    id: str
    level: str
    name: str
    owner: str
    criticality: str
    environment: str
    from_at: datetime
    to_at: datetime | None


class MemberSpan(Struct, frozen=True, kw_only=True):
    domain: str
    subject: str
    pods: list[str]
    from_at: datetime
    to_at: datetime | None


class ProvenTransition(TransitionRow, frozen=True, kw_only=True):
    """A transition with the proof that was recorded with it."""

    evidence: dict[str, Any]


class ChangeRow(Struct, frozen=True, kw_only=True):
    at: datetime
    kind: str
    namespace: str
    name: str
    change: str
    approval: str
    before: str | None
    after: str | None
    widened: list[str] | None
    closed: list[str] | None


class WaiverSpan(Struct, frozen=True, kw_only=True):
    name: str
    control: str
    domain: str
    subject: str
    reason: str
    requester: str
    approver: str
    ticket: str
    compensating_control: str
    granted_at: datetime
    expires_at: datetime
    is_declared: bool


class ChainPlace(Struct, frozen=True, kw_only=True):
    seq: int
    hash: str


def first_evidence(connection: Connection, cluster: str) -> datetime | None:
    """When anything of this cluster was evaluated for the first time."""
    table = tables.control_status
    statement = select(func.min(table.c.from_at)).where(table.c.cluster == cluster)
    found: datetime | None = connection.execute(statement).scalar_one()
    return found


def domains(connection: Connection, scope: Scope) -> list[DomainSpan]:
    """By id, then time."""
    table = tables.domain
    return [_made(DomainSpan, row) for row in _touching(connection, table, scope, "id", (table.c.id,))]


def members(connection: Connection, scope: Scope) -> Iterator[MemberSpan]:
    table = tables.domain_member
    for row in _touching(connection, table, scope, "domain", (table.c.domain, table.c.subject)):
        yield _made(MemberSpan, row)


def statuses(connection: Connection, scope: Scope) -> Iterator[StatusRow]:
    """By domain and control, then time."""
    table = tables.control_status
    for row in _touching(connection, table, scope, "domain", (table.c.domain, table.c.control)):
        yield _made(StatusRow, row)


def transitions(connection: Connection, scope: Scope) -> Iterator[ProvenTransition]:
    """Those of the period, in the order in which they were recorded."""
    statement = select(_move).where(_move.c.at >= scope.from_at, _move.c.at < scope.to_at, *_of(_move, scope))
    for row in _streamed(connection, statement.order_by(_move.c.id)):
        yield _made(ProvenTransition, row)


def standing(connection: Connection, scope: Scope) -> list[ProvenTransition]:
    """The last move of each finding that was open when the period began."""
    last = select(func.max(_move.c.id)).where(_move.c.at < scope.from_at, *_of(_move, scope))
    statement = select(_move).where(_move.c.id.in_(last.group_by(_move.c.finding_id)), _move.c.transition != "resolved")
    return [_made(ProvenTransition, row) for row in _streamed(connection, statement.order_by(_move.c.id))]


def waived_at(connection: Connection, cluster: str, at: datetime) -> dict[str, str]:
    """Findings that were waived at a time, and the waivers' names."""
    settling = _move.c.transition.in_(("waived", "unwaived", "resolved"))
    last = select(func.max(_move.c.id)).where(_move.c.cluster == cluster, _move.c.at < at, settling)
    rows = connection.execute(
        select(_move.c.finding_id, _move.c.reason).where(
            _move.c.id.in_(last.group_by(_move.c.finding_id)), _move.c.transition == "waived"
        )
    )
    return {row.finding_id: row.reason for row in rows}


def opened_at(connection: Connection, cluster: str, before: datetime) -> dict[str, datetime]:
    """When each finding was opened or reopened last before a time."""
    rows = connection.execute(
        select(_move.c.finding_id, func.max(_move.c.at).label("at"))
        .where(_move.c.cluster == cluster, _move.c.at < before, _move.c.transition.in_(("opened", "reopened")))
        .group_by(_move.c.finding_id)
    )
    return {row.finding_id: row.at for row in rows}


def fixes(connection: Connection, cluster: str) -> dict[str, tuple[str, str]]:
    """The fix and the owner that each finding names."""
    table = tables.finding
    rows = connection.execute(select(table.c.id, table.c.fix, table.c.owner).where(table.c.cluster == cluster))
    return {row.id: (row.fix, row.owner) for row in rows}


def policy_changes(connection: Connection, scope: Scope) -> list[ChangeRow]:
    """Of the whole cluster: a policy elsewhere may decide here."""
    table = tables.policy_change
    statement = (
        select(table)
        .where(table.c.cluster == scope.cluster, table.c.at >= scope.from_at, table.c.at < scope.to_at)
        .order_by(table.c.id)
    )
    return [_made(ChangeRow, row) for row in _streamed(connection, statement)]


def waivers(connection: Connection, scope: Scope) -> list[WaiverSpan]:
    """Granted before the end, and not expired before the beginning."""
    table = tables.waiver
    statement = (
        select(table)
        .where(table.c.cluster == scope.cluster, table.c.granted_at < scope.to_at, table.c.expires_at > scope.from_at)
        .order_by(table.c.name)
    )
    rows = [_made(WaiverSpan, row) for row in _streamed(connection, statement)]
    return [row for row in rows if not scope.domain or row.domain in {"", scope.domain}]


def chain_at(connection: Connection, cluster: str, at: datetime) -> ChainPlace:
    """The last row of the chain before a time."""
    table = tables.chain
    statement = select(table.c.seq, table.c.hash).where(table.c.cluster == cluster, table.c.at < at)
    row = connection.execute(statement.order_by(table.c.seq.desc()).limit(1)).one_or_none()
    return ChainPlace(seq=row.seq, hash=row.hash) if row else ChainPlace(seq=0, hash="0" * 64)


def population(connection: Connection, cluster: str, at: datetime) -> dict[str, int]:
    """How many objects of each kind were known at a time."""
    table = tables.fact_revision
    last = select(func.max(table.c.id)).where(table.c.cluster == cluster, table.c.at < at).group_by(table.c.key)
    rows = connection.execute(
        select(table.c.kind, func.count().label("number"))
        .where(table.c.id.in_(last), table.c.raw.is_not(None))
        .group_by(table.c.kind)
    )
    return {row.kind: row.number for row in rows}


def _touching(connection: Connection, table: Table, scope: Scope, column: str, order: tuple[Any, ...]) -> Iterator[Any]:
    statement = select(table).where(
        table.c.cluster == scope.cluster,
        table.c.from_at < scope.to_at,
        or_(table.c.to_at.is_(None), table.c.to_at > scope.from_at),
    )
    if scope.domain:
        statement = statement.where(table.c[column] == scope.domain)
    yield from _streamed(connection, statement.order_by(*order, table.c.from_at))


def _of(table: Table, scope: Scope) -> tuple[Any, ...]:
    is_cluster = table.c.cluster == scope.cluster
    return (is_cluster, table.c.domain == scope.domain) if scope.domain else (is_cluster,)


def _streamed(connection: Connection, statement: Any) -> Iterator[Any]:
    yield from connection.execution_options(yield_per=2000).execute(statement).mappings()


def _made(kind: Any, row: Any) -> Any:
    return kind(**{name: row[name] for name in kind.__struct_fields__})
