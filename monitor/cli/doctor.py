"""`segmon doctor`: what was looked at, what was found, and the command that mends it. Exit 0 all well, 1 something is
wrong, 3 something could not be looked at.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct, structs

from models.errors import UserError
from monitor.cli.context import Output, emit, loaded, printable

if TYPE_CHECKING:
    from monitor.settings import Settings

LOOK_SECONDS = 20.0
SKEW_LIMIT_SECONDS = 2.0
GLYPHS = {"well": "✔", "wrong": "✘", "unknown": "?"}


class Check(Struct, frozen=True, kw_only=True):
    """`state`: well, wrong, or unknown where something kept us from looking."""

    what: str
    state: str
    found: str
    fix: str = ""


Look = Callable[["Settings"], Awaitable[list[Check]]]


def doctor(
    ctx: typer.Context,
    *,
    kubeconfig: Annotated[Path | None, typer.Option(help="How to reach the API server.")] = None,
    logs: Annotated[list[Path] | None, typer.Option("--logs", help="A file with kernel log lines.")] = None,
    bootstrap: Annotated[str | None, typer.Option("--bootstrap", help="Address of the broker.")] = None,
    database: Annotated[str | None, typer.Option("--database", help="URL of the database.")] = None,
    output: Annotated[Output, typer.Option()] = Output.TABLE,
) -> None:
    """Look at broker, topics, database, API server, permissions, log sources and clocks."""
    from monitor.cli import logs as logging_  # noqa: PLC0415 - as all imports here

    settings = loaded(
        ctx,
        {
            "watch.kubeconfig": kubeconfig,
            "collect.files": tuple(logs) if logs else None,
            "kafka.bootstrap": bootstrap,
            "database.url": database,
        },
    )
    logging_.configure("text", "critical")  # what a library has to say of a failure is in the check's line
    checks = asyncio.run(_all(settings))
    if output is Output.TABLE:
        for check in checks:
            typer.echo(f"{GLYPHS[check.state]} {check.what:34}{printable(check.found)}")
            if check.fix:
                typer.echo(f"    fix: {check.fix}")
    else:
        emit([structs.asdict(check) for check in checks], ("what", "state", "found", "fix"), output)
    states = {check.state for check in checks}
    raise typer.Exit(1 if "wrong" in states else 3 if "unknown" in states else 0)


async def _all(settings: Settings) -> list[Check]:
    looks: dict[str, Look] = {
        "broker": _broker,
        "database": _database,
        "API server": _api_server,
        "log source": _log_sources,
    }
    found = []
    for what, look in looks.items():
        found += await _looked(what, look, settings)
    return found


async def _looked(what: str, look: Look, settings: Settings) -> list[Check]:
    """One look; whatever keeps it from ending well is a line of its own, never a traceback."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await look(settings)
    except UserError as wrong:
        problem, _, fix = str(wrong).partition("\n       fix: ")
        return [Check(what=what, state="wrong", found=problem, fix=fix)]
    except TimeoutError:
        return [Check(what=what, state="unknown", found=f"no answer within {LOOK_SECONDS:.0f} s")]
    except Exception as fault:  # noqa: BLE001 - a doctor that dies of what it finds helps nobody
        return [Check(what=what, state="wrong", found=f"{type(fault).__name__}: {_short(fault)}")]


def _short(fault: BaseException) -> str:
    lines = str(fault).strip().splitlines()
    return lines[0][:200] if lines else "no reason given"


async def _broker(settings: Settings) -> list[Check]:
    from models.topics import TOPICS  # noqa: PLC0415 - as all imports in the looks: only the doctor needs all of them
    from monitor.broker import connection, topics  # noqa: PLC0415
    from monitor.broker.connection import AWAY_FIX, BrokerUnavailableError  # noqa: PLC0415

    place = settings.kafka.bootstrap
    try:
        problems = await topics.problems(connection.from_settings(settings.kafka), TOPICS)
    except BrokerUnavailableError as error:
        return [Check(what=f"broker {place}", state="wrong", found=_short(error), fix=AWAY_FIX)]
    checks = [Check(what=f"broker {place}", state="well", found="answers")]
    wrong = {problem.topic: problem for problem in problems}
    for spec in TOPICS:
        problem = wrong.get(spec.name)
        if problem is None:
            checks.append(Check(what=f"topic {spec.name}", state="well", found=f"{spec.partitions} partitions"))
        else:
            checks.append(Check(what=f"topic {spec.name}", state="wrong", found=problem.what, fix=problem.fix))
    return checks


