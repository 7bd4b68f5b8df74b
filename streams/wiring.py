"""Where the parts of a process are put together: the only place that knows them all.

Each `run_*` coroutine is one process (or one part of `segmon up`): it returns when `stop` is set, and raises what a
person has to mend. What it is made of is given in `Parts`, so that tests give real brokers and databases of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import faust
from msgspec import Struct

from models.errors import UserError
from monitor import clock
from monitor.broker.connection import BrokerError, BrokerUnavailableError, Connection
from monitor.broker.epochs import CREATE
from monitor.broker.producing import Producer
from monitor.broker.topics import Topics
from monitor.store import DISK_FULL, Store, is_disk_full, is_transient
from streams import faust_apps
from streams.assess import Ownership, create_assess_app
from streams.desk import Desk
from streams.faust_apps import Group
from streams.log_clock import LogClock
from streams.match import create_match_app
from streams.matching import MatchDesk, Matcher
from streams.observing import Observer
from streams.retrying import Retrying

log = logging.getLogger(__name__)

HARD_END_CODE = 4
STOP_SECONDS = 10.0
WATCH_SECONDS = 2.0  # how soon a stream that ended by itself is noticed
START_SECONDS = 10.0
MEMBERSHIP = "consumer group"


class Parts(Struct, kw_only=True):
    """What a process is made of."""

    connection: Connection
    store: Store
    observer: Observer
    group: Group
    topics: Topics
    tick_seconds: float = 15.0
    settle_seconds: float = 2.0
    tend_seconds: float = 5.0


def end_hard(why: str) -> NoReturn:
    """End without unwinding anything, so that nothing unfinished is acknowledged."""
    log.critical("ending hard: %s", why)
    logging.shutdown()
    os._exit(HARD_END_CODE)


def end_to_be_mended(what: str) -> NoReturn:
    """As `end_hard`, where each further try would end alike: with the code and the words of what a person mends."""
    with contextlib.suppress(OSError):  # a full disk may hold the log too
        print(f"error: {what}", file=sys.stderr, flush=True)  # noqa: T201 - where `segmon up` reads it
    os._exit(UserError.exit_code)


async def run_assess(parts: Parts, stop: asyncio.Event) -> None:
    """`segmon work` without its addresses: judge the clusters whose partitions the group gives us."""
    parts.observer.building(MEMBERSHIP, "not joined yet")
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    retrying = _retrying(parts, stop)
    async with _opened(parts) as producer, _background() as spawn:
        desk = Desk(
            connection=parts.connection,
            topics=parts.topics,
            producer=producer,
            store=parts.store,
            clock=LogClock(clock.monotonic),
            retrying=retrying,
            observer=parts.observer,
            fail=lambda error: None if failed.done() else failed.set_exception(error),
            build_again=lambda owner: ownership.build(owner),  # noqa: PLW0108 - they know each other
        )
        ownership = Ownership(desk, spawn)
        app = create_assess_app(desk, parts.group, ownership)
        spawn(ownership.tick(parts.tick_seconds))
        await _run(app, retrying, stop, failed, parts.observer)


async def run_match(parts: Parts, stop: asyncio.Event) -> None:
    """`segmon match` without its address: judge the flows whose partitions the group gives us."""
    parts.observer.building(MEMBERSHIP, "not joined yet")
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    retrying = _retrying(parts, stop)
    async with _opened(parts) as producer, _background() as spawn:
        matcher = Matcher(
            MatchDesk(
                connection=parts.connection,
                topics=parts.topics,
                producer=producer,
                store=parts.store,
                clock=LogClock(clock.monotonic),
                retrying=retrying,
                observer=parts.observer,
                spawn=spawn,
                fail=lambda error: None if failed.done() else failed.set_exception(error),
                settle_seconds=parts.settle_seconds,
            )
        )
        app = create_match_app(parts.connection, parts.topics.flows.name, parts.group, matcher)
        spawn(matcher.tend(parts.tend_seconds))
        await _run(app, retrying, stop, failed, parts.observer)


@asynccontextmanager
async def _opened(parts: Parts) -> AsyncIterator[Producer]:
    """A producer on a broker that answers and has the topics; BrokerError with the fix otherwise."""
    try:
        producer = await Producer(parts.connection, request_timeout_seconds=START_SECONDS).__aenter__()
    except BrokerUnavailableError as error:
        raise BrokerError(
            f"the broker cannot be reached: {error}\n       fix: see kafka.bootstrap, or start it"
        ) from error
    try:
        for spec in (parts.topics.facts, parts.topics.flows, parts.topics.dead):
            try:
                await producer.partitions(spec.name)
            except BrokerUnavailableError as error:
                raise BrokerError(f"no topic {spec.name} on {parts.connection.bootstrap}: {CREATE}") from error
        yield producer
    finally:
        await producer.__aexit__(None, None, None)


def _retrying(parts: Parts, stop: asyncio.Event) -> Retrying:
    def passes(error: BaseException) -> bool:
        return isinstance(error, BrokerUnavailableError) or is_transient(error)

    def met(error: BaseException) -> None:
        """Counted; a full disk under the embedded record is nothing to try again."""
        if is_disk_full(error):
            end_to_be_mended(DISK_FULL)
        if not isinstance(error, BrokerUnavailableError):
            parts.observer.database_error("transient" if is_transient(error) else "permanent")

    return Retrying(is_transient=passes, give_up=end_hard, stop=stop, on_error=met)


@asynccontextmanager
async def _background() -> AsyncIterator[Callable[[Awaitable[None]], None]]:
    """Tasks that live as long as the block. One that raises ends the process hard: nobody else would notice."""
    running: set[asyncio.Task[None]] = set()

    async def watched(work: Awaitable[None]) -> None:
        try:
            await work
        except Exception:
            log.exception("a background task ended")
            end_hard("a background task ended")

    def spawn(work: Awaitable[None]) -> None:
        task = asyncio.create_task(watched(work))
        running.add(task)
        task.add_done_callback(running.discard)

    try:
        yield spawn
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=STOP_SECONDS)


async def _run(
    app: faust.App, retrying: Retrying, stop: asyncio.Event, failed: asyncio.Future[None], observer: Observer
) -> None:
    """Until stopped, failed or crashed; then end the app, hard if it does not end in time."""
    # Heard last: what the assignment gives us to build is waited for by then.
    faust_apps.on_partitions(app.on_partitions_assigned, lambda _: observer.built(MEMBERSHIP))
    await app.start()
    stopping: asyncio.Future[Any] = asyncio.create_task(stop.wait())
    ended: asyncio.Future[Any] = failed
    try:
        while not stop.is_set() and not failed.done():
            await asyncio.wait({stopping, ended}, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if app.crashed or app.should_stop:
                end_hard("the stream ended by itself")
    finally:
        stopping.cancel()
    if retrying.waiting:
        end_hard("stopped during a retry: what was not recorded is left to the next owner")
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await app.stop()
    except TimeoutError:
        end_hard("the stream did not stop in time")
    if failed.done():
        with contextlib.suppress(asyncio.CancelledError):
            await failed
