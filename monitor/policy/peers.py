"""The selectors that rules ask of peers: each kept once, with the policies that ask it.

What it is for: a packet's owners are told to rules as one number, a bit for each peer that holds for them; and a change
of an endpoint touches those policies whose peers hold for it, and no others.
Law: a number belongs to one peer as long as any rule asks it, so what a chain reads off its own peers' bits stays true.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from monitor.policy.bits import ones
from monitor.policy.matching import CompiledRule, Hashed, Owners, Peer
from monitor.policy.selection import LabelClass, SelectorIndex
from monitor.policy.selectors import Node

Name = TypeVar("Name", str, tuple[str, str])

_MANY_NEWS: Final = 64
"""New peers from which on a class is looked up in the index instead of being told of each."""


class Peers:
    """Peers by selector. Numbers of peers that nobody asks any more are given to others: bits stay few."""

    def __init__(self) -> None:
        self._by_node: dict[Node, Peer] = {}
        self._by_number: list[Peer | None] = []
        self._free: list[int] = []
        self._index: SelectorIndex[int] = SelectorIndex()
        self._by_service: dict[tuple[str, str], set[Hashed]] = {}
        self._by_port_name: dict[str, set[Hashed]] = {}
        self._news: list[Peer] = []  # the last ones that came, in order
        self._told = 0  # how many came, ever

    def peer(self, node: Node) -> Peer:
        found = self._by_node.get(node)
        if found is None:
            found = self._by_node[node] = self._numbered(node)
            self._index.add(found.number, node)
            if len(self._news) == _MANY_NEWS:
                self._news.clear()
            self._news.append(found)
            self._told += 1
        return found

    def _numbered(self, node: Node) -> Peer:
        number = self._free.pop() if self._free else len(self._by_number)
        found = Peer(number, node)
        self._by_number[number : number + 1] = [found]
        return found

    def adopt(self, user: Hashed, rules: Iterable[CompiledRule]) -> None:
        for rule in rules:
            for peer in rule.peers:
                peer.users.add(user)
            if rule.service is not None:
                self._by_service.setdefault(rule.service, set()).add(user)
            for name in _port_names(rule):
                self._by_port_name.setdefault(name, set()).add(user)

    def release(self, user: Hashed, rules: Iterable[CompiledRule]) -> None:
        for rule in rules:
            for peer in rule.peers:
                peer.users.discard(user)
                if not peer.users and self._by_node.pop(peer.node, None) is not None:
                    self._by_number[peer.number] = None
                    self._free.append(peer.number)
                    self._index.remove(peer.number)
            if rule.service is not None:
                _leave(self._by_service, rule.service, user)
            for name in _port_names(rule):
                _leave(self._by_port_name, name, user)

    def holding(self, asked: LabelClass) -> int:
        """The peers that hold for a class, as bits. Those of peers that are gone say nothing."""
        if asked.seen != self._told:
            self._catch_up(asked)
        return asked.held

    def held(self, owners: Owners) -> int:
        """The peers that hold for an address, as bits: one of its owners suffices (5.6)."""
        if owners.seen != self._told:
            bits = 0
            for each in owners.classes:
                bits = bits | self.holding(each) if bits else self.holding(each)
            owners.held, owners.seen = bits, self._told
        return owners.held

    def _catch_up(self, asked: LabelClass) -> None:
        """In the order in which they came: of those with one number the last one counts."""
        missed = self._told - asked.seen
        if asked.seen < 0 or missed > len(self._news):
            asked.held = 0
            for number in self._index.holding(asked.labels):
                asked.held |= 1 << number
        else:
            for peer in self._news[-missed:]:
                asked.held = asked.held | peer.bit if peer.node.matches(asked.labels) else asked.held & ~peer.bit
        asked.seen = self._told

    def users(self, peers: int) -> set[Hashed]:
        """The policies and profiles that ask one of these peers."""
        users: set[Hashed] = set()
        for number in ones(peers):
            peer = self._by_number[number]
            if peer is not None:
                users |= peer.users
        return users

    def users_of_service(self, service: tuple[str, str]) -> set[Hashed]:
        return set(self._by_service.get(service, ()))

    def users_of_port_names(self, names: Iterable[str]) -> set[Hashed]:
        """Whoever asks for a port by one of these names: of anybody, if the rule has no selector beside it."""
        return set().union(*(self._by_port_name.get(name, ()) for name in names))


def _port_names(rule: CompiledRule) -> Iterable[str]:
    sides = (rule.rule.source, rule.rule.destination)
    return {name for side in sides for ports in (side.ports, side.not_ports) for name in ports.names}


def _leave(index: dict[Name, set[Hashed]], name: Name, user: Hashed) -> None:
    users = index.get(name, set())
    users.discard(user)
    if not users:
        index.pop(name, None)
