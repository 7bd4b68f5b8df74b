"""`segmon db upgrade`, `verify`, `findings`, `describe domain`: what is done to and read from the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.errors import CannotEvaluateError, UserError
from models.facts import STALE_AFTER
from monitor.cli.context import Output, emit, loaded, printable
from monitor.cli.sources import DataOption, database_of

if TYPE_CHECKING:
    from monitor.settings import Settings
    from monitor.store import Store, pairs, queries

db_app = typer.Typer(no_args_is_help=True, help="The database.")
describe_app = typer.Typer(no_args_is_help=True, help="One thing in full.")

Url = Annotated[str | None, typer.Option("--database", help="URL of the database.", show_default=False)]
ClusterName = Annotated[str | None, typer.Option("--cluster", help="Only this cluster.", show_default=False)]
MOST_PAIRS = 40
SEVERITIES = ("info", "low", "medium", "high", "critical")


def url_of(settings: Settings) -> str:
    """The database's URL; an empty password in it is filled from `database.password_file`."""
    from monitor.settings import secret  # noqa: PLC0415 - as all imports here: only these commands need them

    url = settings.database.url.get_secret_value()
    if settings.database.password_file is None:
        return url
    password = secret(settings.database.url, settings.database.password_file, what="database.password_file")
    head, separator, tail = url.partition("@")
    return f"{head.rstrip(':')}:{password}{separator}{tail}" if separator else url


def connected(settings: Settings) -> Store:
    """The store, its database not looked at yet."""
    from monitor.store import Store  # noqa: PLC0415

    return Store.open(url_of(settings))


def opened(settings: Settings) -> Store:
    """The store at this release's revision; a UserError names the fix otherwise."""
    store = connected(settings)
    store.check_revision()
    return store


def record_of(ctx: typer.Context, database: str | None, data: Path | None) -> Store:
    """The record that a command reads: of a URL, of the data folder of `segmon up`, else of the settings."""
    if database is not None and data is not None:
        raise UserError("name one record\n       fix: --database URL or --data DIR")
    return opened(loaded(ctx, {"database.url": database if data is None else database_of(data)}))


@db_app.command("upgrade")
def upgrade(ctx: typer.Context, *, database: Url = None) -> None:
    """Create or migrate the tables. Safe to run by several at once, and again."""
    before, after = connected(loaded(ctx, {"database.url": database})).upgrade()
    typer.echo(f"already at revision {after}" if before == after else f"upgraded from {before or 'empty'} to {after}")


@db_app.command("retire")
def retire(ctx: typer.Context, *, database: Url = None, data: DataOption = None, cluster: ClusterName = None) -> None:
    """Let go of what is older than keep.days and keep.window_days say. Once a day will do; the chain still verifies."""
    from monitor import clock  # noqa: PLC0415 - as all imports here: only these commands need them
    from monitor.store.retiring import Limits  # noqa: PLC0415

    settings, now = loaded(ctx), clock.now()
    limits = Limits(
        rows=now - timedelta(days=settings.keep.days), windows=now - timedelta(days=settings.keep.window_days)
    )
    store = record_of(ctx, database, data)
    for name in clusters_of(store, cluster):
        gone = store.retire(name, limits, now)
        told = ", ".join(f"{rows} of {table}" for table, rows in gone.items()) or "nothing"
        typer.echo(f"{printable(name)}: {told}")


@db_app.command("grant")
def grant(
    ctx: typer.Context, role: Annotated[str, typer.Argument(help="A role of PostgreSQL.")], *, database: Url = None
) -> None:
    """Let a role read the `reporting` views and nothing else: what Grafana connects as."""
    opened(loaded(ctx, {"database.url": database})).grant_reporting(role)
    typer.echo(f"{printable(role)} may read the reporting views, and nothing else")


def verify(ctx: typer.Context, *, database: Url = None, data: DataOption = None, cluster: ClusterName = None) -> None:
    """Recompute the hash chain of the record and hold the tables against it. Exit 3 if anything does not fit."""
    store = record_of(ctx, database, data)
    for name in clusters_of(store, cluster):
        found = store.verify(name)
        typer.echo(
            f"✔ {printable(name)}: {found.chain_rows} chain rows cover {found.revisions} fact revisions and "
            f"{found.transitions} transitions; head {found.head}"
        )


def clusters_of(store: Store, wanted: str | None) -> list[str]:
    """The clusters of the record, or the one that was asked for."""
    from monitor.store import queries  # noqa: PLC0415

    with store.look() as connection:
        known = queries.clusters(connection)
    if not known:
        raise CannotEvaluateError("nothing has been recorded yet: is `segmon work` running, and `segmon watch`?")
    if wanted is not None and wanted not in known:
        raise UserError(f"no cluster {wanted!r} in the record; known: {', '.join(known) or 'none'}")
    return known if wanted is None else [wanted]


