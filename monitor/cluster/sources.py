"""Where the state of a cluster comes from: an API server or files; beside it, always, what people declared."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from typing import Protocol
from uuid import uuid4

from models.facts import Kind
from monitor.cluster import filesource
from monitor.cluster.filesource import Telling
from monitor.cluster.identity import Identity
from monitor.cluster.view import View
from monitor.settings import Settings

Restarted = Callable[[Kind, str], None]


class Source(Protocol):
    """Lists all kinds into a view and keeps it up to date. The identity is known before anything is listed."""

    @property
    def identity(self) -> Identity: ...

    async def run(self, view: View) -> None:
        """Never returns; cancel it."""

    async def relist(self, view: View) -> None:
        """List everything again; returns when that is done, or its time is over."""


async def of(settings: Settings, restarted: Restarted) -> Source:
    """The source that the settings name. UserError if its files cannot be used."""
    watch, cluster = settings.watch, settings.cluster
    declared = await asyncio.to_thread(filesource.telling_declared, watch.domains, watch.waivers, cluster)
    if watch.manifests is not None:
        return _Files(
            await asyncio.to_thread(filesource.telling_manifests, watch.manifests, cluster), declared, cluster
        )
    from monitor.cluster.server import Server  # noqa: PLC0415 - its client takes 35 MiB, which files do not need
    from monitor.cluster.transport import Access  # noqa: PLC0415

    return Server(cluster, Access(watch.kubeconfig, watch.context), declared, restarted)


def instance() -> str:
    """The name of one run of one watch: unlike every other's."""
    return f"{platform.node()}-{uuid4().hex[:8]}"


class _Files:
    def __init__(self, manifests: Telling, declared: Telling, cluster: str) -> None:
        self._manifests = manifests
        self._declared = declared
        self._cluster = cluster

    @property
    def identity(self) -> Identity:
        return filesource.identity(self._manifests.facts, self._cluster)

    async def run(self, view: View) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._manifests.run(view))
            tasks.create_task(self._declared.run(view))

    async def relist(self, view: View) -> None:
        self._manifests.tell_all(view)
        self._declared.tell_all(view)
