"""Questions about a period: everything that was in scope at any moment of it, deleted things included.

Law: an answer depends on the period and on what was recorded up to its end only, so that the same report can be made
again later. A finding's state is read off its transitions, a waiver off its revisions, never off their rows of today.
Rows of the large tables come domain by domain and streamed: nothing here holds a month in memory. Text is ordered by
code point on both databases, whatever the collation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Table, Text, and_, case, cast, func, or_, select

from models import tables
from monitor.store import sql
from monitor.store.queries import StatusRow

HELD = 50_000
"""Moves that are held at a time. Those of one control in one domain are, however many they be."""

_move = tables.finding_transition
_finding = tables.finding
_status = tables.control_status
_member = tables.domain_member


class Scope(Struct, frozen=True, kw_only=True):
    """A cluster, one domain of it ("" = all), and a period: from included, to excluded."""

    cluster: str
    domain: str
    from_at: datetime
    to_at: datetime


class DomainSpan(Struct, frozen=True, kw_only=True):
    id: str
    level: str
    name: str
    owner: str
    criticality: str
    environment: str
    from_at: datetime
    to_at: datetime | None


class MemberSpan(Struct, frozen=True):
    domain: str
    subject: str
    pods: list[str]
    from_at: datetime
    to_at: datetime | None


class Move(Struct, frozen=True):
    """The last move of a finding within a period, or before it: as what it stood then. `evidence` is JSON."""

    finding_id: str
    domain: str
    control: str
    subject: str
    severity: str
    at: datetime
    sentence: str
    evidence: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it stands among the moves of a domain."""
        return (self.control, self.subject, self.finding_id)


class Step(NamedTuple):
    """A move of a finding: what is not the same in all of them."""

    finding_id: str
    id: int
    severity: str
    transition: str
    at: datetime
    epoch: int
    offset: int
    sentence: str
    reason: str


class Course(Struct, frozen=True):
    """The moves of one finding in a period, in the order in which they were recorded."""

    last: Move
    steps: list[Step]


class Standing(Struct, frozen=True):
    """A finding that was open when the period began: its last move before, when it was opened, its last waiving."""

    move: Move
    opened_at: datetime
    waiving: str | None  # waived, unwaived or resolved; None = never
    waiver: str | None


class Happening(Struct, frozen=True):
    """A move in short: what explains that a control's status changed at that moment."""

    domain: str
    control: str
    subject: str
    transition: str
    at: datetime
    sentence: str
    reason: str


class ChangeRow(Struct, frozen=True):
    at: datetime
    kind: str
    namespace: str
    name: str
    change: str
    approval: str
    before: str | None
    after: str | None
    widened: list[str] | None
    closed: list[str] | None


class ChainPlace(Struct, frozen=True, kw_only=True):
    seq: int
    hash: str


_evidence = cast(_move.c.evidence, Text)
_counted = lru_cache(maxsize=4096)(msgspec.json.Decoder(dict[str, int]).decode)
"""The counts of a status: one of few texts, most of which stand in many thousand rows. To be read only."""


_STEP = [_move.c[name] for name in Step._fields]
_MOVE = [_evidence if name == "evidence" else _move.c[name] for name in Move.__struct_fields__]


def first_evidence(connection: Connection, cluster: str) -> datetime | None:
    """When anything of this cluster was evaluated for the first time."""
    # a control's first interval is the first of its domain: the domains are few, the intervals are many
    found: datetime | None = connection.execute(
        select(func.min(tables.domain.c.from_at)).where(tables.domain.c.cluster == cluster)
    ).scalar_one()
    return found


def log_time(connection: Connection, cluster: str) -> datetime | None:
    """The log time up to which the record of a cluster goes."""
    found: datetime | None = connection.execute(
        select(func.max(tables.applied.c.at)).where(tables.applied.c.cluster == cluster)
    ).scalar_one()
    return found


def domains(connection: Connection, scope: Scope) -> list[DomainSpan]:
    """By id, then time."""
    table = tables.domain
    statement = select(*_spans(table, DomainSpan, scope)).where(*_touching(table, scope))
    if scope.domain:
        statement = statement.where(table.c.id == scope.domain)
    rows = [DomainSpan(**row) for row in connection.execute(statement).mappings()]
    return sorted(rows, key=lambda row: (row.id, row.from_at))


def held(connection: Connection, scope: Scope) -> Iterator[tuple[str, str]]:
    """Which domain held which subject at any moment of the period: of the whole cluster."""
    columns = (_member.c.domain, _member.c.subject)
    yield from sql.streamed(connection, select(*columns).where(*_touching(_member, scope)).distinct())


def members(connection: Connection, scope: Scope, domain: str) -> Iterator[MemberSpan]:
    """Of one domain, by subject, then time."""
    statement = select(*_spans(_member, MemberSpan, scope)).where(
        _member.c.domain == domain, *_touching(_member, scope)
    )
    for row in sql.streamed(connection, statement.order_by(_plain(connection, _member.c.subject), _member.c.from_at)):
        yield MemberSpan(*row)


