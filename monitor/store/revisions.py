"""Fact revisions: every state of every fact, once. A fact equal to its key's last revision writes none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, Update, and_, bindparam, func, select, update

from models import tables, wire
from models.compliance import Revision
from models.facts import API_KINDS, Fact, FactKey
from monitor.store import retiring, sql

_table = tables.fact_revision

WATCHED = tuple(sorted(kind.value for kind in API_KINDS))


def record(connection: Connection, cluster: str, revisions: Sequence[Revision]) -> list[dict[str, Any]]:
    """Append what is new; returns the rows, each with the bytes that it replaced as `before`."""
    keys = [revision.key.text() for revision in revisions]
    last = _last_raw(connection, cluster, keys)
    stored = frozenset(last)
    fresh: list[dict[str, Any]] = []
    latest: dict[str, dict[str, Any]] = {}
    for key, revision in zip(keys, revisions, strict=True):
        if (revision.raw is None and key not in last) or (key in last and last[key] == revision.raw):
            continue
        row = _row(cluster, key, revision) | {"before": last.get(key)}
        last[key] = revision.raw
        if key in latest:
            latest[key]["is_last"] = False
        latest[key] = row
        fresh.append(row)
    for part in sql.parts(connection, stored & latest.keys()):
        connection.execute(_replaced(connection.dialect.name), {"of_cluster": cluster, "keys": part})
    sql.add(connection, _table, [{name: row[name] for name in row if name != "before"} for row in fresh])
    return fresh


def covered(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the chain says of a revision."""
    raw = row["raw"]
    digest = None if raw is None else hashlib.sha256(raw).hexdigest()
    said = ("key", "epoch", "offset", "at", "reason", "is_synthetic")
    return {name: row[name] for name in said} | {"sha256": digest}


def _row(cluster: str, key: str, revision: Revision) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "epoch": revision.position.epoch,
        "offset": revision.position.offset,
        "kind": revision.key.kind.value,
        "key": key,
        "at": revision.at,
        "raw": revision.raw,
        "reason": revision.reason,
        "is_synthetic": revision.is_synthetic,
        "is_last": True,
    }


def _last_raw(connection: Connection, cluster: str, keys: Iterable[str]) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for part in sql.parts(connection, keys):
        rows = connection.execute(_last(connection.dialect.name), {"of_cluster": cluster, "keys": part})
        found.update((row.key, row.raw) for row in rows)
    return found


def _are_last(dialect: str) -> ColumnElement[bool]:
    return and_(
        _table.c.cluster == bindparam("of_cluster"), sql.one_of(dialect, _table.c.key, "keys"), _table.c.is_last
    )


@cache
def _last(dialect: str) -> Select[Any]:
    return select(_table.c.key, _table.c.raw).where(_are_last(dialect))


@cache
def _replaced(dialect: str) -> Update:
    return update(_table).where(_are_last(dialect)).values(is_last=False)


def known_keys(connection: Connection, cluster: str) -> frozenset[FactKey]:
    """Keys whose last revision is a state, not a gone."""
    is_there = (_table.c.cluster == cluster, _table.c.is_last, _table.c.raw.is_not(None))
    return frozenset(map(FactKey.from_text, connection.execute(select(_table.c.key).where(*is_there)).scalars()))


def facts_at(connection: Connection, cluster: str, at: datetime | None) -> dict[FactKey, Fact | wire.Unreadable]:
    """The facts as they were at a time; None = now."""
    statement = select(_table.c.key, _table.c.raw).where(_table.c.cluster == cluster, _table.c.raw.is_not(None))
    if at is None:
        statement = statement.where(_table.c.is_last)
    else:
        newest = select(func.max(_table.c.id)).where(_table.c.cluster == cluster, _table.c.at <= at)
        statement = statement.where(_table.c.id.in_(newest.group_by(_table.c.key)))
    rows = connection.execute(statement.order_by(_table.c.key))
    return {FactKey.from_text(row.key): wire.decode_fact(row.raw) for row in rows}


class RecordedAt(Struct, frozen=True):
    """`reason`: why what is recorded of a time may not be all; `until`: up to when everything is recorded."""

    reason: str = ""
    until: datetime | None = None


class Changed(Struct, frozen=True):
    """`value` None = gone."""

    key: FactKey
    value: Fact | wire.Unreadable | None
    at: datetime


def recorded_at(connection: Connection, cluster: str, at: datetime) -> RecordedAt:
    """Judged by what the record says of itself: when it began and ends, its gaps, what was retired."""
    status, applied, gap = tables.control_status, tables.applied, tables.evidence_gap
    began = connection.execute(select(func.min(status.c.from_at)).where(status.c.cluster == cluster)).scalar_one()
    until = connection.execute(select(func.max(applied.c.at)).where(applied.c.cluster == cluster)).scalar_one()
    if began is None or until is None or not began <= at <= until:
        return RecordedAt("the facts of that time are not recorded")
    if at < retiring.limits_of(connection, cluster).get(_table.name, at):
        return RecordedAt("policy of that time not kept")
    unseen = connection.execute(
        select(gap.c.input)
        .where(gap.c.cluster == cluster, gap.c.from_at <= at, gap.c.to_at > at, gap.c.input.in_(WATCHED))
        .order_by(gap.c.input)
        .limit(1)
    ).scalar_one_or_none()
    return RecordedAt(f"{unseen} was not watched then" if unseen else "", until)


def between(connection: Connection, cluster: str, from_at: datetime, to_at: datetime) -> list[Changed]:
    """After one time, up to another, in order."""
    rows = connection.execute(
        select(_table.c.key, _table.c.raw, _table.c.at)
        .where(_table.c.cluster == cluster, _table.c.at > from_at, _table.c.at <= to_at)
        .order_by(_table.c.id)
    )
    return [
        Changed(FactKey.from_text(row.key), None if row.raw is None else wire.decode_fact(row.raw), row.at)
        for row in rows
    ]
