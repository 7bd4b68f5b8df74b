"""Which reports were made: a scheduled one is claimed before it is made, so that two processes make it once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Engine, delete, func, select, update

from models import tables
from monitor.store import chain, sql
from monitor.store.errors import StoreError

_table = tables.report


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


@contextmanager
def alone(engine: Engine, report: str) -> Iterator[bool]:
    """Whether nobody else makes this scheduled report while the block lasts. The lock dies with its holder.

    SQLite is on one machine: a lock on a file beside it is waited for, and whoever waited finds the report made.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection, sql.locked(connection, f"segmon-report:{report}") as got:
            connection.commit()
            yield got
        return
    with Path(f"{engine.url.database}.reports").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield True


def claim(connection: Connection, wanted: Claim) -> str | None:
    """The number to make it under; None: it is there. A scheduled one is claimed by who is `alone` with it."""
    number = f"{wanted.report}.{_last_number(connection, wanted) + 1}"
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
    granted = sql.insert(connection.dialect.name, _table).values(**row).on_conflict_do_nothing().returning(_table.c.id)
    found: str | None = connection.execute(granted).scalar_one_or_none()
    if found or not wanted.schedule:
        return found
    return _taken_over(connection, wanted, number)


def _last_number(connection: Connection, wanted: Claim) -> int:
    """Of the versions that were ever begun: a folder that a dead one left has its own number."""
    begun = select(_table.c.id).where(_table.c.cluster == wanted.cluster, _table.c.id.startswith(f"{wanted.report}."))
    return max((int(number.rpartition(".")[2]) for number in connection.execute(begun).scalars()), default=0)


def _taken_over(connection: Connection, wanted: Claim, number: str) -> str | None:
    """The claim of somebody who died: nobody else can hold it."""
    statement = (
        update(_table)
        .where(
            _table.c.cluster == wanted.cluster,
            _table.c.domain == wanted.domain,
            _table.c.schedule == wanted.schedule,
            _table.c.from_at == wanted.from_at,
            _table.c.to_at == wanted.to_at,
            _table.c.manifest.is_(None),
        )
        .values(id=number, made_at=wanted.at, release=wanted.release)
        .returning(_table.c.id)
    )
    return connection.execute(statement).scalar_one_or_none()


def made_until(connection: Connection, cluster: str, schedule: str) -> datetime | None:
    """The end of the last period that a schedule made a report of all domains for."""
    found: datetime | None = connection.execute(
        select(func.max(_table.c.to_at)).where(
            _table.c.cluster == cluster,
            _table.c.domain == "",
            _table.c.schedule == schedule,
            _table.c.manifest.is_not(None),
        )
    ).scalar_one()
    return found


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
        raise StoreError(f"report {number} was taken over by somebody else: the database was away meanwhile")
    chain.append(connection, row["cluster"], row["made_at"], {"report": [_covered(row)]})


def covered(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the chain says of a report; None while it is being made."""
    return None if row["manifest"] is None else _covered(row)


def _covered(row: Any) -> dict[str, Any]:
    return {column.name: row[column.name] for column in _table.c if column.name != "cluster"}


def abandon(connection: Connection, number: str) -> None:
    connection.execute(delete(_table).where(_table.c.id == number, _table.c.manifest.is_(None)))


def with_manifest(connection: Connection, cluster: str, manifest: str) -> str | None:
    """The number of the report whose manifest has this digest."""
    statement = select(_table.c.id).where(_table.c.cluster == cluster, _table.c.manifest == manifest)
    return connection.execute(statement.order_by(_table.c.id).limit(1)).scalar_one_or_none()


def made(connection: Connection, cluster: str) -> list[ReportRow]:
    """Newest first."""
    rows = connection.execute(
        select(_table)
        .where(_table.c.cluster == cluster, _table.c.manifest.is_not(None))
        .order_by(_table.c.made_at.desc(), _table.c.id)
    ).mappings()
    return [ReportRow(**{name: row[name] for name in ReportRow.__struct_fields__}) for row in rows]