def member_pods(connection: Connection, cluster: str, domain: str, at: datetime) -> set[str]:
    """Pods of a domain's members at a time."""
    rows = connection.execute(
        select(_member.c.pods).where(
            _member.c.cluster == cluster,
            _member.c.domain == domain,
            _member.c.from_at <= at,
            or_(_member.c.to_at.is_(None), _member.c.to_at > at),
        )
    )
    return {pod for row in rows for pod in row.pods}


def statuses(connection: Connection, scope: Scope, domain: str) -> Iterator[StatusRow]:
    """Of one domain, by control, then time."""
    of_open = case((_status.c.to_at.is_(None), _status.c.needs), else_=None)  # of a closed one nobody asks
    instead = {"needs": of_open.label("needs"), "counts": cast(_status.c.counts, Text).label("counts")}
    columns = [instead.get(name, _status.c[name]) for name in StatusRow.__struct_fields__]
    statement = select(*columns).where(_status.c.domain == domain, *_touching(_status, scope))
    for row in sql.streamed(connection, statement.order_by(_plain(connection, _status.c.control), _status.c.from_at)):
        of, control, outcome, reason, counts, waived, needs, from_at, to_at = row
        yield StatusRow(of, control, outcome, reason, _counted(counts), waived, needs, from_at, to_at)


def courses(connection: Connection, scope: Scope, domain: str, *, but: Collection[str]) -> Iterator[Course]:
    """Of the findings of one domain, by control, subject and id; `but`: findings that are left out."""
    here = (_move.c.domain == domain, *_within(_move, scope))
    for part in _parts(connection, here):
        yield from _courses(connection, (*here, *part), but)


def courses_of(connection: Connection, scope: Scope, findings: Iterable[str]) -> list[Course]:
    """Of these findings, wherever they belonged, by control, subject and id."""
    found: list[Course] = []
    for are_among in sql.among(connection, _move.c.finding_id, findings):
        found += _courses(connection, (are_among, *_within(_move, scope)), ())
    return sorted(found, key=lambda course: course.last.place)


def _parts(connection: Connection, here: Sequence[ColumnElement[bool]]) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """Further conditions that split a domain of many moves by its controls, in their order."""
    if connection.execute(select(func.count()).where(*here)).scalar_one() <= HELD:
        yield ()
        return
    counts = connection.execute(select(_move.c.control, func.count()).where(*here).group_by(_move.c.control))
    part: list[str] = []
    held = 0
    for control, count in sorted(map(tuple, counts)):
        if part and held + count > HELD:
            yield (_move.c.control.in_(part),)
            part, held = [], 0
        part.append(control)
        held += count
    yield (_move.c.control.in_(part),)


def _courses(connection: Connection, where: Sequence[ColumnElement[bool]], but: Collection[str]) -> Iterator[Course]:
    """Put in order here: a database compares long texts for it, and carries all of a row through (decision 0085)."""
    steps: defaultdict[str, list[Step]] = defaultdict(list)
    for row in sql.streamed(connection, select(*_STEP).where(*where)):
        steps[row[0]].append(row)
    for name in but:
        steps.pop(name, None)
    for course in steps.values():
        course.sort(key=itemgetter(1))
    last = {course[-1][1] for course in steps.values()}
    moves = [
        Move(*row)
        for are_among in sql.among(connection, _move.c.id, last)
        for row in sql.streamed(connection, select(*_MOVE).where(are_among))
    ]
    moves.sort(key=lambda move: move.place)
    return (Course(move, steps.pop(move.finding_id)) for move in moves)


def wandered(connection: Connection, scope: Scope) -> list[str]:
    """Findings whose moves of the period lie in more than one domain."""
    # one of them is not the domain of today then: few are left of a million moves before any is counted
    elsewhere = select(_move.c.finding_id).join(_finding, _finding.c.id == _move.c.finding_id).distinct()
    elsewhere = elsewhere.where(*_within(_move, scope), _move.c.domain != _finding.c.domain)
    found: list[str] = []
    for part in sql.chunks(connection.execute(elsewhere).scalars()):
        of_period = select(_move.c.finding_id).where(_move.c.finding_id.in_(part), *_within(_move, scope))
        of_period = of_period.group_by(_move.c.finding_id)
        found += connection.execute(of_period.having(func.min(_move.c.domain) != func.max(_move.c.domain))).scalars()
    return sorted(found)


