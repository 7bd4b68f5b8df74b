"""What a posture stands on: classes, rules and walks of one snapshot, and how they follow a change of the engine.

Law: `follow` either leaves everything as if made anew, or says False and must not be used again.
It follows what happens all the time: pods that come, go and change labels, and policies in words that are known. What
cuts the classes anew (a net, a set, a port name, a label value that no rule spoke of) is made anew by the caller.
Why a new class may be split off another: the engine names every endpoint whose policies ask for what has changed; to
all others the changed endpoint is what it was, and one that came is what its address was before. Of those who are named
whoever has the policies that it had is walked for towards the new classes only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from typing import NamedTuple

from models.verdicts import Direction
from monitor.policy import model, reach_classes
from monitor.policy.chains import Question
from monitor.policy.engine import Affected, Engine
from monitor.policy.model import Policy, Program
from monitor.policy.reach_classes import Classes, Index, Snapshot
from monitor.policy.reach_field import Few, Field
from monitor.policy.reach_rules import Rules
from monitor.policy.reach_walks import Stage, Walks, selected
from monitor.policy.verdict import Stage as Chained
from monitor.policy.world import World

MOST_FOLLOWED = 1_000
"""Endpoints whose answers a change can change; with more of them making all anew is as fast."""


class Ground:
    """See the module."""

    def __init__(self, snapshot: Snapshot, world: World | None = None) -> None:
        """`world`: of the engine that the snapshot was taken of, if it is to be followed."""
        self._snapshot = snapshot
        self.classes = Classes(snapshot, reach_classes.vocabulary(snapshot))
        self._walks = _walks(snapshot, self.classes)
        self._is_followed = world is not None
        self._policies = {each.key: each for each in snapshot.policies()}
        self._editions = (
            (world.edition, world.profiles.edition) if world else (-1, -1)
        )  # of the engine's policies and profiles when they were last compared
        self.has_staged = any(each.is_staged for each in self._policies.values())
        self._most_classes = 2 * len(self.classes.list) + MOST_FOLLOWED  # those left behind without members add up

    def field(self, stage: Stage) -> Field:
        """Everything of one stage. A posture that is followed lets go of the walks here, not in its first change."""
        classes = self.classes
        programs = selected(self._snapshot, classes, self._walks.rules, stage)
        found = Field(
            classes, self._walks, lambda place, direction: programs[direction][classes.list[place].owners[0].bag]
        )
        if self._is_followed:
            self._walks.forget(self._snapshot.profiles)
            self._walks.rules.grow()
        return found

    # --- following -----------------------------------------------------------------------------------------------

    def follow(self, engine: Engine, affected: Affected, fields: dict[Stage, Field]) -> bool:
        """Takes in the engine's last change, in the fields too."""
        if affected.endpoints is None or len(self.classes.list) > self._most_classes:
            return False
        if not self._is_same_ground(engine.world) or not self._take_policies(engine.world):
            return False
        editions, self._editions = self._editions, (engine.world.edition, engine.world.profiles.edition)
        changed = self._changed(engine.world, affected.endpoints)
        splits = self._moved(engine.world, changed)
        if splits is None:
            return False
        is_by_same = editions == self._editions
        # by the same policies, one more or less of a class that was there is nothing to those who ask for it
        asking: Iterable[str] = affected.endpoints if splits and is_by_same else ()
        named = changed if is_by_same else affected.endpoints
        if len(affected.endpoints if splits else named) > MOST_FOLLOWED:
            return False
        self._snapshot = self._later(engine.world, changed)
        self._walks.forget(self._snapshot.profiles)
        if splits:
            self._walks.rules.grow()
        return self._update(engine.world, self._members(named), self._members(asking), splits, fields)

    def _changed(self, world: World, named: Iterable[str]) -> list[str]:
        """Those that came, went or are others than before."""
        before, now = self._snapshot.endpoints, world.subjects.endpoints
        return [name for name in named if before.get(name) is not now.get(name)]

    def _is_same_ground(self, world: World) -> bool:
        """What classes are cut by besides policies and endpoints."""
        before = self._snapshot
        return (
            tuple(world.subjects.sets.values()) == before.sets
            and world.is_nftables() == before.is_nftables
            and world.chains.is_pass_deny == before.is_pass_deny
            and self._are_same_profiles(world)
            and self.classes.has_same_backends(before.backends)
        )

    def _are_same_profiles(self, world: World) -> bool:
        """Those of namespaces and accounts ask for nothing and may come and go."""
        if world.profiles.edition == self._editions[1]:
            return True
        before, now = self._snapshot.profiles, world.profiles.by_name
        changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        profiles = [known[name] for known in (before, now) for name in changed if name in known]
        return all(_asks_for_nothing(profile) for profile in profiles)

    def _take_policies(self, world: World) -> bool:
        """False if a new one tells apart what was one class."""
        if world.edition == self._editions[0]:
            return True
        known = self._policies
        new = {key: each.policy for key, each in world.policies.items() if known.get(key) is not each.policy}
        if new and not self.classes.learn(_vocabulary_of(new.values()), world.subjects.classes):
            return False
        known.update(new)
        if len(known) > len(world.policies):
            for gone in known.keys() - world.policies.keys():
                del known[gone]
        self.has_staged = world.staged > 0
        return True

    def _moved(self, world: World, changed: Iterable[str]) -> list[int] | None:
        """Places the endpoints that have changed; the classes that new ones were split from, in order."""
        splits: list[int] = []
        for name in changed:
            old, new = self._snapshot.endpoints.get(name), world.subjects.endpoints.get(name)
            if not _own_alone(world, [*(old.addresses if old else ()), *(new.addresses if new else ())]):
                return None
            found = self.classes.move(name, old, new)
            if found is None:
                return None
            splits += found
        return splits

    def _later(self, world: World, changed: Iterable[str]) -> Snapshot:
        """As the world is now. Endpoints change in place: there are many of them."""
        for name in changed:
            new = world.subjects.endpoints.get(name)
            if new is None:
                self._snapshot.endpoints.pop(name, None)
            else:
                self._snapshot.endpoints[name] = new
        return self._snapshot._replace(profiles=dict(world.profiles.by_name), tiers=cache(world.tiers_in_order))

    def _members(self, named: Iterable[str]) -> dict[int, str]:
        """Their classes, each with one of them."""
        return {place: name for name in named for place in self.classes.of_endpoint.get(name, ())}

    def _update(
        self, world: World, named: dict[int, str], asking: dict[int, str], splits: list[int], fields: dict[Stage, Field]
    ) -> bool:
        """`named`: classes to walk for; `asking`: those that a new class may be something else to than the old one."""
        near = [place for place in asking if place not in named]
        few = self._few(near, splits) if near else None
        for stage, field in fields.items():
            for old in splits:
                field.split(old)
            programs = _Programs(world, asking | named, stage)
            if not field.update(named, programs.of) or (few and not field.retouch(few, programs.of)):
                return False
        if not self.has_staged:
            fields.pop(Stage.PENDING, None)
        return True

    def _few(self, near: list[int], splits: list[int]) -> Few:
        size = len(self.classes.list)
        far = range(size - len(splits), size)
        return Few(_walks(self._snapshot, self.classes.only([*near, *far])), near, far)


class _Programs(NamedTuple):
    """The policies of classes, as the world has them for one of their endpoints."""

    world: World
    members: dict[int, str]
    stage: Stage

    def of(self, place: int, direction: str) -> Program:
        question = Question(Direction(direction), Chained.NORMAL, is_pending=self.stage is Stage.PENDING)
        return self.world.program(self.members[place], question)


def _walks(snapshot: Snapshot, classes: Index) -> Walks:
    rules = Rules(classes, is_nftables=snapshot.is_nftables)
    return Walks(classes, snapshot.profiles, rules, is_pass_deny=snapshot.is_pass_deny)


def _vocabulary_of(policies: Collection[Policy]) -> reach_classes.Vocabulary:
    tier = model.Tier(name="", order=0.0, is_pass=False)
    return reach_classes.vocabulary(Snapshot({}, (), lambda: [(tier, list(policies))], {}, lambda _: ()))


def _asks_for_nothing(profile: model.Profile) -> bool:
    nothing = model.Side()
    return all(rule.source == nothing and rule.destination == nothing for rule in (*profile.ingress, *profile.egress))


def _own_alone(world: World, addresses: Iterable[int]) -> bool:
    return all(len(world.subjects.places.endpoints(address)) <= 1 for address in addresses)
