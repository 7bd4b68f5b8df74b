"""The metric families, specified once: `monitor.web` registers them, `docs/metrics.md` is generated from here.

Law: never a pod, address, port, policy, uid, finding or message as a label (observability.md section 1).
State gauges are set only by the worker that owns the cluster's partition and removed when it is revoked.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class MetricSpec(Struct, frozen=True, kw_only=True):
    """`stage`: experimental may change; stable only gains labels. `by` names the commands that expose it."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    stage: Literal["experimental", "stable"] = "experimental"
    by: tuple[str, ...] = ("work",)


DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

ALL = ("watch", "collect", "work", "match")

METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        name="segmon_build_info",
        type="gauge",
        help="1; the release that runs and, of work, the digest of the catalogue it judges by, as reports state it.",
        labels=("version", "component", "catalogue"),
        by=ALL,
    ),
    MetricSpec(
        name="segmon_embedded_broker_info",
        type="gauge",
        help="1 while the embedded broker is in use: a trial, one worker, in memory.",
    ),
    MetricSpec(
        name="segmon_domain_info",
        type="gauge",
        help="1; what is declared of a domain. Gives alerts their owner.",
        labels=("cluster", "domain", "level", "owner", "criticality", "environment"),
    ),
    MetricSpec(
        name="segmon_domain_compliance_ratio",
        type="gauge",
        help="Controls that passed or warned over those evaluated, 0 to 1. Absent where nothing was evaluated.",
        labels=("cluster", "domain"),
    ),
    MetricSpec(
        name="segmon_domain_not_evaluated_ratio",
        type="gauge",
        help="Controls that could not be evaluated over those that apply, 0 to 1.",
        labels=("cluster", "domain"),
    ),
    MetricSpec(
        name="segmon_domain_waived",
        type="gauge",
        help="Open findings of the domain under an active waiver; they count as failed.",
        labels=("cluster", "domain"),
    ),
    MetricSpec(
        name="segmon_control_outcome",
        type="gauge",
        help="1 for the outcome a control has in a domain now: pass, fail, warn, error (not evaluated) or skip.",
        labels=("cluster", "domain", "control", "outcome"),
    ),
    MetricSpec(
        name="segmon_findings_open",
        type="gauge",
        help="Open findings that belong to the domain; label sets that fell to zero stay at 0 with their domain.",
        labels=("cluster", "domain", "control", "severity"),
    ),
    MetricSpec(
        name="segmon_findings_total",
        type="counter",
        help="Committed transitions of findings.",
        labels=("cluster", "control", "severity", "transition"),
    ),
    MetricSpec(
        name="segmon_workloads",
        type="gauge",
        help="Workloads of a domain.",
        labels=("cluster", "domain"),
    ),
    MetricSpec(
        name="segmon_waiver_expiry_timestamp_seconds",
        type="gauge",
        help="When the first of the waivers that hold expires. Absent where none holds.",
        labels=("cluster",),
    ),
    MetricSpec(
        name="segmon_report_period_end_timestamp_seconds",
        type="gauge",
        help="End of the last period for which a scheduled report was made. Absent until the first.",
        labels=("cluster", "schedule"),
    ),
    MetricSpec(
        name="segmon_evidence_age_seconds",
        type="gauge",
        help="Age of what was last seen of an input (a kind or the flow sources). Stale above its limit.",
        labels=("cluster", "input"),
    ),
    MetricSpec(
        name="segmon_evidence_fresh",
        type="gauge",
        help="1 while an input is fresh, 0 while what depends on it is not evaluated.",
        labels=("cluster", "input"),
    ),
    MetricSpec(
        name="segmon_series_dropped_total",
        type="counter",
        help="Domains whose series were dropped, summed up as domain `_other`, because they are beyond the limit.",
        labels=("cluster",),
    ),
    MetricSpec(
        name="segmon_facts_total",
        type="counter",
        help="Facts folded.",
        labels=("cluster",),
    ),
    MetricSpec(
        name="segmon_consumer_lag",
        type="gauge",
        help="Records between the end of a partition and the position recorded in SQL.",
        labels=("topic", "partition"),
        by=("work", "match"),
    ),
    MetricSpec(
        name="segmon_evaluation_duration_seconds",
        type="histogram",
        help="From a batch taken to its evaluation done.",
        labels=("cluster",),
        buckets=DURATION_BUCKETS,
    ),
    MetricSpec(
        name="segmon_recording_duration_seconds",
        type="histogram",
        help="One recording transaction.",
        labels=("component",),
        buckets=DURATION_BUCKETS,
        by=("work", "match"),
    ),
    MetricSpec(
        name="segmon_database_errors_total",
        type="counter",
        help="Failed transactions: transient ones are retried, others halve the batch.",
        labels=("component", "kind"),
        by=("work", "match"),
    ),
    MetricSpec(
        name="segmon_dead_letters_total",
        type="counter",
        help="Messages put on the dead-letter topic.",
        labels=("topic", "reason"),
        by=("work", "match", "collect"),
    ),
    MetricSpec(
        name="segmon_flows_total",
        type="counter",
        help="Flow records judged, by class.",
        labels=("cluster", "class"),
        by=("match",),
    ),
    MetricSpec(
        name="segmon_parse_errors_total",
        type="counter",
        help="Lines that look like LOG lines and could not be read.",
        labels=("reason",),
        by=("collect",),
    ),
    MetricSpec(
        name="segmon_watch_synced",
        type="gauge",
        help="1 while a kind is listed and watched.",
        labels=("cluster", "kind"),
        by=("watch",),
    ),
    MetricSpec(
        name="segmon_watch_restarts_total",
        type="counter",
        help="Watches closed and opened again, by reason.",
        labels=("cluster", "kind", "reason"),
        by=("watch",),
    ),
    MetricSpec(
        name="segmon_published_facts_total",
        type="counter",
        help="Facts published.",
        labels=("cluster",),
        by=("watch",),
    ),
)
"""Every family, in the order of the documentation."""

METRICS_BY_NAME = {spec.name: spec for spec in METRICS}

DOMAIN_LIMIT = 200
"""Domains with label sets of their own; the rest is summed up under OTHER_DOMAIN."""

OTHER_DOMAIN = "_other"
