"""Findings and their transitions, derived against the rows that are there, inside the recording transaction.

Law 1: a finding opens on fail; it resolves on anything else that was evaluated, or when its subject or domain is gone.
Law 2: `error` opens none and resolves none: what was open stays, marked *last known*.
Law 3: a waiver never resolves; the finding is `waived`, still failing, and names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any

from msgspec import Struct, structs, to_builtins
from sqlalchemy import CompoundSelect, Connection, Select, and_, bindparam, select

from models import tables
from models.compliance import Domain, Evaluation, Outcome, SubjectResult, finding_id
from models.recording import Transition
from monitor.store import sql

_table = tables.finding


Identity = tuple[str, str, str]
"""Of a finding in its cluster: control, subject, and the domain if that is the subject."""


class Judged(Struct, frozen=True):
    """One subject's result, and the domain that its finding belongs to."""

    domain: Domain
    control: str
    result: SubjectResult


def record(connection: Connection, evaluation: Evaluation) -> tuple[list[Transition], list[Mapping[str, Any]]]:
    """Write what changed; returns the transitions, and what the chain is to cover."""
    judged = _judged(evaluation)
    stored = _stored(connection, evaluation, judged)
    not_evaluated = {
        (posture.domain.id, result.control)
        for posture in evaluation.postures
        for result in posture.results
        if result.outcome is Outcome.ERROR
    }
    rows: list[dict[str, Any]] = []
    transitions: list[tuple[Transition, Any]] = []
    for identity in sorted(stored.keys() | _failing_ones(judged)):
        row, moves = _moved(identity, stored.get(identity), judged.get(identity), evaluation, not_evaluated)
        if row is not None:
            rows.append(row)
            transitions += [(move, row["evidence"] | {"fix": row["fix"]}) for move in moves]
    sql.put(connection, _table, rows)
    written = [_transition_row(move, evidence, evaluation) for move, evidence in transitions]
    sql.add(connection, tables.finding_transition, written)
    return [move for move, _ in transitions], [covered(row) for row in written]


