"""Broker, database and topics of one test, workers in this process or their own, and what must hold in the end."""

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from itertools import pairwise

import sqlalchemy as sa
from scenes.cluster import Scene, install, topics_of
from scenes.worker import Worker

from models import tables
from models.facts import Kind
from models.topics import Position, partition_of
from monitor import compliance
from monitor.broker.connection import Connection
from monitor.broker.reading import PartitionReader
from monitor.compliance.reaching import Reaching
from monitor.state.state import State, fold
from monitor.store import Store, queries
from streams import wiring
from streams.decoding import incoming
from streams.faust_apps import Group
from streams.observing import Silent

WAIT_SECONDS = 40.0
POLL_SECONDS = 0.05


class World:
    """Everything is asked through `store`, as a person would ask the database."""

    def __init__(self, bootstrap: str, url: str, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.url = url
        self.prefix = prefix
        self.topics = topics_of(prefix)
        self.connection = Connection(bootstrap=bootstrap)
        self.store = Store.open(url)

    async def begin(self) -> None:
        await asyncio.to_thread(self.store.upgrade)
        await install(self.bootstrap, self.topics, self.store)

    def scene(self, cluster: str = "east") -> Scene:
        return Scene(self.connection, self.topics, cluster)

    # Workers

    def parts(self, runs: str, *, group: str = "", **more) -> wiring.Parts:
        return wiring.Parts(
            connection=self.connection,
            store=self.store,
            observer=more.pop("observer", Silent()),
            group=Group(name=group or f"{self.prefix}{runs}", session_timeout_seconds=3, rebalance_timeout_seconds=6),
            topics=self.topics,
            tick_seconds=more.pop("tick_seconds", 1.0),
            **more,
        )

    @asynccontextmanager
    async def running(self, runs: str = "assess", **more):
        """A worker in this process for as long as the block lasts. What it raises, the block raises."""
        stop = asyncio.Event()
        run = {"assess": wiring.run_assess, "match": wiring.run_match}[runs]
        task = asyncio.create_task(run(self.parts(runs, **more), stop))
        try:
            yield task
        finally:
            stop.set()
            await task

    def worker(self, runs: str = "assess", **more) -> Worker:
        """A worker in a process of its own, not yet started."""
        return Worker(runs, bootstrap=self.bootstrap, database=self.url, prefix=self.prefix, **more)

    # Asking

    async def until(self, holds, what: str, *, within: float = WAIT_SECONDS):
        """Poll in a thread until it is so; returns what it answered."""
        for _ in range(int(within / POLL_SECONDS)):
            if answer := await asyncio.to_thread(holds):
                return answer
            await asyncio.sleep(POLL_SECONDS)
        raise AssertionError(f"not so after {within:g} s: {what}")

    def findings(self, cluster: str = "east") -> set[tuple[str, str]]:
        """Open ones, by control and subject. Freshness of log sources is no business of these tests."""
        with self.store.look() as connection:
            rows = queries.open_findings(connection, cluster)
        return {(row.control, row.subject) for row in rows if row.control != "evidence-complete"}

    def statuses(self, cluster: str = "east") -> dict[tuple[str, str], str]:
        with self.store.look() as connection:
            return {(row.domain, row.control): row.outcome for row in queries.open_statuses(connection, cluster)}

    def applied(self, cluster: str = "east") -> Position | None:
        return self.store.applied(self.place(cluster)).get(cluster)

    def place(self, cluster: str = "east") -> int:
        return partition_of(cluster, self.topics.facts.partitions)

    async def caught_up(self, cluster: str = "east") -> None:
        """Until everything that lies in the cluster's partition now is recorded."""
        end = await self.end(cluster)

        def recorded():
            position = self.applied(cluster)
            return position is not None and position.offset >= end - 1

        await self.until(recorded, f"facts of {cluster} are recorded up to offset {end - 1}")

    async def end(self, cluster: str = "east") -> int:
        async with PartitionReader(self.connection, self.topics.facts.name, self.place(cluster)) as reader:
            return (await reader.bounds()).end

    def rows(self, table: sa.Table, cluster: str = "east") -> list[dict]:
        with self.store.look() as connection:
            found = connection.execute(sa.select(table).where(table.c.cluster == cluster).order_by(*table.primary_key))
            return [dict(row) for row in found.mappings()]

    # What must hold in the end

    async def check(self, cluster: str = "east") -> None:
        """SQL is what a fresh evaluation of the final facts gives, no move is doubled, the chain verifies."""
        await self.caught_up(cluster)
        state = await self.anew(cluster)
        statuses, failing = self.fresh(state)

        await self.until(lambda: self.statuses(cluster) == statuses, "SQL has the statuses of a fresh evaluation")
        assert self.findings(cluster) == failing
        assert self.reach(cluster) == self.fresh_reach(state)
        self.check_moves(cluster)
        self.store.verify(cluster)

    async def anew(self, cluster: str = "east") -> State:
        """State from nothing, at the recorded place."""
        state = State(cluster)
        for record in await self.facts(cluster):
            fact = incoming(record, epoch=1)
            if fact.cluster in {"", cluster}:
                fold(state, fact.key, fact.value, position=fact.position, at=fact.at)
        return state

    @staticmethod
    def fresh(state: State):
        """Statuses and failing subjects of an evaluation from nothing."""
        assert state.at is not None
        assert state.position is not None
        evaluation = compliance.evaluate(state, state.take_dirty(), at=state.at, position=state.position)
        statuses, failing = {}, set()
        for posture in evaluation.postures:
            for result in posture.results:
                statuses[posture.domain.id, result.control] = result.outcome.value
                failing |= {(result.control, each.subject) for each in result.subjects if each.outcome == "fail"}
        return statuses, {each for each in failing if each[0] != "evidence-complete"}

    @staticmethod
    def fresh_reach(state: State):
        """What may connect, worked out from nothing; None if it is not known."""
        assert state.at is not None
        told = Reaching().take(state, at=state.at)
        assert told is not None
        return (
            None if told.unknown else {(each.source, each.destination): list(each.connections) for each in told.pairs}
        )

    def reach(self, cluster: str = "east") -> dict[tuple[str, str], list[str]] | None:
        """What may connect now, as recorded; None if that is not known."""
        [status] = [row for row in self.rows(tables.reach_status, cluster) if row["to_at"] is None]
        rows = [row for row in self.rows(tables.domain_reach, cluster) if row["to_at"] is None]
        return {(row["source"], row["destination"]): row["connections"] for row in rows} if status["is_known"] else None

    async def facts(self, cluster: str = "east"):
        async with PartitionReader(self.connection, self.topics.facts.name, self.place(cluster)) as reader:
            reader.seek(0)
            end = (await reader.bounds()).end
            return [record async for batch in reader.read_to(end) for record in batch]

    def check_moves(self, cluster: str = "east") -> None:
        """Opened and resolved take turns: a move recorded twice would break that."""
        moves = defaultdict(list)
        for row in self.rows(tables.finding_transition, cluster):
            moves[row["finding_id"]].append(row["transition"])
        for each in moves.values():
            turns = [move for move in each if move in {"opened", "resolved", "reopened"}]

            assert turns[0] == "opened"
            assert all((one == "resolved") != (other == "resolved") for one, other in pairwise(turns))

    def revisions(self, kind: Kind, cluster: str = "east") -> list[dict]:
        return [row for row in self.rows(tables.fact_revision, cluster) if row["kind"] == kind.value]
