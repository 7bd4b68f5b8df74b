"""Vouched time: until when each input of a cluster was seen, and what nobody saw (docs/architecture.md, Time).

A live evaluation moves `until` to the log time at which the input was last seen. If the input's unbroken time begins
after the stored `until`, what depends on it is *not evaluated* from `until` to this evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from models import tables
from models.compliance import Vouched
from models.recording import Recording
from monitor.store import intervals, sql

EVALUATION = "evaluation"
_table = tables.vouched


CUT = (intervals.STATUSES, intervals.REACH_STATUS)
"""Tables whose open intervals rest on inputs."""


_of_cluster = _table.c.cluster == bindparam("of_cluster")
_STORED = select(_table).where(_of_cluster)
_JUDGED = update(_table).where(_of_cluster).values(at=bindparam("to_at")).returning(_table)


def record(connection: Connection, recording: Recording) -> dict[str, intervals.Moves]:
    """Move what is vouched for, cut out what is not. Returns what the chain is to cover, by table."""
    stored = _looked_at(connection, recording)
    gaps: list[dict[str, Any]] = []
    cuts: dict[str, intervals.Moves] = {spans.table.name: [] for spans in CUT}
    for each in recording.vouched:
        if unseen_from := _unseen_from(connection, recording, each, stored.get(each.input)):
            reason = each.reason or f"{each.input} was not seen"
            gaps.append(_gap(recording.cluster, each.input, (unseen_from, recording.at, reason)))
            _cut(connection, recording, cuts, gaps[-1])
    for span in recording.not_evaluated:
        gaps.append(_gap(recording.cluster, EVALUATION, (span.from_at, span.to_at, span.reason)))
        _cut(connection, recording, cuts, gaps[-1])
    sql.add(connection, tables.evidence_gap, gaps)
    _write(connection, recording, stored)
    return {**cuts, tables.evidence_gap.name: [dict(gap) for gap in gaps]}


def _unseen_from(connection: Connection, recording: Recording, each: Vouched, stored: Any) -> datetime | None:
    """Where a break begins that was not cut out yet; None: there is none.

    Its end may come long before all of the input is seen again: of flows, every partition is heard in its own time.
    """
    if stored is None or stored.until is None or each.unbroken_since in {None, stored.from_at}:
        return None
    if each.unbroken_since <= stored.until:
        return None
    begin = max(stored.until, _cut_until(connection, recording.cluster, each.input) or stored.until)
    return begin if each.unbroken_since > begin and begin < recording.at else None


def _cut_until(connection: Connection, cluster: str, name: str) -> datetime | None:
    gap = tables.evidence_gap
    found: datetime | None = connection.execute(
        select(func.max(gap.c.to_at)).where(gap.c.cluster == cluster, gap.c.input == name)
    ).scalar_one()
    return found


def _looked_at(connection: Connection, recording: Recording) -> dict[str, Any]:
    """The rows as they are; of an evaluation its time is written as they are read, in one statement for all inputs."""
    place = {"of_cluster": recording.cluster}
    rows = (
        connection.execute(_JUDGED, place | {"to_at": recording.at})
        if recording.vouched
        else connection.execute(_STORED, place)
    )
    return {row.input: row for row in rows}


def _write(connection: Connection, recording: Recording, stored: Mapping[str, Any]) -> None:
    """Between two heartbeats nothing but the time of the evaluation moves, and that has moved."""
    rows = [_row(recording, each, stored.get(each.input)) for each in recording.vouched]
    sql.put(connection, _table, [row for row in rows if _differs(row, stored.get(row["input"]))])


def _differs(row: Mapping[str, Any], stored: Any) -> bool:
    return stored is None or any(row[name] != getattr(stored, name) for name in ("from_at", "until", "state", "reason"))


def _cut(
    connection: Connection, recording: Recording, cuts: dict[str, intervals.Moves], gap: Mapping[str, Any]
) -> None:
    """Out of whatever rests on the input; on evaluation rests everything."""
    span = (gap["from_at"], gap["to_at"], gap["reason"])
    for spans in CUT:
        cuts[spans.table.name] += intervals.cut_out(
            connection, spans, recording.cluster, span, lambda needs: gap["input"] in {EVALUATION, *needs}
        )


def _gap(cluster: str, name: str, span: tuple[datetime, datetime, str]) -> dict[str, Any]:
    return {"cluster": cluster, "input": name, "from_at": span[0], "to_at": span[1], "reason": span[2]}


def _row(recording: Recording, each: Vouched, stored: Any) -> dict[str, Any]:
    """`until` never goes back."""
    seen = [moment for moment in (each.seen_at, stored.until if stored else None) if moment]
    return {
        "cluster": recording.cluster,
        "input": each.input,
        "from_at": each.unbroken_since,
        "until": max(seen) if seen else None,
        "state": each.state,
        "reason": each.reason,
        "at": recording.at,
    }
