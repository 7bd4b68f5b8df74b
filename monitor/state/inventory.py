"""What a cluster holds at one moment: its facts, the engine and the placement that follow from them.

Law: facts are taken in at once, what follows from them when it is asked for; so a start from a long log costs one
build, and only the last of several changes of a key is looked at. Whoever asks gets what a build from the last facts
would give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import Struct, field

from models.facts import API_KINDS, Fact, FactKey, Kind, Rejected
from models.wire import Unreadable
from monitor.policy.engine import Affected, Engine
from monitor.state import subjects
from monitor.state.placement import PLACED, Place, Placement, Touched
from monitor.state.sharing import Sharing

_DECLARED = frozenset({Kind.DECLARATION, Kind.DECLARED_DOMAIN})
HELD = API_KINDS | _DECLARED
"""Kinds that verdicts or placement depend on."""

_FEW = frozenset({Kind.NODE, Kind.IP_POOL, Kind.FELIX_CONFIGURATION, Kind.DECLARATION})

F = TypeVar("F", bound=Fact)

POLICIES = frozenset(kind for kind in API_KINDS if kind.value.endswith("NetworkPolicy"))

_POLICED = API_KINDS - {Kind.REPLICA_SET, Kind.JOB}


class Changes(Touched):
    """What came of the facts taken in. `is_everything`: any result may be another; else the sets name what may."""

    keys: set[FactKey] = field(default_factory=set)
    is_everything: bool = False


class Moved(Struct):
    """What changed since the last look that can change who reaches whom. `endpoints` None: anybody's policies.

    `is_policed_anew`: the engine has taken in a change, or is another one.
    """

    domains: set[str] = field(default_factory=set)
    endpoints: set[str] | None = field(default_factory=set)
    is_policed_anew: bool = False

    def add(self, later: Moved) -> None:
        self.domains |= later.domains
        self.endpoints = None if self.endpoints is None or later.endpoints is None else self.endpoints | later.endpoints
        self.is_policed_anew |= later.is_policed_anew


class Inventory:
    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.facts: dict[FactKey, Fact] = {}
        self.unread: dict[FactKey, str] = {}  # key -> why its fact cannot be read
        self._few: dict[FactKey, Fact] = {}  # those of kinds with few objects, which are asked for by type
        self.policies: dict[FactKey, Fact] = {}  # of any policy kind, and whatever else Calico drops
        self._policy_keys: dict[str, FactKey] | None = None  # their subjects, as long as there is no other
        self._before: dict[FactKey, Fact | None] = {}  # changed keys, and what they held when last looked at
        self._engine: Engine | None = None
        self._placement = Placement(cluster)
        self._sharing = Sharing()
        self._changes = Changes()
        self._moved = Moved()

    def take(self, key: FactKey, value: Fact | Unreadable | None) -> bool:
        """Take in one fact. Whether it is another than before: the same fact again changes nothing."""
        old, new = self.facts.get(key), None if isinstance(value, Unreadable) else value
        was_unread = self.unread.pop(key, None)
        if isinstance(value, Unreadable):
            self.unread[key] = value.reason
        if old == new and was_unread == self.unread.get(key):
            return False
        self._sharing.share(new)
        self._before.setdefault(key, old)
        _keep(self.facts, key, new)
        if key.kind in _FEW:
            _keep(self._few, key, new)
        if key.kind in POLICIES or isinstance(old, Rejected) or isinstance(new, Rejected):
            _keep(self.policies, key, new if key.kind in POLICIES or isinstance(new, Rejected) else None)
            self._policy_keys = None
        return True

    def of_type(self, kind: type[F]) -> list[F]:
        """The facts of one of the kinds that have few objects, in the order of their keys."""
        return [fact for _, fact in sorted(self._few.items()) if isinstance(fact, kind)]

    @property
    def policy_keys(self) -> Mapping[str, FactKey]:
        """The keys of policies, and of whatever else Calico drops, by subject."""
        if self._policy_keys is None:
            self._policy_keys = {subjects.of_object(key): key for key in sorted(self.policies)}
        return self._policy_keys

    @property
    def engine(self) -> Engine:
        self._settle()
        assert self._engine is not None
        return self._engine

    @property
    def placement(self) -> Placement:
        self._settle()
        return self._placement

    def changes(self) -> Changes:
        """What came of everything taken in since the last call."""
        self._settle()
        found, self._changes = self._changes, Changes()
        return found

    def moved(self) -> Moved:
        """What everything taken in since the last call may have moved between domains."""
        self._settle()
        found, self._moved = self._moved, Moved()
        return found

    def _settle(self) -> None:
        if not self._before and self._engine is not None:
            return
        before, self._before = self._before, {}
        self._sharing.forget()
        self._place(before)
        self._police(before)

    def _place(self, before: Mapping[FactKey, Fact | None]) -> None:
        touched = self._placement.place(before, self.facts, self.unread)
        self._changes.add(touched)
        self._changes.keys |= before.keys()
        self._changes.is_everything |= any(key.kind in _DECLARED for key in before)
        self._moved.domains |= touched.domains

    def _police(self, before: Mapping[FactKey, Fact | None]) -> None:
        if self._engine is None:
            self._engine = Engine.build(self.facts)
            self._concern(Affected(endpoints=None))
            return
        changed = {key: self.facts.get(key) for key in before if key.kind in _POLICED}
        if not changed:
            return
        affected = self._engine.apply(changed)
        self._concern(affected)
        if any(key.kind not in PLACED for key in changed):  # what pods change between domains is between their own
            self._moved.domains |= _domains_of(self._places_of(affected.endpoints or ()))

    def _concern(self, affected: Affected) -> None:
        """What is judged is how an endpoint treats strangers, and what selects it; who reaches whom hangs on more."""
        endpoints, to_strangers = affected.endpoints, affected.to_strangers
        self._moved.add(Moved(endpoints=None if endpoints is None else set(endpoints), is_policed_anew=True))
        if to_strangers is None:
            self._changes.is_everything = True
            return
        places = self._places_of(to_strangers)
        self._changes.subjects |= {place.subject for place in places}
        self._changes.domains |= _domains_of(places)

    def _places_of(self, endpoints: Iterable[str]) -> list[Place]:
        return [place for each in endpoints if (place := self._placement.places.get(self.key_of(each))) is not None]

    def key_of(self, endpoint: str) -> FactKey:
        """The pod or host endpoint behind an endpoint's id."""
        kind, _, name = endpoint.partition(":")
        if kind == "host":
            return FactKey(self.cluster, Kind.HOST_ENDPOINT, "", name)
        namespace, _, name = name.partition("/")
        return FactKey(self.cluster, Kind.POD, namespace, name)

    def endpoint_of(self, key: FactKey) -> str:
        """The engine's id of a pod or host endpoint."""
        return f"host:{key.name}" if key.kind is Kind.HOST_ENDPOINT else f"pod:{key.namespace}/{key.name}"


def _domains_of(places: Iterable[Place]) -> set[str]:
    return set().union(*(place.domains for place in places))


def _keep(index: dict[FactKey, Fact], key: FactKey, value: Fact | None) -> None:
    if value is None:
        index.pop(key, None)
    else:
        index[key] = value
