"""Which policies select which endpoints, kept in both directions, by label class (policy_semantics.md section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from monitor.policy.matching import Hashed
from monitor.policy.selection import LabelClass, LabelClasses, SelectorIndex
from monitor.policy.selectors import Node


class Selections:
    """Policies by class, classes by policy."""

    def __init__(self, classes: LabelClasses) -> None:
        self._classes = classes
        self._index: SelectorIndex[Hashed] = SelectorIndex()
        self._selecting: dict[int, set[Hashed]] = {}
        self._selected: dict[Hashed, dict[int, LabelClass]] = {}

    def add(self, policy: Hashed, selector: Node) -> None:
        self._index.add(policy, selector)
        found = self._classes.holding(selector)
        self._selected[policy] = {each.id: each for each in found}
        for each in found:
            self._selecting[each.id].add(policy)

    def remove(self, policy: Hashed) -> None:
        self._index.remove(policy)
        for number in self._selected.pop(policy, {}):
            self._selecting[number].discard(policy)

    def add_class(self, added: LabelClass) -> None:
        found = set(self._index.holding(added.labels))
        self._selecting[added.id] = found
        for policy in found:
            self._selected[policy][added.id] = added

    def remove_class(self, removed: LabelClass) -> None:
        for policy in self._selecting.pop(removed.id, ()):
            self._selected[policy].pop(removed.id, None)

    def selecting(self, asked: LabelClass) -> Iterable[Hashed]:
        """The policies that select a class, in no order."""
        return self._selecting[asked.id]

    def selects(self, policy: Hashed) -> bool:
        """Whether the policy selects any endpoint."""
        found = self._selected.get(policy, {}).values()
        return any(not member.startswith("set:") for each in found for member in each.members)

    def idle(self) -> frozenset[Hashed]:
        """The policies that select no endpoint."""
        return frozenset(policy for policy in self._selected if not self.selects(policy))

    def selected(self, policies: Iterable[Hashed]) -> Iterator[str]:
        """The endpoints that these policies select. Sets have labels too, and are never selected."""
        classes: dict[int, LabelClass] = {}
        for policy in policies:
            classes.update(self._selected.get(policy, {}))
        for each in classes.values():
            yield from (member for member in each.members if not member.startswith("set:"))
