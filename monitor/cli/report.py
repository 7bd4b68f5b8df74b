"""`segmon report create|due|list|verify`: what an auditor is handed. A report never triggers an evaluation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import CannotEvaluateError, UserError
from monitor.cli.context import Output, emit, moment, printable
from monitor.cli.database import ClusterName, Url, clusters_of, record_of
from monitor.cli.sources import DataOption

if TYPE_CHECKING:
    from monitor.reports.gathering import Making, Progress
    from monitor.reports.making import Done
    from monitor.reports.scheduling import Period, Schedule
    from monitor.store import Store

CLOCKS_APART_SECONDS = 60

report_app = typer.Typer(no_args_is_help=True, help="Audit reports: HTML, CSV and JSON with a manifest.")

Out = Annotated[Path, typer.Option("--out", help="Folder that the report's own folder is written into.")]


@report_app.command("create")
def create(
    ctx: typer.Context,
    *,
    from_: Annotated[str, typer.Option("--from", help="Beginning, included: 2026-10-01 or 2026-10-01T08:00Z.")],
    to: Annotated[str, typer.Option("--to", help="End, excluded.")],
    out: Out,
    domain: Annotated[str, typer.Option(help="Only this domain (level/name).")] = "",
    every: Annotated[bool, typer.Option("--all", help="All domains of the cluster.")] = False,
    cluster: ClusterName = None,
    database: Url = None,
    data: DataOption = None,
) -> None:
    """One report for a period. Exit 3 if nothing was evaluated in it."""
    from monitor.reports import making  # noqa: PLC0415 - as all imports here: only these commands need them
    from monitor.store.periods import Scope  # noqa: PLC0415

    if every == bool(domain):
        raise UserError("which domains? give --domain level/name, or --all")
    store = record_of(ctx, database, data)
    period = moment(from_, "--from"), moment(to, "--to")
    now = _making(store)
    told = _Told()
    for name in clusters_of(store, cluster):
        scope = Scope(cluster=name, domain=domain, from_at=period[0], to_at=period[1])
        with _progress(name) as progress:
            done = making.make(store, making.Order(scope=scope, out=out), now, progress)
        if done is None:
            raise UserError("the same report is being made by somebody else\n       fix: try again")
        told.made(name, done)
    told.end()


@report_app.command("due")
def due(
    ctx: typer.Context,
    *,
    schedule: Annotated[list[str], typer.Option(help="daily, weekly, monthly; may be given several times.")],
    out: Out,
    cluster: ClusterName = None,
    database: Url = None,
    data: DataOption = None,
) -> None:
    """Reports of the periods that are over, once each, however often and from wherever this is run.

    Begins with the last period that is over; periods missed since the last report are made up for. Days, weeks (from
    Monday) and months are UTC. What was over before the first evidence is not due. Exit 3 if nothing was evaluated in
    a period, after all reports were made.
    """
    from monitor.reports import scheduling  # noqa: PLC0415

    kinds = [_schedule(wanted) for wanted in schedule]
    store = record_of(ctx, database, data)
    now = _making(store)
    told = _Told()
    for name in _clusters_so_far(store, cluster):
        for kind in kinds:
            periods = scheduling.due(kind, store.reports_made_until(name, kind.value), now.at)
            if not periods:
                typer.echo(f"✔ {printable(name)} {kind.value}: made already")
            for period in periods:
                _make_due(store, name, (kind, period, out, now), told)
    told.end()


def _clusters_so_far(store: Store, wanted: str | None) -> list[str]:
    """None of a record that holds nothing yet: of it nothing is due, and who asks for ever need not fail."""
    try:
        return clusters_of(store, wanted)
    except CannotEvaluateError as nothing:
        typer.echo(f"– {nothing}")
        return []


def _make_due(store: Store, cluster: str, wanted: tuple[Schedule, Period, Path, Making], told: _Told) -> None:
    from monitor.reports import making  # noqa: PLC0415
    from monitor.store import periods  # noqa: PLC0415

    kind, (begin, end), out, now = wanted
    scope = periods.Scope(cluster=cluster, domain="", from_at=begin, to_at=end)
    what = f"{cluster} {kind.value} {begin:%Y-%m-%d}"
    with store.look() as connection:
        first = periods.first_evidence(connection, cluster)
    if first is None or first >= end:
        since = f"the first evidence is of {first:%Y-%m-%d %H:%M:%S} UTC" if first else "there is no evidence yet"
        typer.echo(f"– {printable(what)}: not due, {since}")
        return
    with _progress(what) as progress:
        done = making.make(store, making.Order(scope=scope, out=out, schedule=kind), now, progress)
    if done is None:
        typer.echo(f"✔ {printable(what)}: made already, or being made")
    else:
        told.made(what, done)


class _Told:
    """What was made, and what the exit code is to say at the end."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def made(self, what: str, done: Done) -> None:
        typer.echo(f"{'✔' if done.is_evaluated else '?'} {printable(what)}: {done.place}")
        if not done.is_evaluated:
            self.problems.append(f"{what}: nothing was evaluated in the period; the report says so")

    def end(self) -> None:
        if self.problems:
            raise CannotEvaluateError("\n       ".join(printable(line) for line in self.problems))


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """A bar of domains on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        from monitor.reports.gathering import silent  # noqa: PLC0415

        yield silent
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TextColumn("domains"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(what), total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@report_app.command("list")
def list_(
    ctx: typer.Context,
    *,
    output: Annotated[Output, typer.Option()] = Output.TABLE,
    cluster: ClusterName = None,
    database: Url = None,
    data: DataOption = None,
) -> None:
    """The reports that were made, newest first."""
    from msgspec import structs  # noqa: PLC0415

    store = record_of(ctx, database, data)
    rows = [structs.asdict(row) for name in clusters_of(store, cluster) for row in store.reports(name)]
    if not rows and output is Output.TABLE:
        typer.echo("no report was made yet: segmon report create makes one")
        return
    emit(rows, ("id", "cluster", "domain", "schedule", "from_at", "to_at", "made_at", "place"), output)


@report_app.command("verify")
def verify(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The report's folder.")],
    *,
    database: Annotated[
        str | None,
        typer.Option("--database", help="URL of the record to hold the manifest against.", show_default=False),
    ] = None,
    data: DataOption = None,
) -> None:
    """Compare every file with the manifest, and the manifest with the record. Exit 3 names the first that differs."""
    from monitor.reports import checking  # noqa: PLC0415

    found = checking.check(folder)
    manifest = found.manifest
    typer.echo(f"✔ {printable(manifest.report)}: {len(manifest.files)} files are as they were made")
    if database is None and data is None:
        typer.echo(
            "? the manifest was not held against the record: give --database URL or --data DIR; "
            f"its SHA-256 is {found.digest}"
        )
        return
    number = checking.check_record(record_of(ctx, database, data), found, folder)
    typer.echo(f"✔ the manifest is that of {number} in the record of {printable(manifest.cluster)}: {found.digest}")


def _making(store: Store) -> Making:
    """Now. A clock that differs from the database's would report on days that are not over, or leave some out."""
    from importlib import metadata  # noqa: PLC0415

    from monitor import clock  # noqa: PLC0415
    from monitor.reports.gathering import Making  # noqa: PLC0415
    from monitor.store import queries  # noqa: PLC0415

    now = clock.now()
    with store.look() as connection:
        theirs = queries.server_time(connection)
    if abs((theirs - now).total_seconds()) > CLOCKS_APART_SECONDS:
        raise UserError(
            f"this machine's clock says {now:%Y-%m-%d %H:%M:%S}, the database's {theirs:%Y-%m-%d %H:%M:%S} UTC\n"
            "       fix: set the one that is wrong"
        )
    return Making(at=now, release=metadata.version("segmon"))


def _schedule(wanted: str) -> Schedule:
    from monitor.reports.scheduling import Schedule  # noqa: PLC0415

    if wanted not in list(Schedule):
        raise UserError(f"no schedule {wanted!r}; known: {', '.join(Schedule)}")
    return Schedule(wanted)
