"""The selectors that rules ask of peers: each kept once, with the policies that ask it.

What it is for: a change of an endpoint touches those policies whose peers hold for it, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.policy.matching import CompiledRule, Hashed, Peer
from monitor.policy.selection import LabelClass, SelectorIndex
from monitor.policy.selectors import Node


class Peers:
    """Peers by selector."""

    def __init__(self) -> None:
        self._by_node: dict[Node, Peer] = {}
        self._by_id: dict[int, Peer] = {}
        self._index: SelectorIndex[int] = SelectorIndex()
        self._by_service: dict[tuple[str, str], set[Hashed]] = {}
        self._known: dict[int, frozenset[int]] = {}
        self._next = 0

    def peer(self, node: Node) -> Peer:
        found = self._by_node.get(node)
        if found is None:
            found = self._by_node[node] = self._by_id[self._next] = Peer(self._next, node)
            self._index.add(found.id, node)
            self._known.clear()
            self._next += 1
        return found

    def adopt(self, user: Hashed, rules: Iterable[CompiledRule]) -> None:
        for rule in rules:
            for peer in rule.peers:
                peer.users.add(user)
            if rule.service is not None:
                self._by_service.setdefault(rule.service, set()).add(user)

    def release(self, user: Hashed, rules: Iterable[CompiledRule]) -> None:
        for rule in rules:
            for peer in rule.peers:
                peer.users.discard(user)
                if not peer.users and self._by_node.pop(peer.node, None) is not None:
                    del self._by_id[peer.id]
                    self._index.remove(peer.id)
                    self._known.clear()
            if rule.service is not None:
                self._release_service(user, rule.service)

    def _release_service(self, user: Hashed, service: tuple[str, str]) -> None:
        users = self._by_service.get(service, set())
        users.discard(user)
        if not users:
            self._by_service.pop(service, None)

    def holding(self, asked: LabelClass | None) -> frozenset[int]:
        """The peers, by number, that hold for a class; nothing holds for what is not there."""
        if asked is None:
            return frozenset()
        found = self._known.get(asked.id)
        if found is None:
            found = self._known[asked.id] = frozenset(self._index.holding(asked.labels))
        return found

    def users(self, peers: Iterable[int]) -> set[Hashed]:
        users: set[Hashed] = set()
        for each in peers:
            users |= self._by_id[each].users
        return users

    def users_of_service(self, service: tuple[str, str]) -> set[Hashed]:
        return set(self._by_service.get(service, ()))
