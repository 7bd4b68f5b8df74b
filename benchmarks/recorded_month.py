"""A month of a large cluster in PostgreSQL: 200 domains × 40 controls, one million transitions of findings.

Written by COPY, with triggers off, so that a benchmark need not play a month; what it holds is what playing would have
left: intervals that touch and never overlap, findings that are where their transitions led, members that change with
rollouts, policy changes behind half of the episodes. The same but for its dates, which end today, so that questions
about "now" have an answer.

An episode is a control of a namespace failing for five of its workloads, from a moment to a moment. Tenants and the
cluster count what their namespaces hold: each episode changes their status too.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import psycopg
from parts.postgres import PostgresServer
from psycopg.types.json import Jsonb

from models import tables
from models.compliance import finding_id
from models.facts import FactKey, Kind
from monitor import clock
from monitor.compliance.catalogue import CONTROLS
from monitor.store import Store

CLUSTER = "bench"
NAMESPACES, TENANTS = 190, 9  # and the cluster: 200 domains
WORKLOADS = 20  # of each namespace, three pods each
FAILING = 5  # workloads in one episode
EPISODES = 13  # of a control in a namespace; one more for the first EXTRA pairs
EXTRA = 1_200
ROLLOUTS = 8  # of a workload
DAYS = 31
HELD = {"namespace": 1, "tenant": NAMESPACES // TENANTS, "cluster": NAMESPACES}  # namespaces

SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB"}
PROOF = {
    "steps": [
        "no policy selects it in this direction",
        "tier default: no policy applies",
        "profile: allow (kns.default of the namespace)",
    ],
    "facts": [f"{CLUSTER}/NetworkPolicy/ns-001/default-deny"],
    "fix": "add a policy that selects every pod of the namespace and has no rule in this direction",
}
SENTENCE = "allows ingress from anybody: no policy that decides selects it in this direction"


class Month(NamedTuple):
    url: str
    begin: datetime
    end: datetime
    transitions: int


class Episode(NamedTuple):
    namespace: int
    control: int
    number: int
    from_at: datetime
    to_at: datetime


@contextmanager
def recorded() -> Iterator[Month]:
    """The database, for as long as the block lasts."""
    with PostgresServer(settings=SETTINGS) as server:
        url = server.create_database()
        store = Store.open(url)
        store.upgrade()
        store.close()
        end = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        begin = end - timedelta(days=DAYS)
        with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
            transitions = _fill(connection, begin, end)
        yield Month(url, begin, end, transitions)


def control_names() -> list[str]:
    """The catalogue's, and as many more as make 40."""
    known = [control.id for control in CONTROLS]
    return known + [f"further-control-{number:02}" for number in range(len(known) + 1, 41)]


def domain(number: int) -> str:
    return f"namespace/ns-{number:03}"


def tenant(number: int) -> str:
    return f"tenant/t-{number % TENANTS}"


def _holders(namespace: int) -> tuple[str, str, str]:
    return domain(namespace), tenant(namespace), f"cluster/{CLUSTER}"


def workload(namespace: int, number: int) -> str:
    return f"ns-{namespace:03}/Deployment/w-{number:02}"


def _fill(connection: psycopg.Connection[Any], begin: datetime, end: datetime) -> int:
    chance = random.Random(7)
    connection.execute("SET session_replication_role = replica")
    episodes = _episodes(chance, begin, end)
    _domains(connection, begin)
    _members(connection, chance, begin, end)
    _statuses(connection, episodes, begin)
    _findings(connection, episodes)
    transitions = _transitions(connection, episodes)
    _changes(connection, episodes, begin)
    _inputs(connection, begin)
    for table in ("finding_transition", "control_status", "domain_member", "policy_change", "fact_revision", "domain"):
        key = "span_id" if table == "domain" else "id"
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), (SELECT max({key}) FROM {table}))"
        )
    connection.execute("ANALYZE")
    return transitions


