"""`segmon`: the one door. A command's module is imported when it is asked for, so that `explain` starts fast."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections import UserDict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from models.errors import UserError
from monitor.cli.context import Common

COMMANDS: Final = {
    "up": "up.up",
    "explain": "explain.explain",
    "reach": "reach.reach",
    "watch": "run.watch",
    "collect": "run.collect",
    "work": "run.work",
    "match": "run.match",
    "doctor": "doctor.doctor",
    "findings": "database.findings",
    "verify": "database.verify",
    "describe": "database.describe_app",
    "db": "database.db_app",
    "report": "report.report_app",
    "dashboards": "boards.dashboards_app",
    "topics": "broker.topics_app",
    "dead": "broker.dead_app",
}
"""Where each command, or group of commands, is found in `monitor.cli`."""

_OF_THE_MACHINE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR})
"""What a file system refuses: nothing of ours is broken, and the message names the file."""


class _Commands(UserDict[str, Any]):
    """Commands by name. A command's module is imported when the command is asked for, and by help, which lists all."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = super().__getitem__(name).partition(".")
        return _command(name, getattr(import_module(f"monitor.cli.{module}"), attribute))


def _command(name: str, found: Any) -> Any:
    """A function or a group of them as typer's own command."""
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name)
    else:
        app.command(name)(found)
    return get_group(app).commands[name]


class _ReaderLeftError(Exception):
    """Nobody reads standard output any more, as behind `| head`. Typer would end with 1, which here means findings."""


class _Group(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(COMMANDS)

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError as error:
            raise _ReaderLeftError from error


app = typer.Typer(
    cls=_Group,
    name="segmon",
    help="Is every security domain segmented as its owner declared? Judged by effect, exactly as Calico would.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def version() -> str:
    from importlib import metadata  # noqa: PLC0415 - costs start-up time that no other command need pay

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


def main() -> None:
    """Exit codes: 0 evaluated, 1 findings, 2 usage or configuration, 3 could not evaluate, 4 internal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without ✔ gets its number, not another answer
    try:
        app()
    except UserError as wrong:
        sys.exit(_told(f"error: {wrong}", wrong.exit_code))
    except KeyboardInterrupt:
        sys.exit(130)
    except _ReaderLeftError:
        _leave_quietly()
    except Exception as fault:  # noqa: BLE001 - the last door: an internal fault has its own exit code
        sys.exit(_told(*_explained(fault)))


def _leave_quietly() -> None:
    """As a program that SIGPIPE ends, with the code that a shell gives it, and no complaint of the interpreter."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + signal.SIGPIPE)


def _explained(fault: Exception) -> tuple[str, int]:
    """What is said of it, and the exit code."""
    from monitor.broker.connection import AWAY_FIX, BrokerUnavailableError  # noqa: PLC0415 - as above
    from monitor.store.errors import DISK_FULL, away, is_away, is_disk_full  # noqa: PLC0415 - as above

    if isinstance(fault, BrokerUnavailableError):
        return f"error: the broker does not answer: {fault}\n       fix: {AWAY_FIX}", 3
    if is_disk_full(fault):
        return f"error: {DISK_FULL}", 2
    if is_away(fault):
        return f"error: {away(fault)}", 3
    if isinstance(fault, OSError) and fault.errno in _OF_THE_MACHINE:
        return f"error: {fault.filename or 'cannot write the answer'}: {fault.strerror}", 2
    return f"internal error: {type(fault).__name__}: {fault}\n       fix: run again with --debug, report it", 4


def _told(message: str, code: int) -> int:
    if "--debug" in sys.argv:
        import traceback  # noqa: PLC0415 - as above

        traceback.print_exc()
    print(message, file=sys.stderr)  # noqa: T201 - this is where errors are told
    return code


if __name__ == "__main__":
    main()
