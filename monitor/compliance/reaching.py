"""What may connect between domains, and with the outside: worked out when something changed, only where it did.

Pairs of domains of one level, never nested ones (a tenant holds its namespaces: such a pair says nothing); the cluster
is in no pair. Outside is every address that is no endpoint's, nodes included. Enforced policies only.
Law 1: what is kept equals what would be worked out from nothing.
Law 2: while an input that verdicts hang on is not fresh, nothing is known, and nothing is worked out.
Law 3: making all anew takes long in a large cluster and would hold up its findings: there it is done once in a while
only, and until then reach is not known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from models.recording import Reach, ReachUpdate
from monitor.compliance import needs, reach_wording
from monitor.compliance.reach_wording import OUTSIDE, Cell, Changed, Pair
from monitor.policy.connections import EVERYTHING, NOTHING
from monitor.policy.engine import Affected
from monitor.policy.reach import Answer, Outside, Posture
from monitor.policy.reach_groups import Places
from monitor.state.inventory import Moved
from monitor.state.state import State

LEVELS: Final = ("namespace", "tenant", "workload")

INPUTS: Final = tuple(need.value for need in needs.VERDICTS)

SMALL = 500
"""Endpoints of a cluster in which all is made anew whenever it must be: within some tens of milliseconds."""

REST = timedelta(seconds=15)
"""Log time between two makings anew in a larger one."""

Groups = Mapping[str, frozenset[str]]
"""Endpoints by domain."""


class Reaching:
    """Of one cluster, as long as its State lives. `cells`: what was worked out last; `unknown`: why that is not now."""

    def __init__(self) -> None:
        self.cells: dict[Pair, Cell] = {}
        self.unknown = "not worked out yet"
        self._pairs_of: defaultdict[str, set[Pair]] = defaultdict(set)
        self._posture: Posture | None = None
        self._made_at: datetime | None = None
        self._due = Moved(endpoints=None)
        self._groups: dict[str, frozenset[str]] = {}
        self._bases: dict[str, tuple[str, Places]] = {}  # what the answers about a domain hang on
        self._asked_of: tuple[Posture, int] | None = None  # and the posture that was asked, with its edition
        self._unrecorded: Changed = {}
        self._told: str | None = None  # `unknown` as recorded last; None before the first time
        self._is_recorded = False  # SQL has been made to hold what is kept here

    def take(self, state: State, *, at: datetime) -> ReachUpdate | None:
        """What is to be recorded; None: nothing changed since the last call."""
        self.refresh(state, at=at)
        if self.unknown == self._told and (self.unknown or not self._unrecorded):
            return None
        self._told = self.unknown
        if self.unknown:
            return ReachUpdate(unknown=self.unknown, needs=INPUTS)
        changed, self._unrecorded = self._unrecorded, {}
        was_recorded, self._is_recorded = self._is_recorded, True
        return ReachUpdate(pairs=_rows(changed), is_whole=not was_recorded, needs=INPUTS)

    def refresh(self, state: State, *, at: datetime) -> Changed | None:
        """Take in what changed since the last call; the pairs that this changed. None: not known, see `unknown`."""
        self.unknown = needs.unmet(needs.VERDICTS, state.inputs(at))
        if self.unknown:
            return None
        try:
            return self._refreshed(state, at)
        except Exception as error:  # noqa: BLE001 - what cannot be worked out is not known; findings go on
            self._posture, self._due = None, Moved(endpoints=None)
            self.unknown = f"could not be worked out: {type(error).__name__}: {error}"
            return None

    def _refreshed(self, state: State, at: datetime) -> Changed | None:
        self._due.add(state.take_moved())
        posture = self._followed(state, at)
        if posture is None:
            self.unknown = "being worked out anew: rules tell apart what they did not"
            return None
        due = self._due_domains(state, posture)
        if not due:
            self._due = Moved()
            return {}
        changed = self._replaced(due, dict(self._asked(posture, state, due)))
        self._due = Moved()
        for pair, (before, after) in changed.items():
            first = self._unrecorded.get(pair, (before,))[0]
            self._unrecorded[pair] = (first, after)
        return changed

    # The posture

    def _followed(self, state: State, at: datetime) -> Posture | None:
        """As the engine is now; None if it would have to be made anew and was so a moment ago."""
        endpoints = self._due.endpoints
        if self._due.is_policed_anew and self._posture is not None:
            is_followed = endpoints is not None and self._posture.follow(Affected(endpoints=frozenset(endpoints)))
            self._due.is_policed_anew = False
            if not is_followed:
                self._posture = None
        if self._posture is None and self._may_make_anew(state, at):
            self._posture, self._made_at = Posture.of(state.engine), at
            self._due.endpoints = None  # what could not be followed can have changed more than its own domains
        return self._posture

    def _may_make_anew(self, state: State, at: datetime) -> bool:
        return len(state.engine.endpoints) <= SMALL or self._made_at is None or at - self._made_at >= REST

    # Who is asked about

    def _due_domains(self, state: State, posture: Posture) -> frozenset[str]:
        """Those whose members, or their policies, may be others than before, unless that is nothing to the answers."""
        there = {name for name, each in state.domains.items() if each.domain.level in LEVELS}
        known = there | self._groups.keys()
        due = known if self._due.endpoints is None else known & self._due.domains
        is_same_ground = self._asked_of == (posture, posture.edition)
        self._asked_of = (posture, posture.edition)
        former = {name: self._bases.pop(name, None) for name in due}
        for name in due:
            self._groups.pop(name, None)
            if name in there:
                self._groups[name] = frozenset(_endpoints(state, name))
                self._bases[name] = (state.domains[name].problem, posture.places(self._groups[name]))
        return frozenset(name for name in due if not is_same_ground or former[name] != self._bases.get(name))

    def _asked(self, posture: Posture, state: State, due: Collection[str]) -> Iterator[tuple[Pair, Cell]]:
        """Everything that a due domain may connect with or be connected from."""
        for level in LEVELS:
            groups = {name: members for name, members in self._groups.items() if name.startswith(f"{level}/")}
            problems = {name: problem for name in groups if (problem := state.domains[name].problem)}
            yield from self._answers(posture, groups.keys() - problems.keys(), due)
            yield from _not_told(problems, groups, due)

    def _answers(self, posture: Posture, told: Collection[str], due: Collection[str]) -> Iterator[tuple[Pair, Cell]]:
        """Of due groups with all, and of all with them."""
        near, far = ([name for name in told if (name in due) is is_near] for is_near in (True, False))
        if not near:
            return
        if far:
            found = posture.reach_around(*({name: self._bases[name][1] for name in names} for names in (near, far)))
        else:
            found = posture.reach_between({name: self._groups[name] for name in near})
        yield from ((pair, (Outside((), answer),)) for pair, answer in found.between.items() if any(answer))
        yield from (((name, OUTSIDE), cell) for name, cell in found.to_outside.items() if cell)
        yield from (((OUTSIDE, name), cell) for name, cell in found.from_outside.items() if cell)

    # What is kept

    def _replaced(self, due: Iterable[str], fresh: Mapping[Pair, Cell]) -> Changed:
        """Keep what is fresh; the pairs of due domains that are not in it have ended."""
        old = set().union(*(self._pairs_of[name] for name in due))
        changed: Changed = {}
        for pair in old | fresh.keys():
            before, after = self.cells.get(pair, ()), fresh.get(pair, ())
            if before != after:
                changed[pair] = (before, after)
                self._keep(pair, after)
        return changed

    def _keep(self, pair: Pair, cell: Cell) -> None:
        if cell:
            self.cells[pair] = cell
        else:
            del self.cells[pair]
        for name in pair:
            (self._pairs_of[name].add if cell else self._pairs_of[name].discard)(pair)


def _endpoints(state: State, domain: str) -> Iterator[str]:
    places = state.placement.places
    for member in state.placement.members(domain):
        for key in state.placement.keys(member.subject):
            if domain in places[key].domains:
                yield state.inventory.endpoint_of(key)


def _not_told(problems: Mapping[str, str], groups: Groups, due: Collection[str]) -> Iterator[tuple[Pair, Cell]]:
    """A domain of which nobody can say whom it holds may connect with anybody, perhaps."""
    perhaps: Cell = (Outside((), Answer(NOTHING, EVERYTHING)),)
    for name in problems:
        for other in (*groups, OUTSIDE):
            if name in due or other in due:
                yield (name, other), perhaps
                yield (other, name), perhaps


def _rows(changed: Changed) -> tuple[Reach, ...]:
    return tuple(
        Reach(source=source, destination=destination, connections=reach_wording.cell(after))
        for (source, destination), (before, after) in sorted(changed.items())
        if before != after
    )
