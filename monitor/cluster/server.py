"""An API server as the source of a cluster's state, and beside it what people declared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from models.facts import API_KINDS, Kind
from monitor.cluster.api_source import ApiSource, Watching
from monitor.cluster.filesource import Telling
from monitor.cluster.identity import Identity
from monitor.cluster.pacing import Pace
from monitor.cluster.transport import Access
from monitor.cluster.view import View


class Server:
    """A `sources.Source`."""

    def __init__(self, cluster: str, access: Access, declared: Telling, restarted: Callable[[Kind, str], None]) -> None:
        self.identity = Identity()
        self._cluster = cluster
        self._access = access
        self._declared = declared
        self._restarted = restarted
        self._api: ApiSource | None = None

    async def run(self, view: View) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._declared.run(view))
            tasks.create_task(self._read(view))

    async def _read(self, view: View) -> None:
        pace = Pace(chance=Random())  # noqa: S311 - spreads requests, guards nothing
        async with ApiSource(self._cluster, self._access, pace) as api:
            found = await api.identity()
            self.identity = Identity(uid=found.uid, version=found.kubernetes_version)
            self._api = api
            await api.run(
                Watching(
                    kinds={kind: view.kinds[kind] for kind in API_KINDS},
                    has_facts=view.has_facts,
                    on_restart=self._restarted,
                )
            )

    async def relist(self, view: View) -> None:
        self._declared.tell_all(view)
        if self._api is not None:
            view.reopen(API_KINDS)
            self._api.relist()
            await view.settled()
