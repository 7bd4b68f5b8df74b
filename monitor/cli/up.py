"""`segmon up`: everything in one process tree on embedded parts; a trial, or one small cluster.

The parent reads the cluster and the logs itself, and tells what is found; broker, work and match are its children. If
one of them ends, or the broker forgot something, the whole tree is started anew and relists (docs/architecture.md).
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct, structs

from models.errors import CannotEvaluateError, UserError
from monitor.cli.context import DATABASE_FILE, Form, loaded

if TYPE_CHECKING:
    from monitor.cli.embedded import Tree
    from monitor.cli.telling import Teller
    from monitor.settings import Settings

RESTARTS = 5
SETTLED_SECONDS = 60.0
"""A tree that lived for so long had come up: its end is the first of a new row."""
ONCE_SECONDS = 120.0


class Wanted(Struct, frozen=True, kw_only=True):
    """What was asked for: by flags, else by the settings."""

    settings: Settings
    cluster: str
    demo: bool
    once: bool
    output: Form
    data: Path | None
    manifests: Path | None
    kubeconfig: Path | None
    context: str
    logs: tuple[Path, ...]
    kmsg: bool
    domains: Path | None
    waivers: Path | None
    metrics_listen: str
    page_listen: str


def up(
    ctx: typer.Context,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="The demo cluster, with a story that is played.")] = False,
    manifests: Annotated[Path | None, typer.Option(help="A folder of YAML; re-read when it changes.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="A cluster, through its API server.")] = None,
    context: Annotated[str, typer.Option(help="Context of the kubeconfig.")] = "",
    cluster: Annotated[str | None, typer.Option(help="Name of the cluster.", show_default=False)] = None,
    logs: Annotated[list[Path] | None, typer.Option("--logs", help="A file with kernel log lines.")] = None,
    kmsg: Annotated[bool, typer.Option("--kmsg", help="Read this node's kernel log.")] = False,
    domains: Annotated[Path | None, typer.Option(help="domains.yaml.")] = None,
    waivers: Annotated[Path | None, typer.Option(help="waivers.yaml.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where to keep the record; without it, nothing is kept.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Evaluate what is there, print it, end.")] = False,
    output: Annotated[Form, typer.Option(help="Of --once.")] = Form.TABLE,
    metrics_listen: Annotated[str | None, typer.Option(help="Address of /metrics.", show_default=False)] = None,
    page_listen: Annotated[str | None, typer.Option(help="Address of the status page.", show_default=False)] = None,
) -> None:
    """Everything on this machine, without Kafka or PostgreSQL. Exit of --once: 1 findings, 3 could not evaluate."""
    settings = loaded(ctx, {"cluster": cluster})
    if not (demo or manifests or kubeconfig):
        manifests, kubeconfig = settings.watch.manifests, settings.watch.kubeconfig
    if sum(map(bool, (demo, manifests, kubeconfig))) != 1:
        raise UserError(
            "give one of --demo, --manifests DIR and --kubeconfig FILE (or of the last two, in the settings)"
        )
    web = settings.web
    wanted = Wanted(
        settings=settings,
        cluster=cluster or ("harbour" if demo else settings.cluster),
        demo=demo,
        once=once,
        output=output,
        data=data,
        manifests=manifests,
        kubeconfig=kubeconfig,
        context=context or settings.watch.context,
        logs=tuple(logs or settings.collect.files),
        kmsg=kmsg or (settings.collect.kmsg and not demo),
        domains=domains or settings.watch.domains,
        waivers=waivers or settings.watch.waivers,
        metrics_listen=metrics_listen or ("127.0.0.1:0" if once else web.metrics_listen),
        page_listen=page_listen or ("127.0.0.1:0" if once else web.page_listen),
    )
    raise typer.Exit(asyncio.run(_run(wanted)))


async def _run(wanted: Wanted) -> int:
    """The tree, again and again until it is stopped; the exit code."""
    from monitor import clock  # noqa: PLC0415 - as everywhere here: `segmon --help` stays fast
    from monitor.cli import logs  # noqa: PLC0415
    from monitor.cli.tree import ChildEndedError, StartError  # noqa: PLC0415

    logs.configure("text" if sys.stderr.isatty() else "auto", "error")
    stop = asyncio.Event()
    for name in _stopping():
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with _home(wanted) as home:
        if wanted.demo:
            wanted = await asyncio.to_thread(_on_stage, wanted, home)
        ends, told = 0, True
        while ends < RESTARTS:
            begun = clock.monotonic()
            try:
                return await _attempt(wanted, home, stop, told=told)
            except ChildEndedError as ended:
                if stop.is_set():
                    return 0
                typer.echo(f"restarting everything: {ended}", err=True)
            ends, told = ends_in_a_row(ends, lived_seconds=clock.monotonic() - begun), False
    raise StartError(f"the parts ended {RESTARTS} times in a row\n       fix: {_look_at_logs(wanted)}")


def _stopping() -> Iterator[signal.Signals]:
    """A terminal that is closed stops it as Ctrl-C does, unless nohup said otherwise."""
    yield from (signal.SIGINT, signal.SIGTERM)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP


def _look_at_logs(wanted: Wanted) -> str:
    """Where the parts say why; without --data nothing of it is left."""
    if wanted.data is None:
        return "give --data DIR, which keeps their logs, and look at DIR/log"
    return f"see {wanted.data / 'log'}"


def ends_in_a_row(before: int, *, lived_seconds: float) -> int:
    """Ends of the tree that followed each other closely, the one that just came included."""
    return 1 if lived_seconds > SETTLED_SECONDS else before + 1


@asynccontextmanager
async def _home(wanted: Wanted) -> AsyncIterator[Path]:
    """The folder of the record: kept with --data, and used by one `up` at a time."""
    folder = Path(tempfile.mkdtemp(prefix="segmon-")) if wanted.data is None else wanted.data
    try:
        (folder / "log").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--data {folder}: {error.strerror}\n       fix: name a folder that can be written") from error
    try:
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(f"{folder} is in use by another segmon up") from error
            yield folder
    finally:
        if wanted.data is None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _attempt(wanted: Wanted, home: Path, stop: asyncio.Event, *, told: bool) -> int:
    """One life of the tree."""
    from monitor.cli.embedded import Tree  # noqa: PLC0415
    from monitor.cli.telling import Teller  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        tree = await stack.enter_async_context(Tree.started(wanted, home, stop))
        teller = Teller(tree.store, wanted.cluster, home / DATABASE_FILE, is_quiet=wanted.once)
        if told and not wanted.once:
            teller.greet()
        return await _lived(wanted, tree, teller, stop)


def _on_stage(wanted: Wanted, home: Path) -> Wanted:
    """The demo's files as if somebody had asked for them."""
    from monitor.demo import story  # noqa: PLC0415

    stage = story.set_stage(home / "demo")
    return structs.replace(
        wanted, manifests=stage.manifests, domains=stage.domains, waivers=stage.waivers, logs=(stage.log,)
    )