def _episodes(chance: random.Random, begin: datetime, end: datetime) -> list[Episode]:
    """In the order of their begins; those of one control in one namespace do not overlap."""
    seconds = int((end - begin).total_seconds())
    found = []
    for namespace in range(NAMESPACES):
        for control in range(40):
            count = EPISODES + (namespace * 40 + control < EXTRA)
            times = sorted(chance.sample(range(1, seconds * 1000), 2 * count))
            for number, (start, stop) in enumerate(zip(times[::2], times[1::2], strict=True)):
                ends = (begin + timedelta(milliseconds=start), begin + timedelta(milliseconds=stop))
                found.append(Episode(namespace, control, number, *ends))
    return sorted(found, key=lambda each: each.from_at)


def _copy(
    connection: psycopg.Connection[Any], table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _domains(connection: psycopg.Connection[Any], begin: datetime) -> None:
    first = begin - timedelta(days=1)
    names = [f"cluster/{CLUSTER}", *(tenant(number) for number in range(TENANTS)), *map(domain, range(NAMESPACES))]
    columns = ("span_id", "cluster", "id", "level", "name", "owner", "criticality", "environment", "from_at", "to_at")
    rows = [
        (number, CLUSTER, name, *name.split("/"), f"team-{number % 17}", "medium", "prod", first, None)
        for number, name in enumerate(names, start=1)
    ]
    _copy(connection, "domain", columns, rows)


def _members(connection: psycopg.Connection[Any], chance: random.Random, begin: datetime, end: datetime) -> None:
    seconds = int((end - begin).total_seconds())
    rows = []
    for namespace in range(NAMESPACES):
        for number in range(WORKLOADS):
            cuts = sorted(chance.sample(range(1, seconds), ROLLOUTS))
            times = [begin - timedelta(days=1), *(begin + timedelta(seconds=cut) for cut in cuts), None]
            for rollout, (start, stop) in enumerate(pairwise(times)):
                pods = Jsonb([f"ns-{namespace:03}/w-{number:02}-{rollout}-{pod}" for pod in range(3)])
                held = (workload(namespace, number), pods, start, stop)
                rows += [(CLUSTER, holder, *held) for holder in _holders(namespace)]
    _copy(connection, "domain_member", ("cluster", "domain", "subject", "pods", "from_at", "to_at"), rows)


def _statuses(connection: psycopg.Connection[Any], episodes: list[Episode], begin: datetime) -> None:
    columns = (*("cluster", "domain", "control", "outcome", "reason", "counts", "waived", "needs", "from_at", "to_at"),)
    steps: dict[tuple[str, int], list[tuple[datetime, int]]] = {}
    for each in episodes:
        for holder in _holders(each.namespace):
            moves = steps.setdefault((holder, each.control), [])
            moves += [(each.from_at, FAILING), (each.to_at, -FAILING)]
    _copy(connection, "control_status", columns, _status_rows(steps, begin))


def _status_rows(
    steps: dict[tuple[str, int], list[tuple[datetime, int]]], begin: datetime
) -> Iterator[tuple[Any, ...]]:
    names, needs = control_names(), Jsonb(["Pod", "Namespace", "NetworkPolicy", "GlobalNetworkPolicy", "Tier"])
    for (holder, control), moves in steps.items():
        held = WORKLOADS * HELD[holder.partition("/")[0]]
        failing, at = 0, begin - timedelta(days=1)
        for then, step in [*sorted(moves), (None, 0)]:
            if then == at:
                failing += step
                continue
            counts = {"fail": failing, "pass": max(0, held - failing)} if failing else {"pass": held}
            outcome = "fail" if failing else "pass"
            yield CLUSTER, holder, names[control], outcome, "", Jsonb(counts), 0, needs, at, then
            failing, at = failing + step, then


def _subjects(episode: Episode) -> Iterator[str]:
    for number in range(FAILING):
        yield workload(episode.namespace, (episode.number * FAILING + number) % WORKLOADS)


def _findings(connection: psycopg.Connection[Any], episodes: list[Episode]) -> None:
    names, proof = control_names(), Jsonb({name: PROOF[name] for name in ("steps", "facts")})
    rows: dict[str, list[Any]] = {}
    for each in episodes:
        for subject in _subjects(each):
            identity = finding_id(CLUSTER, names[each.control], subject)
            if identity in rows:
                rows[identity][-4:] = [rows[identity][-4], each.from_at, each.to_at, each.to_at]
            else:
                about = [identity, CLUSTER, domain(each.namespace), names[each.control], subject, "resolved", "high"]
                told = [SENTENCE, PROOF["fix"], proof, "", f"team-{each.namespace % 17}", False]
                rows[identity] = [*about, *told, each.from_at, each.from_at, each.to_at, each.to_at]
    columns = [column.name for column in tables.finding.c]
    _copy(connection, "finding", columns, rows.values())


def _transitions(connection: psycopg.Connection[Any], episodes: list[Episode]) -> int:
    """In the order of time, as they would have been recorded."""
    names, proof, seen = control_names(), Jsonb(PROOF), set()
    moves = sorted([(each.from_at, 1, each) for each in episodes] + [(each.to_at, 0, each) for each in episodes])

    def rows() -> Iterator[tuple[Any, ...]]:
        for offset, (at, opens, each) in enumerate(moves):
            for subject in _subjects(each):
                identity = finding_id(CLUSTER, names[each.control], subject)
                move = "resolved" if not opens else "reopened" if identity in seen else "opened"
                seen.add(identity)
                about = (CLUSTER, identity, domain(each.namespace), names[each.control], subject, "high", move, at)
                yield *about, 1, offset, SENTENCE, "" if opens else "fixed", proof

    columns = [column.name for column in tables.finding_transition.c if column.name != "id"]
    _copy(connection, "finding_transition", columns, rows())
    return len(moves) * FAILING


def _changes(connection: psycopg.Connection[Any], episodes: list[Episode], begin: datetime) -> None:
    """Behind every other episode a policy that was deleted before it began, and created before it ended."""
    chosen = [each for each in episodes if each.number % 2]
    moves = sorted(
        [(each.from_at, "deleted", each) for each in chosen] + [(each.to_at, "created", each) for each in chosen]
    )
    columns = [column.name for column in tables.policy_change.c if column.name != "id"]
    digest = "0" * 64
    rows, revisions = [], []
    for offset, (at, change, each) in enumerate(moves):
        before, after = (digest, None) if change == "deleted" else (None, digest)
        name, words = f"p-{each.control:02}", Jsonb([f"ns-{each.namespace:03} -> t-1 tcp/{each.control + 8000}"])
        moment = at - timedelta(milliseconds=40)
        about = (
            CLUSTER,
            moment,
            1,
            offset,
            "NetworkPolicy",
            f"ns-{each.namespace:03}",
            name,
            change,
            before,
            after,
            "",
        )
        rows.append((*about, words, Jsonb([])))
        key = FactKey(CLUSTER, Kind.NETWORK_POLICY, f"ns-{each.namespace:03}", name).text()
        revisions.append(
            (CLUSTER, 1, offset, "NetworkPolicy", key, moment, None if after is None else b"{}", "", False)
        )
    for namespace in range(NAMESPACES):
        for number in range(WORKLOADS * 3):
            key = FactKey(CLUSTER, Kind.POD, f"ns-{namespace:03}", f"w-{number // 3:02}-{ROLLOUTS}-{number % 3}").text()
            revisions.append((CLUSTER, 1, 0, "Pod", key, begin - timedelta(days=1), b"{}", "", False))
    _copy(connection, "policy_change", columns, rows)
    last = {row[4]: place for place, row in enumerate(revisions)}
    columns = [column.name for column in tables.fact_revision.c if column.name != "id"]
    _copy(connection, "fact_revision", columns, ((*row, last[row[4]] == place) for place, row in enumerate(revisions)))
    chain = (
        (CLUSTER, seq, row[1], "policy_change", b"[]", digest, digest, f"{seq:064x}") for seq, row in enumerate(rows, 1)
    )
    _copy(connection, "chain", [column.name for column in tables.chain.c], chain)
    _copy(connection, "chain_head", ("cluster", "seq", "hash"), [(CLUSTER, len(rows), f"{len(rows):064x}")])


def _inputs(connection: psycopg.Connection[Any], begin: datetime) -> None:
    now = clock.now()
    first = begin - timedelta(days=1)
    rows = [(CLUSTER, kind.value, first, now, "fresh", "", now) for kind in Kind]
    _copy(connection, "vouched", ("cluster", "input", "from_at", "until", "state", "reason", "at"), rows)
    _copy(connection, "applied", ("partition", "cluster", "epoch", "offset", "at"), [(0, CLUSTER, 1, 10**6, now)])
