"""Domains, members, statuses and reach as intervals: opened, closed, never rewritten; no gap, no overlap.

Law: an interval that would be empty (opened and closed at one log time) was never true for any time: it is dropped.
Time that nobody vouched for is cut out of open statuses and recorded as `error`.
Triggers in the database refuse an overlap and a change of what is closed, whoever asks (migration 0001).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Column, Connection, Select, Table, delete, select, tuple_, update

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
    table, (first, second) = spans.table, spans.identity
    found: list[dict[str, Any]] = []
    for part in sql.chunks((row[first], row[second]) for row in rows):
        is_named = tuple_(table.c[first], table.c[second]).in_(part)
        statement = select(table).where(table.c.cluster == rows[0]["cluster"], table.c.to_at.is_(None), is_named)
        found += [dict(row) for row in connection.execute(statement).mappings()]
    return found


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
    table = spans.table
    statement = select(table).where(table.c.cluster == cluster, table.c.to_at.is_(None))
    narrowed = [statement] if scope is None else _narrowed(connection, statement, spans, scope)
    return [dict(row) for each in narrowed for row in connection.execute(each).mappings()]


def _narrowed(connection: Connection, statement: Select[Any], spans: Spans, scope: Scope) -> Iterator[Select[Any]]:
    """To the scope, in parts that both databases take."""
    columns = spans.table.c
    for is_in_scope in sql.among(connection, columns[spans.scope], scope.domains):
        of_domains = statement.where(is_in_scope)
        if scope.subjects is None:
            yield of_domains
        else:
            yield from (of_domains.where(also) for also in sql.among(connection, columns.subject, scope.subjects))


def _close(connection: Connection, spans: Spans, ends: Sequence[tuple[Mapping[str, Any], datetime]]) -> Moves:
    serial = spans.serial
    empty = [row[serial.name] for row, at in ends if row["from_at"] >= at]
    ended: dict[datetime, list[int]] = {}
    for row, at in ends:
        if row["from_at"] < at:
            ended.setdefault(at, []).append(row[serial.name])
    for part in sql.chunks(empty):
        connection.execute(delete(spans.table).where(serial.in_(part)))
    for at, rows in ended.items():
        for part in sql.chunks(rows):
            connection.execute(update(spans.table).where(serial.in_(part)).values(to_at=at))
    return [_closed(spans, row, at) for row, at in ends]


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
    rows = connection.execute(
        select(table).where(table.c.cluster == cluster, table.c.to_at.is_(None), table.c.from_at < to_at)
    )
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
