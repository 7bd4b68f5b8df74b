"""`segmon verify`: the chain recomputed, and the tables held against what it covers.

Appended rows must be what was chained, in that order; intervals must be what their chained moves lead to. What is not
there any more must be older than what the chain says was retired, and followed by what `retiring` keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Table, select

from models import tables
from monitor.store import chain as chains
from monitor.store import changes, findings, flows, intervals, reports, retiring, revisions
from monitor.store.errors import ChainBrokenError


class Verified(Struct, frozen=True, kw_only=True):
    """What was looked at. `head` is to be compared with a copy kept elsewhere (a report, a log)."""

    cluster: str
    chain_rows: int
    revisions: int
    transitions: int
    head: str
    statuses: int = 0
    reach: int = 0
    changes: int = 0
    gaps: int = 0
    windows: int = 0
    reports: int = 0


def verify(connection: Connection, cluster: str) -> Verified:
    """ChainBrokenError names the first row that does not fit."""
    rows = chains.verify(connection, cluster)
    head = connection.execute(
        select(tables.chain_head.c.hash).where(tables.chain_head.c.cluster == cluster)
    ).scalar_one_or_none()
    _replay(connection, cluster, intervals.REACH_STATUS)
    return Verified(
        cluster=cluster,
        chain_rows=rows,
        revisions=_compare(connection, cluster, tables.fact_revision, revisions.covered),
        transitions=_compare(connection, cluster, tables.finding_transition, findings.covered),
        changes=_compare(connection, cluster, tables.policy_change, changes.covered),
        statuses=_replay(connection, cluster, intervals.STATUSES),
        reach=_replay(connection, cluster, intervals.REACH),
        gaps=_count(connection, cluster, tables.evidence_gap, _gap),
        reports=_count(connection, cluster, tables.report, reports.covered),
        windows=_count(connection, cluster, tables.flow_window, flows.covered),
        head=head or chains.GENESIS,
    )


def _compare(connection: Connection, cluster: str, table: Table, covered: Callable[[Any], Any]) -> int:
    """Every row in the order it was appended must be what the chain covers, no more and no fewer."""
    promised = _not_retired(connection, cluster, table.name)
    count = 0
    for row in _rows(connection, cluster, table):
        found = _plain(covered(row))
        if not any(entry == found for entry in _up_to_a_kept(promised, found)):
            raise ChainBrokenError(f"{table.name} of {cluster}: row {row['id']} is not what the chain covers")
        count += 1
    if (left := next((entry for entry, may_be_gone in promised if not may_be_gone), None)) is not None:
        raise ChainBrokenError(f"{table.name} of {cluster}: a row that the chain covers is missing: {_short(left)}")
    return count


def _up_to_a_kept(promised: Iterator[tuple[Mapping[str, Any], bool]], found: Mapping[str, Any]) -> Iterator[Any]:
    """What may be gone is passed over, up to the row that was found or to one that must be there."""
    for entry, may_be_gone in promised:
        yield entry
        if entry == found or not may_be_gone:
            return


def _not_retired(connection: Connection, cluster: str, table: str) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """What the chain covers of a table, and of each entry whether it may be gone."""
    limit, thread = retiring.limits_of(connection, cluster).get(table), retiring.THREADS.get(table)
    newest: dict[str, int] = {}
    if limit and thread:
        for place, entry in enumerate(chains.contents(connection, cluster, table)):
            if _time(entry["at"]) < limit:
                newest[entry[thread]] = place
    for place, entry in enumerate(chains.contents(connection, cluster, table)):
        yield entry, bool(limit and thread and _time(entry["at"]) < limit and newest[entry[thread]] != place)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _gap(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in row if name != "id"}


def _count(connection: Connection, cluster: str, table: Table, covered: Callable[[Any], Any | None]) -> int:
    """Rows that two processes append: their numbers need not follow the chain's order, but none may differ."""
    promised: dict[bytes, int] = {}
    for entry in chains.contents(connection, cluster, table.name):
        promised[_key(entry)] = promised.get(_key(entry), 0) + 1
    count = 0
    for row in _rows(connection, cluster, table):
        if (said := covered(row)) is None:
            continue
        key = _key(said)
        if not promised.get(key):
            raise ChainBrokenError(f"{table.name} of {cluster}: not what the chain covers: {key.decode()}")
        promised[key] -= 1
        count += 1
    limit = retiring.limits_of(connection, cluster).get(table.name)
    if left := next((key for key, times in promised.items() if times and not _is_window_before(key, limit)), None):
        raise ChainBrokenError(f"{table.name} of {cluster}: a row that the chain covers is missing: {left.decode()}")
    return count


def _is_window_before(key: bytes, limit: datetime | None) -> bool:
    return limit is not None and _time(msgspec.json.decode(key)["window_at"]) < limit


def _replay(connection: Connection, cluster: str, spans: intervals.Spans) -> int:
    """Open, close and drop as the chain says; the table must be what comes out."""
    expected: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in chains.contents(connection, cluster, spans.table.name):
        _move(expected, entry, tuple(entry[name] for name in (*spans.identity, "from_at")))
    count = 0
    for row in _rows(connection, cluster, spans.table):
        found = _plain({name: row[name] for name in (*spans.identity, *spans.said, "from_at", "to_at")})
        if expected.pop(tuple(found[name] for name in (*spans.identity, "from_at")), None) != found:
            place = " ".join(str(row[name]) for name in spans.identity)
            raise ChainBrokenError(
                f"{spans.table.name} of {cluster}: {place} from {row['from_at']:%Y-%m-%d %H:%M:%S} UTC"
                " is not what the chain covers"
            )
        count += 1
    limit = retiring.limits_of(connection, cluster).get(spans.table.name)
    if left := next((each for each in expected.values() if not _ended_before(each, limit)), None):
        raise ChainBrokenError(f"{spans.table.name} of {cluster}: the chain covers one that is missing: {_short(left)}")
    return count


def _ended_before(span: Mapping[str, Any], limit: datetime | None) -> bool:
    return limit is not None and span["to_at"] is not None and _time(span["to_at"]) < limit


def _move(expected: dict[tuple[str, ...], dict[str, Any]], entry: Mapping[str, Any], key: tuple[str, ...]) -> None:
    match entry["move"]:
        case "opened":
            expected[key] = {name: value for name, value in entry.items() if name != "move"}
        case "closed":
            expected[key]["to_at"] = entry["to_at"]
        case _:
            del expected[key]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """As it is in the chain: times and all else as JSON has them."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row))
    return plain


def _key(entry: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(entry, order="deterministic")


def _short(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in entry.items() if isinstance(value, str) and value)[:300]


def _rows(connection: Connection, cluster: str, table: Table) -> Iterator[Mapping[str, Any]]:
    statement = select(table).where(table.c.cluster == cluster).order_by(*table.primary_key)
    for row in connection.execution_options(yield_per=1000).execute(statement).mappings():
        yield dict(row)
