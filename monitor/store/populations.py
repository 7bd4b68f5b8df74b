"""How many objects there were: at a time, and at any moment of a period, off the revisions.

A key whose last revision is older than the time stands as that says; only keys that were touched since are looked up.
So a count costs what there is and what changed, not the whole history.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, case, func, select

from models import tables, wire
from models.facts import Fact, FactKey, Kind
from monitor.store import sql
from monitor.store.periods import Scope

_table = tables.fact_revision


class Count(Struct, frozen=True, kw_only=True):
    """Objects of one kind."""

    kind: str
    at_start: int
    at_end: int
    ever: int


def counts(connection: Connection, scope: Scope) -> list[Count]:
    """By kind: known at the start, at the end, at any moment of the period."""
    found: dict[str, list[int]] = {}
    untouched = connection.execute(
        select(_table.c.kind, func.count())
        .where(_table.c.cluster == scope.cluster, _table.c.is_last, _table.c.at < scope.from_at)
        .where(_table.c.raw.is_not(None))
        .group_by(_table.c.kind)
    )
    for kind, number in untouched:
        found[kind] = [number, number, number]
    touched = _touched(scope.cluster, scope.from_at)
    each = select(
        touched.c.kind,
        _known(touched, scope.cluster, scope.from_at).label("at_start"),
        _known(touched, scope.cluster, scope.to_at).label("at_end"),
        _ever(touched, scope).label("within"),
    ).subquery()
    ever = case((each.c.at_start + each.c.within > 0, 1), else_=0)
    statement = select(each.c.kind, func.sum(each.c.at_start), func.sum(each.c.at_end), func.sum(ever))
    for kind, *numbers in connection.execute(statement.group_by(each.c.kind)):
        before = found.get(kind, [0, 0, 0])
        found[kind] = [old + int(new) for old, new in zip(before, numbers, strict=True)]
    return [Count(kind=kind, at_start=n[0], at_end=n[1], ever=n[2]) for kind, n in sorted(found.items()) if n[2]]


def known(connection: Connection, cluster: str, kind: Kind, at: datetime) -> set[FactKey]:
    """Keys of a kind that had a state at a time."""
    untouched = select(_table.c.key).where(
        _table.c.cluster == cluster, _table.c.is_last, _table.c.at < at, _table.c.raw.is_not(None)
    )
    keys = set(connection.execute(untouched.where(_table.c.kind == kind.value)).scalars())
    touched = _touched(cluster, at)
    again = select(touched.c.key).where(touched.c.kind == kind.value, _known(touched, cluster, at) == 1)
    return {FactKey.from_text(key) for key in keys | set(connection.execute(again).scalars())}


def revisions_of(connection: Connection, keys: Iterable[FactKey], before: datetime) -> list[Any]:
    """Every revision of these keys before a time, in order: cluster, key, at, raw."""
    rows: list[Any] = []
    columns = (_table.c.cluster, _table.c.key, _table.c.at, _table.c.raw)
    for cluster, part in _by_cluster(keys):
        statement = select(*columns).where(_table.c.cluster == cluster, _table.c.key.in_(part), _table.c.at < before)
        rows += connection.execute(statement.order_by(_table.c.id)).all()
    return rows


def state_of(connection: Connection, keys: Iterable[FactKey], at: datetime) -> dict[FactKey, Fact | wire.Unreadable]:
    """What these keys said at a time; those that were gone are left out."""
    last = {row.key: row.raw for row in revisions_of(connection, keys, at)}
    return {FactKey.from_text(key): wire.decode_fact(raw) for key, raw in last.items() if raw is not None}


def _by_cluster(keys: Iterable[FactKey]) -> Iterable[tuple[str, list[str]]]:
    texts: dict[str, list[str]] = {}
    for key in keys:
        texts.setdefault(key.cluster, []).append(key.text())
    for cluster, every in texts.items():
        for part in sql.chunks(every):
            yield cluster, part


def _touched(cluster: str, since: datetime) -> Any:
    return (
        select(_table.c.key, _table.c.kind)
        .where(_table.c.cluster == cluster, _table.c.at >= since)
        .distinct()
        .subquery()
    )


def _known(touched: Any, cluster: str, at: datetime) -> Any:
    """1 if the key had a state at a time, else 0."""
    older = _table.alias()
    return func.coalesce(
        select(case((older.c.raw.is_not(None), 1), else_=0))
        .where(older.c.cluster == cluster, older.c.key == touched.c.key, older.c.at < at)
        .order_by(older.c.at.desc(), older.c.id.desc())
        .limit(1)
        .correlate(touched)
        .scalar_subquery(),
        0,
    )


def _ever(touched: Any, scope: Scope) -> Any:
    """1 if the key came to a state within the period, else 0."""
    within = _table.alias()
    return func.coalesce(
        select(func.max(1))
        .where(
            within.c.cluster == scope.cluster,
            within.c.key == touched.c.key,
            within.c.at >= scope.from_at,
            within.c.at < scope.to_at,
            within.c.raw.is_not(None),
        )
        .correlate(touched)
        .scalar_subquery(),
        0,
    )
