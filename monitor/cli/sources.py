"""Where `explain`, `reach` and `diff` get the facts of one cluster: files, a live API server, or the database.

Law: exactly one source is named. What the source could not give is kept beside the facts, and the command exits 3.
Every source is imported when it is asked for: reading files must not pay for a database driver or an HTTP client.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from models.errors import CannotEvaluateError, UserError
from models.facts import STALE_AFTER, Fact, FactKey
from monitor.cli.context import DATABASE_FILE, moment

if TYPE_CHECKING:
    from monitor.store.store import Store

LIVE_CLUSTER = "cluster"
"""What a cluster that is read once is called: its facts are stored nowhere."""
_SHOWN = 20

ManifestsOption = Annotated[
    list[str] | None, typer.Option(help="Files, folders or - (standard input); YAML or JSON.", show_default=False)
]
KubeconfigOption = Annotated[Path | None, typer.Option(help="Read a live cluster once.", show_default=False)]
DataOption = Annotated[Path | None, typer.Option(help="Data folder of `segmon up`.", show_default=False)]
DatabaseOption = Annotated[str | None, typer.Option(help="Database URL of the monitor.", show_default=False)]


def _at_moment(text: str) -> datetime:
    return moment(text, "--at")


AtOption = Annotated[
    datetime | None,
    typer.Option(
        parser=_at_moment,
        metavar="TIME",
        help="As it was at this time: 2026-10-01 or 2026-10-01T08:00Z (UTC); only from a database.",
        show_default=False,
    ),
]
ClusterOption = Annotated[str | None, typer.Option(help="Which cluster of the database.", show_default=False)]


class Source(Struct, frozen=True, kw_only=True):
    """What the user named."""

    manifests: tuple[str, ...] = ()
    kubeconfig: Path | None = None
    data: Path | None = None
    database: str | None = None
    at: datetime | None = None
    cluster: str | None = None


class Loaded(Struct, frozen=True, kw_only=True):
    """`unread`: one line for each thing that was not read, or not wholly."""

    facts: Mapping[FactKey, Fact]
    cluster: str
    origin: str
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def tell(self) -> None:
        """What was not read, on stderr."""
        for line in (*self.missing(), *self.notes[:_SHOWN]):
            print(line, file=sys.stderr)  # noqa: T201 - this is where a command tells what it did not read

    def missing(self) -> tuple[str, ...]:
        """What was not read, as many lines as somebody reads."""
        hidden = len(self.unread) - _SHOWN
        return (*self.unread[:_SHOWN], *([f"and {hidden} more that could not be read"] if hidden > 0 else ()))


def load(source: Source) -> Loaded:
    """The facts of the one source that is named. UserError when none or several are."""
    named = [source.manifests, source.kubeconfig, source.data, source.database]
    if sum(one not in {None, ()} for one in named) != 1:
        raise UserError("name one source\n       fix: --manifests DIR, --kubeconfig FILE, --data DIR or --database URL")
    if source.at is not None and source.data is None and source.database is None:
        raise UserError("--at needs a history\n       fix: use it with --data or --database")
    if source.manifests:
        return _from_manifests(source.manifests)
    if source.kubeconfig:
        return _from_cluster(source.kubeconfig, source.cluster or LIVE_CLUSTER)
    return _from_store(source)


def _from_manifests(paths: tuple[str, ...]) -> Loaded:
    from monitor.cluster import manifests  # noqa: PLC0415 - see the module

    read = manifests.read(paths)
    return Loaded(
        facts=read.facts,
        cluster=manifests.CLUSTER,
        origin=", ".join(paths),
        unread=tuple(f"not read: {problem}" for problem in read.problems),
        notes=tuple(f"note: {note}" for note in read.notes),
    )


def _from_cluster(kubeconfig: Path, cluster: str) -> Loaded:
    import asyncio  # noqa: PLC0415 - see the module

    from monitor.cluster import snapshot  # noqa: PLC0415 - see the module

    found = asyncio.run(snapshot.read(kubeconfig, cluster=cluster))
    unread = tuple(f"not read: {kind} of {found.url}: {reason}" for kind, reason in sorted(found.unreadable.items()))
    return Loaded(facts=found.facts, cluster=cluster, origin=found.url, unread=unread)


def _from_store(source: Source) -> Loaded:
    from monitor.store.store import Store  # noqa: PLC0415 - see the module

    url = source.database or database_of(source.data)
    store = Store.open(url)
    try:
        store.check_revision()
        cluster = source.cluster or _only_cluster(store)
        found = store.facts_at(cluster, source.at)
        partly = store.recorded_at(cluster, source.at).reason if source.at else ""
        told = _at(source) if source.at else _last_known(store, cluster)
    finally:
        store.close()
    facts = {key: fact for key, fact in found.items() if isinstance(fact, Fact)}
    if not facts:
        raise CannotEvaluateError(f"nothing is known of cluster {cluster!r}{_at(source)}")
    unread = [f"not wholly known{_at(source)}: {partly}"] if partly else []
    unread += [f"not read: {key.text()}: its record cannot be decoded" for key in found.keys() - facts.keys()]
    notes = (f"note: nobody keeps this record up: cluster {cluster} is{told}",) if told and not source.at else ()
    return Loaded(facts=facts, cluster=cluster, origin=f"cluster {cluster}{told}", unread=tuple(unread), notes=notes)


def _last_known(store: Store, cluster: str) -> str:
    """Of a record that nobody keeps up: how old it is."""
    from monitor import clock  # noqa: PLC0415 - see the module
    from monitor.store import queries  # noqa: PLC0415 - see the module

    with store.look() as look:
        last = queries.last_evaluated_at(look, cluster)
    if last is None or clock.now() - last <= STALE_AFTER:
        return ""
    return f" as last known at {last:%Y-%m-%d %H:%M:%S}"


def _at(source: Source) -> str:
    return f" at {source.at:%Y-%m-%d %H:%M:%S}" if source.at else ""


def database_of(folder: Path | None) -> str:
    """URL of the record in a data folder of `segmon up`. UserError if there is none."""
    file = Path(folder or ".") / DATABASE_FILE
    if not file.exists():
        raise UserError(f"{file}: no such database\n       fix: name the data folder that `segmon up` was given")
    return f"sqlite:///{file}"


def _only_cluster(store: Store) -> str:
    from monitor.store import queries  # noqa: PLC0415 - see the module

    with store.look() as connection:
        clusters = queries.clusters(connection)
    if len(clusters) == 1:
        return clusters[0]
    if not clusters:
        raise CannotEvaluateError("the database holds no cluster yet")
    raise UserError(f"the database holds {len(clusters)} clusters\n       fix: --cluster {' or '.join(clusters)}")
