"""What match records: a batch counted once, its windows and paths, and the paths waiting to be published.

Law 1: the place in the source (`source_position`) is locked first, and moves in the same transaction as the counts.
Law 2: sealed window rows are never touched; late records open the next part.
Law 3: a path that is new or changes class goes to the outbox in a new version; a drain clears the version it read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from models import tables
from models.facts import FlowClass
from models.recording import FlowRecording, FlowsRecorded, OutboxRow, SeenPath
from monitor.store import chain, sql
from monitor.store.errors import Fenced

_places = tables.source_position
_paths = tables.observed_path
_windows = tables.flow_window

UNHEARD = -1
"""The position of a generation's row inside the transaction that hears it for the first time."""


def record(connection: Connection, recording: FlowRecording) -> FlowsRecorded:
    """Count a batch, or find that it was counted.

    Fenced if only a part of it was: the caller reads `place` again and judges the rest.
    """
    stored = _locked_place(connection, recording)
    if stored is not None and recording.start < stored.position:
        if recording.end <= stored.position:
            return FlowsRecorded(counted=False)
        raise Fenced(f"{recording.source} was counted up to {stored.position}, this batch begins at {recording.start}")
    gap = _gap(connection, recording, stored)
    _move_place(connection, recording, stored)
    changed = _record_paths(connection, recording)
    _record_windows(connection, recording)
    if gap:
        sql.add(connection, tables.evidence_gap, [gap])
        chain.append(connection, recording.cluster, recording.at, {"evidence_gap": [gap]})
    return FlowsRecorded(counted=True, changed_paths=changed, gap=gap is not None)


def place(connection: Connection, cluster: str, source: str, generation: str) -> int | None:
    """Up to where a generation of a source is counted; None = never heard."""
    return connection.execute(
        select(_places.c.position).where(
            _places.c.cluster == cluster, _places.c.source == source, _places.c.generation == generation
        )
    ).scalar_one_or_none()


def _is_place(recording: FlowRecording) -> Any:
    return (
        (_places.c.cluster == recording.cluster)
        & (_places.c.source == recording.source)
        & (_places.c.generation == recording.generation)
    )


def _locked_place(connection: Connection, recording: FlowRecording) -> Any:
    """The locked row; None for a generation that was never heard.

    Its row is put there first, so that two that hear it at once have something to wait for each other on.
    """
    unheard = _place_row(recording) | {"position": UNHEARD}
    connection.execute(sql.insert(connection.dialect.name, _places).values(**unheard).on_conflict_do_nothing())
    row = connection.execute(select(_places).where(_is_place(recording)).with_for_update()).one()
    return None if row.position == UNHEARD else row


def _gap(connection: Connection, recording: FlowRecording, stored: Any) -> dict[str, Any] | None:
    """What was never delivered: before `start`, at the end of the generation before, or lost by the source itself."""
    missing = []
    if stored is not None and recording.start > stored.position:
        missing.append(f"{recording.start - stored.position} of {recording.generation} never delivered")
    if stored is None and recording.predecessor:
        missing += _missing_of_predecessor(connection, recording)
    if recording.lost:
        missing.append(f"{recording.lost} records lost by the source")
    if not missing:
        return None
    from_at = stored.heard_at if stored is not None else recording.at
    return {
        "cluster": recording.cluster,
        "input": recording.source,
        "from_at": min(from_at, recording.at),
        "to_at": recording.at,
        "reason": "; ".join(missing),
    }


def _missing_of_predecessor(connection: Connection, recording: FlowRecording) -> list[str]:
    before = connection.execute(
        select(_places.c.position).where(
            _places.c.cluster == recording.cluster,
            _places.c.source == recording.source,
            _places.c.generation == recording.predecessor,
        )
    ).scalar_one_or_none()
    if before is None or before >= recording.predecessor_end:
        return []
    return [f"the last {recording.predecessor_end - before} of {recording.predecessor} never delivered"]


def _move_place(connection: Connection, recording: FlowRecording, stored: Any) -> None:
    row = _place_row(recording)
    if stored is not None:
        row["position"] = max(recording.end, stored.position)
        row["heard_at"] = max(recording.at, stored.heard_at)
        row |= {name: row[name] + getattr(stored, name) for name in ("records", "unparsed", "lost")}
    sql.put(connection, _places, [row])


def _place_row(recording: FlowRecording) -> dict[str, Any]:
    return {
        "cluster": recording.cluster,
        "source": recording.source,
        "generation": recording.generation,
        "node": recording.node,
        "position": recording.end,
        "heard_at": recording.at,
        "records": recording.records,
        "unparsed": recording.unparsed,
        "lost": recording.lost,
    }


def _record_paths(connection: Connection, recording: FlowRecording) -> int:
    if not recording.paths:
        return 0
    stored: dict[str, Any] = {}
    for part in sql.chunks(path.path_id for path in recording.paths):
        found = connection.execute(
            select(_paths)
            .where(_paths.c.cluster == recording.cluster, _paths.c.path_id.in_(part))
            .order_by(_paths.c.path_id)
            .with_for_update()
        )
        stored.update((row.path_id, row) for row in found)
    changed = 0
    rows: list[dict[str, Any]] = []
    for path in sorted(recording.paths, key=lambda each: each.path_id):
        old = stored.get(path.path_id)
        is_new = _is_news(path, old)
        changed += is_new
        rows.append(_path_row(recording.cluster, path, old, is_new=is_new))
    sql.put(connection, _paths, rows)
    return changed


def _is_news(path: SeenPath, old: Any) -> bool:
    """An older class does not come back with a late record: the newest sight decides."""
    if old is None or old.is_gone:
        return True
    return bool(path.last_at >= old.last_at and old.flow_class != path.flow_class.value)


