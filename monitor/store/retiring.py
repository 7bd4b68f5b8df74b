"""Letting go of what is older than an audit asks for, so that the record does not grow for ever.

Law 1: what was true after the limit can still be told in full: of a key's revisions, and of a finding's transitions,
the newest from before the limit stays; an interval goes only by its end, a window of flows only when it is sealed.
Law 2: the chain is not touched. It goes on covering what is gone; a `retired` row in it names table, limit and number,
and `verify` holds every missing row against that limit (docs/decisions/0042).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Delete, Table, delete, func, select

from models import tables
from monitor.store import chain, intervals

WHAT = "retired"
SPANS = (intervals.DOMAINS, intervals.MEMBERS, intervals.STATUSES, intervals.REACH, intervals.REACH_STATUS)
THREADS = {tables.fact_revision.name: "key", tables.finding_transition.name: "finding_id"}
"""Tables whose rows follow one another under a name: of each name the newest before the limit stays."""


class Limits(Struct, frozen=True):
    """What is older goes: of windows of flows, and of everything else."""

    rows: datetime
    windows: datetime


def retire(connection: Connection, cluster: str, limits: Limits, at: datetime) -> dict[str, int]:
    """Delete what is over its limit; returns how many rows of which table."""
    gone: dict[str, int] = {}
    said = []
    for table, limit, statement in _statements(cluster, limits):
        if rows := connection.execute(statement).rowcount:
            gone[str(table.name)] = rows
            said.append({"table": str(table.name), "limit": limit, "rows": rows})
    chain.append(connection, cluster, at, {WHAT: said})
    return gone


def limits_of(connection: Connection, cluster: str) -> dict[str, datetime]:
    """By table: before what it was retired."""
    found: dict[str, datetime] = {}
    for entry in chain.contents(connection, cluster, WHAT):
        limit = datetime.fromisoformat(entry["limit"])
        found[entry["table"]] = max(limit, found.get(entry["table"], limit))
    return found


def _statements(cluster: str, limits: Limits) -> Iterator[tuple[Table, datetime, Delete]]:
    for name, thread in THREADS.items():
        table = tables.metadata.tables[name]
        yield table, limits.rows, _followed(table, cluster, thread, limits.rows)
    for spans in SPANS:
        columns = spans.table.c
        ended = delete(spans.table).where(columns.cluster == cluster, columns.to_at < limits.rows)
        yield spans.table, limits.rows, ended
    windows = tables.flow_window
    sealed = (windows.c.cluster == cluster) & windows.c.is_sealed & (windows.c.window_at < limits.windows)
    yield windows, limits.windows, delete(windows).where(sealed)


def _followed(table: Table, cluster: str, thread: str, limit: datetime) -> Delete:
    """Rows before the limit that another one before the limit followed."""
    before: Any = (table.c.cluster == cluster) & (table.c.at < limit)
    newest = select(func.max(table.c.id)).where(before).group_by(table.c[thread])
    return delete(table).where(before, table.c.id.not_in(newest))
