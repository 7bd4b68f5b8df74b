"""What a process tells about its work: the port `streams.observing.Observer`, kept by metrics and health.

State gauges come only from the owner of a cluster: loaded from SQL for each scrape, removed when it is released or when
the record cannot be read (a last value would look like news).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar

from models.compliance import Severity
from models.facts import FlowClass
from models.recording import TRANSITIONS, Recorded, Recording
from models.topics import FACTS, FLOWS
from monitor.compliance.catalogue import CONTROLS
from monitor.store import Store
from monitor.web import state_gauges
from monitor.web.exposition import Exposition
from monitor.web.health import Health

log = logging.getLogger(__name__)

DATABASE_ERRORS = ("transient", "permanent")
DEAD_LETTERS = {
    "work": ((FACTS.name, "unreadable"),),
    "match": ((FLOWS.name, "unreadable"), (FLOWS.name, "uncountable")),
}


class Gauges:
    """Filled by the agents, from their threads and the event loop alike."""

    severities: ClassVar[Mapping[str, Severity]] = {control.id: control.severity for control in CONTROLS}
    """Of the controls whose label sets are known beforehand."""

    def __init__(
        self,
        exposition: Exposition,
        health: Health,
        store: Store,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._exposition = exposition
        self._health = health
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._owned: set[str] = set()
        self._lag: dict[tuple[str, int], int] = {}
        self._shown: dict[str, state_gauges.Values] = {}  # by cluster
        self._folded: dict[str, int] = {}  # domains beyond the limit, by cluster, as counted
        exposition.refreshers.append(self.refresh)
        self._component = "work" if exposition.has("segmon_domain_info") else "match"
        self._begin_at_zero()

    # The port

    def recorded(self, recording: Recording, recorded: Recorded, *, seconds: float) -> None:
        self._moved()
        self._exposition.histogram("segmon_recording_duration_seconds", component=self._component).observe(seconds)
        self._exposition.counter("segmon_facts_total", cluster=recording.cluster).inc(len(recording.revisions))
        for move in recorded.transitions:
            self._exposition.counter(
                "segmon_findings_total",
                cluster=move.cluster,
                control=move.control,
                severity=move.severity,
                transition=move.transition,
            ).inc(exemplar={"finding_id": move.finding_id})

    def adopted(self, cluster: str) -> None:
        known = [(control, severity, move) for control, severity in self.severities.items() for move in TRANSITIONS]
        self._exposition.initialise(
            "segmon_findings_total",
            (
                {"cluster": cluster, "control": control, "severity": severity, "transition": move}
                for control, severity, move in known
            ),
        )
        self._owned.add(cluster)

    def released(self, cluster: str) -> None:
        with self._exposition.lock:
            self._owned.discard(cluster)
            self._drop(cluster)

    def refresh(self) -> None:
        """Before a scrape: the gauges of every cluster that is ours, from the record."""
        for cluster in sorted(self._owned):
            try:
                self._load(cluster)
            except Exception:  # whatever keeps the record from being read
                log.warning("no state gauges of %s: the record cannot be read", cluster, exc_info=True)
                self._drop(cluster)

    def evaluated(self, cluster: str, *, seconds: float) -> None:
        self._exposition.histogram("segmon_evaluation_duration_seconds", cluster=cluster).observe(seconds)

    def lag(self, topic: str, partition: int, records: int) -> None:
        self._lag[(topic, partition)] = records
        self._health.lag = sum(self._lag.values())
        self._exposition.gauge("segmon_consumer_lag", topic=topic, partition=str(partition)).set(records)
        if self._health.lag == 0:
            self._moved()

    def dead_letter(self, topic: str, reason: str) -> None:
        self._exposition.counter("segmon_dead_letters_total", topic=topic, reason=reason).inc()

    def database_error(self, kind: str) -> None:
        self._health.is_database_reachable = kind != "transient"
        self._exposition.counter("segmon_database_errors_total", component=self._component, kind=kind).inc()

    def building(self, what: str, why: str) -> None:
        self._health.wait(what, why)

    def built(self, what: str) -> None:
        self._health.arrived(what)
        self._moved()

    def follows(self, cluster: str) -> None:
        self._exposition.initialise("segmon_flows_total", ({"cluster": cluster, "class": each} for each in FlowClass))

    def flows(self, cluster: str, flow_class: str, records: int) -> None:
        self._exposition.counter("segmon_flows_total", **{"cluster": cluster, "class": flow_class}).inc(records)

    def _begin_at_zero(self) -> None:
        """So that the first of each is an increase."""
        component, letters = self._component, DEAD_LETTERS[self._component]
        self._exposition.initialise(
            "segmon_database_errors_total", ({"component": component, "kind": kind} for kind in DATABASE_ERRORS)
        )
        self._exposition.initialise(
            "segmon_dead_letters_total", ({"topic": topic, "reason": reason} for topic, reason in letters)
        )

    def _moved(self) -> None:
        self._health.is_database_reachable = True
        self._health.moved(at=self._monotonic())

    # The gauges of one cluster

    def _load(self, cluster: str) -> None:
        with self._store.look() as connection:
            seen = state_gauges.standing(connection, cluster, self._now())
        newly = max(0, seen.folded - self._folded.get(cluster, 0))
        self._exposition.counter("segmon_series_dropped_total", cluster=cluster).inc(newly)
        self._folded[cluster] = seen.folded
        self._show(cluster, state_gauges.values(cluster, seen, self.severities))

    def _drop(self, cluster: str) -> None:
        self._show(cluster, {})

    def _show(self, cluster: str, wanted: state_gauges.Values) -> None:
        """Only what differs from what is shown: between two scrapes that is little."""
        shown = self._shown.get(cluster, {})
        for family, labels in shown.keys() - wanted.keys():
            self._exposition.hide(family, labels)
        for (family, labels), value in wanted.items():
            if shown.get((family, labels)) != value:
                self._exposition.show(family, labels, value)
        self._shown[cluster] = wanted
