"""`segmon`: the one door. Commands import what they need when they run, so that `explain` starts fast."""

from __future__ import annotations

import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from models.errors import UserError
from monitor.cli import broker, database, doctor, explain, reach, report, run, up
from monitor.cli.context import Common

app = typer.Typer(
    name="segmon",
    help="Is every security domain segmented as its owner declared? Judged by effect, exactly as Calico would.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def version() -> str:
    return metadata.version("segmon")


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        typer.echo(f"segmon {version()}")
        raise typer.Exit


@app.callback()
def common(
    ctx: typer.Context,
    *,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (YAML).", envvar="SEGMON_CONFIG", show_default=False)
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the release.")
    ] = False,
) -> None:
    ctx.obj = Common(config=config, debug=debug)


for command in (
    up.up,
    explain.explain,
    reach.reach,
    run.watch,
    run.collect,
    run.work,
    run.match,
    doctor.doctor,
    database.findings,
    database.verify,
):
    app.command()(command)
app.add_typer(database.describe_app, name="describe")
app.add_typer(database.db_app, name="db")
app.add_typer(report.report_app, name="report")
app.add_typer(broker.topics_app, name="topics")
app.add_typer(broker.dead_app, name="dead")


def main() -> None:
    """Exit codes: 0 evaluated, 1 findings, 2 usage or configuration, 3 could not evaluate, 4 internal."""
    try:
        app()
    except UserError as wrong:
        sys.exit(_told(f"error: {wrong}", wrong.exit_code))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as fault:  # noqa: BLE001 - the last door: an internal fault has its own exit code
        sys.exit(
            _told(f"internal error: {type(fault).__name__}: {fault}\n       fix: run again with --debug, report it", 4)
        )


def _told(message: str, code: int) -> int:
    if "--debug" in sys.argv:
        traceback.print_exc()
    print(message, file=sys.stderr)  # noqa: T201 - this is where errors are told
    return code


if __name__ == "__main__":
    main()
