"""What a check may look at: the state at one moment, asked in the words of the catalogue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property

from models.compliance import Vouched
from models.facts import FactKey, FlowClass, Kind, ObservedPath, Pod
from monitor.policy.engine import Engine
from monitor.policy.model import Endpoint
from monitor.state import domains, subjects
from monitor.state.domains import Definition
from monitor.state.placement import Placement
from monitor.state.state import State


class Snapshot:
    """`at` is log time."""

    def __init__(self, state: State, at: datetime) -> None:
        self.state = state
        self.at = at
        self._policies: dict[str, tuple[str, ...]] = {}
        self._keys: dict[str, list[FactKey]] = {}
        self._endpoints: dict[str, tuple[str, ...]] = {}
        self._unpoliced: dict[str, str] = {}

    @cached_property
    def engine(self) -> Engine:
        return self.state.engine

    @cached_property
    def placement(self) -> Placement:
        return self.state.placement

    @cached_property
    def inputs(self) -> Mapping[str, Vouched]:
        return self.state.inputs(self.at)

    @cached_property
    def system_namespaces(self) -> Mapping[str, str]:
        """Left out of default-deny demands, each with the reason its owner gave."""
        return {each.name: each.reason for each in self.state.declaration.system_namespaces}

    @cached_property
    def escaped(self) -> Mapping[str, tuple[ObservedPath, ...]]:
        """Escaped paths by the workload that they are laid to: the one that was reached, else the one that reached."""
        found: defaultdict[str, list[ObservedPath]] = defaultdict(list)
        for key in sorted(self.state.observed):
            path = self.state.observed[key]
            if path.flow_class is FlowClass.ESCAPED:
                found[path.destination if "/" in path.destination else path.source].append(path)
        return {subject: tuple(paths) for subject, paths in found.items()}

    @cached_property
    def hosts(self) -> tuple[Endpoint, ...]:
        """Host endpoints, as the engine has them."""
        return tuple(each for each in self.engine.endpoints.values() if each.is_host)

    def workloads(self, definition: Definition) -> tuple[str, ...]:
        """Subjects that the domain holds."""
        return tuple([member.subject for member in self.placement.members(definition.domain.id)])

    def policies(self, definition: Definition) -> tuple[str, ...]:
        """Policies, and whatever else Calico drops: all of the cluster, else those of the domain's namespaces."""
        domain = definition.domain
        if domain.level == "cluster":
            return tuple(self.policy_keys)
        if domain.id not in self._policies:
            held = {each for each in definition.namespaces if each in self._policies_in}
            own = domain.name if domain.id == domains.namespace_id(domain.name) else ""
            held |= {own} & self._policies_in.keys()
            places = sorted(place for each in held for place in self._policies_in[each])
            self._policies[domain.id] = tuple([subject for _, subject in places])
        return self._policies[domain.id]

    @cached_property
    def _policies_in(self) -> Mapping[str, list[tuple[int, str]]]:
        """Those of each namespace, with their places among all."""
        found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for place, (subject, key) in enumerate(self.policy_keys.items()):
            if key.namespace:
                found[key.namespace].append((place, subject))
        return dict(found)

    @cached_property
    def idle_policies(self) -> frozenset[object]:
        """The policies that select no endpoint, by what the engine names them."""
        return frozenset(self.engine.world.subjects.selections.idle())

    @property
    def policy_keys(self) -> Mapping[str, FactKey]:
        """By subject."""
        return self.state.inventory.policy_keys

    def home_of(self, subject: str) -> str:
        """The namespace of a subject that is no workload (`Kind/namespace/name`); empty for what has none."""
        if subject.count("/") != 2 or self.placement.holds(subject):
            return ""
        return subject.split("/")[1]

    def pods(self, subject: str) -> list[tuple[FactKey, Pod]]:
        facts = self.state.facts
        return [(key, fact) for key in self._keys_of(subject) if isinstance(fact := facts.get(key), Pod)]

    def _keys_of(self, subject: str) -> list[FactKey]:
        found = self._keys.get(subject)
        if found is None:
            found = self._keys[subject] = self.placement.keys(subject)
        return found

    def endpoints(self, subject: str) -> tuple[str, ...]:
        """Those of the subject's pods that Calico polices, by the engine's ids."""
        found = self._endpoints.get(subject)
        if found is None:
            ids = [self.state.inventory.endpoint_of(key) for key in self._keys_of(subject) if key.kind is Kind.POD]
            there = self.engine.endpoints
            found = self._endpoints[subject] = tuple([each for each in ids if each in there])
        return found

    def why_not_policed(self, subject: str) -> str:
        """Why nothing can be demanded of the subject's policies; empty if something can."""
        if subject not in self._unpoliced:
            self._unpoliced[subject] = self._why_not_policed(subject)
        return self._unpoliced[subject]

    def _why_not_policed(self, subject: str) -> str:
        namespace = subjects.namespace_of(subject)
        if namespace in self.system_namespaces:
            return f"system namespace: {self.system_namespaces[namespace]}"
        if any(key.kind is Kind.HOST_ENDPOINT for key in self._keys_of(subject)):
            return "a host endpoint"
        if self.endpoints(subject):
            return ""
        pods = [pod for _, pod in self.pods(subject)]
        if pods and all(pod.host_network for pod in pods):
            return "on its node's network, where no pod policy reaches it"
        return "none of its pods has an address yet"
