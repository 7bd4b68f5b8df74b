"""What every long-running command does: logs, settings, addresses, and a stop that waits for what is in hand."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from monitor import clock
from monitor.broker import connection
from monitor.broker.topics import Topics
from monitor.cli import logs
from monitor.cli.database import opened
from monitor.cli.served import Served
from monitor.settings import Settings
from monitor.store import Store
from monitor.web import health, page, server
from monitor.web.exposition import Exposition
from monitor.web.gauges import Gauges
from monitor.web.status import StatusPage
from streams.faust_apps import Group
from streams.wiring import Parts

ASSESS_GROUP = "segmon-assess"
MATCH_GROUP = "segmon-match"


class Process:
    """One component with its addresses; `run` returns when it is told to stop."""

    def __init__(self, settings: Settings, component: str, *, version: str, catalogue: str) -> None:
        self.settings = settings
        self.component = component
        self.version = version
        self.stop = asyncio.Event()
        self.exposition = Exposition(component, version=version, catalogue=catalogue)
        self.health = health.Health(moved_at=clock.monotonic())
        self.exposition.refreshers.append(lambda: self.health.scraped(at=clock.monotonic()))

    async def run(
        self, work: Callable[[], Awaitable[None]], *, store: Store | None = None, address_file: Path | None = None
    ) -> None:
        """Serve the addresses, and the page where there is a record, until the work ends or a signal comes.

        The addresses appear in `address_file` when they answer.
        """
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self.stop.set)
        async with AsyncExitStack() as stack:
            served = await self._serve(stack, store)
            if address_file is not None:
                served.write(address_file)
            await work()

    async def _serve(self, stack: AsyncExitStack, store: Store | None) -> Served:
        web = self.settings.web
        metrics = server.metrics_app(self.exposition, live=self._live, ready=lambda: health.readiness(self.health))
        metrics_at = await stack.enter_async_context(
            server.serving(metrics, web.metrics_listen, setting="--metrics-listen (SEGMON_WEB__METRICS_LISTEN)")
        )
        if store is None or not web.page_listen:
            return Served(metrics=metrics_at)
        status = StatusPage(
            store,
            version=self.version,
            now=clock.now,
            problems=self._problems,
            is_embedded=self.settings.embedded,
        )
        app = server.page_app(
            lambda: page.render(status.view()), style=page.asset("style.css"), script=page.asset("live.js")
        )
        page_at = await stack.enter_async_context(
            server.serving(app, web.page_listen, setting="--page-listen (SEGMON_WEB__PAGE_LISTEN)")
        )
        return Served(metrics=metrics_at, page=page_at)

    def _live(self) -> tuple[bool, str]:
        limit = self.settings.timing.progress_seconds
        return health.liveness(self.health, at=clock.monotonic(), limit_seconds=limit)

    def _problems(self) -> tuple[str, ...]:
        limit = self.settings.timing.progress_seconds
        return health.problems(self.health, at=clock.monotonic(), limit_seconds=limit)


def begun(settings: Settings, component: str, *, version: str, catalogue: str = "") -> Process:
    """The process with its logs set up; `catalogue`: what it judges by, if it does."""
    logs.configure(settings.log_format, settings.log_level)
    return Process(settings, component, version=version, catalogue=catalogue)


def stream_parts(process: Process, store: Store, group: str) -> Parts:
    """What `streams.wiring` runs an agent with."""
    settings = process.settings
    gauges = Gauges(process.exposition, process.health, store, now=clock.now, monotonic=clock.monotonic)
    return Parts(
        connection=connection.from_settings(settings.kafka, is_embedded=settings.embedded),
        store=store,
        observer=gauges,
        group=_group(settings, group),
        topics=Topics(),
        tick_seconds=settings.timing.tick_seconds,
        settle_seconds=settings.timing.settle_seconds,
    )


def _group(settings: Settings, name: str) -> Group:
    kafka = settings.kafka
    return Group(
        name=name,
        session_timeout_seconds=kafka.session_timeout_seconds,
        rebalance_timeout_seconds=kafka.rebalance_timeout_seconds,
        instance_id=kafka.instance_id,
    )


def recorded_in(settings: Settings) -> Store:
    return opened(settings)
