"""Questions about pairs of domains: what may connect as recorded, whether that is known, and what was seen.

`outside` is every end that is no endpoint; an end that nobody can tell is `unknown` (as in the view `matrix`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Case, Column, Connection, Select, String, case, func, literal_column, or_, select

from models import tables
from models.facts import STALE_AFTER
from monitor.store import queries

OUTSIDE = "outside"
UNKNOWN = "unknown"

_reach = tables.domain_reach
_status = tables.reach_status
_path = tables.observed_path


class ReachRow(Struct, frozen=True, kw_only=True):
    """What may connect since then."""

    source: str
    destination: str
    connections: list[str]
    from_at: datetime


class ReachStatusRow(Struct, frozen=True, kw_only=True):
    """`needs`: inputs that must be fresh, else it is not known whatever it says."""

    is_known: bool
    reason: str
    needs: list[str]
    from_at: datetime


class TrafficRow(Struct, frozen=True, kw_only=True):
    """Paths seen between the ends, of one class. An end has all domains that hold it, or is no endpoint."""

    sources: list[str]
    destinations: list[str]
    flow_class: str
    paths: int


def status(connection: Connection, cluster: str) -> ReachStatusRow | None:
    """None: nothing was worked out yet."""
    statement = select(_status).where(_status.c.cluster == cluster, _status.c.to_at.is_(None))
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else ReachStatusRow(**{name: row[name] for name in ReachStatusRow.__struct_fields__})


def why_unknown(connection: Connection, cluster: str, now: datetime) -> str:
    """Why nobody can tell what may connect now; empty if it is known, and its inputs were seen lately."""
    found = status(connection, cluster)
    if found is None:
        return "nothing was worked out yet"
    if not found.is_known:
        return found.reason
    since = now - STALE_AFTER
    seen = {row.input for row in queries.inputs(connection, cluster) if row.until and row.until >= since}
    missing = sorted(set(found.needs) - seen)
    if not missing:
        return ""
    return f"{missing[0]} not seen lately" + (f"; and {len(missing) - 1} more inputs" if missing[1:] else "")


def among(connection: Connection, cluster: str, ends: Collection[str]) -> list[ReachRow]:
    """Open pairs of which both ends are among these. For a few ends: what is shown of a large cluster."""
    return _rows(connection, _open(cluster).where(_reach.c.source.in_(ends), _reach.c.destination.in_(ends)))


def of(connection: Connection, cluster: str, domain: str) -> list[ReachRow]:
    """Open pairs of a domain."""
    return _rows(connection, _open(cluster).where(or_(_reach.c.source == domain, _reach.c.destination == domain)))


def _open(cluster: str) -> Select[tuple[object, ...]]:
    return select(_reach).where(_reach.c.cluster == cluster, _reach.c.to_at.is_(None))


def _rows(connection: Connection, statement: Select[tuple[object, ...]]) -> list[ReachRow]:
    rows = connection.execute(statement.order_by(_reach.c.source, _reach.c.destination)).mappings()
    return [ReachRow(**{name: row[name] for name in ReachRow.__struct_fields__}) for row in rows]


class EffectRow(Struct, frozen=True, kw_only=True):
    """What a change of what decides did to pairs of domains, in words; None: nobody can tell."""

    id: int
    at: datetime
    kind: str
    namespace: str
    name: str
    change: str
    widened: list[str] | None
    closed: list[str] | None


def effects_after(connection: Connection, cluster: str, after_id: int, limit: int = 500) -> list[EffectRow]:
    """In the order in which they were recorded."""
    table = tables.policy_change
    statement = select(table).where(table.c.cluster == cluster, table.c.id > after_id).order_by(table.c.id)
    rows = connection.execute(statement.limit(limit)).mappings()
    return [EffectRow(**{name: row[name] for name in EffectRow.__struct_fields__}) for row in rows]


def traffic(connection: Connection, cluster: str) -> list[TrafficRow]:
    """Summed up by the domains of both ends: the answer grows with the domains, not with the paths."""
    grouped = (
        _path.c.source_domains,
        _path.c.destination_domains,
        _end(_path.c.source).label("source"),
        _end(_path.c.destination).label("destination"),
        _path.c.flow_class,
    )
    statement = select(*grouped, func.count().label("paths")).where(
        _path.c.cluster == cluster, _path.c.is_gone.is_(False)
    )
    return [
        TrafficRow(
            sources=row.source_domains or [row.source],
            destinations=row.destination_domains or [row.destination],
            flow_class=row.flow_class,
            paths=row.paths,
        )
        for row in connection.execute(statement.group_by(*grouped))
    ]


def _end(name: Column[str]) -> Case[str]:
    """What an end is if no domain holds it. Written out, not bound: PostgreSQL groups by equal texts only."""
    unknown, outside = (literal_column(f"'{word}'", String) for word in (UNKNOWN, OUTSIDE))
    return case((name == unknown, unknown), else_=outside)
