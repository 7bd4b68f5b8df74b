"""`segmon reach`: who may open what to whom, between workloads, namespaces or domains, and from and to the outside."""

from __future__ import annotations

import fnmatch
import gc
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from models.errors import CannotEvaluateError, UserError
from models.facts import Fact, FactKey, HostEndpoint, Pod
from monitor.cli import sources
from monitor.cli.context import nearest
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
    from monitor.policy.reach import Posture

OUTSIDE = "outside"


class By(StrEnum):
    """What a row is about."""

    WORKLOAD = "workload"
    NAMESPACE = "namespace"
    DOMAIN = "domain"


class Form(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    DOT = "dot"
    HTML = "html"


class Line(Struct, frozen=True, kw_only=True):
    """Allowed connections from one group to another, or to or from ranges outside (which then hold the addresses)."""

    source: str
    destination: str
    connections: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()


def reach(
    *,
    manifests: ManifestsOption = None,
    kubeconfig: KubeconfigOption = None,
    data: DataOption = None,
    database: DatabaseOption = None,
    at: AtOption = None,
    cluster: ClusterOption = None,
    by: Annotated[By, typer.Option(help="What a row is about.")] = By.WORKLOAD,
    from_: Annotated[
        list[str] | None, typer.Option("--from", help="Only from these (names, globs, or outside).", show_default=False)
    ] = None,
    to: Annotated[list[str] | None, typer.Option(help="Only to these.", show_default=False)] = None,
    domains: Annotated[
        Path | None, typer.Option(help="domains.yaml, for --by domain on files or a live cluster.", show_default=False)
    ] = None,
    pending: Annotated[bool, typer.Option("--pending", help="As it would be with the staged policies live.")] = False,
    output: Annotated[Form, typer.Option(help="Form of the answer.")] = Form.TABLE,
) -> None:
    """The allowed connections, exactly: protocols, ports, ICMP types, outside address ranges."""
    gc.disable()  # a process that answers once and ends: what it makes is kept to the end anyway
    source = Source(
        manifests=tuple(manifests or ()), kubeconfig=kubeconfig, data=data, database=database, at=at, cluster=cluster
    )
    if domains is not None:
        _check_domains(source, by)
    loaded = sources.load(source)
    loaded.tell()
    facts = {**loaded.facts, **_declared(domains, loaded.cluster)}
    groups = _groups(facts, loaded.cluster, by)
    posture = _posture(facts)
    lines = _lines(posture, groups, Wanted(groups, from_, to), is_pending=pending)
    _write(lines, output, by, loaded.missing())
    _let_lie([loaded, facts, groups, posture, lines])
    if loaded.unread:
        raise typer.Exit(CannotEvaluateError.exit_code)


def _let_lie(made: list[object]) -> None:
    """What is held by itself alone and not looked through is not taken apart, piece by piece, as the process ends."""
    made.append(made)
    gc.freeze()


def _check_domains(source: Source, by: By) -> None:
    if by is not By.DOMAIN:
        raise UserError("--domains is about rows of domains\n       fix: add --by domain")
    if source.data is not None or source.database is not None:
        raise UserError("the record holds what was declared\n       fix: leave --domains away")


def _declared(domains: Path | None, cluster: str) -> Mapping[FactKey, Fact]:
    if domains is None:
        return {}
    from monitor.cluster import declared  # noqa: PLC0415 - the command's help must not load the engine

    return declared.read(domains, None, cluster=cluster)


class Wanted:
    """Which groups are asked for as source and as destination; nothing named = all, and the outside."""

    def __init__(self, groups: Collection[str], from_: list[str] | None, to: list[str] | None) -> None:
        self.sources = _named(groups, from_)
        self.destinations = _named(groups, to)
        self.is_from_outside = not from_ or OUTSIDE in from_
        self.is_to_outside = not to or OUTSIDE in to


def _named(groups: Collection[str], patterns: list[str] | None) -> list[str]:
    if not patterns:
        return list(groups)
    wanted = [pattern for pattern in patterns if pattern != OUTSIDE]
    for pattern in wanted:
        if not fnmatch.filter(groups, pattern):
            some = ", ".join(sorted(groups)[:3]) or "a row of reach"
            fix = nearest(pattern, groups) or f"\n       fix: write it as in {some}, or a glob"
            raise UserError(f"nothing is called {pattern!r}{fix}")
    return [name for name in groups if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)]


