"""Domains, members, statuses and reach as intervals: opened, closed, never rewritten; no gap, no overlap.

Law: an interval that would be empty (opened and closed at one log time) was never true for any time: it is dropped.
Time that nobody vouched for is cut out of open statuses and recorded as `error`.
Triggers in the database refuse an overlap and a change of what is closed, whoever asks (migration 0001).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Column, Connection, Delete, Select, Table, Update, bindparam, delete, select, tuple_, update

from models import tables
from models.compliance import DomainPosture, Evaluation
from models.recording import ReachUpdate
from monitor.store import sql


class Scope(Struct, frozen=True):
    """These domains, and in them only these subjects; None = all."""

    domains: Sequence[str]
    subjects: frozenset[str] | None = None


class Spans(Struct, frozen=True):
    """A table of intervals: the column that lists of domains restrict, what names a thing, what is said of it."""

    table: Table
    scope: str
    identity: tuple[str, ...]
    said: tuple[str, ...]
    unevaluated: tuple[str, Any] = ("", None)  # the column, and its value, that say that nobody knows

    @property
    def serial(self) -> Column[Any]:
        [column] = self.table.primary_key.columns
        return column


DOMAINS = Spans(tables.domain, "id", ("id",), ("level", "name", "owner", "criticality", "environment"))
MEMBERS = Spans(tables.domain_member, "domain", ("domain", "subject"), ("pods",))
STATUSES = Spans(
    tables.control_status,
    "domain",
    ("domain", "control"),
    ("outcome", "reason", "waived", "counts", "needs"),
    unevaluated=("outcome", "error"),
)
REACH = Spans(tables.domain_reach, "source", ("source", "destination"), ("connections",))
REACH_STATUS = Spans(
    tables.reach_status, "cluster", (), ("is_known", "reason", "needs"), unevaluated=("is_known", False)
)

Moves = list[Mapping[str, Any]]


def record(connection: Connection, evaluation: Evaluation) -> Moves:
    """Open and close what the evaluation changed; returns what the chain is to cover of the statuses.

    Only what it tells is looked at: the fence says that all else stands as it was left.
    """
    changed, postures = evaluation.changed, evaluation.postures
    judged = [posture.domain.id for posture in postures]
    described = judged if changed is None else [each for each in judged if each in changed.domains]
    span = {"cluster": evaluation.cluster, "from_at": evaluation.at, "to_at": None}
    found = [structs.asdict(posture.domain) | span for posture in postures if posture.domain.id in described]
    members = [row | span for posture in postures for row in _member_rows(posture)]
    statuses = [row | span for posture in postures for row in _status_rows(posture)]
    _replace(connection, DOMAINS, Scope([*described, *evaluation.gone]), found, span)
    _replace(connection, MEMBERS, Scope(judged, None if changed is None else changed.members), members, span)
    _replace(connection, MEMBERS, Scope(evaluation.gone), [], span)
    if changed is None:
        return _replace(connection, STATUSES, Scope([*judged, *evaluation.gone]), statuses, span)
    ended = _replace(connection, STATUSES, Scope(evaluation.gone), [], span)
    return ended + _exchange(connection, STATUSES, _open_named(connection, STATUSES, statuses), statuses, evaluation.at)


def record_reach(connection: Connection, cluster: str, at: datetime, told: ReachUpdate) -> tuple[Moves, Moves]:
    """What may connect as far as it changed, and whether that is known; what the chain is to cover of both.

    While it is not known the rows stay as they were last known: `reach_status` says that they count for nothing.
    """
    span = {"cluster": cluster, "from_at": at, "to_at": None}
    status = {"is_known": not told.unknown, "reason": told.unknown, "needs": list(told.needs)}
    moves = _replace(connection, REACH_STATUS, None, [status | span], span)
    rows = [structs.asdict(each) | {"connections": list(each.connections)} | span for each in told.pairs]
    open_rows = _open_rows(connection, REACH, cluster, None) if told.is_whole else _open_named(connection, REACH, rows)
    return _exchange(connection, REACH, open_rows, [row for row in rows if row["connections"]], at), moves


def _open_named(connection: Connection, spans: Spans, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The open intervals of what these rows name; all are of one cluster, and named by two columns."""
    first, second = spans.identity
    found: list[dict[str, Any]] = []
    for part in sql.chunks((row[first], row[second]) for row in rows):
        named = connection.execute(_named(spans), {"of_cluster": rows[0]["cluster"], "names": part})
        found += [dict(row) for row in named.mappings()]
    return found


@cache
def _named(spans: Spans) -> Select[Any]:
    named = tuple_(*(spans.table.c[part] for part in spans.identity))
    return _open(spans.table).where(named.in_(bindparam("names", expanding=True)))


@cache
def _open(table: Table) -> Select[Any]:
    return select(table).where(table.c.cluster == bindparam("of_cluster"), table.c.to_at.is_(None))


def _member_rows(posture: DomainPosture) -> list[dict[str, Any]]:
    return [
        {"domain": posture.domain.id, "subject": member.subject, "pods": list(member.pods)}
        for member in posture.members
    ]


def _status_rows(posture: DomainPosture) -> list[dict[str, Any]]:
    return [
        {
            "domain": posture.domain.id,
            "control": result.control,
            "outcome": result.outcome.value,
            "reason": result.reason,
            "counts": dict(result.counts),
            "waived": result.waived,
            "needs": list(result.needs),
        }
        for result in posture.results
    ]


