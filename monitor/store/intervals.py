"""Domains, members and control statuses as intervals: opened, closed, never rewritten; no gap, no overlap.

Law: an interval that would be empty (opened and closed at one log time) was never true for any time: it is replaced.
Time that nobody vouched for is cut out of open statuses and recorded as `error`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import structs
from sqlalchemy import Connection, Table, bindparam, delete, select, update

from models import tables
from models.compliance import DomainPosture, Evaluation
from monitor.store import sql

_status = tables.control_status
_member = tables.domain_member
_domain = tables.domain

Covered = dict[str, list[Mapping[str, Any]]]


def record(connection: Connection, evaluation: Evaluation) -> Covered:
    """Open and close what the evaluation changed; returns what the chain is to cover."""
    _domains(connection, evaluation)
    _replace(
        connection,
        _member,
        (evaluation, ("domain", "subject"), ("pods",)),
        [row for posture in evaluation.postures for row in _member_rows(evaluation, posture)],
    )
    covered = _replace(
        connection,
        _status,
        (evaluation, ("domain", "control"), ("outcome", "reason", "waived", "counts")),
        [row for posture in evaluation.postures for row in _status_rows(evaluation, posture)],
    )
    return {"control_status": covered}


def _domains(connection: Connection, evaluation: Evaluation) -> None:
    rows = [
        structs.asdict(posture.domain) | {"cluster": evaluation.cluster, "from_at": evaluation.at, "to_at": None}
        for posture in evaluation.postures
    ]
    sql.put(connection, _domain, rows, keep=("from_at",))
    for part in sql.chunks(evaluation.gone):
        connection.execute(
            update(_domain)
            .where(_domain.c.cluster == evaluation.cluster, _domain.c.id.in_(part), _domain.c.to_at.is_(None))
            .values(to_at=evaluation.at)
        )


def _member_rows(evaluation: Evaluation, posture: DomainPosture) -> list[dict[str, Any]]:
    return [
        {
            "cluster": evaluation.cluster,
            "domain": posture.domain.id,
            "subject": member.subject,
            "pods": list(member.pods),
            "from_at": evaluation.at,
            "to_at": None,
        }
        for member in posture.members
    ]


def _status_rows(evaluation: Evaluation, posture: DomainPosture) -> list[dict[str, Any]]:
    return [
        {
            "cluster": evaluation.cluster,
            "domain": posture.domain.id,
            "control": result.control,
            "outcome": result.outcome.value,
            "reason": result.reason,
            "counts": dict(result.counts),
            "waived": result.waived,
            "needs": list(result.needs),
            "from_at": evaluation.at,
            "to_at": None,
        }
        for result in posture.results
    ]


def _replace(
    connection: Connection,
    table: Table,
    how: tuple[Evaluation, tuple[str, str], tuple[str, ...]],
    wanted: Sequence[dict[str, Any]],
) -> list[Mapping[str, Any]]:
    """Make the open intervals of the evaluated domains those that are wanted."""
    evaluation, identity, compared = how

    def name(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(row[part] for part in identity)

    domains = [posture.domain.id for posture in evaluation.postures] + list(evaluation.gone)
    is_open = _open_rows(connection, table, evaluation.cluster, domains)
    new = {name(row): row for row in wanted}
    old = {name(row): row for row in is_open}
    same = {key for key in new.keys() & old.keys() if all(new[key][part] == old[key][part] for part in compared)}
    closed = [old[key] for key in sorted(old.keys() - same)]
    opened = [new[key] for key in sorted(new.keys() - same)]
    _close(connection, table, closed, evaluation.at)
    sql.add(connection, table, opened)
    return [_covered(row, "closed", evaluation.at) for row in closed] + [
        _covered(row, "opened", evaluation.at) for row in opened
    ]


def _covered(row: Mapping[str, Any], move: str, at: datetime) -> dict[str, Any]:
    """What the chain says of a status."""
    return {
        "move": move,
        "domain": row["domain"],
        "control": row.get("control", ""),
        "outcome": row.get("outcome", ""),
        "at": at,
    }


def _open_rows(connection: Connection, table: Table, cluster: str, domains: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for part in sql.chunks(domains):
        rows = connection.execute(
            select(table).where(table.c.cluster == cluster, table.c.domain.in_(part), table.c.to_at.is_(None))
        )
        found += [dict(row) for row in rows.mappings()]
    return found


def _close(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], at: datetime) -> None:
    empty = [{"of_id": row["id"]} for row in rows if row["from_at"] >= at]
    ended = [{"of_id": row["id"]} for row in rows if row["from_at"] < at]
    if empty:
        connection.execute(delete(table).where(table.c.id == bindparam("of_id")), empty)
    if ended:
        connection.execute(update(table).where(table.c.id == bindparam("of_id")).values(to_at=at), ended)


def cut_out(
    connection: Connection,
    cluster: str,
    span: tuple[datetime, datetime, str],
    concerns: Callable[[Sequence[str]], bool],
) -> list[Mapping[str, Any]]:
    """Record the span as `error` in the open statuses whose inputs it concerns; they go on behind it as they were."""
    from_at, to_at, reason = span
    rows = connection.execute(
        select(_status).where(_status.c.cluster == cluster, _status.c.to_at.is_(None), _status.c.from_at < to_at)
    )
    hit = [dict(row) for row in rows.mappings() if row["outcome"] != "error" and concerns(row["needs"])]
    if not hit or from_at >= to_at:
        return []
    pieces = []
    for row in hit:
        begin = max(from_at, row["from_at"])
        again = {name: value for name, value in row.items() if name != "id"}
        pieces.append(again | {"outcome": "error", "reason": reason, "from_at": begin, "to_at": to_at})
        pieces.append(again | {"from_at": to_at, "to_at": None})
    for row in hit:
        _close(connection, _status, [row], max(from_at, row["from_at"]))
    sql.add(connection, _status, pieces)
    return [_covered(piece, "cut", piece["from_at"]) for piece in pieces]
