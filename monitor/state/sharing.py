"""Names that many pods have in common are held once: namespaces, nodes, label values, owners.

A fact comes with strings of its own, also for what ten thousand others say alike. They are interned in place: the fact
is what it was, and nobody can tell. What nobody holds any more goes, so there is no pool to keep.
"""

from __future__ import annotations

import sys

from msgspec.structs import force_setattr

from models.facts import Fact, Owner, Pod


def share(fact: Fact | None) -> None:
    """Of pods; of all else there are too few, or they have too little in common."""
    if not isinstance(fact, Pod):
        return
    _intern(fact, "namespace", "node", "service_account", "phase", "generate_name")
    if fact.owner is not None:
        _intern(fact.owner, "kind", "name")
    for key, value in fact.labels.items():
        fact.labels[key] = sys.intern(value)


def _intern(of: Pod | Owner, *names: str) -> None:
    for name in names:
        force_setattr(of, name, sys.intern(getattr(of, name)))
