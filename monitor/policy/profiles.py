"""Profiles: what hands labels down, and what decides when no tier did (policy_semantics.md sections 2.3, 12).

`kns.<namespace>` allows all and stands for its Namespace; `ksa.<namespace>.<account>` has labels only;
`projectcalico-default-allow` is built in. A profile that does not resolve drops everything at its place (12.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from models.facts import Namespace, Profile, ServiceAccount
from models.verdicts import Direction
from monitor.policy import convert_calico, convert_endpoints, model
from monitor.policy.convert_endpoints import DEFAULT_ALLOW
from monitor.policy.matching import CompiledRule, Surroundings
from monitor.policy.verdict import ProfileSteps

Value = TypeVar("Value")
Origin = Namespace | ServiceAccount | Profile
_ALLOW_ALL: Final = (model.Rule(action=model.ALLOW),)
_DROP_ALL: Final = (model.Rule(action=model.DENY),)
_NO_LABELS: Final[Mapping[str, str]] = {}
_BUILT_IN: Final = model.Profile(name=DEFAULT_ALLOW, ingress=_ALLOW_ALL, egress=_ALLOW_ALL)


def name_of(origin: Origin) -> str:
    match origin:
        case Namespace():
            return convert_endpoints.namespace_profile(origin.name)
        case ServiceAccount():
            return convert_endpoints.account_profile(origin.namespace, origin.name)
    return origin.name


class Profiles:
    """Profiles by name, ready to walk. `edition` counts their changes."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._labels: dict[str, Mapping[str, str]] = {}
        self._profiles: dict[str, model.Profile] = {DEFAULT_ALLOW: _BUILT_IN}
        self._origins: dict[tuple[str, bool], Origin] = {}
        self._steps: dict[tuple[str, Direction], ProfileSteps] = {}
        self.edition = 0

    @property
    def by_name(self) -> Mapping[str, model.Profile]:
        """Those that resolve."""
        return self._profiles

    def labels(self, name: str) -> Mapping[str, str]:
        """What a profile hands down."""
        return self._labels.get(name, _NO_LABELS)

    def put(self, origin: Origin) -> bool:
        """Whether anything of it is new."""
        name = name_of(origin)
        self._origins[name, isinstance(origin, Profile)] = origin
        return self._settle(name)

    def take(self, origin: Origin) -> bool:
        """Whether anything of it is gone."""
        name = name_of(origin)
        self._origins.pop((name, isinstance(origin, Profile)), None)
        return self._settle(name)

    def _settle(self, name: str) -> bool:
        """A Profile object speaks for itself; without one the namespace or the account does."""
        origin = self._origins.get((name, True)) or self._origins.get((name, False))
        made = _BUILT_IN if name == DEFAULT_ALLOW else None if origin is None else _made(origin)
        labels = None if origin is None else _handed_down(origin)
        if self._profiles.get(name) == made and self._labels.get(name) == labels:
            return False
        self.edition += 1
        self._forget(name)
        _set_or_drop(self._profiles, name, made)
        _set_or_drop(self._labels, name, labels)
        return True

    def _forget(self, name: str) -> None:
        for direction in Direction:
            self._steps.pop((name, direction), None)

    def steps(self, name: str, direction: Direction) -> ProfileSteps:
        """Profile rules are read as global (12.3)."""
        found = self._steps.get((name, direction))
        if found is None:
            is_egress = direction is Direction.EGRESS
            rules = [
                CompiledRule(rule, self._surroundings, is_egress=is_egress) for rule in self._written(name, direction)
            ]
            found = self._steps[name, direction] = ProfileSteps(name, rules)
        return found

    def _written(self, name: str, direction: Direction) -> tuple[model.Rule, ...]:
        profile = self._profiles.get(name)
        if profile is None:
            return _DROP_ALL
        return profile.egress if direction is Direction.EGRESS else profile.ingress

    def compiled(self, name: str) -> Iterator[CompiledRule]:
        for direction in Direction:
            yield from (step.compiled for step in self.steps(name, direction).steps)


def _set_or_drop(table: dict[str, Value], name: str, value: Value | None) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value


def _made(origin: Origin) -> model.Profile:
    match origin:
        case Namespace():
            return model.Profile(name=name_of(origin), ingress=_ALLOW_ALL, egress=_ALLOW_ALL)
        case ServiceAccount():
            return model.Profile(name=name_of(origin))
    return convert_calico.profile(origin)


def _handed_down(origin: Origin) -> Mapping[str, str]:
    match origin:
        case Namespace():
            return convert_endpoints.namespace_labels(origin)
        case ServiceAccount():
            return convert_endpoints.account_labels(origin)
    return origin.labels_to_apply