def _groups(facts: Mapping[FactKey, Fact], cluster: str, by: By) -> dict[str, set[str]]:
    """Endpoint ids by the name of what a row is about, in the order of the names."""
    found: dict[str, set[str]] = {}
    for group, endpoint in _memberships(facts, cluster, by):
        found.setdefault(group, set()).add(endpoint)
    return dict(sorted(found.items()))


def _memberships(facts: Mapping[FactKey, Fact], cluster: str, by: By) -> Iterator[tuple[str, str]]:
    from monitor.state import subjects  # noqa: PLC0415 - the command's help must not load the engine

    if by is By.DOMAIN:
        yield from _in_domains(facts, cluster)
        return
    for fact in facts.values():
        if isinstance(fact, Pod):
            name = fact.namespace if by is By.NAMESPACE else subjects.of_pod(fact, facts, cluster)
            yield name, f"pod:{fact.namespace}/{fact.name}"
        elif isinstance(fact, HostEndpoint):
            yield subjects.of_host(fact), f"host:{fact.name}"


def _in_domains(facts: Mapping[FactKey, Fact], cluster: str) -> Iterator[tuple[str, str]]:
    from monitor.state.placement import Placement  # noqa: PLC0415 - as above

    placement = Placement(cluster)
    placement.place(dict.fromkeys(facts), facts, ())
    for key, place in placement.places.items():
        fact = facts[key]
        endpoint = f"pod:{key.namespace}/{key.name}" if isinstance(fact, Pod) else f"host:{key.name}"
        for domain in place.domains:
            yield domain, endpoint


def _posture(facts: Mapping[FactKey, Fact]) -> Posture:
    from monitor.policy.reach import Posture  # noqa: PLC0415 - as above

    posture = Posture.of_facts(facts)
    if not posture.endpoints:
        raise CannotEvaluateError(
            f"nothing to evaluate: the input holds no pod or host endpoint that policy can judge{_unjudged(facts)}"
        )
    return posture


def _unjudged(facts: Mapping[FactKey, Fact]) -> str:
    """Why each of its pods is not."""
    why = Counter(_why_unjudged(fact) for fact in facts.values() if isinstance(fact, Pod))
    if not why:
        return "\n       fix: give it Pods, or the workloads that make them (Deployment, StatefulSet, Job, …)"
    return f" (pods: {', '.join(f'{count} {reason}' for reason, count in sorted(why.items()))})"


def _why_unjudged(pod: Pod) -> str:
    if pod.host_network:
        return "in the host's network"
    if pod.is_finished:
        return "finished"
    return "without an address yet" if pod.node else "not scheduled to a node yet"


def _lines(posture: Posture, groups: Mapping[str, set[str]], wanted: Wanted, *, is_pending: bool) -> list[Line]:
    from monitor.policy.reach import Stage  # noqa: PLC0415 - as above

    found = posture.reach_between(
        {name: groups[name] for name in wanted.sources},
        {name: groups[name] for name in wanted.destinations},
        Stage.PENDING if is_pending else Stage.ENFORCED,
    )
    lines = [
        Line(source=a, destination=b, connections=answer.allowed.words(), unknown=answer.unknown.words())
        for (a, b), answer in sorted(found.between.items())
    ]
    if wanted.is_to_outside:
        lines += _outside(found.to_outside, is_source=False)
    if wanted.is_from_outside:
        lines += _outside(found.from_outside, is_source=True)
    return lines


def _outside(found: Mapping[str, Iterable[tuple[object, object]]], *, is_source: bool) -> Iterator[Line]:
    from monitor.policy.reach import Outside  # noqa: PLC0415 - as above
    from monitor.policy.reach_words import ranges_in_words  # noqa: PLC0415 - as above

    for name, parts in found.items():
        for part in parts:
            assert isinstance(part, Outside)
            yield Line(
                source=OUTSIDE if is_source else name,
                destination=name if is_source else OUTSIDE,
                connections=part.answer.allowed.words(),
                unknown=part.answer.unknown.words(),
                ranges=ranges_in_words(part.ranges),
            )


def _write(lines: list[Line], output: Form, by: By, missing: Sequence[str]) -> None:
    from monitor.cli import reach_forms  # noqa: PLC0415 - as above

    match output:
        case Form.TABLE:
            text = reach_forms.table(lines)
        case Form.CSV:
            text = reach_forms.csv_rows(lines)
        case Form.JSON:
            text = reach_forms.json_lines(lines)
        case Form.DOT:
            text = reach_forms.dot(lines, missing)
        case Form.HTML:
            text = reach_forms.html(lines, by.value, missing)
    sys.stdout.write(text)
