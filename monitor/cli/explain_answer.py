"""The whole answer of `segmon explain`, before it is put on a screen: what the JSON form shows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from models.verdicts import Decision, Direction, FlowVerdict
from monitor.cli import explain_changes, explain_ends, explain_walk
from monitor.cli.explain_ends import Asked, Cluster, End
from monitor.cli.explain_walk import Walk
from monitor.policy import addresses, chains
from monitor.policy.engine import Engine
from monitor.policy.pending_gaps import pending_gaps
from monitor.policy.verdict import Stage

MOST_PAIRS = 100
MOST_DIFFERING = 3


class Pending(Struct, frozen=True, kw_only=True):
    """With the staged policies live, where that differs."""

    decision: Decision
    walks: tuple[Walk, ...]


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`pending_gaps`: why Calico's own pending trace can differ from ours, where a staged policy selects an end.
    `pods_differ`: pairs of pods of the same workloads that are treated otherwise.
    """

    source: str
    destination: str
    connection: str
    decision: Decision
    of: str
    as_of: str
    walks: tuple[Walk, ...]
    to_change: tuple[str, ...] = ()
    pending: Pending | None = None
    pending_gaps: tuple[str, ...] = ()
    pods_differ: tuple[str, ...] = ()
    note: Literal["", "within one endpoint", "neither end is in the cluster"] = ""


def answer(cluster: Cluster, source: End, destination: End, wanted: Asked, *, origin: str) -> Answer:
    source, destination = _apart(cluster.engine, source, destination)
    connection = explain_ends.connection(source, destination, wanted)
    base = Answer(
        source=source.title,
        destination=destination.title,
        connection=wanted.words,
        decision=Decision.ALLOW,
        of=f"{connection.source_address} → {connection.destination_address}",
        as_of=origin,
        walks=(),
    )
    if source.endpoint == destination.endpoint:
        return replace(base, note="neither end is in the cluster" if source.endpoint is None else "within one endpoint")
    verdict = cluster.engine.judge(connection, source=source.endpoint, destination=destination.endpoint)
    question = explain_changes.Question(cluster=cluster, connection=connection, source=source, destination=destination)
    return replace(
        base,
        decision=verdict.decision,
        walks=tuple(_walks(question, is_pending=False)),
        to_change=tuple(explain_changes.suggestions(question, verdict)),
        pending=_pending(question, verdict),
        pending_gaps=tuple(_gaps(question)),
        pods_differ=tuple(islice(_differing(question, wanted, verdict.decision), MOST_DIFFERING)),
    )


def _apart(engine: Engine, source: End, destination: End) -> tuple[End, End]:
    """Of a workload and itself two pods, where it has two: no policy is asked when a pod reaches itself."""
    if source.endpoint is None or source.endpoint != destination.endpoint:
        return source, destination
    if destination.others:
        destination = _second(engine, destination)
    elif source.others:
        source = _second(engine, source)
    return _with_pod(engine, source), _with_pod(engine, destination)


def _second(engine: Engine, end: End) -> End:
    """The workload, with its second pod asked and its first among the others."""
    second, *rest = end.others
    return replace(_moved(engine, end, second), title=end.title, others=(*filter(None, (end.endpoint,)), *rest))


def _with_pod(engine: Engine, end: End) -> End:
    """Titled also with the pod that is asked."""
    pod = explain_ends.title_of(engine.endpoints[end.endpoint or ""])
    return end if pod in end.title else replace(end, title=f"{end.title} ({pod})")


def _walks(question: explain_changes.Question, *, is_pending: bool) -> Iterator[Walk]:
    for direction, end in ((Direction.EGRESS, question.source), (Direction.INGRESS, question.destination)):
        if end.endpoint is not None:
            found = explain_walk.walk(
                question.cluster, end.endpoint, direction, question.connection, is_pending=is_pending
            )
            yield replace(found, endpoint=end.title)


def _pending(question: explain_changes.Question, verdict: FlowVerdict) -> Pending | None:
    if verdict.pending is verdict.decision:
        return None
    return Pending(decision=verdict.pending, walks=tuple(_walks(question, is_pending=True)))


def _gaps(question: explain_changes.Question) -> Iterator[str]:
    """With the direction, as one end may have a gap and the other none."""
    engine = question.cluster.engine
    for direction, end in ((Direction.EGRESS, question.source), (Direction.INGRESS, question.destination)):
        if end.endpoint is not None and _has_staged(engine, end.endpoint, direction):
            found = pending_gaps(engine, question.connection, endpoint_id=end.endpoint, direction=direction)
            yield from (f"{gap} ({direction})" for gap in found)


def _has_staged(engine: Engine, endpoint: str, direction: Direction) -> bool:
    chain = engine.chain(endpoint, chains.Question(direction, Stage.NORMAL, is_pending=True))
    return any(policy.is_staged for tier in chain.tiers for policy in tier.policies)


def _differing(question: explain_changes.Question, wanted: Asked, decision: Decision) -> Iterator[str]:
    """The other pods of both workloads, as far as there are few enough to try."""
    engine = question.cluster.engine
    sources = (question.source.endpoint, *question.source.others)
    destinations = (question.destination.endpoint, *question.destination.others)
    for a, b in islice(product(sources, destinations), 1, MOST_PAIRS):
        if a == b:
            continue
        ends = [_moved(engine, end, name) for end, name in ((question.source, a), (question.destination, b))]
        found = engine.judge(explain_ends.connection(ends[0], ends[1], wanted), source=a, destination=b).decision
        if found is not decision:
            yield f"{ends[0].title} → {ends[1].title} is {found.value}"


def _moved(engine: Engine, end: End, endpoint: str | None) -> End:
    if endpoint is None or endpoint == end.endpoint:
        return end
    found = engine.endpoints[endpoint]
    return replace(
        end,
        title=explain_ends.title_of(found),
        endpoint=endpoint,
        addresses=tuple(addresses.text(address) for address in found.addresses),
    )
