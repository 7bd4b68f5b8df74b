"""Who is at the ends of a record, at its own time: endpoints by interface name and address, or an address class.

Law 1: a `cali…` interface names its pod exactly, an address only as long as nobody else has it (15.4, 15.5): where they
disagree, nobody can tell.
Law 2: an address inside an IP pool that no known pod has is unknown, never outside.
Law 3: a peer outside is a class of addresses, never an address.
"""

from __future__ import annotations

from hashlib import sha1

from msgspec import Struct

from models.facts import FelixConfiguration, HostEndpoint, IPPool, Node, Pod
from models.flows import FlowRecord
from monitor.policy import addresses
from monitor.policy.model import Endpoint
from monitor.state import subjects
from monitor.state.history import View
from monitor.state.intent import End

UNKNOWN = "unknown"
DEFAULT_PREFIX = "cali"
PRIVATE = tuple(
    addresses.net(each)
    for each in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
    )
)


class Resolved(Struct, frozen=True, kw_only=True):
    """One end. `endpoint`: the engine's id, None where Calico polices nothing. `problem`: why nobody can tell who."""

    name: str
    end: End
    endpoint: str | None = None
    problem: str = ""


def interface_of(namespace: str, pod: str, prefix: str = DEFAULT_PREFIX) -> str:
    """15.5."""
    return prefix + sha1(f"{namespace}.{pod}".encode(), usedforsecurity=False).hexdigest()[:11]


def source(record: FlowRecord, view: View) -> Resolved:
    return _resolved(record.source_address, record.in_interface, view)


def destination(record: FlowRecord, view: View) -> Resolved:
    return _resolved(record.destination_address, record.out_interface, view)


def _resolved(address: str, interface: str, view: View) -> Resolved:
    try:
        owners = view.engine.endpoints_at(address)
    except ValueError:
        return _unknown(address, "no address")
    prefix = next((each for each in _prefixes(view) if interface.startswith(each)), "")
    if prefix:
        owners = tuple(
            each for each in owners if not each.is_host and interface_of(each.namespace, each.name, prefix) == interface
        )
        if not owners:
            return _unknown(address, f"the pod behind {interface} did not have {address} then")
    if len(owners) > 1:
        return _unknown(address, f"{len(owners)} endpoints had {address} then")
    return _endpoint(owners[0], address, view) if owners else _elsewhere(address, view)


def _unknown(address: str, problem: str) -> Resolved:
    return Resolved(name=UNKNOWN, end=End(address=address), problem=problem)


def _prefixes(view: View) -> tuple[str, ...]:
    """Interface names of pods begin with one of these."""
    written = next(
        (fact.interface_prefix for fact in view.of_type(FelixConfiguration) if fact.interface_prefix), DEFAULT_PREFIX
    )
    return tuple(each.strip() for each in written.split(",") if each.strip())


def _endpoint(found: Endpoint, address: str, view: View) -> Resolved:
    key = view.key_of(found.id)
    fact, place = view.facts.get(key), view.placement.places.get(key)
    end = End(address=address, domains=place.domains if place else frozenset(), namespace=found.namespace)
    if isinstance(fact, HostEndpoint):
        return Resolved(name=subjects.of_host(fact), end=end, endpoint=found.id)
    assert isinstance(fact, Pod)
    return Resolved(name=subjects.of_pod(fact, view.facts, view.cluster), end=end, endpoint=found.id)


def _elsewhere(address: str, view: View) -> Resolved:
    number = addresses.address(address)
    if any(address in fact.addresses for fact in view.of_type(Node)):
        return Resolved(name="node", end=End(address=address))
    for pool in view.of_type(IPPool):
        if _lies_in(number, pool.cidr):
            return _unknown(address, f"no pod is known that had {address} of pool {pool.name} then")
    in_set = _set_of(number, view)
    if in_set:
        return Resolved(name=f"set:{in_set}", end=End(address=address))
    is_private = any(first <= number <= last for first, last in PRIVATE)
    return Resolved(name="private" if is_private else "public", end=End(address=address))


def _set_of(number: int, view: View) -> str:
    """Longest prefix, then lowest name (16.2)."""
    found = [
        (last - first, f"{each.namespace}/{each.name}" if each.namespace else each.name)
        for each in view.engine.world.subjects.sets.values()
        for first, last in each.nets
        if first <= number <= last
    ]
    return min(found)[1] if found else ""


def _lies_in(number: int, cidr: str) -> bool:
    try:
        first, last = addresses.net(cidr)
    except ValueError:
        return False
    return first <= number <= last
