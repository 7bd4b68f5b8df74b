"""`segmon report create|due|list|verify`: what an auditor is handed. A report never triggers an evaluation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import UserError
from monitor.cli.context import Output, emit, loaded, printable
from monitor.cli.database import ClusterName, Url, clusters_of, opened

if TYPE_CHECKING:
    from monitor.reports.gathering import Making

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
) -> None:
    """One report for a period. Exit 3 if nothing was evaluated in it."""
    from monitor.reports import making  # noqa: PLC0415 - as all imports here: only these commands need them
    from monitor.store.periods import Scope  # noqa: PLC0415

    if every == bool(domain):
        raise UserError("which domains? give --domain level/name, or --all")
    store = opened(loaded(ctx, {"database.url": database}))
    period = _time(from_, "--from"), _time(to, "--to")
    for name in clusters_of(store, cluster):
        scope = Scope(cluster=name, domain=domain, from_at=period[0], to_at=period[1])
        place = making.make(store, scope, _making(), out)
        if place is None:
            raise UserError("the same report is being made by somebody else\n       fix: try again")
        typer.echo(f"✔ {printable(name)}: {place}")


@report_app.command("due")
def due(
    ctx: typer.Context,
    *,
    schedule: Annotated[list[str], typer.Option(help="daily, weekly, monthly; may be given several times.")],
    out: Out,
    cluster: ClusterName = None,
    database: Url = None,
) -> None:
    """Reports of the last period that is over, once each, however often and from wherever this is run."""
    from monitor.reports import making, scheduling  # noqa: PLC0415
    from monitor.store.periods import Scope  # noqa: PLC0415

    store = opened(loaded(ctx, {"database.url": database}))
    for wanted in schedule:
        if wanted not in list(scheduling.Schedule):
            raise UserError(f"no schedule {wanted!r}; known: {', '.join(scheduling.Schedule)}")
        kind, now = scheduling.Schedule(wanted), _making()
        begin, end = scheduling.last_period(kind, now.at)
        for name in clusters_of(store, cluster):
            scope = Scope(cluster=name, domain="", from_at=begin, to_at=end)
            place = making.make(store, scope, now, out, kind)
            typer.echo(f"✔ {printable(name)} {wanted}: {place or 'made already, or being made'}")


@report_app.command("list")
def list_(
    ctx: typer.Context,
    *,
    output: Annotated[Output, typer.Option()] = Output.TABLE,
    cluster: ClusterName = None,
    database: Url = None,
) -> None:
    """The reports that were made, newest first."""
    from msgspec import structs  # noqa: PLC0415

    store = opened(loaded(ctx, {"database.url": database}))
    rows = [structs.asdict(row) for name in clusters_of(store, cluster) for row in store.reports(name)]
    emit(rows, ("id", "cluster", "domain", "schedule", "from_at", "to_at", "made_at", "place"), output)


@report_app.command("verify")
def verify(folder: Annotated[Path, typer.Argument(help="The report's folder.")]) -> None:
    """Compare every file with the manifest. Exit 3 names the first that differs."""
    from monitor.reports import checking  # noqa: PLC0415

    found = checking.check(folder)
    typer.echo(f"✔ {found.report}: {len(found.files)} files are as they were made")


def _making() -> Making:
    from importlib import metadata  # noqa: PLC0415

    from monitor import clock  # noqa: PLC0415
    from monitor.reports.gathering import Making  # noqa: PLC0415

    return Making(at=clock.now(), release=metadata.version("segmon"))


def _time(text: str, flag: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{flag}: no time: {text!r}\n       fix: 2026-10-01 or 2026-10-01T08:00Z (UTC)") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
