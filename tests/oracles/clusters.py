"""Clusters of the oracles, as the engine takes them; packets and verdicts in words that oracles use."""

import itertools
from collections.abc import Iterable, Mapping

from models import facts
from models.facts import Fact, FactKey, Rejected, key_of
from models.verdicts import Connection, Decision, Verdict
from monitor.cluster.normalise import Door, normalise
from monitor.policy import naming
from monitor.policy.engine import Engine

CLUSTER = "oracle"
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132, "udplite": 136}
ANY_SOURCE_PORT = 40000

Facts = dict[FactKey, Fact]


def keyed(found: Iterable[Fact]) -> Facts:
    return {key_of(CLUSTER, fact): fact for fact in found}


def facts_of(objects: Iterable[dict], door: Door) -> Facts:
    """By key, the rejected ones too; what segmon does not read is left out."""
    found = (normalise(obj, door=door) for obj in objects)
    return keyed(fact for fact in found if fact is not None)


def rejections(found: Mapping[FactKey, Fact]) -> dict[tuple[str, str, str], str]:
    """Kind, namespace and name of what is refused, with our reason."""
    return {
        (fact.object_kind.value, fact.namespace, fact.name): fact.reason
        for fact in found.values()
        if isinstance(fact, Rejected)
    }


def engine_of(found: Mapping[FactKey, Fact]) -> Engine:
    return Engine.build(found)


def protocol_number(written: str | int) -> int:
    return PROTOCOLS.get(str(written).lower()) or int(written)


def connection(source: str, destination: str, protocol: str | int, **known: int | None) -> Connection:
    return Connection(
        source_address=source, destination_address=destination, protocol=protocol_number(protocol), **known
    )


def traced(verdict: Verdict | None) -> tuple[str, ...] | None:
    """The trace as flow logs of Calico 3.32 write it."""
    return None if verdict is None else naming.trace_strings(verdict.trace, is_named_by_kind=True)


def logged(verdict: Verdict | None) -> list[tuple[str, str, str, str, int]]:
    """The Log rules met: tier, kind, namespace, name, rule."""
    return [] if verdict is None else [(hit.tier, hit.kind, hit.namespace, hit.name, hit.rule) for hit in verdict.logs]


def is_allowed(decision: Decision) -> bool | None:
    return {Decision.ALLOW: True, Decision.DENY: False}.get(decision)


def namespaces_of(objects: Iterable[Fact]) -> set[str]:
    return {getattr(fact, "namespace", "") for fact in objects} - {""}


def missing_namespaces(found: Facts) -> Facts:
    """Namespaces that something lies in and nobody declared, as the API server would label them."""
    known = {fact.name for fact in found.values() if isinstance(fact, facts.Namespace)}
    return keyed(
        facts.Namespace(name=name, labels={"kubernetes.io/metadata.name": name})
        for name in sorted(namespaces_of(found.values()) - known)
    )


def edges(ranges: Iterable[tuple[int, int]], low: int, high: int) -> list[int]:
    """Values on both sides of every boundary, within low and high."""
    bounds = itertools.chain((low, high), *((a - 1, a, b, b + 1) for a, b in ranges))
    return sorted({value for value in bounds if low <= value <= high})
