"""What is known of one cluster now, and what has to be judged again because of what came.

Law 1: State is a function of the facts folded (and of when the marks among them came), never of how they came.
Law 2: `take_dirty` names every domain of which any result can be another than at the call before; it may name more.
Law 3: time is the log's: the greatest timestamp folded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Final

from msgspec import Struct

from models.compliance import SubjectResult, Vouched
from models.facts import (
    Declaration,
    Epoch,
    Fact,
    FactKey,
    Heartbeat,
    Kind,
    ObservedPath,
    Repair,
    SourcesHeard,
    Sync,
    Waiver,
)
from models.topics import Position
from models.wire import Unreadable
from monitor.policy.engine import Engine
from monitor.state import domains
from monitor.state.deadlines import Deadlines
from monitor.state.domains import Definition
from monitor.state.inventory import HELD, Changes, Inventory, Moved
from monitor.state.marks import Marks
from monitor.state.placement import Placement
from monitor.state.tallies import Tally, Told


class All(Enum):
    """Every one; of domains also those that only SQL still knows."""

    ALL = "all"


ALL: Final = All.ALL


class Dirty(Struct, frozen=True):
    """What has to be judged again: these domains, and of the workloads only these. ALL: each, whatever was said.

    `members`: those of the workloads that have other pods now, or are in other domains.
    """

    domains: frozenset[str] | All
    workloads: frozenset[str] | All
    members: frozenset[str] = frozenset()


EVERYTHING: Final = Dirty(ALL, ALL)


class State:
    """One cluster, one owner.

    `memo`: results by control and subject, as long as nothing they rest on changed; `tallies`: what was last said, by
    control and domain; `told`: of each domain, how it was described and summed up.
    """

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.epoch = 0
        self._begin()

    def _begin(self) -> None:
        """Nothing is known: at the start, and when the log begins anew."""
        self.inventory = Inventory(self.cluster)
        self.marks = Marks()
        self.position: Position | None = None
        self.at: datetime | None = None
        self.observed: dict[FactKey, ObservedPath] = {}
        self.waivers: dict[FactKey, Waiver] = {}
        self.unread: dict[FactKey, str] = {}  # of observed paths, waivers and marks
        self.memo: dict[str, dict[str, SubjectResult]] = {}
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.told: dict[str, Told] = {}
        self._deadlines = Deadlines()
        self._dirty: set[str] = set()
        self._is_all_dirty = False
        self._judged_by: dict[str, tuple[str, str]] | None = None  # inputs at the last take; None before the first
        self._known: set[str] = set()  # domains at the last take
        self._nodes: set[str] = set()
        self._paths_changed: set[str] = set()  # workloads at the ends of paths seen anew

    # What is known

    @property
    def facts(self) -> Mapping[FactKey, Fact]:
        """API objects and declarations; what Calico drops is there as `Rejected`."""
        return self.inventory.facts

    @property
    def engine(self) -> Engine:
        return self.inventory.engine

    @property
    def placement(self) -> Placement:
        return self.inventory.placement

    @property
    def domains(self) -> Mapping[str, Definition]:
        return self.placement.definitions

    @property
    def declaration(self) -> Declaration:
        found = self.facts.get(FactKey(self.cluster, Kind.DECLARATION, "", "domains.yaml"))
        return found if isinstance(found, Declaration) else Declaration()

    def blocked(self, at: datetime) -> str:
        """Why the cluster must not be judged now; empty if it may be."""
        return self.marks.blocked(at)

    def inputs(self, at: datetime) -> Mapping[str, Vouched]:
        """Every input, kinds and flows, and how fresh it is."""
        return self.marks.inputs(at, self.inventory.unread | self.unread, self.nodes)

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset(self._nodes)

    # What has to be judged again

    def take_dirty(self) -> Dirty:
        """What to evaluate, domains that are gone among it; everything at the first call. It is clean from now on."""
        changes = self.inventory.changes()
        workloads = self._spread(changes)
        names = frozenset(self.domains)
        inputs = {name: (each.state, each.reason) for name, each in self.inputs(self.at).items()} if self.at else {}
        is_first = self._judged_by is None
        is_all = self._is_all_dirty or changes.is_everything or inputs != self._judged_by
        if is_all:
            self._dirty = self._known | names
        dirty = frozenset(self._dirty & (self._known | names))
        self._judged_by, self._known, self._dirty, self._is_all_dirty = inputs, set(names), set(), False
        if is_first:
            return EVERYTHING
        return Dirty(dirty, ALL) if is_all else Dirty(dirty, frozenset(workloads), frozenset(changes.members))

    def look_again(self, key: FactKey, at: datetime) -> None:
        """What rests on this fact becomes another by time alone: at that time it is dirty."""
        if self.at is None or at > self.at:
            self._deadlines.add(at, key)

    def take_moved(self) -> Moved:
        """What may have changed who reaches whom since the last call."""
        return self.inventory.moved()

    def _spread(self, changes: Changes) -> set[str]:
        """What changed, and what time alone has changed, to the domains and results that rest on it.

        Returns the subjects.
        """
        if changes.is_everything:
            self.memo.clear()
        subjects = changes.subjects | self._paths_changed
        self._paths_changed = set()
        for key in self._deadlines.passed(self.at) if self.at else ():
            self._is_all_dirty |= key.kind is Kind.WAIVER
            place = self.placement.places.get(key)
            if place is not None:
                subjects.add(place.subject)
        for known in self.memo.values():
            for subject in subjects & known.keys():
                del known[subject]
        self._dirty |= changes.domains.union(*(self.placement.domains_of(subject) for subject in subjects))
        self._dirty |= self._around({key.namespace for key in changes.keys})
        return subjects

    def _around(self, namespaces: set[str]) -> set[str]:
        """The domains in which objects of these namespaces are counted that are no workloads themselves."""
        if not namespaces:
            return set()
        found = {domains.cluster_id(self.cluster), *map(domains.namespace_id, namespaces)}
        return found | {name for name, each in self.domains.items() if not namespaces.isdisjoint(each.namespaces)}

    # Folding: called by `fold`

    def reach(self, position: Position, at: datetime) -> None:
        """The record at this position came at this time."""
        self.position = position
        self.at = at if self.at is None else max(self.at, at)

    def begin_epoch(self, number: int) -> None:
        """A log that began anew holds everything again; what the former one said is worth nothing."""
        if self.epoch and number > self.epoch:
            self._begin()
        self.epoch = max(self.epoch, number)

    def hold(self, key: FactKey, value: Fact | Unreadable | None) -> None:
        """An API object or a declaration."""
        if not self.inventory.take(key, value):
            return
        if key.kind is Kind.NODE:
            (self._nodes.add if key in self.facts else self._nodes.discard)(key.name)

    def observe(self, key: FactKey, value: Fact | Unreadable | None) -> None:
        """A path seen in traffic."""
        old = self.observed.pop(key, None)
        self._mark_unread(key, value)
        if isinstance(value, ObservedPath):
            self.observed[key] = value
        new = self.observed.get(key)
        if old == new:
            return
        for path in (old, new):
            if path is not None:
                self._dirty |= {*path.source_domains, *path.destination_domains}
                self._paths_changed |= {path.source, path.destination}

    def waive(self, key: FactKey, value: Fact | Unreadable | None) -> None:
        """A waiver, granted, changed or withdrawn."""
        old = self.waivers.pop(key, None)
        self._mark_unread(key, value)
        if isinstance(value, Waiver):
            self.waivers[key] = value
            self.look_again(key, value.granted_at)
            self.look_again(key, value.expires_at)
        self._is_all_dirty |= old != self.waivers.get(key)

    def mark(self, key: FactKey, value: Fact | Unreadable | None, at: datetime) -> None:
        """What the stream says of itself."""
        self._mark_unread(key, value)
        match value:
            case Sync():
                self.marks.sync(value, at)
            case Repair():
                self.marks.repair(value)
            case Heartbeat():
                self.marks.heartbeat(value, at)
            case SourcesHeard():
                self.marks.sources(key, value, at)
            case None if key.kind is Kind.SOURCES_HEARD:
                self.marks.sources(key, None, at)
            case None if key.kind is Kind.HEARTBEAT:
                self.marks.heartbeat(None, at)

    def _mark_unread(self, key: FactKey, value: Fact | Unreadable | None) -> None:
        self.unread.pop(key, None)
        if isinstance(value, Unreadable):
            self.unread[key] = value.reason


def fold(
    state: State, key: FactKey | None, value: Fact | Unreadable | None, *, position: Position, at: datetime
) -> None:
    """Take in one record of the cluster's partition. `key` None: it could not be read; `value` None: gone."""
    if isinstance(value, Epoch):
        state.begin_epoch(value.number)
    state.reach(position, at)
    if key is None:
        state.marks.lost_key()
    elif key.kind in HELD:
        state.hold(key, value)
    elif key.kind is Kind.OBSERVED_PATH:
        state.observe(key, value)
    elif key.kind is Kind.WAIVER:
        state.waive(key, value)
    else:
        state.mark(key, value, at)
