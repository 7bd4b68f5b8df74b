"""The record -> what the status page shows. Its own faults are shown on the page, never a green one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from models.facts import STALE_AFTER
from monitor.store import Store, pairs, queries
from monitor.web import talking, views

LEVELS = ("namespace", "tenant", "workload")


class StatusPage:
    """Renders on request, in a thread. `problems` adds what the process knows of itself."""

    def __init__(
        self,
        store: Store,
        *,
        version: str,
        now: Callable[[], datetime],
        problems: Callable[[], tuple[str, ...]] = tuple,
        is_embedded: bool = False,
    ) -> None:
        self._store = store
        self._version = version
        self._now = now
        self._problems = problems
        self._is_embedded = is_embedded

    def view(self) -> views.StatusView:
        now = self._now()
        problems = list(self._problems())
        clusters: list[views.ClusterView] = []
        try:
            with self._store.look() as connection:
                clusters = [cluster_view(connection, name, now) for name in queries.clusters(connection)]
        except Exception as error:  # noqa: BLE001 - whatever keeps the record from being read is the news
            problems.append(f"the database cannot be read ({type(error).__name__}); nothing below is current")
        return views.StatusView(
            at=now,
            version=self._version,
            clusters=tuple(clusters),
            problems=tuple(problems),
            is_embedded=self._is_embedded,
        )


def cluster_view(connection: queries.Look, name: str, now: datetime) -> views.ClusterView:
    statuses = queries.open_statuses(connection, name)
    inputs = queries.inputs(connection, name)
    day = (now - timedelta(hours=24), queries.settled_until(inputs, now))
    shares = queries.shares(queries.statuses_between(connection, name, *day), inputs, day)
    stale = {row.input for row in inputs if _state(row, now) not in {"fresh", "not_served"}}
    return views.ClusterView(
        name=name,
        controls=tuple(sorted({row.control for row in statuses})),
        domains=_domains(connection, name, statuses, stale),
        findings=tuple(_finding(row) for row in queries.open_findings(connection, name)),
        transitions=tuple(_transition(row) for row in queries.last_transitions(connection, name)),
        inputs=tuple(_input(row, now) for row in inputs),
        sources=tuple(_source(row, now) for row in queries.sources(connection, name)),
        talk=_talk(connection, name, now),
        counted_until=day[1],
        compliant_share=shares.compliant / shares.total if shares.total else None,
        not_evaluated_share=shares.not_evaluated / shares.total if shares.total else None,
    )


def _domains(
    connection: queries.Look, name: str, statuses: list[queries.StatusRow], stale: set[str]
) -> tuple[views.DomainRow, ...]:
    cells: dict[str, dict[str, views.Cell]] = {}
    for status in statuses:
        cells.setdefault(status.domain, {})[status.control] = _cell(status, stale)
    return tuple(
        views.DomainRow(
            id=row.id,
            level=row.level,
            name=row.name,
            owner=row.owner,
            workloads=row.workloads,
            cells=cells.get(row.id, {}),
        )
        for row in queries.domains(connection, name)
    )


def _cell(status: queries.StatusRow, stale: set[str]) -> views.Cell:
    """A result whose input went stale since is not evaluated, whoever still has to record that."""
    if missing := stale & set(status.needs or ()):
        return views.Cell(outcome="error", reason=f"{', '.join(sorted(missing))} not seen fresh", since=status.from_at)
    is_waived = status.outcome == "fail" and status.waived >= status.counts.get("fail", 0) > 0
    return views.Cell(outcome="waived" if is_waived else status.outcome, reason=status.reason, since=status.from_at)


def _state(row: queries.InputRow, now: datetime) -> str:
    if row.state == "fresh" and (row.until is None or now - row.until > STALE_AFTER):
        return "stale"
    return row.state


def _input(row: queries.InputRow, now: datetime) -> views.InputRow:
    age = None if row.until is None else (now - row.until).total_seconds()
    return views.InputRow(name=row.input, state=_state(row, now), age_seconds=age, reason=row.reason)


def _source(row: queries.SourceRow, now: datetime) -> views.InputRow:
    silent = now - row.heard_at > STALE_AFTER
    words = f"{row.records} records" + (f", {row.unparsed} unreadable" if row.unparsed else "")
    return views.InputRow(
        name=row.source,
        state="silent" if silent else "fresh",
        age_seconds=(now - row.heard_at).total_seconds(),
        reason=words + (f", {row.lost} lost" if row.lost else ""),
    )


def _finding(row: queries.FindingRow) -> views.FindingRow:
    return views.FindingRow(
        id=row.id,
        severity=row.severity,
        domain=row.domain,
        control=row.control,
        subject=row.subject,
        sentence=row.sentence,
        steps=tuple(row.evidence.get("steps", ())),
        fix=row.fix,
        opened_at=row.opened_at,
        owner=row.owner,
        waiver=row.waiver,
        is_last_known=row.is_last_known,
    )


def _transition(row: queries.TransitionRow) -> views.TransitionRow:
    return views.TransitionRow(
        at=row.at,
        transition=row.transition,
        severity=row.severity,
        domain=row.domain,
        control=row.control,
        subject=row.subject,
        sentence=row.sentence,
    )


def _talk(connection: queries.Look, name: str, now: datetime) -> views.Talk:
    """Who may and does talk to whom, level by level; of many domains only those that are shown are asked for."""
    unknown = pairs.why_unknown(connection, name, now)
    traffic = pairs.traffic(connection, name)
    domains: dict[str, list[str]] = {}
    for row in queries.domains(connection, name):
        domains.setdefault(row.level, []).append(row.id)
    crossings = []
    for level in (each for each in LEVELS if each in domains):
        seen = talking.seen_between(traffic, level)
        ends = (*talking.chosen(domains[level], seen), pairs.OUTSIDE)
        reach = pairs.among(connection, name, ends)
        crossings.append(talking.crossing(level, domains[level], seen, reach, is_known=not unknown))
    return views.Talk(unknown=unknown, crossings=tuple(crossings))
