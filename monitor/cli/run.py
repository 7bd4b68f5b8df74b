"""`segmon watch`, `collect`, `work`, `match`: the long-running parts, each a process of its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.context import loaded

Bootstrap = Annotated[str | None, typer.Option("--bootstrap", help="Address of the broker.", show_default=False)]
Url = Annotated[str | None, typer.Option("--database", help="URL of the database.", show_default=False)]
Metrics = Annotated[
    str | None, typer.Option("--metrics-listen", help="Address of /metrics, /livez, /readyz.", show_default=False)
]
Page = Annotated[str | None, typer.Option("--page-listen", help="Address of the status page.", show_default=False)]
ClusterName = Annotated[str | None, typer.Option("--cluster", help="Name of the cluster.", show_default=False)]

BEHIND_OTHERS = 5
"""How much less of a processor that all want match gets: a backlog of flows must not hold up posture."""


def work(
    ctx: typer.Context,
    *,
    bootstrap: Bootstrap = None,
    database: Url = None,
    metrics_listen: Metrics = None,
    page_listen: Page = None,
    address_file: Annotated[Path | None, typer.Option(hidden=True, help="Appears when both addresses answer.")] = None,
) -> None:
    """Judge clusters and record what is found; serves the status page. Several share the clusters."""
    settings = loaded(
        ctx,
        {
            "kafka.bootstrap": bootstrap,
            "database.url": database,
            "web.metrics_listen": metrics_listen,
            "web.page_listen": page_listen,
        },
    )
    from monitor.cli import serving  # noqa: PLC0415 - Faust and SQLAlchemy cost start-up time
    from monitor.cli.main import version  # noqa: PLC0415
    from monitor.compliance.catalogue import CONTROLS, digest  # noqa: PLC0415
    from streams import wiring  # noqa: PLC0415

    async def run() -> None:
        process = serving.begun(settings, "work", version=version(), catalogue=digest(CONTROLS))
        store = serving.recorded_in(settings)
        parts = serving.stream_parts(process, store, serving.ASSESS_GROUP)
        await process.run(lambda: wiring.run_assess(parts, process.stop), store=store, address_file=address_file)

    asyncio.run(run())


def match(
    ctx: typer.Context, *, bootstrap: Bootstrap = None, database: Url = None, metrics_listen: Metrics = None
) -> None:
    """Judge flow records at their own time, after whatever else this machine has to do. Several share the logs."""
    settings = loaded(
        ctx, {"kafka.bootstrap": bootstrap, "database.url": database, "web.metrics_listen": metrics_listen}
    )
    from monitor.cli import serving  # noqa: PLC0415
    from monitor.cli.main import version  # noqa: PLC0415
    from streams import wiring  # noqa: PLC0415

    async def run() -> None:
        os.nice(BEHIND_OTHERS)
        process = serving.begun(settings, "match", version=version())
        store = serving.recorded_in(settings)
        parts = serving.stream_parts(process, store, serving.MATCH_GROUP)
        await process.run(lambda: wiring.run_match(parts, process.stop))

    asyncio.run(run())


def watch(
    ctx: typer.Context,
    *,
    cluster: ClusterName = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="How to reach the API server; without it, as a pod of the cluster.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig.", show_default=False)] = None,
    manifests: Annotated[Path | None, typer.Option(help="A folder of YAML instead of an API server.")] = None,
    domains: Annotated[Path | None, typer.Option(help="domains.yaml: what the owners declare.")] = None,
    waivers: Annotated[Path | None, typer.Option(help="waivers.yaml: what is accepted for a time.")] = None,
    bootstrap: Bootstrap = None,
    metrics_listen: Metrics = None,
) -> None:
    """Publish what a cluster holds. One for each cluster; reads only."""
    settings = loaded(
        ctx,
        {
            "cluster": cluster,
            "watch.kubeconfig": kubeconfig,
            "watch.context": context,
            "watch.manifests": manifests,
            "watch.domains": domains,
            "watch.waivers": waivers,
            "kafka.bootstrap": bootstrap,
            "web.metrics_listen": metrics_listen,
        },
    )
    from monitor.cli import feeding, serving  # noqa: PLC0415
    from monitor.cli.main import version  # noqa: PLC0415

    async def run() -> None:
        process = serving.begun(settings, "watch", version=version())
        observer = feeding.WatchMetrics(process.exposition, settings.cluster)
        await process.run(lambda: feeding.watch(settings, process.stop, observer))

    asyncio.run(run())


def collect(
    ctx: typer.Context,
    *,
    cluster: ClusterName = None,
    logs: Annotated[list[Path] | None, typer.Option("--logs", help="A file with kernel log lines.")] = None,
    kmsg: Annotated[bool, typer.Option("--kmsg", help="Read this node's kernel log itself.")] = False,
    node: Annotated[str | None, typer.Option(help="Name of this node.", show_default=False)] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Where to remember how far it was read.")] = None,
    bootstrap: Bootstrap = None,
    metrics_listen: Metrics = None,
) -> None:
    """Read LOG lines of a node and publish them as flow batches."""
    settings = loaded(
        ctx,
        {
            "cluster": cluster,
            "collect.files": tuple(logs) if logs else None,
            "collect.kmsg": kmsg or None,
            "collect.node": node,
            "collect.checkpoint": checkpoint,
            "kafka.bootstrap": bootstrap,
            "web.metrics_listen": metrics_listen,
        },
    )
    from monitor.cli import feeding, serving  # noqa: PLC0415
    from monitor.cli.main import version  # noqa: PLC0415

    async def run() -> None:
        process = serving.begun(settings, "collect", version=version())
        on_sent = feeding.collect_metrics(process.exposition)
        await process.run(lambda: feeding.collect(settings, process.stop, on_sent=on_sent))

    asyncio.run(run())
