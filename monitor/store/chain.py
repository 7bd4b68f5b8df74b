"""The hash chain: one per cluster, one row for all rows of one table in one transaction (docs/architecture.md).

Law: a digest covers the canonical bytes that are stored beside it, never columns read back; a row's hash covers its
digest, its place and the hash before it, so nothing can be changed, left out or put in without a break.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select

from models import tables
from monitor.store import sql
from monitor.store.errors import ChainBrokenError

GENESIS = "0" * 64

_head = tables.chain_head
_LOCKED = select(_head.c.seq, _head.c.hash).where(_head.c.cluster == bindparam("of_cluster")).with_for_update()

_encoder = msgspec.json.Encoder(order="deterministic")


def append(
    connection: Connection, cluster: str, at: datetime, changes: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """One row for each table that has changes, in the order of their names. The head is locked first."""
    if not any(changes.values()):
        return
    seq, head = _locked_head(connection, cluster)
    rows = []
    for what in sorted(name for name, content in changes.items() if content):
        content = _encoder.encode(list(changes[what]))
        digest = hashlib.sha256(content).hexdigest()
        seq += 1
        previous, head = head, linked(cluster, seq, what, digest, head)
        rows.append(
            {
                "cluster": cluster,
                "seq": seq,
                "at": at,
                "what": what,
                "content": content,
                "digest": digest,
                "previous": previous,
                "hash": head,
            }
        )
    sql.add(connection, tables.chain, rows)
    sql.put(connection, _head, [{"cluster": cluster, "seq": seq, "hash": head}])


def linked(cluster: str, seq: int, what: str, digest: str, previous: str) -> str:
    """The hash of a row."""
    return hashlib.sha256(f"{cluster}\x00{seq}\x00{what}\x00{digest}\x00{previous}".encode()).hexdigest()


def _locked_head(connection: Connection, cluster: str) -> tuple[int, str]:
    place = {"of_cluster": cluster}
    row = connection.execute(_LOCKED, place).one_or_none()
    if row is None:
        # somebody else may begin the same chain: the insert waits for him, the second look sees his row
        first = sql.insert(connection.dialect.name, _head).values(cluster=cluster, seq=0, hash=GENESIS)
        connection.execute(first.on_conflict_do_nothing())
        row = connection.execute(_LOCKED, place).one()
    return row.seq, row.hash


def hash_at(connection: Connection, cluster: str, seq: int) -> str | None:
    """The hash of one row; None: there is no such row."""
    table = tables.chain
    statement = select(table.c.hash).where(table.c.cluster == cluster, table.c.seq == seq)
    found: str | None = connection.execute(statement).scalar_one_or_none()
    return found


def verify(connection: Connection, cluster: str) -> int:
    """Recompute the chain of a cluster; returns the number of rows. ChainBrokenError names the first bad one."""
    expected_seq, previous = 1, GENESIS
    for row in _rows(connection, cluster):
        place = f"chain of {cluster}, row {row.seq} ({row.what}, {row.at:%Y-%m-%d %H:%M:%S} UTC)"
        if row.seq != expected_seq:
            raise ChainBrokenError(f"{place}: row {expected_seq} is missing")
        if hashlib.sha256(row.content).hexdigest() != row.digest:
            raise ChainBrokenError(f"{place}: its content was changed")
        if row.previous != previous or linked(cluster, row.seq, row.what, row.digest, previous) != row.hash:
            raise ChainBrokenError(f"{place}: it does not follow the row before it")
        expected_seq, previous = row.seq + 1, row.hash
    _verify_head(connection, cluster, expected_seq - 1, previous)
    return expected_seq - 1


def _verify_head(connection: Connection, cluster: str, seq: int, head_hash: str) -> None:
    head = connection.execute(select(_head).where(_head.c.cluster == cluster)).one_or_none()
    stored = (head.seq, head.hash) if head else (0, GENESIS)
    if stored != (seq, head_hash):
        raise ChainBrokenError(
            f"chain of {cluster}: its last rows are missing (the head is {stored[0]}, {seq} are there)"
        )


def _rows(connection: Connection, cluster: str) -> Iterator[Any]:
    statement = select(tables.chain).where(tables.chain.c.cluster == cluster).order_by(tables.chain.c.seq)
    yield from connection.execution_options(yield_per=1000).execute(statement)


def contents(connection: Connection, cluster: str, what: str) -> Iterator[Mapping[str, Any]]:
    """Every entry that the chain covers of one table, in order."""
    for row in _rows(connection, cluster):
        if row.what == what:
            yield from msgspec.json.decode(row.content)
