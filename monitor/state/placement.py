"""Who belongs where: every pod and host endpoint, its subject and the domains that hold it.

Law: placing is a function of the facts; `place` does again only what a change can have moved, and names every domain
and subject that it touched. Pods that are no endpoints (on the host's network, without an address) are members too;
finished ones are not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

from msgspec import Struct, field, structs

from models.compliance import Member
from models.facts import (
    Declaration,
    DeclaredDomain,
    Fact,
    FactKey,
    HostEndpoint,
    Kind,
    Namespace,
    Pod,
    ServiceAccount,
)
from monitor.policy import convert_endpoints
from monitor.policy.selectors import Labels
from monitor.state import domains, subjects
from monitor.state.domains import Definition

PLACED = frozenset({Kind.POD, Kind.HOST_ENDPOINT})
DEFINING = frozenset({Kind.NAMESPACE, Kind.DECLARATION, Kind.DECLARED_DOMAIN})

_CONTROLLERS = frozenset(subjects.STEPS.values())
_STAND_IN = {"node": "-", "addresses": ("192.0.2.1",), "host_network": False}  # any pod has labels

Facts = Mapping[FactKey, Fact]
Name = TypeVar("Name", bound=Hashable)
Item = TypeVar("Item")

Index = defaultdict[Name, dict[Item, None]]
"""Items by name. Not in sets: there is one for each workload, and a set of five takes three times as much."""


class Place(Struct, frozen=True):
    """Of one pod or host endpoint."""

    subject: str
    domains: frozenset[str]


class Touched(Struct):
    """What a change concerns. `members`: those of the subjects that have other pods now, or are in other domains."""

    domains: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)

    def add(self, later: Touched) -> None:
        self.domains |= later.domains
        self.subjects |= later.subjects
        self.members |= later.members


class Placement:
    """`facts` given to its methods are those after the change."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self.definitions: dict[str, Definition] = {}
        self.places: dict[FactKey, Place] = {}
        self._keys_of: Index[str, FactKey] = defaultdict(dict)  # by subject
        self._subjects_in: Index[str, str] = defaultdict(dict)  # by domain
        self._members: dict[str, tuple[Member, ...]] = {}
        self._owners: dict[str, str] = {}  # of workloads, as far as asked for
        self._by_namespace: Index[str, FactKey] = defaultdict(dict)  # pods, finished ones too
        self._by_owner: Index[tuple[str, str, str], FactKey] = defaultdict(dict)
        self._declared: tuple[Definition, ...] = ()
        self._tenant_label = ""
        self._named: set[str] = set()  # namespaces known from pods, or by name only
        self._namespaces: dict[str, Namespace] = {}
        self._own: dict[str, DeclaredDomain] = {}
        self._holding: dict[frozenset[str], frozenset[str]] = {}  # one object for all pods that lie in the same domains

    def place(self, before: Mapping[FactKey, Fact | None], facts: Facts, unread: Iterable[FactKey]) -> Touched:
        """Take in changes. `before`: the changed keys and what they held; `unread`: keys whose fact is not readable."""
        touched = Touched()
        again = self._index(before, facts)
        again |= self._define(before, facts, unread, touched)
        around, moved = self._place_all(again, facts)
        for place in moved:
            self._hold(place)
        touched.members |= {place.subject for place in moved}
        touched.subjects |= {place.subject for place in around}
        touched.domains.update(*{place.domains for place in around})
        return touched

    def members(self, domain: str) -> tuple[Member, ...]:
        """Sorted by subject; the same object as long as nothing changed."""
        known = self._members.get(domain)
        if known is None:
            known = tuple(
                Member(subject=subject, pods=self.pods(subject, domain))
                for subject in sorted(self._subjects_in.get(domain, ()))
            )
            self._members[domain] = known
        return known

    def holds(self, subject: str) -> bool:
        """Whether the subject is a workload or host endpoint that is there."""
        return subject in self._keys_of

    def keys(self, subject: str) -> list[FactKey]:
        """The pods or the host endpoint that a subject stands for."""
        return sorted(self._keys_of.get(subject, ()))

    def pods(self, subject: str, domain: str) -> tuple[str, ...]:
        """`namespace/name` of those of its pods that the domain holds."""
        return tuple(
            f"{key.namespace}/{key.name}"
            for key in self.keys(subject)
            if key.kind is Kind.POD and domain in self.places[key].domains
        )

    def domains_of(self, subject: str) -> frozenset[str]:
        """Every domain that holds one of its pods: nearly always the same for all of them."""
        found = {self.places[key].domains for key in self._keys_of.get(subject, ())}
        return found.pop() if len(found) == 1 else frozenset().union(*found)

    def owner_of(self, subject: str, namespace: str = "") -> str:
        """The smallest domain that holds the subject; its findings belong there (controls.md section 2).

        namespace: of a subject that is no workload, such as a policy.
        """
        known = self._owners.get(subject)
        if known is not None:
            return known
        holding = self.domains_of(subject)
        if not holding:
            at_home = domains.namespace_id(namespace)
            return at_home if at_home in self.definitions else domains.cluster_id(self._cluster)
        owner = min((self.definitions[each] for each in holding), key=lambda each: each.rank).domain.id
        self._owners[subject] = owner
        return owner

    # What must be placed again

    def _index(self, before: Mapping[FactKey, Fact | None], facts: Facts) -> set[FactKey]:
        again: set[FactKey] = set()
        for key, old in before.items():
            if key.kind in PLACED:
                again.add(key)
                self._index_pod(key, old, facts.get(key))
        for key in before:
            if key.kind is Kind.SERVICE_ACCOUNT:
                again.update(self._by_namespace.get(key.namespace, ()))
            elif key.kind in _CONTROLLERS:
                again.update(self._by_owner.get((key.namespace, key.kind.value, key.name), ()))
        return again

    def _index_pod(self, key: FactKey, old: Fact | None, new: Fact | None) -> None:
        if isinstance(old, Pod):
            _drop(self._by_namespace, key.namespace, key)
            if old.owner:
                _drop(self._by_owner, (key.namespace, old.owner.kind, old.owner.name), key)
        if isinstance(new, Pod):
            self._by_namespace[key.namespace][key] = None
            if new.owner:
                self._by_owner[key.namespace, new.owner.kind, new.owner.name][key] = None

    def _define(
        self, before: Mapping[FactKey, Fact | None], facts: Facts, unread: Iterable[FactKey], touched: Touched
    ) -> set[FactKey]:
        """Which domains there are; returns the pods that this may move."""
        for key in before:
            self._note(key, facts.get(key))
        names = {key.name for key in unread if key.kind is Kind.NAMESPACE} | self._by_namespace.keys()
        if self.definitions and names == self._named and not any(key.kind in DEFINING for key in before):
            return set()
        self._named = names
        labels: dict[str, Mapping[str, str]] = {name: {} for name in names}
        labels.update((name, fact.labels) for name, fact in self._namespaces.items())
        declaration = facts.get(FactKey(self._cluster, Kind.DECLARATION, "", "domains.yaml"))
        declaration = declaration if isinstance(declaration, Declaration) else None
        definitions = domains.found(self._cluster, labels, domains.tenants(declaration, labels))
        own = [domains.declared(fact) for fact in self._own.values()]
        definitions.update((each.domain.id, each) for each in own)
        return self._redefined(definitions, declaration, before, touched)

    def _note(self, key: FactKey, new: Fact | None) -> None:
        """Keep at hand what defines domains."""
        if key.kind is Kind.NAMESPACE:
            _keep(self._namespaces, key.name, new if isinstance(new, Namespace) else None)
        elif key.kind is Kind.DECLARED_DOMAIN:
            _keep(self._own, key.name, new if isinstance(new, DeclaredDomain) else None)

    def _redefined(
        self,
        definitions: dict[str, Definition],
        declaration: Declaration | None,
        before: Mapping[FactKey, Fact | None],
        touched: Touched,
    ) -> set[FactKey]:
        old, self.definitions = self.definitions, definitions
        self._owners.clear()
        self._holding.clear()
        changed = {name for name in old.keys() | definitions.keys() if old.get(name) != definitions.get(name)}
        touched.domains |= changed
        declared = tuple(each for each in sorted(definitions.values(), key=lambda each: each.rank) if each.is_declared)
        tenant_label = declaration.tenant_label if declaration else ""
        if (declared, tenant_label) != (self._declared, self._tenant_label):
            self._declared, self._tenant_label = declared, tenant_label
            return set(self.places)
        moved = {key.name for key in before if key.kind is Kind.NAMESPACE}
        moved |= {definitions.get(name, old.get(name)).domain.name for name in changed}  # type: ignore[union-attr]
        return set().union(*(self._by_namespace.get(name, ()) for name in moved))

    # Placing

    def _place_all(self, keys: Iterable[FactKey], facts: Facts) -> tuple[set[Place], set[Place]]:
        """The places where these are or were, and those of them where one came or went."""
        around: dict[Place, Place] = {}  # one object for all pods of a workload
        moved: set[Place] = set()
        holding = self._holding_by_template(facts)
        for key in keys:
            old, new = self.places.get(key), self._placed(key, facts, holding)
            if new is not None:
                new = around.setdefault(new, new)
            if old is not None:
                around.setdefault(old, old)
            if old != new:
                self._move(key, old, new)
                moved.update(place for place in (old, new) if place is not None)
        return set(around), moved

    def _move(self, key: FactKey, old: Place | None, new: Place | None) -> None:
        if old is not None:
            del self.places[key]
            _drop(self._keys_of, old.subject, key)
        if new is not None:
            self.places[key] = new
            self._keys_of[new.subject][key] = None

    def _hold(self, place: Place) -> None:
        """Bring the domains' lists up to date with where the subject's pods are now."""
        self._owners.pop(place.subject, None)
        holding = self.domains_of(place.subject)
        for domain in place.domains:
            self._members.pop(domain, None)
            if domain in holding:
                self._subjects_in[domain][place.subject] = None
            else:
                _drop(self._subjects_in, domain, place.subject)

    def _placed(self, key: FactKey, facts: Facts, holding: Callable[[Pod], frozenset[str]]) -> Place | None:
        fact = facts.get(key)
        if isinstance(fact, Pod) and not fact.is_finished:
            return Place(subjects.of_pod(fact, facts, self._cluster), holding(fact))
        if isinstance(fact, HostEndpoint):
            return Place(subjects.of_host(fact), self._domains({domains.cluster_id(self._cluster)}, fact, facts))
        return None

    def _holding_by_template(self, facts: Facts) -> Callable[[Pod], frozenset[str]]:
        """The domains that hold a pod, of many: pods of one template share a dictionary of labels, and these."""
        known: dict[tuple[str, int, str], frozenset[str]] = {}

        def holding(pod: Pod) -> frozenset[str]:
            key = (pod.namespace, id(pod.labels), pod.service_account)
            found = known.get(key)
            if found is None:
                found = known[key] = self._holding_pod(pod, facts)
            return found

        return holding

    def _holding_pod(self, pod: Pod, facts: Facts) -> frozenset[str]:
        namespace = facts.get(FactKey(self._cluster, Kind.NAMESPACE, "", pod.namespace))
        labels = namespace.labels if isinstance(namespace, Namespace) else {}
        candidates = {
            domains.cluster_id(self._cluster),
            domains.namespace_id(pod.namespace),
            domains.tenant_id(labels.get(self._tenant_label, "")),
        }
        return self._domains(candidates, pod, facts)

    def _domains(self, candidates: set[str], fact: Pod | HostEndpoint, facts: Facts) -> frozenset[str]:
        holding = {name for name in candidates if name in self.definitions and not self.definitions[name].is_declared}
        if self._declared:
            labels = self._labels(fact, facts)
            holding |= {
                each.domain.id for each in self._declared if each.selector is not None and each.selector.matches(labels)
            }
        found = frozenset(holding)
        return self._holding.setdefault(found, found)

    def _labels(self, fact: Pod | HostEndpoint, facts: Facts) -> Labels:
        """What a policy's selector would see, also of pods that are no endpoints (yet)."""

        def inherited(profile: str) -> Mapping[str, str]:
            kind, _, name = profile.partition(".")
            if kind == "kns":
                found = facts.get(FactKey(self._cluster, Kind.NAMESPACE, "", name))
                return convert_endpoints.namespace_labels(found) if isinstance(found, Namespace) else {}
            namespace, _, account = name.partition(".")
            found = facts.get(FactKey(self._cluster, Kind.SERVICE_ACCOUNT, namespace, account))
            return convert_endpoints.account_labels(found) if isinstance(found, ServiceAccount) else {}

        if isinstance(fact, HostEndpoint):
            return convert_endpoints.host(fact, inherited).labels
        endpoint = convert_endpoints.pod(structs.replace(fact, **_STAND_IN), inherited)
        return endpoint.labels if endpoint else {}


def _drop(index: Index[Name, Item], name: Name, item: Item) -> None:
    found = index.get(name)
    if found is not None:
        found.pop(item, None)
        if not found:
            del index[name]


def _keep(index: dict[Name, Item], name: Name, value: Item | None) -> None:
    if value is None:
        index.pop(name, None)
    else:
        index[name] = value