def changed_in(connection: Connection, scope: Scope, findings: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of these findings that changed while open, and the domains that they belonged to then."""
    changed = select(_move.c.finding_id, _move.c.domain).where(*_within(_move, scope))
    changed = changed.where(_move.c.transition == "changed").distinct()
    for are_among in sql.among(connection, _move.c.finding_id, findings):
        yield from sql.streamed(connection, changed.where(are_among))


def happenings(connection: Connection, scope: Scope, moments: Iterable[datetime]) -> Iterator[Happening]:
    """Moves of the cluster at exactly these moments, in the order in which they were recorded."""
    every = sorted(set(moments))
    columns = _named(_move, Happening)
    for start in range(0, len(every), sql.CHUNK):
        part = every[start : start + sql.CHUNK]
        statement = select(*columns).where(_move.c.cluster == scope.cluster, _move.c.at.in_(part)).order_by(_move.c.id)
        for row in connection.execute(statement):
            yield Happening(*row)


def standing(connection: Connection, scope: Scope) -> Iterator[Standing]:
    """Findings of the cluster that were open when the period began."""
    before = _move.alias("before")

    def last(column: Any, *transitions: str) -> Any:
        """The newest value before the period, of these transitions only."""
        wanted = before.c.transition.in_(transitions) if transitions else before.c.id.is_not(None)
        found = select(column).where(before.c.finding_id == _finding.c.id, before.c.at < scope.from_at, wanted)
        return found.order_by(before.c.at.desc(), before.c.id.desc()).limit(1).correlate(_finding).scalar_subquery()

    was_open = or_(
        _finding.c.resolved_at.is_(None), _finding.c.resolved_at >= scope.from_at, _finding.c.opened_at >= scope.from_at
    )
    settling = ("waived", "unwaived", "resolved")
    statement = (
        select(
            *_MOVE,
            last(before.c.at, "opened", "reopened").label("was_opened_at"),
            last(before.c.transition, *settling).label("waiving"),
            last(before.c.reason, *settling).label("waiver"),
        )
        .select_from(_finding)
        .join(_move, _move.c.id == last(before.c.id))
        .where(_finding.c.cluster == scope.cluster, _finding.c.first_at < scope.from_at, was_open)
        .where(_move.c.transition != "resolved")
        .order_by(*_in_order(connection))
    )
    width = len(_MOVE)
    for row in sql.streamed(connection, statement):
        move, (opened_at, waiving, waiver) = Move(*row[:width]), row[width:]
        yield Standing(move=move, opened_at=opened_at or move.at, waiving=waiving, waiver=waiver)


def policy_changes(connection: Connection, scope: Scope) -> Iterator[ChangeRow]:
    """Of the whole cluster: a policy elsewhere may decide here."""
    table = tables.policy_change
    statement = select(*_named(table, ChangeRow)).where(*_within(table, scope)).order_by(table.c.id)
    for row in sql.streamed(connection, statement):
        yield ChangeRow(*row)


def changes_in_short(connection: Connection, scope: Scope) -> Iterator[tuple[datetime, str, str, str, str]]:
    """Of the whole cluster, in the order of time: at, change, kind, namespace, name."""
    table = tables.policy_change
    columns = (table.c.at, table.c.change, table.c.kind, table.c.namespace, table.c.name)
    yield from sql.streamed(connection, select(*columns).where(*_within(table, scope)).order_by(table.c.id))


def waiver_names(connection: Connection, cluster: str) -> list[str]:
    """Every waiver that was ever declared."""
    return sorted(connection.execute(select(tables.waiver.c.name).where(tables.waiver.c.cluster == cluster)).scalars())


def chain_at(connection: Connection, cluster: str, at: datetime) -> ChainPlace:
    """The last row of the chain before a time."""
    table = tables.chain
    statement = select(table.c.seq, table.c.hash).where(table.c.cluster == cluster, table.c.at < at)
    row = connection.execute(statement.order_by(table.c.seq.desc()).limit(1)).one_or_none()
    return ChainPlace(seq=row.seq, hash=row.hash) if row else ChainPlace(seq=0, hash="0" * 64)


def _touching(table: Table, scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """Intervals of the cluster that have a moment in the period."""
    return (
        table.c.cluster == scope.cluster,
        table.c.from_at < scope.to_at,
        or_(table.c.to_at.is_(None), table.c.to_at > scope.from_at),
    )


def _within(table: Table, scope: Scope) -> tuple[ColumnElement[bool], ...]:
    return (table.c.cluster == scope.cluster, and_(table.c.at >= scope.from_at, table.c.at < scope.to_at))


def _in_order(connection: Connection) -> tuple[Any, ...]:
    return (_plain(connection, _move.c.control), _plain(connection, _move.c.subject), _move.c.finding_id, _move.c.id)


def _plain(connection: Connection, column: Any) -> Any:
    """By code point, as SQLite orders text by itself."""
    return column.collate("C") if connection.dialect.name == "postgresql" else column


def _named(table: Table, kind: type[Struct]) -> list[Any]:
    return [table.c[name] for name in kind.__struct_fields__]


def _spans(table: Table, kind: type[Struct], scope: Scope) -> list[Any]:
    """An end that came with or after the period's is not known in it."""
    end = case((table.c.to_at < scope.to_at, table.c.to_at), else_=None).label("to_at")
    return [end if column.name == "to_at" else column for column in _named(table, kind)]
