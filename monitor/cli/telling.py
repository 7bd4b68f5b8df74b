"""What `segmon up` prints while it runs: a greeting, the posture, what policies widened and closed, transitions."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections import Counter
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from monitor.broker.embedded import BANNER
from monitor.cli import posture_text
from monitor.demo import story
from monitor.store import Store, pairs, queries

if TYPE_CHECKING:
    from monitor.cli.embedded import Tree

POLL_SECONDS = 0.5
MOST_AT_ONCE = 12  # lines of one look; more are counted
OPENING = frozenset({"opened", "reopened"})


def _written(journal: Path) -> tuple[int, int] | None:
    """Differs after each transaction of SQLite; None if it cannot be told. Far cheaper than to ask for news."""
    try:
        status = journal.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


class Teller:
    """Reads the record; says nothing twice."""

    def __init__(self, store: Store, cluster: str, database: Path, *, is_quiet: bool) -> None:
        self._store = store
        self._journal = database.with_name(database.name + "-wal")
        self._cluster = cluster
        self._is_quiet = is_quiet
        self._last = 0
        self._last_change = 0
        self._opened: dict[str, datetime] = {}  # finding -> when it was opened, as far as it was seen here
        self._untold: set[str] = set()  # findings that were opened among what was only counted
        self._shown = asyncio.Event()

    def greet(self) -> None:
        typer.echo(f"segmon {metadata.version('segmon')} · cluster {self._cluster} · {BANNER}")

    def show(self) -> None:
        """What was read and the whole posture; transitions are told from here on."""
        with self._store.look() as look:
            typer.echo(posture_text.read(self._store.facts_at(self._cluster)))
            for line in posture_text.unread(look, self._cluster):
                typer.echo(line)
            typer.echo("")
            typer.echo(posture_text.posture(look, self._cluster))
            typer.echo(posture_text.LEGEND)
            typer.echo("")
            found = queries.transitions_after(look, self._cluster, self._last, limit=100_000)
            self._tell(sorted(found, key=lambda row: queries.SEVERITIES.index(row.severity)))
            self._last_change = max((row.id for row in self._changes(look)), default=0)
        typer.echo("")
        self._shown.set()

    def conclude(self, tree: Tree) -> None:
        """Behind the demo's story: where it stands, and what a person can ask next."""
        segmon = shlex.quote(sys.argv[0])
        data = f"--data {shlex.quote(str(tree.home))}"
        self._tell_news(*self._news())
        with self._store.look() as look:
            typer.echo("\n" + posture_text.posture(look, self._cluster))
        typer.echo(f"why?       {segmon} explain {data} {story.WHY}")
        typer.echo(f"what else? {segmon} findings {data}  ·  {segmon} describe domain payments {data}")
        self.tell_addresses(tree)
        typer.echo("Ctrl-C stops everything" + ("." if tree.wanted.data else " and removes the demo's data."))

    def tell_addresses(self, tree: Tree) -> None:
        """Where it answers now."""
        page = f"status page http://{tree.served.page}  ·  " if tree.served.page else ""
        typer.echo(f"{page}metrics http://{tree.served.metrics}/metrics")

    def say(self, text: str) -> None:
        if not self._is_quiet:
            typer.echo(f"          — {text}")

    async def run(self) -> int | None:
        """For ever: what was recorded since the last look."""
        if self._is_quiet:
            return None
        await self._shown.wait()
        told = None
        while True:
            await asyncio.sleep(POLL_SECONDS)
            written = _written(self._journal)
            if written is None or written != told:
                self._tell_news(*await asyncio.to_thread(self._news))
                told = written

    def _news(self) -> tuple[list[pairs.EffectRow], list[queries.TransitionRow]]:
        with self._store.look() as look:
            return self._changes(look), queries.transitions_after(look, self._cluster, self._last)

    def _tell_news(self, changes: list[pairs.EffectRow], rows: list[queries.TransitionRow]) -> None:
        """What changes of policies did, then what came of it."""
        changes = [row for row in changes if row.id > self._last_change]
        for line in [line for row in changes for line in posture_text.effect(row)][:MOST_AT_ONCE]:
            typer.echo(line)
        self._last_change = max((row.id for row in changes), default=self._last_change)
        self._tell(rows)

    def _changes(self, look: queries.Look) -> list[pairs.EffectRow]:
        return pairs.effects_after(look, self._cluster, self._last_change, limit=100_000)

    def _tell(self, rows: list[queries.TransitionRow]) -> None:
        told, counted = rows[:MOST_AT_ONCE], rows[MOST_AT_ONCE:]
        for row in told:
            typer.echo(posture_text.transition(row, self._opened.get(row.finding_id)) + self._before(row))
        if counted:
            numbers = Counter(row.severity for row in counted)
            severities = ", ".join(f"{numbers[each]} {each}" for each in queries.SEVERITIES if each in numbers)
            typer.echo(f"          … and {len(counted)} more ({severities}): segmon findings, or the status page")
        self._opened |= {row.finding_id: row.at for row in rows if row.transition in OPENING}
        self._untold -= {row.finding_id for row in told}
        self._untold |= {row.finding_id for row in counted if row.transition in OPENING}
        if rows:
            self._last = max(row.id for row in rows)

    def _before(self, row: queries.TransitionRow) -> str:
        """Behind an end whose beginning was only counted."""
        return " (opened before)" if row.transition == "resolved" and row.finding_id in self._untold else ""
