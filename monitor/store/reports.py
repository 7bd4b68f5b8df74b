"""Which reports were made: a scheduled one is claimed before it is made, so that two processes make it once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, func, select, update

from models import tables
from monitor.store import chain, sql
from monitor.store.errors import StoreError

_table = tables.report

ABANDONED = timedelta(hours=1)
"""A claim without a report for so long is somebody's who died."""


class Claim(Struct, frozen=True, kw_only=True):
    """`schedule` "" = asked for by hand: always granted, as a further version."""

    report: str
    cluster: str
    domain: str
    schedule: str
    from_at: datetime
    to_at: datetime
    at: datetime
    release: str


class Made(Struct, frozen=True, kw_only=True):
    """`manifest`: the digest of the manifest, which has those of all files."""

    manifest: str
    chain_seq: int
    chain_hash: str
    place: str


class ReportRow(Struct, frozen=True, kw_only=True):
    id: str
    cluster: str
    domain: str
    schedule: str
    from_at: datetime
    to_at: datetime
    made_at: datetime
    release: str
    manifest: str
    place: str


def claim(connection: Connection, wanted: Claim) -> str | None:
    """The number to make it under."""
    connection.execute(
        delete(_table).where(
            _table.c.cluster == wanted.cluster,
            _table.c.manifest.is_(None),
            _table.c.made_at < wanted.at - ABANDONED,
        )
    )
    versions = select(func.count()).where(_table.c.cluster == wanted.cluster, _table.c.id.startswith(wanted.report))
    number = f"{wanted.report}.{connection.execute(versions).scalar_one() + 1}"
    row = {
        "id": number,
        "cluster": wanted.cluster,
        "domain": wanted.domain,
        "schedule": wanted.schedule,
        "from_at": wanted.from_at,
        "to_at": wanted.to_at,
        "made_at": wanted.at,
        "release": wanted.release,
        "manifest": None,
        "chain_seq": 0,
        "chain_hash": chain.GENESIS,
        "place": "",
    }
    granted = sql.insert(connection, _table).values(**row).on_conflict_do_nothing().returning(_table.c.id)
    return connection.execute(granted).scalar_one_or_none()


def finish(connection: Connection, number: str, made: Made) -> None:
    """Written, with all its digests; in the chain from now on."""
    done = connection.execute(
        update(_table)
        .where(_table.c.id == number, _table.c.manifest.is_(None))
        .values(manifest=made.manifest, chain_seq=made.chain_seq, chain_hash=made.chain_hash, place=made.place)
        .returning(_table)
    )
    row = done.mappings().one_or_none()
    if row is None:
        raise StoreError(f"report {number} was taken over by somebody else: it took longer than {ABANDONED}")
    chain.append(connection, row["cluster"], row["made_at"], {"report": [_covered(row)]})


def covered(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the chain says of a report; None while it is being made."""
    return None if row["manifest"] is None else _covered(row)


def _covered(row: Any) -> dict[str, Any]:
    return {column.name: row[column.name] for column in _table.c if column.name != "cluster"}


def abandon(connection: Connection, number: str) -> None:
    connection.execute(delete(_table).where(_table.c.id == number, _table.c.manifest.is_(None)))


def made(connection: Connection, cluster: str) -> list[ReportRow]:
    """Newest first."""
    rows = connection.execute(
        select(_table)
        .where(_table.c.cluster == cluster, _table.c.manifest.is_not(None))
        .order_by(_table.c.made_at.desc(), _table.c.id)
    ).mappings()
    return [ReportRow(**{name: row[name] for name in ReportRow.__struct_fields__}) for row in rows]
