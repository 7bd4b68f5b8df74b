"""Changes of what decides: policies, tiers, sets, profiles, and what people declare. One row a revision.

Derived from the revisions that were written, so that no change can be left out. What a change widened or closed is
worked out by the caller where it can be; NULL says that it was not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import to_builtins
from sqlalchemy import Connection

from models import tables, wire
from models.facts import CHANGE_KINDS, CalicoPolicy, FactKey
from models.recording import PolicyEffect
from monitor.store import sql

APPROVAL = "segmon.io/approval"
"""The annotation on a policy that names the change it was approved in."""


def record(
    connection: Connection, revisions: Sequence[Mapping[str, Any]], effects: Sequence[PolicyEffect]
) -> list[Mapping[str, Any]]:
    """Revisions as `revisions.record` wrote them, each with the bytes that it replaced; returns what is chained."""
    known = {(effect.key.text(), effect.position.epoch, effect.position.offset): effect for effect in effects}
    rows = [
        _row(row, known.get((row["key"], row["epoch"], row["offset"])))
        for row in revisions
        if row["kind"] in CHANGE_KINDS
    ]
    sql.add(connection, tables.policy_change, rows)
    return [covered(row) for row in rows]


def covered(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the chain says of a change."""
    return {column.name: row[column.name] for column in tables.policy_change.c if column.name not in {"id", "cluster"}}


def _row(row: Mapping[str, Any], effect: PolicyEffect | None) -> dict[str, Any]:
    key = FactKey.from_text(row["key"])
    before, after = row["before"], row["raw"]
    return {
        "cluster": row["cluster"],
        "at": row["at"],
        "epoch": row["epoch"],
        "offset": row["offset"],
        "kind": row["kind"],
        "namespace": key.namespace,
        "name": key.name,
        "change": "created" if before is None else "deleted" if after is None else "changed",
        "before": _digest(before),
        "after": _digest(after),
        "approval": _approval(after),
        "widened": to_builtins(effect.widened) if effect else None,
        "closed": to_builtins(effect.closed) if effect else None,
    }


def _digest(raw: bytes | None) -> str | None:
    return None if raw is None else hashlib.sha256(raw).hexdigest()


def _approval(raw: bytes | None) -> str:
    fact = None if raw is None else wire.decode_fact(raw)
    return fact.annotations.get(APPROVAL, "") if isinstance(fact, CalicoPolicy) else ""
