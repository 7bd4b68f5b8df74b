"""The door to the database: every method is one transaction, blocking, called from threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Self

from msgspec import structs
from sqlalchemy import Connection, Engine, and_, bindparam, select, text, update
from sqlalchemy.exc import OperationalError

from models import tables, wire
from models.facts import Fact, FactKey
from models.recording import FlowRecording, FlowsRecorded, OutboxRow, Recorded, Recording, Transition
from models.topics import Position
from monitor.store import (
    chain,
    changes,
    connecting,
    findings,
    flows,
    intervals,
    reporting,
    reports,
    retiring,
    revisions,
    sql,
    upgrading,
    verifying,
    vouching,
)
from monitor.store.errors import Fenced, away

_applied = tables.applied

_is_place = and_(_applied.c.partition == bindparam("of_partition"), _applied.c.cluster == bindparam("of_cluster"))
_STANDING = select(_applied.c.epoch, _applied.c.offset).where(_is_place)
_MOVE = (
    update(_applied)
    .where(_is_place, _applied.c.epoch == bindparam("was_epoch"), _applied.c.offset == bindparam("was_offset"))
    .values(epoch=bindparam("to_epoch"), offset=bindparam("to_offset"), at=bindparam("to_at"))
)


class Store:
    """Opened once for each process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """StoreError for a URL that cannot be used; the database itself is not asked yet."""
        return cls(connecting.connect(url))

    def close(self) -> None:
        self._engine.dispose()

    def upgrade(self) -> tuple[str, str]:
        return upgrading.upgrade(self._engine)

    def check_revision(self) -> None:
        """StoreError, with the fix, unless the database is reachable and at this release's revision."""
        try:
            upgrading.check(self._engine)
        except OperationalError as error:
            raise away(error) from error

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """One consistent look, for the functions of `monitor.store.queries`."""
        with connecting.reading(self._engine) as connection:
            yield connection

    # Facts

    def record(self, recording: Recording) -> Recorded:
        """One slice: the fence, then everything that follows from it. Fenced if SQL stands elsewhere."""
        with connecting.writing(self._engine) as connection:
            if not _passed_fence(connection, recording):
                return Recorded(was_ours=True)
            written = revisions.record(connection, recording.cluster, recording.revisions)
            covered: dict[str, list[Any]] = {
                **vouching.record(connection, recording),
                "fact_revision": [revisions.covered(row) for row in written],
                "policy_change": changes.record(connection, written, recording.effects),
            }
            transitions: tuple[Transition, ...] = ()
            if recording.evaluation is not None:
                covered["control_status"] += intervals.record(connection, recording.evaluation)
                moves, covered["finding_transition"] = findings.record(connection, recording.evaluation)
                transitions = tuple(moves)
            if recording.reach is not None:
                covered["domain_reach"], moves_of_status = intervals.record_reach(
                    connection, recording.cluster, recording.at, recording.reach
                )
                covered["reach_status"] += moves_of_status
            _record_waivers(connection, recording)
            chain.append(connection, recording.cluster, recording.at, covered)
            return Recorded(transitions=transitions)

    def applied(self, partition: int) -> dict[str, Position]:
        """Where each cluster of a partition stands."""
        with self.look() as connection:
            rows = connection.execute(select(_applied).where(_applied.c.partition == partition))
            return {row.cluster: Position(row.epoch, row.offset) for row in rows}

    def known_keys(self, cluster: str) -> frozenset[FactKey]:
        """Keys whose last revision is a state."""
        with self.look() as connection:
            return revisions.known_keys(connection, cluster)

    def open_domains(self, cluster: str) -> frozenset[str]:
        with self.look() as connection:
            table = tables.domain
            rows = connection.execute(select(table.c.id).where(table.c.cluster == cluster, table.c.to_at.is_(None)))
            return frozenset(row.id for row in rows)

    def facts_at(self, cluster: str, at: datetime | None = None) -> dict[FactKey, Fact | wire.Unreadable]:
        """The facts as they were at a time (log time); None = the newest."""
        with self.look() as connection:
            return revisions.facts_at(connection, cluster, at)

    def recorded_at(self, cluster: str, at: datetime) -> revisions.RecordedAt:
        """Whether the facts of a time are all there."""
        with self.look() as connection:
            return revisions.recorded_at(connection, cluster, at)

    def changes_between(self, cluster: str, from_at: datetime, to_at: datetime) -> list[revisions.Changed]:
        """Every change of a fact after one time, up to another, in order."""
        with self.look() as connection:
            return revisions.between(connection, cluster, from_at, to_at)

    def next_epoch(self, topic: str) -> int:
        """A number that was never given for this topic."""
        with connecting.writing(self._engine) as connection:
            table = tables.epoch
            statement = sql.insert(connection.dialect.name, table).values(topic=topic, cluster="", number=1)
            statement = statement.on_conflict_do_update(
                index_elements=["topic"], set_={"number": table.c.number + 1}
            ).returning(table.c.number)
            return int(connection.execute(statement).scalar_one())

    # Flows

    def source_place(self, cluster: str, source: str, generation: str) -> int | None:
        with self.look() as connection:
            return flows.place(connection, cluster, source, generation)

    def record_flows(self, recording: FlowRecording) -> FlowsRecorded:
        """One batch, counted once. Fenced if a part of it was counted meanwhile."""
        with connecting.writing(self._engine) as connection:
            return flows.record(connection, recording)

    def seal_windows(self, cluster: str, partition: int, before: datetime, at: datetime) -> int:
        with connecting.writing(self._engine) as connection:
            return flows.seal(connection, cluster, partition, before, at)

    @contextmanager
    def draining(self, cluster: str) -> Iterator[bool]:
        """Whether this process drains the outbox of the cluster alone while the block lasts."""
        with self._engine.connect() as connection, flows.draining(connection, cluster) as alone:
            connection.commit()
            yield alone

    def outbox(self, cluster: str) -> list[OutboxRow]:
        with self.look() as connection:
            return flows.waiting(connection, cluster)

    def clear_outbox(self, cluster: str, sent: Sequence[tuple[str, int]]) -> None:
        """Path ids and the versions that were acknowledged."""
        with connecting.writing(self._engine) as connection:
            flows.clear(connection, cluster, sent)

    def forget_paths(self, cluster: str, unseen_since: datetime) -> int:
        with connecting.writing(self._engine) as connection:
            return flows.forget(connection, cluster, unseen_since)

    # The record itself

    def verify(self, cluster: str) -> verifying.Verified:
        """Recompute the chain and hold the tables against it. ChainBrokenError names the first difference."""
        with self.look() as connection:
            return verifying.verify(connection, cluster)

    def retire(self, cluster: str, limits: retiring.Limits, at: datetime) -> dict[str, int]:
        """Let go of what is older than its limit; returns how many rows of which table."""
        with connecting.writing(self._engine) as connection:
            return retiring.retire(connection, cluster, limits, at)

    # Reports

    def alone_with_report(self, report: str) -> AbstractContextManager[bool]:
        """Whether nobody else makes this scheduled report while the block lasts."""
        return reports.alone(self._engine, report)

    def reports_made_until(self, cluster: str, schedule: str) -> datetime | None:
        """The end of the last period that a schedule made a report for."""
        with self.look() as connection:
            return reports.made_until(connection, cluster, schedule)

    def claim_report(self, claim: reports.Claim) -> str | None:
        """The number under which to make it; None: a scheduled one that is made."""
        with connecting.writing(self._engine) as connection:
            return reports.claim(connection, claim)

    def finish_report(self, number: str, made: reports.Made) -> None:
        with connecting.writing(self._engine) as connection:
            reports.finish(connection, number, made)

    def abandon_report(self, number: str) -> None:
        """It could not be made: somebody else may."""
        with connecting.writing(self._engine) as connection:
            reports.abandon(connection, number)

    def reports(self, cluster: str) -> list[reports.ReportRow]:
        with self.look() as connection:
            return reports.made(connection, cluster)

    def report_with(self, cluster: str, manifest: str) -> str | None:
        """The number of the report whose manifest has this digest."""
        with self.look() as connection:
            return reports.with_manifest(connection, cluster, manifest)

    def chain_hash(self, cluster: str, seq: int) -> str | None:
        with self.look() as connection:
            return chain.hash_at(connection, cluster, seq)

    def grant_reporting(self, role: str) -> None:
        """Let a PostgreSQL role read the `reporting` views and nothing else. StoreError if there is no such role."""
        reporting.grant(self._engine, role)

    def ping(self) -> None:
        """Raises what the database raises."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))


def _passed_fence(connection: Connection, recording: Recording) -> bool:
    """False: this very recording is committed already, its answer was lost. Fenced: somebody else was here."""
    place = {"of_partition": recording.partition, "of_cluster": recording.cluster}
    if _moved(connection, recording, place):
        return True
    stored = connection.execute(_STANDING, place).one_or_none()
    if stored is not None and Position(stored.epoch, stored.offset) == recording.position:
        return False
    raise Fenced(f"{recording.cluster}: expected {recording.expected}, SQL has {stored}")


def _moved(connection: Connection, recording: Recording, place: Mapping[str, Any]) -> bool:
    """Whether SQL stood where it was expected to; it stands behind this recording now."""
    new = {"epoch": recording.position.epoch, "offset": recording.position.offset, "at": recording.at}
    if recording.expected is not None:
        was = {"was_epoch": recording.expected.epoch, "was_offset": recording.expected.offset}
        to = {f"to_{name}": value for name, value in new.items()}
        return connection.execute(_MOVE, {**place, **was, **to}).rowcount > 0
    statement = sql.insert(connection.dialect.name, _applied).values(
        partition=recording.partition, cluster=recording.cluster, **new
    )
    return bool(connection.execute(statement.on_conflict_do_nothing().returning(_applied.c.cluster)).all())


def _record_waivers(connection: Connection, recording: Recording) -> None:
    if recording.waivers is None:
        return
    table = tables.waiver
    connection.execute(update(table).where(table.c.cluster == recording.cluster).values(is_declared=False))
    rows = [structs.asdict(row) | {"cluster": recording.cluster, "is_declared": True} for row in recording.waivers]
    sql.put(connection, table, rows)
