"""The agent on facts, and who owns which partition. Thin: it delivers; `owning`, `clusters` and `assessing` decide.

Law 1: the body never raises (Faust would acknowledge what failed); what cannot go on ends the process hard.
Law 2: a partition is built in a task of its own, never in the assignment's callback, which holds up the group.
Law 3: a partition whose recording waits holds up no other for more than five seconds: it falls behind, what comes for
it is dropped, and it reads on from the log by itself when it can (docs/decisions/0040).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import faust

from models.errors import UserError
from monitor.broker.connection import BrokerUnavailableError
from monitor.broker.messages import Record
from streams import faust_apps
from streams.desk import Desk
from streams.faust_apps import Group
from streams.owning import PartitionOwner

log = logging.getLogger(__name__)

HELD_UP_SECONDS = 5.0


class Ownership:
    """Which partitions this process owns. Owners of partitions taken away are kept for their State."""

    def __init__(self, desk: Desk, spawn: Callable[[Awaitable[None]], None]) -> None:
        self._desk = desk
        self._spawn = spawn
        self._owners: dict[int, PartitionOwner] = {}
        self._kept: dict[int, PartitionOwner] = {}

    def assign(self, partitions: Iterable[int]) -> None:
        """These are ours now; all others are not."""
        wanted = set(partitions)
        self.revoke(self._owners.keys() - wanted)
        for partition in sorted(wanted - self._owners.keys()):
            owner = self._renewed(partition)
            self._owners[partition] = owner
            self.build(owner)

    def revoke(self, partitions: Iterable[int]) -> None:
        for partition in sorted(partitions):
            if owner := self._owners.pop(partition, None):
                owner.release()
                self._kept[partition] = owner

    def build(self, owner: PartitionOwner) -> None:
        """In a task; that it is under way is told at once, so that nobody takes us for ready in between.

        The group is held at once too: Faust fetches as soon as the assignment is told.
        """
        self._desk.holding.hold(owner.partition)
        self._desk.observer.building(owner.place, "reading facts")
        self._spawn(owner.build())

    def _renewed(self, partition: int) -> PartitionOwner:
        former = self._kept.pop(partition, None)
        if former is None or not former.can_be_kept:
            return PartitionOwner(partition, self._desk)
        former.is_owned = True
        return former

    async def take(self, records: Sequence[Record]) -> None:
        """A batch of the agent: partitions side by side, each in order.

        Returns when all of it is dealt with, but for partitions that others should not wait for any longer.
        """
        in_order = sorted(records, key=lambda record: (record.partition, record.offset))
        taking: dict[asyncio.Future[None], PartitionOwner] = {}
        for partition, group in groupby(in_order, key=lambda record: record.partition):
            if owner := self._owners.get(partition):
                taking[asyncio.ensure_future(owner.take(list(group)))] = owner
        done, waiting = await asyncio.wait(taking, timeout=self._patience) if taking else (set(), set())
        for task in done:
            task.result()  # raises what the owner raised
        for task in waiting:
            self._spawn(taking[task].fall_behind(task))

    @property
    def _patience(self) -> float | None:
        """With one partition there is nobody whom it could hold up."""
        return HELD_UP_SECONDS if len(self._owners) > 1 else None

    async def tick(self, every_seconds: float) -> None:
        """For ever: a Tick into every partition that has clusters, and a look at what it is read from."""
        while True:
            await asyncio.sleep(every_seconds)
            for owner in (*self._owners.values(), *self._kept.values()):
                if owner.clusters:
                    await self._tick_one(owner)

    async def _tick_one(self, owner: PartitionOwner) -> None:
        try:
            if owner.is_live:
                await owner.tick()
            await owner.look()
        except BrokerUnavailableError as error:
            log.warning("no tick in %s: %s", owner.place, error)
        except UserError as error:
            self._desk.fail(error)


def create_assess_app(desk: Desk, group: Group, ownership: Ownership) -> faust.App:
    """The app with its one agent, finalized, not started."""
    app = faust_apps.make(desk.connection, group, holding=desk.holding)
    topic = faust_apps.topic_of(app, desk.topics.facts.name)

    @app.agent(topic, name="assess", concurrency=1)
    async def assess(stream: Any) -> None:
        await faust_apps.deliver(stream, "assess", ownership.take, desk.retrying.give_up)

    faust_apps.on_partitions(app.on_partitions_assigned, ownership.assign)
    faust_apps.on_partitions(app.on_partitions_revoked, ownership.revoke)
    app.finalize()
    return app
