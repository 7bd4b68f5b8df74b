"""Who is at an address: endpoints that own it, network sets that cover it, backends of services.

Law: an address has every owner that Felix would put into its sets, also two live pods for a moment (15.4).
Nets are filed by length of prefix, so that a look-up costs one step for each length in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.facts import EndpointSlice
from monitor.policy import addresses, model
from monitor.policy.matching import Backends, Owners
from monitor.policy.selection import LabelClass

_MANY_ADDRESSES = 262_144
_NO_BACKENDS = Backends()


class Places:
    """Addresses to endpoints and sets. `classes`: the label class of each, kept by whoever files them here."""

    def __init__(self, classes: Mapping[str, LabelClass]) -> None:
        self._at: dict[int, tuple[model.Endpoint, ...]] = {}  # sorted by id; nearly always one
        self._classes = classes
        self._sets: dict[int, dict[int, set[str]]] = {}  # size of the net -> first address -> ids of sets
        self._sizes: tuple[int, ...] = ()
        self._known: dict[int, Owners] = {}
        self._nobody = Owners()

    def put(self, endpoint: model.Endpoint) -> None:
        for address in endpoint.addresses:
            others = [each for each in self._at.get(address, ()) if each.id != endpoint.id]
            self._at[address] = tuple(sorted([*others, endpoint], key=_id)) if others else (endpoint,)
            self._known.pop(address, None)

    def take(self, endpoint: model.Endpoint) -> None:
        for address in endpoint.addresses:
            others = tuple([each for each in self._at.pop(address, ()) if each.id != endpoint.id])
            if others:
                self._at[address] = others
            self._known.pop(address, None)

    def put_set(self, found: model.Set) -> None:
        for first, last in found.nets:
            self._sets.setdefault(last - first + 1, {}).setdefault(first, set()).add(found.id)
        self._sets_changed()

    def take_set(self, found: model.Set) -> None:
        for first, last in found.nets:
            by_first = self._sets.get(last - first + 1, {})
            by_first.get(first, set()).discard(found.id)
            if not by_first.get(first):
                by_first.pop(first, None)
            if not by_first:
                self._sets.pop(last - first + 1, None)
        self._sets_changed()

    def _sets_changed(self) -> None:
        self._sizes = tuple(sorted(self._sets))
        self._known.clear()

    def endpoints(self, address: int) -> tuple[model.Endpoint, ...]:
        return self._at.get(address, ())

    def sets(self, address: int) -> Iterable[str]:
        """The sets that cover an address, most exact first."""
        for size in self._sizes:
            yield from sorted(self._sets[size].get(address // size * size, ()))

    def named_at(self, address: int) -> Iterable[tuple[LabelClass, tuple[tuple[str, int, int], ...]]]:
        for each in self._at.get(address, ()):
            if each.named_ports:
                yield self._classes[each.id], each.named_ports

    def owners(self, address: int) -> Owners:
        found = self._known.get(address)
        if found is None:
            if len(self._known) > _MANY_ADDRESSES:
                self._known.clear()
            found = self._known[address] = self._owners(address)
        return found

    def _owners(self, address: int) -> Owners:
        here = (*map(_id, self._at.get(address, ())), *self.sets(address))
        classes = {found.id: found for found in map(self._classes.__getitem__, here)}
        if not classes:
            return self._nobody
        return Owners(tuple(sorted(classes)), tuple(classes.values()))


class Services:
    """Backends of services, from their EndpointSlices (5.7)."""

    def __init__(self) -> None:
        self._slices: dict[tuple[str, str], dict[str, EndpointSlice]] = {}
        self._known: dict[tuple[str, str], Backends] = {}

    def put(self, fact: EndpointSlice) -> tuple[str, str] | None:
        """The service whose backends have changed. A slice of no service is nobody's."""
        if not fact.service:
            return None
        service = (fact.namespace, fact.service)
        self._slices.setdefault(service, {})[fact.name] = fact
        self._known.pop(service, None)
        return service

    def take(self, fact: EndpointSlice) -> tuple[str, str] | None:
        service = (fact.namespace, fact.service)
        here = self._slices.get(service, {})
        if here.pop(fact.name, None) is None:
            return None
        if not here:
            del self._slices[service]
        self._known.pop(service, None)
        return service

    def names(self) -> Iterable[tuple[str, str]]:
        return self._slices.keys()

    def backends(self, service: tuple[str, str]) -> Backends:
        found = self._known.get(service)
        if found is None:
            slices = self._slices.get(service)
            found = self._known[service] = _backends(slices.values()) if slices else _NO_BACKENDS
        return found


def _id(endpoint: model.Endpoint) -> str:
    return endpoint.id


def _backends(slices: Iterable[EndpointSlice]) -> Backends:
    """A port without a number adds nothing; readiness is not looked at."""
    at: set[int] = set()
    targets: set[tuple[int, int, int]] = set()
    for each in slices:
        here = [found for written in each.addresses if (found := _address(written)) is not None]
        at.update(here)
        for port in each.ports:
            if port.port is not None:
                protocol = model.protocol_number(port.protocol)
                targets.update((address, protocol, port.port) for address in here)
    return Backends(frozenset(at), frozenset(targets))


def _address(written: str) -> int | None:
    """None for a name: slices of address type FQDN hold no backends."""
    try:
        return addresses.address(written)
    except ValueError:
        return None
