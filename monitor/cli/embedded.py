"""The tree of `segmon up`: embedded broker, work and match as children; watch and collect in the parent.

What the parent knows of the others it reads from the record: a mark of its own, put behind everything it published, has
been passed when SQL stands at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from models.facts import Kind, Tick, key_of
from models.flows import FlowBatch
from models.topics import FACTS, partition_of
from monitor import settings as all_settings
from monitor.broker import connection, embedded, epochs
from monitor.broker.messages import fact_message
from monitor.broker.producing import Producer
from monitor.broker.reading import TruncatedLogError
from monitor.cli import feeding, tree
from monitor.cli.context import DATABASE_FILE
from monitor.cli.served import Served
from monitor.collect.sources import Place
from monitor.settings import Settings
from monitor.store import Store, queries

if TYPE_CHECKING:
    from monitor.cli.up import Wanted

ADDRESS_SECONDS = 15.0
POLL_SECONDS = 0.05
SERVED = "served"
"""The file in which `work` says where it listens."""


class Ahead:
    """How far the watch is ahead of the record: never by more than a chunk above the limit (docs/decisions/0041)."""

    def __init__(self, caught_up: Callable[[], Awaitable[None]], *, limit: int = embedded.AHEAD_BYTES) -> None:
        self._caught_up = caught_up
        self._limit = limit
        self._bytes = 0

    async def published(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limit:
            await self._caught_up()
            self._bytes = 0


class Tree:
    """One life of all parts. Made by `started`."""

    def __init__(self, wanted: Wanted, home: Path, settings: Settings, store: Store) -> None:
        self.wanted = wanted
        self.home = home
        self.settings = settings
        self.store = store
        self.published_facts = 0
        self.producer: Producer
        self.served: Served
        self._synced = asyncio.Event()
        self._stop = asyncio.Event()
        self._children: list[tuple[str, asyncio.subprocess.Process]] = []
        self._sent: dict[tuple[str, str], int] = {}  # source, generation -> place acknowledged

    @classmethod
    @asynccontextmanager
    async def started(cls, wanted: Wanted, home: Path, stop: asyncio.Event) -> AsyncIterator[Tree]:
        """Everything up, or an error; everything gone behind the block."""
        del stop
        address_file = home / "broker"
        for file in (address_file, home / SERVED):
            file.unlink(missing_ok=True)
        url = f"sqlite:///{home / DATABASE_FILE}"
        store = Store.open(url)
        await asyncio.to_thread(store.upgrade)
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(
                tree.child(embedded.command(address_file), log=home / "log" / "broker.log")
            )
            address = await _address(address_file, broker, home / "log" / "broker.log")
            settings = _settings(wanted, url, address)
            made = cls(wanted, home, settings, store)
            made._children.append(("broker", broker))
            made.producer = await stack.enter_async_context(Producer(connection.of(settings)))
            await epochs.begin(
                connection.of(settings),
                made.producer,
                FACTS.name,
                lambda: asyncio.to_thread(store.next_epoch, FACTS.name),
            )
            await made._child(stack, "work", "--address-file", str(home / SERVED))
            await made._child(stack, "match")
            try:
                yield made
            finally:
                made._stop.set()
                store.close()

    async def _child(self, stack: AsyncExitStack, name: str, *more: str) -> None:
        file = self.home / f"{name}.json"
        written = _written(self.settings, name)
        file.write_text(json.dumps(written))
        file.chmod(0o600)
        arguments = ["-m", "monitor.cli.main", "--config", str(file), name, *more]
        log = self.home / "log" / f"{name}.log"
        process = await stack.enter_async_context(tree.child(arguments, log=log, without=_overriding(written)))
        self._children.append((name, process))

    # The jobs of the parent

    def jobs(self) -> Iterator[Awaitable[int | None]]:
        """What runs for as long as the tree lives."""
        for name, process in self._children:
            yield tree.ended(process, name, self.home / "log" / f"{name}.log")
        yield self._watch()
        if self.settings.collect.files or self.settings.collect.kmsg:
            yield feeding.collect(self.settings, self._stop, on_sent=self._on_sent, recorded=self._recorded())

    async def _watch(self) -> None:
        """A broker that forgot is no mistake of a person here: everything is started anew and listed again."""
        try:
            await feeding.watch(self.settings, self._stop, self, pace=Ahead(self.passed).published)
        except (epochs.EpochError, TruncatedLogError) as error:
            raise tree.ChildEndedError("the embedded broker dropped its oldest records") from error

    def _recorded(self) -> dict[str, Place]:
        """Where match stands with each source, from the record: the embedded checkpoint."""
        with self.store.look() as look:
            rows = queries.source_places(look, self.wanted.cluster)
        return {row.source: Place(generation=row.generation, position=row.position) for row in rows}

    def _on_sent(self, batch: FlowBatch) -> None:
        self._sent[(batch.source, batch.generation)] = batch.end

    # The watch's observer

    def synced(self, offset: int) -> None:
        del offset
        self._synced.set()

    def published(self, count: int) -> None:
        self.published_facts += count

    def kind_state(self, kind: Kind, state: str) -> None:
        """The record says it."""

    def restarted(self, kind: Kind, reason: str) -> None:
        """The record says it."""

    # Waiting

    async def serving(self) -> None:
        """Until the addresses that a person is told answer; `served` is where."""
        while not (self.home / SERVED).exists():
            await asyncio.sleep(POLL_SECONDS)
        self.served = Served.read(self.home / SERVED)

    async def ready(self) -> None:
        """Everything listed, published, judged and recorded."""
        await self._synced.wait()
        await self.passed()

    async def passed(self) -> None:
        """Everything published until now is recorded."""
        partitions = await self.producer.partitions(FACTS.name)
        partition = partition_of(self.wanted.cluster, partitions)
        mark = Tick(partition=partition)
        sent = await self.producer.send_to(partition, fact_message(FACTS.name, "", key_of("", mark), mark, source="up"))
        while True:
            applied = await asyncio.to_thread(self.store.applied, partition)
            if (position := applied.get(self.wanted.cluster)) and position.offset >= sent.offset:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def noticed(self, before: int, within: float) -> None:
        """Until the watch has published something since `before`, at most `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.published_facts == before:
                    await asyncio.sleep(POLL_SECONDS)

    async def flows_passed(self) -> None:
        """Every line written until now is counted, and the paths that it made are published and judged."""
        while not await asyncio.to_thread(self._flows_are_through):
            await asyncio.sleep(POLL_SECONDS)
        await self.passed()

    def _flows_are_through(self) -> bool:
        cluster = self.wanted.cluster
        for path in self.settings.collect.files:
            ends = [end for (source, _), end in self._sent.items() if f"file:{path}@" in source]
            if path.exists() and path.stat().st_size > max(ends, default=0):
                return False
        for (source, generation), end in self._sent.items():
            if (self.store.source_place(cluster, source, generation) or 0) < end:
                return False
        return not self.store.outbox(cluster)


def _settings(wanted: Wanted, url: str, address: str) -> Settings:
    """What the settings say, but for where things are: that is the tree's own business."""
    given = wanted.settings
    collected: dict[str, Any] = {"files": wanted.logs, "kmsg": wanted.kmsg}
    if wanted.demo:
        collected["node"] = wanted.cluster
    return given.model_copy(
        update={
            "cluster": wanted.cluster,
            "embedded": True,
            "kafka": all_settings.Kafka(bootstrap=address),
            "database": all_settings.Database(url=SecretStr(url)),
            "watch": all_settings.Watch(
                kubeconfig=wanted.kubeconfig,
                context=wanted.context,
                manifests=wanted.manifests,
                domains=wanted.domains,
                waivers=wanted.waivers,
            ),
            "collect": given.collect.model_copy(update=collected),
            "web": all_settings.Web(metrics_listen=wanted.metrics_listen, page_listen=wanted.page_listen),
        }
    )


def _written(settings: Settings, component: str) -> dict[str, object]:
    """What a child needs to know; only `work` serves the addresses that a person is told."""
    web = settings.web
    return {
        "cluster": settings.cluster,
        "embedded": True,
        "kafka": {"bootstrap": settings.kafka.bootstrap},
        "database": {"url": settings.database.url.get_secret_value()},
        "web": {
            "metrics_listen": web.metrics_listen if component == "work" else "127.0.0.1:0",
            "page_listen": web.page_listen,
        },
        "timing": settings.timing.model_dump(),
        "log_format": "json",
        "log_level": settings.log_level,
    }


def _overriding(written: Mapping[str, object]) -> list[str]:
    """Variables that would win over what is written for a child."""
    prefixes = [f"SEGMON_{section.upper()}" for section in written]
    return [name for name in os.environ if name.partition("__")[0] in prefixes]


async def _address(file: Path, broker: asyncio.subprocess.Process, log: Path) -> str:
    """Where the embedded broker listens, once it does."""
    try:
        async with asyncio.timeout(ADDRESS_SECONDS):
            while not file.exists():
                if broker.returncode is not None:
                    raise tree.mendable(broker.returncode, log) or tree.StartError(
                        f"the embedded broker did not start: {tree.last_words(log)}"
                    )
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise tree.StartError(f"the embedded broker did not start: {tree.last_words(log)}") from error
    return file.read_text()