async def _database(settings: Settings) -> list[Check]:
    from monitor import clock  # noqa: PLC0415
    from monitor.cli.database import connected  # noqa: PLC0415
    from monitor.store import queries  # noqa: PLC0415

    store = connected(settings)
    await asyncio.to_thread(store.check_revision)
    before = clock.now()
    with store.look() as look:
        there = queries.server_time(look)
        clusters = queries.clusters(look)
    skew = abs((there - before).total_seconds())
    checks = [Check(what="database", state="well", found=f"at this release's revision, {len(clusters)} cluster(s)")]
    if skew > SKEW_LIMIT_SECONDS:
        fix = "synchronise both clocks (chrony, systemd-timesyncd)"
        checks.append(Check(what="clock", state="wrong", found=f"{skew:.1f} s apart from the database's", fix=fix))
    else:
        checks.append(Check(what="clock", state="well", found=f"{skew:.1f} s apart from the database's"))
    return checks


async def _api_server(settings: Settings) -> list[Check]:
    if settings.watch.manifests is not None:
        return [_folder(settings.watch.manifests)]
    if settings.watch.kubeconfig is None and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        fix = "segmon doctor --kubeconfig FILE, or run it in the cluster"
        return [Check(what="API server", state="unknown", found="no kubeconfig was given", fix=fix)]
    from monitor.cluster import checking  # noqa: PLC0415

    found: list[Any] = await checking.permissions(settings.watch.kubeconfig, settings.watch.context)
    return [Check(what=each.what, state=each.state, found=each.found, fix=each.fix) for each in found]


def _folder(folder: Path) -> Check:
    if not folder.is_dir():
        return Check(what="manifests", state="wrong", found=f"{folder} is no folder", fix="set watch.manifests")
    count = sum(1 for path in folder.rglob("*") if path.suffix in {".yaml", ".yml", ".json"})
    return Check(what="manifests", state="well", found=f"{count} file(s) in {folder}")


async def _log_sources(settings: Settings) -> list[Check]:
    checks = [_log_file(path) for path in settings.collect.files]
    if settings.collect.kmsg:
        checks.append(_kernel_log())
    if not checks:
        fix = "give collect.files, or collect.kmsg on a node"
        return [Check(what="log source", state="unknown", found="none is configured here", fix=fix)]
    return checks


def _log_file(path: Path) -> Check:
    what = f"log source {path}"
    try:
        mode = path.stat().st_mode
        with path.open("rb"):
            pass
    except OSError as error:
        return Check(what=what, state="wrong", found=str(error.strerror), fix=f"let this user read {path}")
    if not stat.S_ISREG(mode):
        return Check(what=what, state="wrong", found="is no regular file", fix="give the file that holds kernel lines")
    return Check(what=what, state="well", found="can be read")


def _kernel_log() -> Check:
    nested = Path("/proc/sys/net/netfilter/nf_log_all_netns")
    try:
        with Path("/dev/kmsg").open("rb"):
            pass
    except OSError as error:
        fix = "run as root, or with CAP_SYSLOG, on the node"
        return Check(what="log source /dev/kmsg", state="wrong", found=str(error.strerror), fix=fix)
    allowed = nested.exists() and nested.read_text().strip() == "1"
    words = "can be read" if allowed else "can be read; LOG lines of nested network namespaces are suppressed"
    fix = "" if allowed else "on kind and nested nodes: sysctl -w net.netfilter.nf_log_all_netns=1"
    return Check(what="log source /dev/kmsg", state="well", found=words, fix=fix)
