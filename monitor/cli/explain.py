"""`segmon explain`: is this connection allowed, why, and what would have to change for the other answer."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import CannotEvaluateError, UserError
from monitor.cli import sources
from monitor.cli.context import Form
from monitor.cli.sources import (
    AtOption,
    ClusterOption,
    DatabaseOption,
    DataOption,
    KubeconfigOption,
    ManifestsOption,
    Source,
)

if TYPE_CHECKING:
    from monitor.cli.explain_answer import Answer


def explain(
    *,
    from_: Annotated[str, typer.Option("--from", help="namespace/pod, namespace/Kind/name, host/name or an address.")],
    to: Annotated[str, typer.Option(help="The same.")],
    port: Annotated[str, typer.Option(help="8080/tcp, 53/udp, icmp, or a port name of the destination.")],
    source_port: Annotated[int | None, typer.Option(help="Where a rule asks for it.", show_default=False)] = None,
    manifests: ManifestsOption = None,
    kubeconfig: KubeconfigOption = None,
    data: DataOption = None,
    database: DatabaseOption = None,
    at: AtOption = None,
    cluster: ClusterOption = None,
    output: Annotated[Form, typer.Option(help="Form of the answer.")] = Form.TABLE,
) -> None:
    """Why a connection is allowed or denied. Exit codes: 0 known, 3 it cannot be known or input was not read."""
    if source_port is not None and not 0 <= source_port <= 65535:
        raise UserError(f"--source-port {source_port}: ports go from 0 to 65535")
    source = Source(
        manifests=tuple(manifests or ()), kubeconfig=kubeconfig, data=data, database=database, at=at, cluster=cluster
    )
    loaded = sources.load(source)
    loaded.tell()
    answer = _answer(loaded, from_, to, (port, source_port))
    _write(answer, output)
    if loaded.unread or answer.decision == "unknown":
        raise typer.Exit(CannotEvaluateError.exit_code)


def _answer(loaded: sources.Loaded, from_: str, to: str, port: tuple[str, int | None]) -> Answer:
    from monitor.cli import explain_answer, explain_ends  # noqa: PLC0415 - the command's help must not load the engine
    from monitor.policy.engine import Engine  # noqa: PLC0415 - as above

    cluster = explain_ends.Cluster(name=loaded.cluster, facts=loaded.facts, engine=Engine.build(loaded.facts))
    source, destination = explain_ends.end(cluster, from_), explain_ends.end(cluster, to)
    wanted = explain_ends.asked(port[0], destination, cluster.engine, port[1])
    return explain_answer.answer(cluster, source, destination, wanted, origin=loaded.origin)


def _write(answer: Answer, output: Form) -> None:
    from msgspec import to_builtins  # noqa: PLC0415 - as above

    from monitor.cli import explain_text  # noqa: PLC0415 - as above

    if output is Form.JSON:
        sys.stdout.write(json.dumps(to_builtins(answer), indent=2) + "\n")
    else:
        sys.stdout.write(explain_text.text(answer))