def _replace(
    connection: Connection,
    spans: Spans,
    scope: Scope | None,
    wanted: Sequence[dict[str, Any]],
    span: Mapping[str, Any],
) -> Moves:
    """Make the open intervals in scope (None = the whole cluster) those that are wanted."""
    return _exchange(connection, spans, _open_rows(connection, spans, span["cluster"], scope), wanted, span["from_at"])


def _exchange(
    connection: Connection,
    spans: Spans,
    open_rows: Sequence[dict[str, Any]],
    wanted: Sequence[dict[str, Any]],
    at: datetime,
) -> Moves:
    """Close what is open and not wanted, open what is wanted and not open."""

    def name(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(row[part] for part in spans.identity)

    new = {name(row): row for row in wanted}
    old = {name(row): row for row in open_rows}
    same = {key for key in new.keys() & old.keys() if all(new[key][part] == old[key][part] for part in spans.said)}
    closed = [old[key] for key in sorted(old.keys() - same)]
    opened = [new[key] for key in sorted(new.keys() - same)]
    moves = _close(connection, spans, [(row, at) for row in closed])
    sql.add(connection, spans.table, opened)
    return moves + [_opened(spans, row) for row in opened]


def _open_rows(connection: Connection, spans: Spans, cluster: str, scope: Scope | None) -> list[dict[str, Any]]:
    place: dict[str, Any] = {"of_cluster": cluster}
    if scope is None:
        return [dict(row) for row in connection.execute(_open(spans.table), place).mappings()]
    found: list[dict[str, Any]] = []
    for domains in sql.parts(connection, scope.domains):
        place |= {"domains": domains}
        for subjects in [None] if scope.subjects is None else sql.parts(connection, scope.subjects):
            statement = _open_in(connection.dialect.name, spans, of_subjects=subjects is not None)
            rows = connection.execute(statement, place if subjects is None else place | {"subjects": subjects})
            found += [dict(row) for row in rows.mappings()]
    return found


@cache
def _open_in(dialect: str, spans: Spans, *, of_subjects: bool) -> Select[Any]:
    """Of some domains, and of them of some subjects."""
    columns = spans.table.c
    of_domains = _open(spans.table).where(sql.one_of(dialect, columns[spans.scope], "domains"))
    return of_domains.where(sql.one_of(dialect, columns.subject, "subjects")) if of_subjects else of_domains


def _close(connection: Connection, spans: Spans, ends: Sequence[tuple[Mapping[str, Any], datetime]]) -> Moves:
    serial, dialect = spans.serial.name, connection.dialect.name
    empty = [row[serial] for row, at in ends if row["from_at"] >= at]
    ended: dict[datetime, list[int]] = {}
    for row, at in ends:
        if row["from_at"] < at:
            ended.setdefault(at, []).append(row[serial])
    for part in sql.parts(connection, empty):
        connection.execute(_dropped(dialect, spans), {"serials": part})
    for at, rows in ended.items():
        for part in sql.parts(connection, rows):
            connection.execute(_ended(dialect, spans), {"serials": part, "ends_at": at})
    return [_closed(spans, row, at) for row, at in ends]


@cache
def _dropped(dialect: str, spans: Spans) -> Delete:
    return delete(spans.table).where(sql.one_of(dialect, spans.serial, "serials"))


@cache
def _ended(dialect: str, spans: Spans) -> Update:
    is_one = sql.one_of(dialect, spans.serial, "serials")
    return update(spans.table).where(is_one).values(to_at=bindparam("ends_at"))


def _opened(spans: Spans, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"move": "opened"} | {name: row[name] for name in (*spans.identity, *spans.said, "from_at", "to_at")}


def _closed(spans: Spans, row: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    place = {name: row[name] for name in (*spans.identity, "from_at")}
    return {"move": "dropped"} | place if row["from_at"] >= at else {"move": "closed"} | place | {"to_at": at}


def cut_out(
    connection: Connection,
    spans: Spans,
    cluster: str,
    span: tuple[datetime, datetime, str],
    concerns: Callable[[Sequence[str]], bool],
) -> Moves:
    """Record the span as not evaluated in the open intervals that it concerns; they go on behind it as they were."""
    from_at, to_at, reason = span
    table = spans.table
    column, unevaluated = spans.unevaluated
    if from_at >= to_at:
        return []
    rows = connection.execute(_open(table).where(table.c.from_at < to_at), {"of_cluster": cluster})
    hit = [dict(row) for row in rows.mappings() if row[column] != unevaluated and concerns(row["needs"])]
    ends, pieces = [], []
    for row in sorted(hit, key=lambda each: [each[name] for name in spans.identity]):
        begin = max(from_at, row["from_at"])
        again = {name: value for name, value in row.items() if name != spans.serial.name}
        ends.append((row, begin))
        pieces.append(again | {column: unevaluated, "reason": reason, "from_at": begin, "to_at": to_at})
        pieces.append(again | {"from_at": to_at, "to_at": None})
    moves = _close(connection, spans, ends)
    sql.add(connection, table, pieces)
    return moves + [_opened(spans, piece) for piece in pieces]
