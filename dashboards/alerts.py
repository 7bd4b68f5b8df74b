"""Recording and alerting rules: the one place where an alert is written; `dashboards.build` emits the files.

Law 1: alerts are about domains and inputs, never one per finding. Law 2: while evidence is stale, compliance alerts are
inhibited (Alertmanager), and staleness itself alerts: stale data never reads as green.
Gauges of state come from the partition's owner only; `max without (instance, pod)` removes who that is.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from models.compliance import Input

RUNBOOKS = "https://github.com/segmon/segmon/blob/main/docs/runbooks"
"""Where the pages of docs/runbooks are read, unless a site says where its copy is: `make dashboards RUNBOOKS=URL`."""
OWNER = "max by (cluster, domain, owner) (segmon_domain_info)"
DEFAULT_DENY = "control=~'default-deny-.+', domain!='_other'"
"""In `_other` some domain passes and another fails at any time."""

HOURS_OF_GRACE = 6
"""After the end of a period: so long may its scheduled report take."""


def owned(expr: str) -> str:
    """With the label `owner` where the domain is known by name; folded domains (`_other`) alert without one."""
    return f"({expr}) * on (cluster, domain) group_left (owner) {OWNER} or on (cluster, domain) ({expr})"


def overdue(schedule: str, seconds: str) -> str:
    """`seconds`: how long the period lasts that follows the last one reported, by PromQL over its end."""
    last = f'max by (cluster, schedule) (segmon_report_period_end_timestamp_seconds{{schedule="{schedule}"}})'
    return f"time() - {last} > {seconds.format(last)} + {HOURS_OF_GRACE} * 3600"


class Recording(Struct, frozen=True, kw_only=True):
    """`name` is level:metric:operation."""

    name: str
    expr: str


class Alert(Struct, frozen=True, kw_only=True):
    """`summary` is a constant sentence, `description` a template; `is_compliance`: inhibited by stale evidence."""

    name: str
    expr: str
    wait: str
    severity: Literal["critical", "warning", "info"]
    summary: str
    description: str
    keep_firing: str = ""
    is_compliance: bool = False


RECORDINGS: tuple[Recording, ...] = (
    Recording(
        name="cluster_domain:segmon_findings_open:sum",
        expr="sum by (cluster, domain, severity) (max without (instance, pod) (segmon_findings_open))",
    ),
    Recording(
        name="cluster_domain:segmon_domain_compliance_ratio:max",
        expr="max by (cluster, domain) (segmon_domain_compliance_ratio)",
    ),
    Recording(
        name="cluster_domain:segmon_domain_compliance_ratio:avg1h",
        expr="avg_over_time(cluster_domain:segmon_domain_compliance_ratio:max[1h])",
    ),
    Recording(
        name="cluster_domain:segmon_domain_compliance_ratio:avg24h",
        expr="avg_over_time(cluster_domain:segmon_domain_compliance_ratio:max[24h])",
    ),
    Recording(
        name="cluster:segmon_flows:rate5m",
        expr="sum by (cluster, class) (rate(segmon_flows_total[5m]))",
    ),
)

ALERTS: tuple[Alert, ...] = (
    Alert(
        name="SegmonCriticalFindingOpen",
        expr=owned('cluster_domain:segmon_findings_open:sum{severity="critical"} > 0'),
        wait="5m",
        severity="critical",
        summary="A security domain has a critical segmentation finding.",
        description="{{ $labels.domain }} in {{ $labels.cluster }} has {{ $value }} critical finding(s) open.",
        is_compliance=True,
    ),
    Alert(
        name="SegmonHighFindingOpen",
        expr=owned('cluster_domain:segmon_findings_open:sum{severity="high"} > 0'),
        wait="15m",
        severity="warning",
        summary="A security domain has a segmentation finding of high severity.",
        description="{{ $labels.domain }} in {{ $labels.cluster }} has {{ $value }} finding(s) of high severity open.",
        is_compliance=True,
    ),
    Alert(
        name="SegmonDefaultDenyLost",
        expr=owned(
            f"max by (cluster, domain, control) (segmon_control_outcome{{{DEFAULT_DENY}, outcome='fail'}}) > 0"
            " and max by (cluster, domain, control)"
            f" (max_over_time(segmon_control_outcome{{{DEFAULT_DENY}, outcome='pass'}}[1h])) > 0"
        ),
        wait="1m",
        severity="critical",
        summary="A security domain that denied by default does not any more.",
        description="{{ $labels.domain }} in {{ $labels.cluster }} met {{ $labels.control }} within the last hour"
        " and fails it now.",
        is_compliance=True,
    ),
    Alert(
        name="SegmonNotEvaluated",
        expr=owned("max by (cluster, domain) (segmon_domain_not_evaluated_ratio) > 0"),
        wait="30m",
        severity="warning",
        summary="Controls of a security domain could not be evaluated.",
        description="{{ $value | humanizePercentage }} of the controls of {{ $labels.domain }} in"
        " {{ $labels.cluster }} have had no result for 30 minutes.",
        is_compliance=True,
    ),
    Alert(
        name="SegmonComplianceRatioDropped",
        expr=owned(
            "cluster_domain:segmon_domain_compliance_ratio:max"
            " < cluster_domain:segmon_domain_compliance_ratio:max offset 1h"
        ),
        wait="15m",
        severity="warning",
        summary="A security domain meets fewer controls than an hour ago.",
        description="{{ $labels.domain }} in {{ $labels.cluster }} meets {{ $value | humanizePercentage }} of them.",
        is_compliance=True,
    ),
    Alert(
        name="SegmonUnexpectedCrossDomainFlow",
        expr='sum by (cluster) (increase(segmon_flows_total{class="escaped"}[10m])) > 0',
        wait="0m",
        keep_firing="30m",
        severity="warning",
        summary="Traffic crossed a boundary that neither policy nor declaration permits.",
        description="{{ $value | humanize }} escaped flow record(s) in {{ $labels.cluster }} within 10 minutes.",
        is_compliance=True,
    ),
    Alert(
        name="SegmonDeclaredTrafficDropped",
        expr='sum by (cluster) (increase(segmon_flows_total{class="misdropped"}[10m])) > 0',
        wait="0m",
        keep_firing="30m",
        severity="warning",
        summary="Traffic that its owner declared is denied.",
        description="{{ $value | humanize }} misdropped flow record(s) in {{ $labels.cluster }} within 10 minutes.",
        is_compliance=True,
    ),
    Alert(
        name="SegmonWaiverExpiring",
        expr="(min by (cluster) (segmon_waiver_expiry_timestamp_seconds) - time()) < 14 * 86400",
        wait="1h",
        severity="info",
        summary="A waiver ends within two weeks.",
        description="A waiver in {{ $labels.cluster }} ends in {{ $value | humanizeDuration }}: what it accepts will"
        " be an open finding.",
    ),
    Alert(
        name="SegmonEvidenceStale",
        expr="max by (cluster, input) (segmon_evidence_fresh) == 0",
        wait="10m",
        severity="warning",
        summary="Evidence is stale, so what depends on it is not evaluated.",
        description="{{ $labels.input }} of {{ $labels.cluster }} has not been seen fresh for 10 minutes.",
    ),
    Alert(
        name="SegmonEvidenceStaleForLong",
        expr="max by (cluster, input) (segmon_evidence_fresh) == 0",
        wait="1h",
        severity="critical",
        summary="Evidence has been stale for an hour.",
        description="{{ $labels.input }} of {{ $labels.cluster }} has not been seen fresh for an hour.",
    ),
    Alert(
        name="SegmonWatchNotSynced",
        expr="max by (cluster, kind) (segmon_watch_synced) == 0",
        wait="10m",
        severity="warning",
        summary="A kind of object cannot be listed and watched.",
        description="{{ $labels.kind }} of {{ $labels.cluster }} is not in sync.",
    ),
    Alert(
        name="SegmonConsumerStuck",
        expr="max by (topic, partition) (segmon_consumer_lag) > 0"
        " and max by (topic, partition) (changes(segmon_consumer_lag[10m])) == 0",
        wait="10m",
        severity="critical",
        summary="A partition has records waiting and no progress.",
        description="{{ $value }} record(s) of {{ $labels.topic }}/{{ $labels.partition }} wait without progress.",
    ),
    Alert(
        name="SegmonDeadLetterGrowing",
        expr="sum by (topic, reason) (increase(segmon_dead_letters_total[15m])) > 0",
        wait="0m",
        keep_firing="15m",
        severity="warning",
        summary="Messages could not be handled and were put aside.",
        description="{{ $value | humanize }} message(s) of {{ $labels.topic }} put aside: {{ $labels.reason }}.",
    ),
    Alert(
        name="SegmonDatabaseWritesFailing",
        expr="sum by (component) (increase(segmon_database_errors_total[5m])) > 0",
        wait="5m",
        severity="critical",
        summary="Findings cannot be recorded in the database.",
        description="{{ $labels.component }} had {{ $value | humanize }} failed transaction(s) within 5 minutes.",
    ),
    Alert(
        name="SegmonLogLinesUnreadable",
        expr="sum by (reason) (increase(segmon_parse_errors_total[15m])) > 0",
        wait="0m",
        keep_firing="15m",
        severity="warning",
        summary="Log lines of the kernel could not be read.",
        description="{{ $value | humanize }} line(s) within 15 minutes: {{ $labels.reason }}.",
    ),
    Alert(
        name="SegmonDomainsFolded",
        expr='max by (cluster) (segmon_workloads{domain="_other"}) >= 0',
        wait="15m",
        severity="info",
        summary="A cluster has more security domains than metrics are kept for.",
        description="Domains of {{ $labels.cluster }} are summed up as _other: their alerts name none of them.",
    ),
    Alert(
        name="SegmonReportOverdue",
        expr=" or ".join(
            (
                overdue("daily", "86400"),
                overdue("weekly", "7 * 86400"),
                overdue("monthly", "days_in_month({}) * 86400"),
            )
        ),
        wait="15m",
        severity="warning",
        summary="A scheduled audit report was not made.",
        description="The last {{ $labels.schedule }} report of {{ $labels.cluster }} ends"
        " {{ $value | humanizeDuration }} ago.",
    ),
    Alert(
        name="SegmonProcessDown",
        expr='up{job="segmon"} == 0',
        wait="5m",
        severity="warning",
        summary="A process of segmon does not answer.",
        description="{{ $labels.instance }} has not answered Prometheus for 5 minutes.",
    ),
    Alert(
        name="SegmonAbsent",
        expr='absent(segmon_build_info{component=~"work|up"})',
        wait="5m",
        severity="critical",
        summary="No worker of segmon is running: nothing is evaluated.",
        description="Prometheus has seen no segmon worker for 5 minutes.",
    ),
)


def groups(runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """The rule file as Prometheus reads it."""
    return {
        "groups": [
            {
                "name": "segmon-recordings",
                "rules": [{"record": rule.name, "expr": rule.expr} for rule in RECORDINGS],
            },
            {"name": "segmon-alerts", "rules": [_alert(alert, runbooks) for alert in ALERTS]},
        ]
    }


def _alert(alert: Alert, runbooks: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expr, "for": alert.wait}
    if alert.keep_firing:
        rule["keep_firing_for"] = alert.keep_firing
    rule["labels"] = {"severity": alert.severity, "segmon": "compliance" if alert.is_compliance else "evidence"}
    rule["annotations"] = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{runbooks}/{alert.name}.md",
    }
    return rule


def prometheus_rule(runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """The same for the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "segmon", "labels": {"app.kubernetes.io/name": "segmon"}},
        "spec": groups(runbooks),
    }


def alertmanager() -> dict[str, Any]:
    """Grouped by domain, compliance silenced while evidence of the same cluster is stale.

    Silent log sources silence only what says the same, that something is not evaluated: what policies do is judged
    without them, and a flow that was seen was seen.
    """
    return {
        "route": {
            "receiver": "segmon",
            "group_by": ["cluster", "domain", "alertname"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
        },
        "inhibit_rules": [
            {
                "source_matchers": [
                    'alertname =~ "SegmonEvidenceStale|SegmonEvidenceStaleForLong"',
                    f'input != "{Input.FLOWS}"',
                ],
                "target_matchers": ['segmon = "compliance"'],
                "equal": ["cluster"],
            },
            {
                "source_matchers": ['alertname =~ "SegmonEvidenceStale|SegmonEvidenceStaleForLong"'],
                "target_matchers": ['alertname = "SegmonNotEvaluated"'],
                "equal": ["cluster"],
            },
            {
                "source_matchers": ['alertname = "SegmonEvidenceStaleForLong"'],
                "target_matchers": ['alertname = "SegmonEvidenceStale"'],
                "equal": ["cluster", "input"],
            },
        ],
        "receivers": [{"name": "segmon"}],
    }
