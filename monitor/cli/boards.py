"""`segmon dashboards push`: the Grafana boards into a Grafana that cannot mount them as files."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Annotated

import typer
from msgspec import structs
from pydantic import SecretStr

from dashboards import instance
from dashboards import push as pushing
from models.errors import UserError
from monitor.cli.context import Output, emit, loaded
from monitor.settings import secret

dashboards_app = typer.Typer(no_args_is_help=True, help="The Grafana boards.")


@dashboards_app.callback()
def _group() -> None:
    """A group, though it has one command yet."""


@dashboards_app.command("push")
def push(
    ctx: typer.Context,
    *,
    url: Annotated[str | None, typer.Option(help="Address of Grafana.", show_default=False)] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with a service account's token.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Authority that signed Grafana's certificate.")] = None,
    output: Annotated[Output, typer.Option()] = Output.TABLE,
) -> None:
    """Boards and their folder, by uid; nothing is sent where it is equal. Exit 3 if Grafana does not answer."""
    settings = loaded(ctx, {"grafana.url": url, "grafana.token_file": token_file, "grafana.ca_file": ca_file}).grafana

    if settings.ca_file is not None and not settings.ca_file.is_file():
        raise UserError(f"there is no {settings.ca_file}\n       fix: --ca-file names the authority's PEM file")
    address = instance.Address(
        url=settings.url,
        token=_token(settings.token_file),
        ca_file=settings.ca_file,
        timeout_seconds=settings.timeout_seconds,
    )
    done: list[pushing.Pushed] = []
    try:
        done.extend(pushing.push(instance.Instance(address), pushing.packaged()))
    finally:
        if done:
            emit([structs.asdict(each) for each in done], ("action", "uid", "title", "url"), output)


def _token(file: Path | None) -> str:
    """What the file holds, if that can be a token: it goes into a header."""
    fix = "put a service account's token into a file, and name it: --token-file"
    if file is None:
        raise UserError(f"no token for Grafana\n       fix: {fix}")
    token = secret(SecretStr(""), file, what="the token (grafana.token_file)")
    if not token or not set(token) <= set(string.ascii_letters + string.digits + string.punctuation):
        raise UserError(f"{file} holds no token\n       fix: {fix}")
    return token
