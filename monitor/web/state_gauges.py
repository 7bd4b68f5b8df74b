"""The state gauges of one cluster as plain values, from what the record says.

Law: nothing evaluated gives no ratio: no data is not 100 %. Domains beyond DOMAIN_LIMIT are summed up as OTHER_DOMAIN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from models.compliance import Severity
from models.metrics import DOMAIN_LIMIT, METRICS_BY_NAME, OTHER_DOMAIN
from monitor.compliance.evaluating import weighed
from monitor.store import queries

Values = dict[tuple[str, tuple[str, ...]], float]
"""By family and label values, these in the order of the family's specification."""

COMPLIANT = ("pass", "warn")
FRESH = ("fresh", "not_served")


class Standing(Struct, frozen=True, kw_only=True):
    """What the record says of a cluster at a moment, as far as gauges show it."""

    at: datetime
    domains: list[queries.DomainRow]
    outcomes: list[queries.OutcomeRow]
    findings: list[queries.FindingCount]
    inputs: list[queries.InputRow]
    first_expiry: datetime | None
    reported_until: dict[str, datetime]

    @property
    def folded(self) -> int:
        """Domains beyond the limit."""
        return max(0, len(self.domains) - DOMAIN_LIMIT)


def standing(connection: queries.Look, cluster: str, at: datetime) -> Standing:
    return Standing(
        at=at,
        domains=queries.domains(connection, cluster),
        outcomes=queries.open_outcomes(connection, cluster),
        findings=queries.open_finding_counts(connection, cluster),
        inputs=queries.inputs(connection, cluster),
        first_expiry=queries.first_waiver_expiry(connection, cluster, at),
        reported_until=queries.reported_until(connection, cluster),
    )


def values(cluster: str, seen: Standing, severities: Mapping[str, Severity]) -> Values:
    """Every label set of the cluster. `severities`: of the controls whose findings begin at 0."""
    return _Values(cluster, seen).all(severities)


class _Values:
    def __init__(self, cluster: str, seen: Standing) -> None:
        self._cluster = cluster
        self._seen = seen
        self._found: Values = {}
        self._name = {row.id: row.id if at < DOMAIN_LIMIT else OTHER_DOMAIN for at, row in enumerate(seen.domains)}

    def all(self, severities: Mapping[str, Severity]) -> Values:
        self._domains()
        self._outcomes()
        self._findings(severities)
        self._inputs()
        self._times()
        return self._found

    def _add(self, family: str, value: float, **labels: str) -> None:
        """Label sets that are folded into one are summed up."""
        labels["cluster"] = self._cluster
        key = family, tuple(labels[name] for name in METRICS_BY_NAME[family].labels)
        self._found[key] = self._found.get(key, 0.0) + value

    def _of(self, domain: str) -> str:
        return self._name.get(domain, OTHER_DOMAIN)

    def _domains(self) -> None:
        for row in self._seen.domains:
            domain = self._of(row.id)
            self._add("segmon_workloads", row.workloads, domain=domain)
            self._add("segmon_domain_waived", 0, domain=domain)
            if domain != OTHER_DOMAIN:
                self._add(
                    "segmon_domain_info",
                    1,
                    domain=domain,
                    level=row.level,
                    owner=row.owner,
                    criticality=row.criticality,
                    environment=row.environment,
                )

    def _outcomes(self) -> None:
        by_domain: dict[str, Counter[str]] = {}
        for row in self._seen.outcomes:
            domain = self._of(row.domain)
            by_domain.setdefault(domain, Counter())[row.outcome] += 1
            self._add("segmon_control_outcome", 1, domain=domain, control=row.control, outcome=row.outcome)
        for domain, counted in by_domain.items():
            good = sum(counted[each] for each in COMPLIANT)
            evaluated = good + counted["fail"]
            if evaluated:
                self._add("segmon_domain_compliance_ratio", good / evaluated, domain=domain)
            if applicable := evaluated + counted["error"]:
                self._add("segmon_domain_not_evaluated_ratio", counted["error"] / applicable, domain=domain)

    def _findings(self, severities: Mapping[str, Severity]) -> None:
        """Known label sets begin at 0, in the severity that a finding of this control has in this domain."""
        criticality = {row.id: row.criticality for row in self._seen.domains}
        for row in self._seen.outcomes:
            if row.outcome != "skip" and row.control in severities:
                severity = weighed(severities[row.control], criticality.get(row.domain, ""))
                domain = self._of(row.domain)
                self._add("segmon_findings_open", 0, domain=domain, control=row.control, severity=severity)
        for found in self._seen.findings:
            domain = self._of(found.domain)
            labels = {"domain": domain, "control": found.control, "severity": found.severity}
            self._add("segmon_findings_open", found.number, **labels)
            self._add("segmon_domain_waived", found.waived, domain=domain)

    def _inputs(self) -> None:
        for row in self._seen.inputs:
            self._add("segmon_evidence_fresh", float(row.state in FRESH), input=row.input)
            if row.until is not None:
                age = max(0.0, (self._seen.at - row.until).total_seconds())
                self._add("segmon_evidence_age_seconds", age, input=row.input)

    def _times(self) -> None:
        if self._seen.first_expiry is not None:
            self._add("segmon_waiver_expiry_timestamp_seconds", self._seen.first_expiry.timestamp())
        for schedule, until in self._seen.reported_until.items():
            self._add("segmon_report_period_end_timestamp_seconds", until.timestamp(), schedule=schedule)