def _path_row(cluster: str, path: SeenPath, old: Any, *, is_new: bool) -> dict[str, Any]:
    is_newest = old is None or old.is_gone or path.last_at >= old.last_at
    return {
        "cluster": cluster,
        "path_id": path.path_id,
        "source": path.source,
        "destination": path.destination,
        "source_domains": list(path.source_domains),
        "destination_domains": list(path.destination_domains),
        "protocol": path.protocol,
        "port": path.port,
        "flow_class": path.flow_class.value if is_newest else old.flow_class,
        "basis": path.basis if is_newest else old.basis,
        "cause": path.cause if is_newest else old.cause,
        "since": path.first_at if is_new else old.since,
        "first_at": min(path.first_at, old.first_at) if old else path.first_at,
        "last_at": max(path.last_at, old.last_at) if old else path.last_at,
        "count": path.count + (old.count if old else 0),
        "version": (old.version if old else 0) + (1 if is_new else 0),
        "is_gone": False,
        "outbox": is_new or bool(old and old.outbox),
    }


def _record_windows(connection: Connection, recording: FlowRecording) -> None:
    if not recording.windows:
        return
    sealed = _sealed_parts(connection, recording)
    statement = sql.insert(connection.dialect.name, _windows)
    statement = statement.on_conflict_do_update(
        index_elements=[column.name for column in _windows.primary_key],
        set_={"count": _windows.c.count + statement.excluded["count"]},
    )
    connection.execute(
        statement,
        [
            {
                "cluster": recording.cluster,
                "partition": recording.partition,
                "window_at": window.window_at,
                "part": sealed.get(window.window_at, -1) + 1,
                "path_id": window.path_id,
                "flow_class": window.flow_class.value,
                "count": window.count,
                "is_sealed": False,
            }
            for window in recording.windows
        ],
    )


def _sealed_parts(connection: Connection, recording: FlowRecording) -> dict[datetime, int]:
    rows = connection.execute(
        select(_windows.c.window_at, func.max(_windows.c.part).label("part"))
        .where(
            _windows.c.cluster == recording.cluster,
            _windows.c.partition == recording.partition,
            _windows.c.window_at.in_(sorted({window.window_at for window in recording.windows})),
            _windows.c.is_sealed,
        )
        .group_by(_windows.c.window_at)
    )
    return {row.window_at: row.part for row in rows}


def seal(connection: Connection, cluster: str, partition: int, before: datetime, at: datetime) -> int:
    """Close windows that ended before a time and put them into the chain; returns how many rows."""
    mine = (_windows.c.cluster == cluster) & (_windows.c.partition == partition)
    due = mine & (_windows.c.window_at < before) & _windows.c.is_sealed.is_(False)
    rows = connection.execute(select(_windows).where(due).order_by(*_windows.primary_key).with_for_update()).mappings()
    sealed = [_covered(dict(row)) for row in rows]
    if sealed:
        connection.execute(update(_windows).where(due).values(is_sealed=True))
        chain.append(connection, cluster, at, {"flow_window": sealed})
    return len(sealed)


def covered(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the chain says of a window's row; None while it is not sealed."""
    return _covered(row) if row["is_sealed"] else None


def _covered(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in row if name not in {"cluster", "is_sealed"}}


# --- outbox ------------------------------------------------------------------------------------------------------


@contextmanager
def draining(connection: Connection, cluster: str) -> Iterator[bool]:
    """Whether this connection drains the cluster's outbox alone, for as long as the block lasts."""
    if connection.dialect.name != "postgresql":
        yield True  # one match process
        return
    with sql.locked(connection, f"segmon-outbox:{cluster}") as got:
        yield got


def waiting(connection: Connection, cluster: str, limit: int = 500) -> list[OutboxRow]:
    """Paths to publish, oldest change first."""
    rows = connection.execute(
        select(_paths).where(_paths.c.cluster == cluster, _paths.c.outbox).order_by(_paths.c.since).limit(limit)
    ).mappings()
    return [_outbox_row(dict(row)) for row in rows]


def clear(connection: Connection, cluster: str, sent: Sequence[tuple[str, int]]) -> None:
    """What was acknowledged: only in the version that was read; a later change stays in the outbox."""
    if sent:
        connection.execute(
            update(_paths)
            .where(
                _paths.c.cluster == cluster,
                _paths.c.path_id == bindparam("of_path"),
                _paths.c.version == bindparam("of_version"),
            )
            .values(outbox=False),
            [{"of_path": path_id, "of_version": version} for path_id, version in sent],
        )


def forget(connection: Connection, cluster: str, unseen_since: datetime) -> int:
    """Paths not seen for long are gone, and that is published too."""
    done = connection.execute(
        update(_paths)
        .where(_paths.c.cluster == cluster, _paths.c.last_at < unseen_since, _paths.c.is_gone.is_(False))
        .values(is_gone=True, outbox=True, version=_paths.c.version + 1)
    )
    return done.rowcount


def _outbox_row(row: Mapping[str, Any]) -> OutboxRow:
    path = SeenPath(
        path_id=row["path_id"],
        source=row["source"],
        destination=row["destination"],
        source_domains=tuple(row["source_domains"]),
        destination_domains=tuple(row["destination_domains"]),
        protocol=row["protocol"],
        port=row["port"],
        flow_class=FlowClass(row["flow_class"]),
        basis=row["basis"],
        cause=row["cause"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        count=row["count"],
    )
    return OutboxRow(path=path, since=row["since"], version=row["version"], is_gone=row["is_gone"])
