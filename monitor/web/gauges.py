"""What a process tells about its work: the port `streams.observing.Observer`, kept by metrics and health.

State gauges come only from the owner of a cluster: loaded from SQL for each scrape, removed when it is released or when
the record cannot be read (a last value would look like news). Domains beyond DOMAIN_LIMIT are folded into one, and that
is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar

from models.compliance import Severity
from models.facts import FlowClass
from models.metrics import DOMAIN_LIMIT, OTHER_DOMAIN
from models.recording import TRANSITIONS, Recorded, Recording
from models.topics import FACTS, FLOWS
from monitor.compliance.catalogue import CONTROLS
from monitor.compliance.evaluating import weighed
from monitor.store import Store, queries
from monitor.web.exposition import Exposition
from monitor.web.health import Health

log = logging.getLogger(__name__)

_PER_CLUSTER = (
    "segmon_domain_info",
    "segmon_domain_compliance_ratio",
    "segmon_domain_not_evaluated_ratio",
    "segmon_domain_waived",
    "segmon_control_outcome",
    "segmon_findings_open",
    "segmon_workloads",
    "segmon_evidence_age_seconds",
    "segmon_evidence_fresh",
    "segmon_waiver_expiry_timestamp_seconds",
    "segmon_report_period_end_timestamp_seconds",
)
COMPLIANT = ("pass", "warn")
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
            ).inc()

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

    def _drop(self, cluster: str) -> None:
        for name in _PER_CLUSTER:
            self._exposition.drop(name, cluster=cluster)

    def _load(self, cluster: str) -> None:
        with self._store.look() as connection:
            domains = queries.domains(connection, cluster)
            statuses = queries.open_statuses(connection, cluster)
            findings = queries.open_findings(connection, cluster)
            inputs = queries.inputs(connection, cluster)
            expiry = queries.first_waiver_expiry(connection, cluster, self._now())
            reported = queries.reported_until(connection, cluster)
        self._drop(cluster)
        named = {row.id: row.id if at < DOMAIN_LIMIT else OTHER_DOMAIN for at, row in enumerate(domains)}
        folded = max(0, len(domains) - DOMAIN_LIMIT)
        newly = max(0, folded - self._folded.get(cluster, 0))
        self._exposition.counter("segmon_series_dropped_total", cluster=cluster).inc(newly)
        self._folded[cluster] = folded
        self._set_domains(cluster, domains, named)
        self._set_outcomes(cluster, statuses, named)
        self._begin_findings(cluster, domains, statuses, named)
        self._set_findings(cluster, findings, named)
        self._set_inputs(cluster, inputs)
        self._set_times(cluster, expiry, reported)

    def _set_times(self, cluster: str, expiry: datetime | None, reported: dict[str, datetime]) -> None:
        if expiry is not None:
            self._exposition.gauge("segmon_waiver_expiry_timestamp_seconds", cluster=cluster).set(expiry.timestamp())
        for schedule, until in reported.items():
            gauge = self._exposition.gauge(
                "segmon_report_period_end_timestamp_seconds", cluster=cluster, schedule=schedule
            )
            gauge.set(until.timestamp())

    def _set_domains(self, cluster: str, domains: list[queries.DomainRow], named: dict[str, str]) -> None:
        for row in domains:
            domain = named[row.id]
            self._exposition.gauge("segmon_workloads", cluster=cluster, domain=domain).inc(row.workloads)
            if domain != OTHER_DOMAIN:
                self._exposition.gauge(
                    "segmon_domain_info",
                    cluster=cluster,
                    domain=domain,
                    level=row.level,
                    owner=row.owner,
                    criticality=row.criticality,
                    environment=row.environment,
                ).set(1)

    def _set_outcomes(self, cluster: str, statuses: list[queries.StatusRow], named: dict[str, str]) -> None:
        by_domain: dict[str, list[str]] = {}
        for row in statuses:
            domain = named.get(row.domain, OTHER_DOMAIN)
            by_domain.setdefault(domain, []).append(row.outcome)
            self._exposition.gauge(
                "segmon_control_outcome", cluster=cluster, domain=domain, control=row.control, outcome=row.outcome
            ).inc()
        for domain, outcomes in by_domain.items():
            self._set_ratios(cluster, domain, outcomes)

    def _set_ratios(self, cluster: str, domain: str, outcomes: list[str]) -> None:
        """Nothing evaluated gives no ratio: no data is not 100 %."""
        evaluated = sum(outcome in {*COMPLIANT, "fail"} for outcome in outcomes)
        applicable = evaluated + outcomes.count("error")
        if evaluated:
            good = sum(outcome in COMPLIANT for outcome in outcomes)
            gauge = self._exposition.gauge("segmon_domain_compliance_ratio", cluster=cluster, domain=domain)
            gauge.set(good / evaluated)
        if applicable:
            gauge = self._exposition.gauge("segmon_domain_not_evaluated_ratio", cluster=cluster, domain=domain)
            gauge.set(outcomes.count("error") / applicable)

    def _begin_findings(
        self,
        cluster: str,
        domains: list[queries.DomainRow],
        statuses: list[queries.StatusRow],
        named: dict[str, str],
    ) -> None:
        """Known label sets begin at 0, in the severity that a finding of this control has in this domain."""
        criticality = {row.id: row.criticality for row in domains}
        for domain in named.values():
            self._exposition.gauge("segmon_domain_waived", cluster=cluster, domain=domain).inc(0)
        for row in statuses:
            if row.outcome == "skip" or row.control not in self.severities:
                continue
            severity: Severity = weighed(self.severities[row.control], criticality.get(row.domain, ""))
            labels = {"domain": named.get(row.domain, OTHER_DOMAIN), "control": row.control, "severity": severity}
            self._exposition.gauge("segmon_findings_open", cluster=cluster, **labels).inc(0)

    def _set_findings(self, cluster: str, findings: list[queries.FindingRow], named: dict[str, str]) -> None:
        for row in findings:
            domain = named.get(row.domain, OTHER_DOMAIN)
            self._exposition.gauge(
                "segmon_findings_open", cluster=cluster, domain=domain, control=row.control, severity=row.severity
            ).inc()
            if row.state == "waived":
                self._exposition.gauge("segmon_domain_waived", cluster=cluster, domain=domain).inc()

    def _set_inputs(self, cluster: str, inputs: list[queries.InputRow]) -> None:
        now = self._now()
        for row in inputs:
            is_fresh = row.state in {"fresh", "not_served"}
            self._exposition.gauge("segmon_evidence_fresh", cluster=cluster, input=row.input).set(int(is_fresh))
            if row.until is not None:
                age = max(0.0, (now - row.until).total_seconds())
                self._exposition.gauge("segmon_evidence_age_seconds", cluster=cluster, input=row.input).set(age)
