"""Fact revisions: every state of every fact, once. A fact equal to its key's last revision writes none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from models import tables, wire
from models.compliance import Revision
from models.facts import Fact, FactKey
from monitor.store import sql

_table = tables.fact_revision


def record(connection: Connection, cluster: str, revisions: Sequence[Revision]) -> list[dict[str, Any]]:
    """Append what is new; returns the rows, each with the bytes that it replaced as `before`."""
    last = _last_raw(connection, cluster, {revision.key.text() for revision in revisions})
    stored = frozenset(last)
    fresh: list[dict[str, Any]] = []
    latest: dict[str, dict[str, Any]] = {}
    for revision in revisions:
        key = revision.key.text()
        if (revision.raw is None and key not in last) or (key in last and last[key] == revision.raw):
            continue
        row = _row(cluster, key, revision) | {"before": last.get(key)}
        last[key] = revision.raw
        if key in latest:
            latest[key]["is_last"] = False
        latest[key] = row
        fresh.append(row)
    for part in sql.chunks(stored & latest.keys()):
        of_part = (_table.c.cluster == cluster) & _table.c.key.in_(part) & _table.c.is_last
        connection.execute(update(_table).where(of_part).values(is_last=False))
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


def _last_raw(connection: Connection, cluster: str, keys: set[str]) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for part in sql.chunks(keys):
        rows = connection.execute(
            select(_table.c.key, _table.c.raw).where(
                _table.c.cluster == cluster, _table.c.key.in_(part), _table.c.is_last
            )
        )
        found.update((row.key, row.raw) for row in rows)
    return found


def known_keys(connection: Connection, cluster: str) -> frozenset[FactKey]:
    """Keys whose last revision is a state, not a gone."""
    rows = connection.execute(
        select(_table.c.key).where(_table.c.cluster == cluster, _table.c.is_last, _table.c.raw.is_not(None))
    )
    return frozenset(FactKey.from_text(row.key) for row in rows)


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