def covered(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the chain says of a transition: all of it."""
    return {name: row[name] for name in row if name not in {"id", "cluster"}}


def _judged(evaluation: Evaluation) -> dict[Identity, Judged]:
    """An endpoint-scoped subject has one result, in its smallest domain (controls.md section 2)."""
    found = {}
    for posture in evaluation.postures:
        for control in posture.results:
            for result in control.subjects:
                identity = _identity(control.control, result.subject, posture.domain.id)
                found[identity] = Judged(posture.domain, control.control, result)
    return found


def _identity(control: str, subject: str, domain: str) -> Identity:
    return (control, subject, domain if subject == domain else "")


def _failing_ones(judged: Mapping[Identity, Judged]) -> set[Identity]:
    """Only these can be news where nothing is stored."""
    return {identity for identity, each in judged.items() if each.result.outcome is Outcome.FAIL}


def _stored(
    connection: Connection, evaluation: Evaluation, judged: Mapping[Identity, Judged]
) -> dict[Identity, dict[str, Any]]:
    """Findings of the domains that were evaluated or are gone, and those of the subjects, wherever they belong.

    Of domains that are there, those of changed subjects: the fence says that the others stand as they were left. Where
    anything may have changed, of the subjects those that fail: what else is open lies in the domains.
    """
    named = judged if evaluation.changed is not None else _failing_ones(judged)
    ids = [finding_id(evaluation.cluster, *identity) for identity in named]
    found: dict[Identity, dict[str, Any]] = {}
    for statement, values in _looks(connection, evaluation, ids):
        rows = connection.execute(statement, values | {"of_cluster": evaluation.cluster}).mappings()
        found.update((_identity(row["control"], row["subject"], row["domain"]), dict(row)) for row in rows)
    return found


def _looks(
    connection: Connection, evaluation: Evaluation, ids: Collection[str]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """What has to be looked at: in one statement for what a pod's change asks, else in parts."""
    dialect, gone, changed = connection.dialect.name, evaluation.gone, evaluation.changed
    domains = [posture.domain.id for posture in evaluation.postures]
    if changed is not None and sum(map(len, (ids, gone, domains, changed.subjects))) <= sql.FEW:
        names = ("ids", "gone", "domains", "subjects")
        yield _few(dialect), dict(zip(names, map(sorted, (ids, gone, domains, changed.subjects)), strict=True))
        return
    yield from ((_of(dialect), {"ids": each}) for each in sql.parts(connection, ids))
    yield from ((_open_in(dialect, "gone"), {"gone": each}) for each in sql.parts(connection, gone))
    for each in sql.parts(connection, domains):
        if changed is None:
            yield _open_in(dialect, "domains"), {"domains": each}
        else:
            for subjects in sql.parts(connection, changed.subjects):
                yield _open_of(dialect), {"domains": each, "subjects": subjects}


@cache
def _few(dialect: str) -> CompoundSelect[Any]:
    """A union: each part is found by an index of its own, also while PostgreSQL knows nothing of the table yet."""
    return _of(dialect).union_all(_open_in(dialect, "gone"), _open_of(dialect))


@cache
def _of(dialect: str) -> Select[Any]:
    return select(_table).where(sql.one_of(dialect, _table.c.id, "ids"))


@cache
def _open_in(dialect: str, domains: str) -> Select[Any]:
    is_open = and_(_table.c.cluster == bindparam("of_cluster"), _table.c.state != "resolved")
    return select(_table).where(is_open, sql.one_of(dialect, _table.c.domain, domains))


@cache
def _open_of(dialect: str) -> Select[Any]:
    return _open_in(dialect, "domains").where(sql.one_of(dialect, _table.c.subject, "subjects"))


def _moved(
    identity: Identity,
    old: dict[str, Any] | None,
    new: Judged | None,
    evaluation: Evaluation,
    not_evaluated: set[tuple[str, str]],
) -> tuple[dict[str, Any] | None, list[Transition]]:
    """The row as it is to be written (None = unchanged) and the moves that made it so."""
    if new is None:
        return _left_out(old, evaluation, not_evaluated) if old else (None, [])
    match new.result.outcome:
        case Outcome.FAIL:
            return _failing(identity, old, new, evaluation)
        case Outcome.ERROR:
            return _last_known(old)
        case Outcome.PASS | Outcome.WARN | Outcome.SKIP:
            return _resolved(old, evaluation, "fixed") if old else (None, [])


def _left_out(
    old: dict[str, Any], evaluation: Evaluation, not_evaluated: set[tuple[str, str]]
) -> tuple[dict[str, Any] | None, list[Transition]]:
    """No result for a finding of an evaluated domain: gone, unless the whole control could not be evaluated."""
    if (old["domain"], old["control"]) in not_evaluated:
        return _last_known(old)
    return _resolved(old, evaluation, "gone")


def _last_known(old: dict[str, Any] | None) -> tuple[dict[str, Any] | None, list[Transition]]:
    if old is None or old["state"] == "resolved" or old["is_last_known"]:
        return None, []
    return old | {"is_last_known": True}, []


def _resolved(
    old: dict[str, Any], evaluation: Evaluation, reason: str
) -> tuple[dict[str, Any] | None, list[Transition]]:
    if old["state"] == "resolved":
        return None, []
    at = evaluation.at
    row = old | {"state": "resolved", "resolved_at": at, "last_at": at, "is_last_known": False, "waiver": ""}
    return row, [_transition(row, "resolved", evaluation, reason)]


def _failing(
    identity: Identity, old: dict[str, Any] | None, new: Judged, evaluation: Evaluation
) -> tuple[dict[str, Any] | None, list[Transition]]:
    row = _row(identity, old, new, evaluation)
    if old is None or old["state"] == "resolved":
        moves = [_transition(row, "opened" if old is None else "reopened", evaluation)]
        if row["waiver"]:
            moves.append(_transition(row, "waived", evaluation, row["waiver"]))
        return row, moves
    moves = _changes(old, row, evaluation)
    return (row, moves) if moves or _differs(old, row) else (None, [])


def _changes(old: dict[str, Any], row: dict[str, Any], evaluation: Evaluation) -> list[Transition]:
    moves = []
    if any(old[name] != row[name] for name in ("severity", "sentence", "domain")):
        moves.append(_transition(row, "changed", evaluation))
    if old["waiver"] and old["waiver"] != row["waiver"]:
        moves.append(_transition(row, "unwaived", evaluation, old["waiver"]))
    if row["waiver"] and old["waiver"] != row["waiver"]:
        moves.append(_transition(row, "waived", evaluation, row["waiver"]))
    return moves


def _differs(old: dict[str, Any], row: dict[str, Any]) -> bool:
    return any(old[name] != row[name] for name in ("fix", "owner", "evidence", "is_last_known"))


def _row(identity: Identity, old: dict[str, Any] | None, new: Judged, evaluation: Evaluation) -> dict[str, Any]:
    is_open = old is not None and old["state"] != "resolved"
    return {
        "id": finding_id(evaluation.cluster, *identity),
        "cluster": evaluation.cluster,
        "domain": new.domain.id,
        "control": new.control,
        "subject": new.result.subject,
        "state": "waived" if new.result.waiver else "open",
        "severity": new.result.severity.value,
        "sentence": new.result.sentence,
        "fix": new.result.fix,
        "evidence": to_builtins(new.result.evidence),
        "waiver": new.result.waiver,
        "owner": new.domain.owner,
        "is_last_known": False,
        "first_at": old["first_at"] if old else evaluation.at,
        "opened_at": old["opened_at"] if old and is_open else evaluation.at,
        "last_at": evaluation.at,
        "resolved_at": None,
    }


def _transition(row: dict[str, Any], move: str, evaluation: Evaluation, reason: str = "") -> Transition:
    return Transition(
        finding_id=row["id"],
        cluster=row["cluster"],
        domain=row["domain"],
        control=row["control"],
        subject=row["subject"],
        severity=row["severity"],
        transition=move,
        at=evaluation.at,
        sentence=row["sentence"],
        reason=reason,
    )


def _transition_row(move: Transition, evidence: Any, evaluation: Evaluation) -> dict[str, Any]:
    return structs.asdict(move) | {
        "epoch": evaluation.position.epoch,
        "offset": evaluation.position.offset,
        "evidence": evidence,
    }
