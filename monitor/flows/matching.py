"""What a record shows: who spoke to whom at its own time, what policy said then, and what their owners intended.

Classes (architecture.md section 5, docs/decisions/0010): allowed and declared, or allowed where no owner declared
anything: permitted; allowed across a boundary whose owner declared other paths: escaped; denied though declared:
misdropped; denied: rejected. Whatever keeps this from being told makes the record indeterminate and is named.
A LOG line has no verdict of its own: the computed one stands in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal, Protocol

from msgspec import Struct

from models.facts import FlowClass
from models.flows import FlowRecord
from models.verdicts import Connection, Decision, FlowVerdict, Hit, Verdict
from monitor.flows import ends, prefixes
from monitor.flows.ends import UNKNOWN, Resolved
from monitor.state.history import NotKnown, View
from monitor.state.intent import Intent, Port, Stated, stated

CLOCK_AHEAD = timedelta(seconds=2)
"""A record dated this long after its batch came is of a clock that nobody can judge by."""

NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58, "sctp": 132}
END_OF_TIER = -1


class Judged(Struct, frozen=True, kw_only=True):
    """One record, judged. `policies` = those whose Log rule wrote the line, as far as its prefix tells."""

    flow_class: FlowClass
    source: str
    destination: str
    source_domains: tuple[str, ...] = ()
    destination_domains: tuple[str, ...] = ()
    protocol: str
    port: int | None = None
    basis: Literal["computed", "observed"] = "computed"
    cause: str
    policies: tuple[str, ...] = ()

    @property
    def path_id(self) -> str:
        """The identity of the path: its ends, protocol and port, not its class."""
        parts = (self.source, self.destination, self.protocol, str(self.port))
        return sha256("\x00".join(parts).encode()).hexdigest()[:32]


class Past(Protocol):
    """The cluster at any moment."""

    def as_of(self, at: datetime) -> View | NotKnown: ...


def judge(record: FlowRecord, past: Past, *, appended_at: datetime, is_late: bool = False) -> Judged:
    """`is_late`: the facts of the record's time were not there when it had to be judged."""
    if is_late:
        return _untold(record, "facts late")
    if record.at > appended_at + CLOCK_AHEAD:
        return _untold(record, "clock ahead")
    view = past.as_of(record.at)
    if isinstance(view, NotKnown):
        return _untold(record, view.reason)
    source, destination = ends.source(record, view), ends.destination(record, view)
    problem = source.problem or destination.problem
    if not problem and source.endpoint is None and destination.endpoint is None:
        problem = "neither end is a known endpoint"
    if problem:
        return _between(record, source, destination, FlowClass.INDETERMINATE, problem)
    return _classed(record, view, source, destination)


def _classed(record: FlowRecord, view: View, source: Resolved, destination: Resolved) -> Judged:
    verdict = view.engine.judge(_connection(record), source=source.endpoint, destination=destination.endpoint)
    decision = Decision(record.action) if record.action else verdict.decision
    if decision is Decision.UNKNOWN:
        return _between(record, source, destination, FlowClass.INDETERMINATE, _unknown_because(verdict))
    template = prefixes.template(view)
    hits = tuple(hit for each in (verdict.egress, verdict.ingress) if each for hit in each.logs)
    loggers = prefixes.named(record.prefix, template, hits)
    if prefixes.names_a_policy(template) and not loggers and not record.action:
        cause = f"no Log rule met then explains the prefix {record.prefix!r}"
        return _between(record, source, destination, FlowClass.INDETERMINATE, cause)
    said = stated(
        source.end,
        destination.end,
        Port(record.protocol, record.destination_port),
        view.placement.definitions,
        view.system,
    )
    flow_class = _class(decision, said.intent)
    found = _between(record, source, destination, flow_class, f"{_why(verdict, decision)}; {_intended(said)}")
    return Judged(
        flow_class=found.flow_class,
        source=found.source,
        destination=found.destination,
        source_domains=found.source_domains,
        destination_domains=found.destination_domains,
        protocol=found.protocol,
        port=found.port,
        basis="observed" if record.action else "computed",
        cause=found.cause,
        policies=loggers,
    )


def _class(decision: Decision, intent: Intent) -> FlowClass:
    if decision is Decision.DENY:
        return FlowClass.MISDROPPED if intent is Intent.DECLARED else FlowClass.REJECTED
    return FlowClass.ESCAPED if intent is Intent.UNDECLARED else FlowClass.PERMITTED


def _connection(record: FlowRecord) -> Connection:
    return Connection(
        source_address=record.source_address,
        destination_address=record.destination_address,
        protocol=NUMBERS.get(record.protocol) or int(record.protocol),
        source_port=record.source_port,
        destination_port=record.destination_port,
        icmp_type=record.icmp_type,
        icmp_code=record.icmp_code,
    )


def _untold(record: FlowRecord, cause: str) -> Judged:
    """Nobody was looked up, since nobody knows what held then."""
    return Judged(
        flow_class=FlowClass.INDETERMINATE,
        source=UNKNOWN,
        destination=UNKNOWN,
        protocol=record.protocol,
        port=record.destination_port,
        cause=cause,
    )


def _between(record: FlowRecord, source: Resolved, destination: Resolved, flow_class: FlowClass, cause: str) -> Judged:
    return Judged(
        flow_class=flow_class,
        source=source.name,
        destination=destination.name,
        source_domains=tuple(sorted(source.end.domains)),
        destination_domains=tuple(sorted(destination.end.domains)),
        protocol=record.protocol,
        port=record.destination_port,
        cause=cause,
    )


# In words


def _unknown_because(verdict: FlowVerdict) -> str:
    sides = [each for each in (verdict.egress, verdict.ingress) if each and each.decision is Decision.UNKNOWN]
    reasons = dict.fromkeys(reason for each in sides for reason in each.unknown_because)
    return f"cannot be told without {', '.join(reasons)}"


def _why(verdict: FlowVerdict, decision: Decision) -> str:
    """The deciding step of the side that decides: of a deny the first that denies, of an allow the last that allows."""
    sides = [each for each in (("egress", verdict.egress), ("ingress", verdict.ingress)) if each[1]]
    agreeing = [(name, side) for name, side in sides if side and side.decision is decision]
    if not agreeing:
        return f"seen {decision}, computed {verdict.decision}"
    name, side = agreeing[0] if decision is Decision.DENY else agreeing[-1]
    return f"{decision} by {_last(side)} ({name})"


def _last(side: Verdict) -> str:
    if not side.trace:
        return "the end of its profiles"
    hit: Hit = side.trace[-1]
    name = f"{hit.kind} {hit.namespace + '/' if hit.namespace else ''}{hit.name}"
    return f"end of tier {hit.tier} after {name}" if hit.rule == END_OF_TIER else f"{name} rule {hit.rule}"


def _intended(said: Stated) -> str:
    match said.intent:
        case Intent.DECLARED:
            return f"declared by {said.domain}"
        case Intent.UNDECLARED:
            return f"{said.domain} declares its paths, and not this one"
        case Intent.UNSTATED:
            return "no owner declares paths across a boundary here"
