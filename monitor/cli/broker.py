"""`segmon topics create`, `segmon dead list|replay`: what is done to the broker by hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.context import Output, emit, loaded

if TYPE_CHECKING:
    from monitor.broker.connection import Connection
    from monitor.broker.dead_letters import DeadLetter, Replayed
    from monitor.settings import Settings

topics_app = typer.Typer(no_args_is_help=True, help="The topics on the broker.")
dead_app = typer.Typer(no_args_is_help=True, help="Messages that could not be handled.")

Bootstrap = Annotated[str | None, typer.Option("--bootstrap", help="Address of the broker.", show_default=False)]


@topics_app.command("create")
def create(ctx: typer.Context, *, bootstrap: Bootstrap = None) -> None:
    """Create what is missing, with its settings and the epoch of each partition. Says what is wrong with the rest."""
    settings = _settings(ctx, bootstrap)
    for line in asyncio.run(_create(settings)):
        typer.echo(line)


def _settings(ctx: typer.Context, bootstrap: str | None) -> Settings:
    """Settings of a command that ends; what a library has to say of a failure is in the error that it ends with."""
    from monitor.cli import logs  # noqa: PLC0415 - as all imports here: only these commands need them

    settings = loaded(ctx, {"kafka.bootstrap": bootstrap})
    logs.configure("text", "critical")
    return settings


async def _create(settings: Settings) -> list[str]:
    from models import topics as specs  # noqa: PLC0415
    from monitor.broker import connection, epochs, topics  # noqa: PLC0415
    from monitor.broker.connection import BrokerError  # noqa: PLC0415
    from monitor.broker.producing import Producer  # noqa: PLC0415
    from monitor.cli.database import opened  # noqa: PLC0415

    broker = connection.of(settings)
    replication = topics.Replication(
        factor=settings.kafka.replication_factor, min_insync=settings.kafka.min_insync_replicas
    )
    store = opened(settings)
    created = await topics.ensure(broker, specs.TOPICS, replication)
    async with Producer(broker) as producer:
        begun = await epochs.begin(
            broker, producer, specs.FACTS.name, lambda: asyncio.to_thread(store.next_epoch, specs.FACTS.name)
        )
    wrong = await topics.problems(broker, specs.TOPICS)
    if wrong:
        raise BrokerError("\n       ".join(problem.text() for problem in wrong))
    lines = [f"created {name}" for name in created] or ["every topic is there already"]
    return [*lines, f"began an epoch in {len(begun)} partition(s) of {specs.FACTS.name}"]


@dead_app.command("list")
def list_letters(
    ctx: typer.Context, *, output: Annotated[Output, typer.Option()] = Output.TABLE, bootstrap: Bootstrap = None
) -> None:
    """What was put aside, where it came from and why. Exit 1 if there is any."""
    settings = _settings(ctx, bootstrap)
    letters = asyncio.run(_letters(settings))
    columns = ("place", "at", "topic", "key", "reason")
    rows = [{name: getattr(letter, name) for name in columns} for letter in letters]
    emit(rows, columns, output)
    raise typer.Exit(1 if letters else 0)


@dead_app.command("replay")
def replay(ctx: typer.Context, *, bootstrap: Bootstrap = None) -> None:
    """Facts: ask the watch for a relist. Flow batches: count them once. Run it after the cause is mended."""
    settings = _settings(ctx, bootstrap)
    done = asyncio.run(_replay(settings))
    typer.echo(
        f"asked for a relist of: {', '.join(done.relists) or 'nothing'}; {done.batches} flow batch(es) sent again"
    )
    for refused in done.refused:
        typer.echo(f"not replayed: {refused}", err=True)
    raise typer.Exit(1 if done.refused else 0)


async def _letters(settings: Settings) -> list[DeadLetter]:
    from monitor.broker import connection  # noqa: PLC0415

    return await _read(connection.of(settings))


async def _replay(settings: Settings) -> Replayed:
    from monitor.broker import connection, dead_letters, topics  # noqa: PLC0415
    from monitor.broker.producing import Producer  # noqa: PLC0415

    broker = connection.of(settings)
    async with Producer(broker) as producer:
        return await dead_letters.replay(producer, topics.Topics(), await _read(broker))


async def _read(broker: Connection) -> list[DeadLetter]:
    from models import topics as specs  # noqa: PLC0415
    from monitor.broker import dead_letters  # noqa: PLC0415
    from monitor.broker.producing import Producer  # noqa: PLC0415

    async with Producer(broker) as producer:
        partitions = await producer.partitions(specs.DEAD.name)
    return [letter async for letter in dead_letters.read(broker, specs.DEAD.name, partitions)]
