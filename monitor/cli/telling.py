"""What `segmon up` prints while it runs: a greeting, the posture, transitions as they are recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from monitor.broker.embedded import BANNER
from monitor.cli import posture_text
from monitor.store import Store, queries

if TYPE_CHECKING:
    from monitor.cli.embedded import Tree

POLL_SECONDS = 0.2
MOST_AT_ONCE = 12  # lines of one look; more are counted


class Teller:
    """Reads the record; says nothing twice."""

    def __init__(self, store: Store, cluster: str, *, is_quiet: bool) -> None:
        self._store = store
        self._cluster = cluster
        self._is_quiet = is_quiet
        self._last = 0
        self._shown = asyncio.Event()

    def greet(self, tree: Tree) -> None:
        typer.echo(f"segmon · cluster {self._cluster} · {BANNER}")
        web = tree.settings.web
        typer.echo(f"status page http://{web.page_listen}  ·  metrics http://{web.metrics_listen}/metrics")
        typer.echo("")

    def show(self) -> None:
        """The whole posture; transitions are told from here on."""
        with self._store.look() as look:
            typer.echo(posture_text.posture(look, self._cluster))
            self._tell(queries.transitions_after(look, self._cluster, self._last, limit=100_000))
        typer.echo("")
        self._shown.set()

    def say(self, text: str) -> None:
        if not self._is_quiet:
            typer.echo(f"          — {text}")

    async def run(self) -> int | None:
        """For ever: what was recorded since the last look."""
        if self._is_quiet:
            return None
        await self._shown.wait()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            rows = await asyncio.to_thread(self._news)
            self._tell(rows)

    def _news(self) -> list[queries.TransitionRow]:
        with self._store.look() as look:
            return queries.transitions_after(look, self._cluster, self._last)

    def _tell(self, rows: list[queries.TransitionRow]) -> None:
        for row in rows[:MOST_AT_ONCE]:
            typer.echo(posture_text.transition(row))
        if len(rows) > MOST_AT_ONCE:
            typer.echo(f"          … and {len(rows) - MOST_AT_ONCE} more: segmon findings, or the status page")
        if rows:
            self._last = rows[-1].id
