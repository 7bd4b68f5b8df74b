"""What many pods have in common is held once: namespaces, nodes, owners, and the labels of a template.

A fact comes with strings of its own, also for what ten thousand others say alike. They are interned in place: the fact
is what it was, and nobody can tell. What nobody holds any more goes. Pods of a template share their labels, which
is also how the engine knows them for alike; they are known for as long as it takes to read a log, or a batch of it.
"""

from __future__ import annotations

import sys

from msgspec.structs import force_setattr

from models.facts import Fact, Owner, Pod


class Sharing:
    """Of one State, while facts come in."""

    def __init__(self) -> None:
        self._labels: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def forget(self) -> None:
        """What comes from now on shares with nobody who came before: nobody is held for it."""
        self._labels.clear()

    def share(self, fact: Fact | None) -> None:
        """Of pods; of all else there are too few, or they have too little in common."""
        if not isinstance(fact, Pod):
            return
        _intern(fact, "namespace", "node", "service_account", "phase", "generate_name")
        if fact.owner is not None:
            _intern(fact.owner, "kind", "name")
        labels = fact.labels
        key = tuple(labels.items())
        found = self._labels.get(key)
        if found is not None:
            force_setattr(fact, "labels", found)
            return
        for name, value in key:
            labels[name] = sys.intern(value)
        self._labels[tuple(labels.items())] = labels


def _intern(of: Pod | Owner, *names: str) -> None:
    for name in names:
        force_setattr(of, name, sys.intern(getattr(of, name)))