async def _lived(wanted: Wanted, tree: Tree, teller: Teller, stop: asyncio.Event) -> int:
    """The tasks of one life. The first that ends decides: the story of --once, a signal, or a child that died."""
    jobs = (*tree.jobs(), teller.run(), _stopped(stop), _played(wanted, tree, teller))
    running: set[asyncio.Future[int | None]] = {asyncio.ensure_future(job) for job in jobs}
    try:
        while True:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for code in [task.result() for task in done]:  # raises what a task raised
                if code is not None:
                    return code
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=5.0)


async def _stopped(stop: asyncio.Event) -> int:
    await stop.wait()
    return 0


async def _played(wanted: Wanted, tree: Tree, teller: Teller) -> int | None:
    """The demo's story; with --once also the end, and the exit code."""
    from monitor.cli.playing import evaluated, play  # noqa: PLC0415
    from monitor.demo import story  # noqa: PLC0415

    stage = story.stage_in(tree.home / "demo")
    if not wanted.once:
        await tree.serving()
        teller.tell_addresses(tree)
        typer.echo("")
        await tree.ready()
        teller.show()
        if wanted.demo:
            await play(tree, teller, stage)
            await evaluated(tree)
            teller.conclude(tree)
        return None
    try:
        async with asyncio.timeout(ONCE_SECONDS):
            await tree.ready()
            if wanted.demo:
                await play(tree, teller, stage, is_hurried=True)
            await evaluated(tree)
    except TimeoutError as error:
        raise CannotEvaluateError(
            f"not through after {ONCE_SECONDS:.0f} s\n       fix: {_look_at_logs(wanted)}"
        ) from error
    return _result(wanted, tree)


def _result(wanted: Wanted, tree: Tree) -> int:
    """Print what was found; the exit code of --once."""
    from monitor.cli import posture_text  # noqa: PLC0415
    from monitor.cli.database import finding_row  # noqa: PLC0415
    from monitor.store import queries  # noqa: PLC0415

    with tree.store.look() as look:
        findings = queries.open_findings(look, wanted.cluster)
        statuses = queries.open_statuses(look, wanted.cluster)
        for line in posture_text.unread(look, wanted.cluster):
            typer.echo(line, err=True)
        if wanted.output is Form.JSON:
            whole = posture_text.as_json(look, wanted.cluster) | {"findings": [finding_row(row) for row in findings]}
            typer.echo(json.dumps(whole, indent=2, sort_keys=True, default=str))
        else:
            typer.echo(posture_text.posture(look, wanted.cluster))
            for row in findings:
                typer.echo(posture_text.finding(row))
    if not any(row.outcome not in {"error", "skip"} for row in statuses):
        return 3
    return 1 if findings else 0
