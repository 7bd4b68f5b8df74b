"""Which selectors can hold for a set of labels, without trying them all.

A selector that can only be true where some label is present is filed under that label: `app == 'web' && …` under
(app, web), `has(app)` under (app). The rest is always tried. The index never decides: whoever asks evaluates what it
names. Law: whatever holds for the labels is among the candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from monitor.policy import selectors
from monitor.policy.scopes import ORCHESTRATOR
from monitor.policy.selectors import Labels, Node

Item = TypeVar("Item", bound=Hashable)

Anchor = tuple[str, str | None]
"""A label that must be there: key and value, or key alone."""

Anchors = frozenset[Anchor]
"""At least one of them must be there. None instead: nothing is known."""


def anchors(node: Node, weight: Callable[[Anchors], int]) -> Anchors | None:
    """What must be there for the selector to hold; of a conjunction the part that weighs least."""
    match node:
        case selectors.Equals():
            return frozenset({(node.key, node.value)})
        case selectors.In():
            return frozenset((node.key, value) for value in node.values)
        case selectors.Has() | selectors.Contains() | selectors.StartsWith() | selectors.EndsWith():
            return frozenset({(node.key, None)})
        case selectors.And():
            known = [found for term in node.terms if (found := anchors(term, weight)) is not None]
            return min(known, key=weight, default=None)
        case selectors.Or():
            return _any_of(node, weight)
    return None


def _any_of(node: selectors.Or, weight: Callable[[Anchors], int]) -> Anchors | None:
    together: set[Anchor] = set()
    for term in node.terms:
        found = anchors(term, weight)
        if found is None:
            return None
        together |= found
    return frozenset(together)


class SelectorIndex(Generic[Item]):
    """Things with a selector each, found by labels."""

    def __init__(self) -> None:
        self._by_anchor: dict[Anchor, dict[Item, Node]] = {}
        self._anywhere: dict[Item, Node] = {}
        self._filed: dict[Item, Anchors | None] = {}

    def add(self, item: Item, node: Node) -> None:
        self.remove(item)
        found = anchors(node, self._weight)
        self._filed[item] = found
        if found is None:
            self._anywhere[item] = node
            return
        for anchor in found:
            self._by_anchor.setdefault(anchor, {})[item] = node

    def remove(self, item: Item) -> None:
        if item not in self._filed:
            return
        for anchor in self._filed.pop(item) or ():
            bucket = self._by_anchor[anchor]
            del bucket[item]
            if not bucket:
                del self._by_anchor[anchor]
        self._anywhere.pop(item, None)

    def holding(self, labels: Labels) -> Iterator[Item]:
        """The items whose selector holds, each once, in no order."""
        seen: set[Item] = set()
        for item, node in self._candidates(labels):
            if item not in seen and node.matches(labels):
                seen.add(item)
                yield item

    def _candidates(self, labels: Labels) -> Iterator[tuple[Item, Node]]:
        yield from self._anywhere.items()
        for key, value in labels.items():
            yield from self._by_anchor.get((key, value), {}).items()
            yield from self._by_anchor.get((key, None), {}).items()

    def _weight(self, found: Anchors) -> int:
        """Small buckets are good anchors; every pod carries the orchestrator label, so it is the worst."""
        return sum(
            1_000_000 if key == ORCHESTRATOR else len(self._by_anchor.get((key, value), ())) for key, value in found
        )


class LabelClass:
    """All things with the same labels: no selector can tell them apart. `members` are ids of endpoints and sets.

    `held` and `seen` belong to `Peers`: which peers hold for these labels, and of how many it has been told.
    """

    __slots__ = ("held", "id", "key", "labels", "members", "seen")

    def __init__(self, number: int, key: frozenset[tuple[str, str]], labels: Labels) -> None:
        self.id = number
        self.key = key
        self.labels = labels
        self.members: dict[str, None] = {}  # in order of coming; a set of a few takes three times as much
        self.held = 0
        self.seen = -1


class LabelClasses:
    """The classes that exist, found by selector."""

    def __init__(self) -> None:
        self._by_key: dict[frozenset[tuple[str, str]], LabelClass] = {}
        self._by_dictionary: dict[int, LabelClass] = {}  # by the id of their labels, which live as long as they do
        self._by_anchor: dict[Anchor, dict[int, LabelClass]] = {}
        self._next = 0

    def __iter__(self) -> Iterator[LabelClass]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def join(self, member: str, labels: Labels) -> tuple[LabelClass, bool]:
        """The class of these labels with the member in it, and whether it is new. Numbers are never used again."""
        known = self._by_dictionary.get(id(labels))
        if known is not None:
            known.members[member] = None
            return known, False
        key = frozenset(labels.items())
        found = self._by_key.get(key)
        if found is not None:
            found.members[member] = None
            return found, False
        found = LabelClass(self._next, key, labels)
        self._next += 1
        found.members[member] = None
        self._by_key[key] = self._by_dictionary[id(labels)] = found
        for name, value in key:
            self._by_anchor.setdefault((name, value), {})[found.id] = found
            self._by_anchor.setdefault((name, None), {})[found.id] = found
        return found, True

    def leave(self, member: str, left: LabelClass) -> bool:
        """Whether the class is gone with its last member."""
        left.members.pop(member, None)
        if left.members:
            return False
        del self._by_key[left.key], self._by_dictionary[id(left.labels)]
        for name, value in left.key:
            for anchor in ((name, value), (name, None)):
                bucket = self._by_anchor[anchor]
                bucket.pop(left.id, None)
                if not bucket:
                    del self._by_anchor[anchor]
        return True

    def holding(self, node: Node) -> list[LabelClass]:
        """The classes for which a selector holds."""
        if not self._by_key:
            return []  # as while a cluster is built: policies come first
        found = anchors(node, self._weight)
        if found is None:
            return [each for each in self if node.matches(each.labels)]
        candidates: dict[int, LabelClass] = {}
        for anchor in found:
            candidates.update(self._by_anchor.get(anchor, {}))
        return [each for each in candidates.values() if node.matches(each.labels)]

    def _weight(self, found: Anchors) -> int:
        return sum(len(self._by_anchor.get(anchor, ())) for anchor in found)
