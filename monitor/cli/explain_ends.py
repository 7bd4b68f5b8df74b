"""What `--from`, `--to` and `--port` of `segmon explain` mean in one cluster.

An end is a pod (`namespace/name`), a workload (`namespace/Kind/name`, which stands for its pods), a host endpoint
(`host/name`) or an address. Whoever is asked about must be somebody that policy can judge: else the error says why not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from msgspec import Struct

from models.errors import CannotEvaluateError, UserError
from models.facts import Fact, FactKey, Kind, Pod
from models.verdicts import Connection
from monitor.cli.context import nearest
from monitor.policy import addresses, connections
from monitor.policy.engine import Engine
from monitor.policy.model import Endpoint
from monitor.state import subjects


class End(Struct, frozen=True, kw_only=True):
    """`endpoint`: None for an address that is nobody's. `others`: further pods of the same workload."""

    title: str
    endpoint: str | None
    addresses: tuple[str, ...]
    others: tuple[str, ...] = ()
    namespace: str = ""


class Asked(Struct, frozen=True, kw_only=True):
    """A connection in words and as fields of `Connection`."""

    words: str
    fields: Mapping[str, int]


class Cluster(Struct, frozen=True, kw_only=True):
    name: str
    facts: Mapping[FactKey, Fact]
    engine: Engine


def end(cluster: Cluster, text: str) -> End:
    """UserError for a name that is not there, CannotEvaluateError for somebody without a verdict."""
    if _is_address(text):
        return _at_address(cluster.engine, text)
    if _is_range(text):
        raise UserError(f"{text} is a range\n       fix: give one address of it; `segmon reach` answers for ranges")
    parts = text.split("/")
    if parts[0] == "host" and len(parts) == 2:
        return _host(cluster.engine, parts[1])
    if len(parts) == 2:
        return _pod(cluster, text, parts[0], parts[1])
    if len(parts) == 3:
        return _workload(cluster, text)
    raise UserError(
        f"{text!r} is no end\n       fix: write namespace/pod, namespace/Kind/name, host/name or an address"
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_range(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _at_address(engine: Engine, text: str) -> End:
    found = engine.endpoints_at(text)
    if not found:
        return End(title=text, endpoint=None, addresses=(text,))
    return End(
        title=f"{text} ({title_of(found[0])})", endpoint=found[0].id, addresses=(text,), namespace=found[0].namespace
    )


def title_of(endpoint: Endpoint) -> str:
    return f"host/{endpoint.name}" if endpoint.is_host else f"{endpoint.namespace}/{endpoint.name}"


def _host(engine: Engine, name: str) -> End:
    found = engine.endpoints.get(f"host:{name}")
    if found is None:
        raise UserError(_not_there(f"host/{name}", (title_of(one) for one in engine.endpoints.values() if one.is_host)))
    return _of((found,), f"host/{name}")


def _pod(cluster: Cluster, text: str, namespace: str, name: str) -> End:
    fact = cluster.facts.get(FactKey(cluster.name, Kind.POD, namespace, name))
    if not isinstance(fact, Pod):
        known = (f"{one.namespace}/{one.name}" for one in cluster.facts.values() if isinstance(one, Pod))
        raise UserError(_not_there(text, known))
    return _of(_judged(cluster.engine, [fact], text), text)


def _workload(cluster: Cluster, text: str) -> End:
    pods: dict[str, list[Pod]] = {}
    for fact in cluster.facts.values():
        if isinstance(fact, Pod):
            pods.setdefault(subjects.of_pod(fact, cluster.facts, cluster.name), []).append(fact)
    if text not in pods:
        raise UserError(_not_there(text, pods))
    return _of(_judged(cluster.engine, sorted(pods[text], key=lambda pod: pod.name), text), text)


def _not_there(text: str, known: Iterable[str]) -> str:
    return f"{text} is not there{nearest(text, known)}"


def _judged(engine: Engine, pods: Iterable[Pod], text: str) -> tuple[Endpoint, ...]:
    pods = list(pods)
    found = tuple(one for pod in pods if (one := engine.endpoints.get(f"pod:{pod.namespace}/{pod.name}")) is not None)
    if found:
        return found
    if any(pod.host_network for pod in pods):
        raise CannotEvaluateError(
            f"{text} is on the host's network: no policy for pods selects it, its traffic is the node's"
        )
    why = "has finished" if all(pod.is_finished for pod in pods) else "has no address yet"
    raise CannotEvaluateError(f"{text} {why}: there is no traffic to judge")


def _of(found: tuple[Endpoint, ...], title: str) -> End:
    first = found[0]
    if not first.addresses:
        raise CannotEvaluateError(f"{title} has no known address\n       fix: set expectedIPs on the host endpoint")
    return End(
        title=title,
        endpoint=first.id,
        addresses=tuple(addresses.text(address) for address in first.addresses),
        others=tuple(one.id for one in found[1:]),
        namespace=first.namespace,
    )


# --- what is asked -----------------------------------------------------------------------------------------------


def asked(text: str, destination: End, engine: Engine, source_port: int | None) -> Asked:
    """`8080/tcp`, `tcp/8080`, `8080`, `icmp`, `icmp/8/0`, or a port name of the destination."""
    word = _as_word(text, destination, engine)
    try:
        wanted = connections.from_words([word])
    except ValueError as error:
        raise UserError(f"--port {text}: {error}") from None
    number, first, second = _first(wanted)
    if number in connections.PORTED:
        ports = {"destination_port": first} | ({} if source_port is None else {"source_port": source_port})
        return Asked(words=f"{connections.name(number)}/{first}", fields={"protocol": number, **ports})
    if number in connections.TYPED:
        return Asked(words=word, fields={"protocol": number, "icmp_type": first, "icmp_code": second})
    return Asked(words=word, fields={"protocol": number})


def _as_word(text: str, destination: End, engine: Engine) -> str:
    first, slash, second = text.lower().partition("/")
    if first.isdecimal():
        return f"{second or 'tcp'}/{first}"
    known = {} if destination.endpoint is None else _named(engine.endpoints[destination.endpoint])
    return known.get(text, text) if not slash else text


def _named(endpoint: Endpoint) -> dict[str, str]:
    return {name: f"{connections.name(protocol)}/{port}" for name, protocol, port in endpoint.named_ports}


def _first(wanted: connections.ConnectionSet) -> tuple[int, int, int]:
    """The one connection that is meant: of a range its first, of plain `icmp` an echo request."""
    if wanted.partial:
        number, plane = wanted.partial[0]
        return number, plane[0][0], plane[0][2][0]
    number = wanted.whole.bit_length() - 1
    if number in connections.PORTED or wanted.is_everything:
        raise UserError("which port?\n       fix: --port 8080/tcp")
    return number, {connections.ICMP: 8, connections.ICMPV6: 128}.get(number, 0), 0


def connection(source: End, destination: End, wanted: Asked) -> Connection:
    """Between addresses of one family, IPv4 where there is one."""
    pairs = [(a, b) for a in source.addresses for b in destination.addresses if (":" in a) == (":" in b)]
    if not pairs:
        raise CannotEvaluateError(f"{source.title} and {destination.title} have no address family in common")
    from_address, to_address = min(pairs, key=lambda pair: ":" in pair[0])
    return Connection(source_address=from_address, destination_address=to_address, **wanted.fields)
