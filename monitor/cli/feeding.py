"""What feeds the two streams: the watch of a cluster and the collectors of a node; for their commands and for `up`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping

from models.facts import Kind
from models.flows import FlowBatch
from models.topics import FLOWS
from monitor.broker import connection
from monitor.broker.producing import Producer
from monitor.cluster.fact_log import Pace, at_any_pace
from monitor.cluster.watch import Observer, run_watch
from monitor.collect import collecting, parsing
from monitor.collect.batching import Batcher, Origin
from monitor.collect.collecting import Collecting
from monitor.collect.files import FileSource
from monitor.collect.kmsg import KmsgSource
from monitor.collect.places import Places, PlacesFile, PlacesInDatabase
from monitor.collect.sources import Place, Source
from monitor.settings import Settings, SettingsError
from monitor.web.exposition import Exposition


class WatchMetrics:
    """The watch's observer: its three families."""

    def __init__(self, exposition: Exposition, cluster: str) -> None:
        self._exposition = exposition
        self._cluster = cluster
        exposition.initialise("segmon_published_facts_total", ({"cluster": cluster},))

    def synced(self, offset: int) -> None:
        """Nothing to count: the record says it."""

    def published(self, count: int) -> None:
        self._exposition.counter("segmon_published_facts_total", cluster=self._cluster).inc(count)

    def kind_state(self, kind: Kind, state: str) -> None:
        good = state in {"fresh", "not_served"}
        self._exposition.gauge("segmon_watch_synced", cluster=self._cluster, kind=kind.value).set(int(good))

    def restarted(self, kind: Kind, reason: str) -> None:
        self._exposition.counter(
            "segmon_watch_restarts_total", cluster=self._cluster, kind=kind.value, reason=reason
        ).inc()


async def watch(settings: Settings, stop: asyncio.Event, observer: Observer, *, pace: Pace = at_any_pace) -> None:
    """Mirror one cluster until stopped."""
    await run_watch(settings, stop, observer=observer, pace=pace)


async def collect(
    settings: Settings,
    stop: asyncio.Event,
    *,
    on_sent: Callable[[FlowBatch], None] = lambda _batch: None,
    recorded: Mapping[str, Place] | None = None,
) -> None:
    """Read every log source of this node until stopped. `recorded`: where SQL stands (embedded), else a checkpoint."""
    node = settings.collect.node or socket.gethostname()
    places = _places(settings, recorded)
    sources = _sources(settings, node, places)
    if not sources:
        raise SettingsError("collect has nothing to read\n       fix: give --logs FILE, or --kmsg on a node")
    parse = parsing.log_lines(settings.collect.log_prefixes)
    async with Producer(connection.of(settings)) as producer:
        how = Collecting(
            producer=producer,
            topic=FLOWS.name,
            places=places,
            heartbeat_seconds=settings.timing.heartbeat_seconds,
            on_sent=on_sent,
        )
        async with asyncio.TaskGroup() as tasks:
            for source in sources:
                origin = Origin(cluster=settings.cluster, node=node, source=source.name)
                tasks.create_task(collecting.collect(source, Batcher(origin, parse), how, stop))


def _places(settings: Settings, recorded: Mapping[str, Place] | None) -> Places:
    if recorded is not None:
        return PlacesInDatabase(dict(recorded))
    if settings.collect.checkpoint is None:
        raise SettingsError(
            "collect needs a file to remember how far it read\n       fix: --checkpoint FILE (collect.checkpoint)"
        )
    return PlacesFile(settings.collect.checkpoint)


def _sources(settings: Settings, node: str, places: Places) -> list[Source]:
    sources: list[Source] = []
    for path in settings.collect.files:
        name = f"file:{path}@{node}"
        sources.append(FileSource(path, name=name, place=places.of(name)))
    if settings.collect.kmsg:
        name = f"kmsg@{node}"
        sources.append(KmsgSource(name=name, place=places.of(name)))
    return sources


def collect_metrics(exposition: Exposition) -> Callable[[FlowBatch], None]:
    """Counts what could not be read."""
    exposition.initialise("segmon_parse_errors_total", ({"reason": "malformed"},))

    def sent(batch: FlowBatch) -> None:
        if batch.unparsed:
            exposition.counter("segmon_parse_errors_total", reason="malformed").inc(batch.unparsed)

    return sent
