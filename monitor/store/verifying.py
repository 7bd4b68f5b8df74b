"""`segmon verify`: the chain recomputed, and the tables held against what it covers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Table, select

from models import tables
from monitor.store import chain, findings, revisions
from monitor.store.errors import ChainBrokenError


class Verified(Struct, frozen=True, kw_only=True):
    """What was looked at. `head` is to be compared with a copy kept elsewhere (a report, a log)."""

    cluster: str
    chain_rows: int
    revisions: int
    transitions: int
    head: str


def verify(connection: Connection, cluster: str) -> Verified:
    rows = chain.verify(connection, cluster)
    head = connection.execute(
        select(tables.chain_head.c.hash).where(tables.chain_head.c.cluster == cluster)
    ).scalar_one_or_none()
    return Verified(
        cluster=cluster,
        chain_rows=rows,
        revisions=_compare(connection, cluster, tables.fact_revision, revisions.covered),
        transitions=_compare(connection, cluster, tables.finding_transition, findings.covered),
        head=head or chain.GENESIS,
    )


def _compare(connection: Connection, cluster: str, table: Table, covered: Any) -> int:
    """Every row in the order it was appended must be what the chain covers, no more and no fewer."""
    promised = chain.contents(connection, cluster, table.name)
    count = 0
    for row in _rows(connection, cluster, table):
        found = msgspec.json.decode(msgspec.json.encode(covered(row), order="deterministic"))
        expected = next(promised, None)
        if found != expected:
            raise ChainBrokenError(f"{table.name} of {cluster}: row {row['id']} is not what the chain covers")
        count += 1
    if (left := next(promised, None)) is not None:
        raise ChainBrokenError(f"{table.name} of {cluster}: a row that the chain covers is missing: {left}")
    return count


def _rows(connection: Connection, cluster: str, table: Table) -> Iterator[Mapping[str, Any]]:
    statement = select(table).where(table.c.cluster == cluster).order_by(table.c.id)
    for row in connection.execution_options(yield_per=1000).execute(statement).mappings():
        yield dict(row)