def findings(
    ctx: typer.Context,
    *,
    cluster: ClusterName = None,
    domain: Annotated[str, typer.Option(help="Only findings that count in this domain (name or level/name).")] = "",
    control: Annotated[str, typer.Option(help="Only this control.")] = "",
    severity: Annotated[str, typer.Option(help="This severity and above.")] = "info",
    output: Annotated[Output, typer.Option()] = Output.TABLE,
    database: Url = None,
    data: DataOption = None,
) -> None:
    """Open findings with their fix, worst first. Exit 1 if there are any, 3 if nothing was evaluated lately."""
    if severity not in SEVERITIES:
        raise UserError(f"no severity {severity!r}; known: {', '.join(SEVERITIES)}")
    _check_control(control)
    store = record_of(ctx, database, data)
    rows: list[queries.FindingRow] = []
    unevaluated: list[str] = []
    for name in _clusters_with(store, cluster, domain):
        with store.look() as look:
            found = _open_in(look, name, domain)
            unevaluated += _unevaluated(look, name)
        rows += [row for row in found if _is_wanted(row, control, severity)]
    _print_findings(rows, output)
    if not rows and unevaluated:
        raise CannotEvaluateError("; ".join(unevaluated) + "\n       fix: see `segmon doctor`")
    for line in unevaluated:
        typer.echo(f"last known: {line}", err=True)
    if not rows and output is Output.TABLE:
        typer.echo("no open findings" if not (domain or control or severity != "info") else "no such finding is open")
    raise typer.Exit(1 if rows else 0)


def _print_findings(rows: Sequence[queries.FindingRow], output: Output) -> None:
    from monitor.cli import posture_text  # noqa: PLC0415

    if output is not Output.TABLE:
        columns = ("severity", "domain", "control", "subject", "since", "state", "sentence", "fix", "owner", "waiver")
        emit([finding_row(row) for row in rows], columns, output)
        return
    for row in rows:
        typer.echo(posture_text.finding(row))


def _check_control(control: str) -> None:
    """A misspelt control has no findings: it must not look like compliance."""
    from monitor.compliance import catalogue  # noqa: PLC0415

    known = [each.id for each in catalogue.CONTROLS]
    if control and control not in known:
        raise UserError(f"no control {control!r}; known: {', '.join(sorted(known))}")


def _clusters_with(store: Store, cluster: str | None, domain: str) -> list[str]:
    """The clusters asked for that have the domain; UserError if none has."""
    known: set[str] = set()
    names = clusters_of(store, cluster)
    found = [name for name in names if not domain or _domain_id(store, name, domain, known)]
    if not found:
        raise UserError(f"no domain {domain!r}; known: {', '.join(sorted(known)) or 'none'}")
    return found


def _open_in(look: queries.Look, cluster: str, domain: str) -> list[queries.FindingRow]:
    from monitor.store import queries  # noqa: PLC0415

    if not domain:
        return queries.open_findings(look, cluster)
    ids = [row.id for row in queries.domains(look, cluster) if domain in {row.id, row.name}]
    return queries.findings_counted_in(look, cluster, ids[0])


def _unevaluated(look: queries.Look, cluster: str) -> list[str]:
    """Why what the record says of a cluster is not what holds now; empty while it is being evaluated."""
    from monitor import clock  # noqa: PLC0415
    from monitor.store import queries  # noqa: PLC0415

    last = queries.last_evaluated_at(look, cluster)
    if last is None:
        return [f"nothing of {printable(cluster)} was evaluated yet"]
    if clock.now() - last > STALE_AFTER:
        return [f"{printable(cluster)} was last evaluated at {last:%Y-%m-%d %H:%M:%S} UTC"]
    if not any(row.outcome not in {"error", "skip"} for row in queries.open_statuses(look, cluster)):
        return [f"nothing of {printable(cluster)} could be evaluated"]
    return []


def _is_wanted(row: queries.FindingRow, control: str, severity: str) -> bool:
    return (not control or control == row.control) and SEVERITIES.index(row.severity) >= SEVERITIES.index(severity)


def finding_row(row: queries.FindingRow) -> dict[str, Any]:
    """A finding as the command line shows it; the same fields in JSON."""
    return {
        "id": row.id,
        "cluster": row.cluster,
        "severity": row.severity,
        "domain": row.domain,
        "control": row.control,
        "subject": row.subject,
        "since": row.opened_at.isoformat(timespec="seconds"),
        "state": f"{row.state}, last known" if row.is_last_known else row.state,
        "sentence": row.sentence,
        "fix": row.fix,
        "waiver": row.waiver,
        "owner": row.owner,
        "trace": list(row.evidence.get("steps", [])),
        "facts": list(row.evidence.get("facts", [])),
    }


@describe_app.command("domain")
def describe_domain(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="`payments`, or with its level: `namespace/payments`.")],
    *,
    cluster: ClusterName = None,
    database: Url = None,
    data: DataOption = None,
) -> None:
    """Members, posture per control, what may connect, open findings with proof and fix, last changes."""
    store = record_of(ctx, database, data)
    known: set[str] = set()
    for cluster_name in clusters_of(store, cluster):
        identity = _domain_id(store, cluster_name, name, known)
        if identity:
            typer.echo(_described(store, cluster_name, identity))
            return
    raise UserError(f"no domain {name!r}; known: {', '.join(sorted(known)) or 'none'}")


def _domain_id(store: Store, cluster: str, name: str, known: set[str]) -> str | None:
    from monitor.store import queries  # noqa: PLC0415

    with store.look() as connection:
        ids = [row.id for row in queries.domains(connection, cluster)]
    known.update(ids)
    return next((each for each in ids if name in {each, each.partition("/")[2]}), None)


def _described(store: Store, cluster: str, identity: str) -> str:
    from monitor import clock  # noqa: PLC0415
    from monitor.store import pairs, queries  # noqa: PLC0415

    now = clock.now()
    with store.look() as connection:
        row = next(row for row in queries.domains(connection, cluster) if row.id == identity)
        statuses = [each for each in queries.open_statuses(connection, cluster) if each.domain == identity]
        recent = queries.statuses_between(connection, cluster, now - timedelta(days=30), now)
        inputs = queries.inputs(connection, cluster)
        members = queries.members(connection, cluster, identity)
        found = queries.findings_counted_in(connection, cluster, identity)
        reach, unknown = pairs.of(connection, cluster, identity), pairs.why_unknown(connection, cluster, now)
        moves = [move for move in queries.last_transitions(connection, cluster, 200) if move.domain == identity]
    lines = [
        f"{identity} in {cluster}",
        f"  owner {row.owner or '–'} · criticality {row.criticality} · environment {row.environment or '–'}",
        "",
        "posture",
    ]
    for status in statuses:
        its_own = [each for each in recent if (each.domain, each.control) == (identity, status.control)]
        since = status.from_at.isoformat(timespec="seconds")
        reason = f" ({status.reason})" if status.reason else ""
        told = _compliant_share(its_own, inputs, now)
        lines.append(f"  {_word(status.outcome):17} {status.control:27} since {since}  {told}{reason}")
    lines += ["", f"members ({len(members)})"]
    lines += [f"  {member.subject}  {len(member.pods)} pod(s)" for member in members]
    if row.level != "cluster":  # it is in no pair
        lines += ["", "may connect", *(f"  {line}" for line in _reach(identity, reach, unknown))]
    lines += ["", f"open findings ({len(found)})"]
    for finding in found:
        lines.append(f"  {finding.severity} · {finding.control} · {finding.subject}: {finding.sentence}")
        lines += [f"      {step}" for step in finding.evidence.get("steps", [])]
        lines += [f"    fix: {finding.fix}"] if finding.fix else []
    lines += ["", "last changes"]
    lines += [f"  {move.at:%m-%d %H:%M:%S}  {move.transition:10}{move.control} · {move.subject}" for move in moves[:10]]
    return "\n".join(printable(line) for line in lines)


def _compliant_share(statuses: Sequence[queries.StatusRow], inputs: Sequence[queries.InputRow], now: datetime) -> str:
    """Of the last 30 days, or of what is recorded of them: what was before the record is no part of it."""
    from monitor.store import queries  # noqa: PLC0415
    from monitor.web.views import age  # noqa: PLC0415

    month, end = now - timedelta(days=30), queries.settled_until(inputs, now)
    begin = max(month, min((row.from_at for row in statuses), default=end))
    shares = queries.shares(statuses, inputs, (begin, end))
    if not shares.total:
        return "–"
    span = "30 days" if begin == month else f"the {age((end - begin).total_seconds())} on record"
    compliant, missing = (seconds / shares.total for seconds in (shares.compliant, shares.not_evaluated))
    return f"compliant {compliant:.1%} of {span}, {missing:.1%} not evaluated"


def _reach(identity: str, rows: Sequence[pairs.ReachRow], unknown: str) -> Iterator[str]:
    """By direction, what is reached before what reaches it; as many as a person reads."""
    if unknown:
        yield f"? not known: {unknown}"
        return
    told = [
        (f"to   {row.destination}" if row.source == identity else f"from {row.source}", row)
        for row in sorted(rows, key=lambda row: (row.source != identity, row.source, row.destination))
    ]
    for end, row in told[:MOST_PAIRS]:
        words = ", ".join(row.connections)
        yield f"{end:32} {words}  since {row.from_at.isoformat(timespec='seconds')}"
    if len(told) > MOST_PAIRS:
        yield f"and {len(told) - MOST_PAIRS} more: segmon reach --by domain --from {identity}, or --to {identity}"
    if not told:
        yield "nothing, in or out"


def _word(outcome: str) -> str:
    words = {"pass": "✔ pass", "fail": "✘ fail", "warn": "! warn", "error": "? not evaluated"}
    return words.get(outcome, "– not applicable")
