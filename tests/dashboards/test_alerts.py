"""Every alert fires, does not fire, and resolves, as promtool computes it."""

import re
from pathlib import Path

import pytest
import yaml
from parts.prometheus import promtool

from dashboards import alerts, build
from models import metrics

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = Path("dashboards/prometheus")
RULES = ROOT / PROMETHEUS / "segmon.rules.yaml"
INFO = {
    "series": 'segmon_domain_info{cluster="h",domain="namespace/a",level="namespace",owner="ann",'
    'criticality="high",environment="prod"}',
    "values": "1x400",
}

OUTCOME = 'segmon_control_outcome{{cluster="h",domain="{}",control="default-deny-ingress",outcome="{}"}}'

# per alert: a series whose values make it fire and later resolve (with others beside it), the minutes at which it fires
# and is resolved, values with which it never fires, and labels that it must have
CASES = {
    "SegmonHighFindingOpen": {
        "series": 'segmon_findings_open{cluster="h",domain="namespace/a",control="c",severity="high",pod="w-0"}',
        "bad": "0x2 1x40 0x60",
        "fires": 25,
        "resolved": 60,
        "good": "0x120",
        "labels": {"owner": "ann", "severity": "warning", "domain": "namespace/a"},
    },
    "SegmonDefaultDenyLost": {
        "series": OUTCOME.format("namespace/a", "fail"),
        "bad": "_x30 1x10 stale",
        "beside": {OUTCOME.format("namespace/a", "pass"): "1x29 stale _x10 1x60"},
        "fires": 35,
        "resolved": 50,
        "good": "1x120",  # it never passed: nothing was lost
        "labels": {"owner": "ann", "severity": "critical", "control": "default-deny-ingress"},
    },
    "SegmonNotEvaluated": {
        "series": 'segmon_domain_not_evaluated_ratio{cluster="h",domain="namespace/a"}',
        "bad": "0x5 0.25x60 0x60",
        "fires": 50,
        "resolved": 90,
        "good": "0 0.5 0.5 0.5 0x120",
        "labels": {"owner": "ann", "severity": "warning", "segmon": "compliance"},
    },
    "SegmonDeclaredTrafficDropped": {
        "series": 'segmon_flows_total{cluster="h",class="misdropped"}',
        "bad": "0x5 3x120",
        "fires": 8,
        "resolved": 80,
        "good": "7x120",
        "labels": {"severity": "warning", "cluster": "h"},
    },
    "SegmonWaiverExpiring": {
        "series": 'segmon_waiver_expiry_timestamp_seconds{cluster="h",pod="w-0"}',
        "bad": "1213200x180 9999999x60",  # two weeks and an hour; then the next one
        "fires": 150,
        "resolved": 200,
        "good": "9999999x120",
        "labels": {"severity": "info", "cluster": "h"},
    },
    "SegmonLogLinesUnreadable": {
        "series": 'segmon_parse_errors_total{reason="malformed"}',
        "bad": "0x5 4x120",
        "fires": 10,
        "resolved": 60,
        "good": "4x120",
        "labels": {"severity": "warning", "reason": "malformed"},
    },
    "SegmonDomainsFolded": {
        "series": 'segmon_workloads{cluster="h",domain="_other"}',
        "bad": "0x40 stale",
        "fires": 20,
        "resolved": 60,
        "good": "_x120",
        "labels": {"severity": "info"},
    },
    "SegmonReportOverdue": {
        "series": 'segmon_report_period_end_timestamp_seconds{cluster="h",schedule="daily"}',
        "bad": "0x1899 86400x200",  # the day after the last one, and six hours
        "fires": 1830,
        "resolved": 1950,
        "good": "0x1790",
        "labels": {"severity": "warning", "schedule": "daily"},
    },
    "SegmonProcessDown": {
        "series": 'up{job="segmon",instance="10.0.0.7:9464"}',
        "bad": "1x5 0x20 1x60",
        "fires": 20,
        "resolved": 40,
        "good": "1 0 0 1x120",
        "labels": {"severity": "warning", "instance": "10.0.0.7:9464"},
    },
    "SegmonCriticalFindingOpen": {
        "series": 'segmon_findings_open{cluster="h",domain="namespace/a",control="c",severity="critical",pod="w-0"}',
        "bad": "0x2 2x30 0x60",
        "fires": 20,
        "resolved": 60,
        "good": "0x120",
        "labels": {"owner": "ann", "severity": "critical"},
    },
    "SegmonComplianceRatioDropped": {
        "series": 'segmon_domain_compliance_ratio{cluster="h",domain="namespace/a",pod="w-0"}',
        "bad": "1x60 0.5x40 1x100",
        "fires": 85,
        "resolved": 150,
        "good": "1x120",
        "labels": {"owner": "ann", "severity": "warning"},
    },
    "SegmonUnexpectedCrossDomainFlow": {
        "series": 'segmon_flows_total{cluster="h",class="escaped"}',
        "bad": "0x5 3x120",
        "fires": 8,
        "resolved": 80,
        "good": "7x120",
        "labels": {"severity": "warning"},
    },
    "SegmonEvidenceStale": {
        "series": 'segmon_evidence_fresh{cluster="h",input="Pod"}',
        "bad": "1x5 0x30 1x60",
        "fires": 20,
        "resolved": 50,
        "good": "1x120",
        "labels": {"severity": "warning"},
    },
    "SegmonEvidenceStaleForLong": {
        "series": 'segmon_evidence_fresh{cluster="h",input="Pod"}',
        "bad": "1x5 0x90 1x60",
        "fires": 80,
        "resolved": 110,
        "good": "1x5 0x30 1x60",
        "labels": {"severity": "critical"},
    },
    "SegmonWatchNotSynced": {
        "series": 'segmon_watch_synced{cluster="h",kind="Pod"}',
        "bad": "1x5 0x30 1x60",
        "fires": 20,
        "resolved": 50,
        "good": "1x120",
        "labels": {"severity": "warning"},
    },
    "SegmonConsumerStuck": {
        "series": 'segmon_consumer_lag{topic="segmon.facts.v1",partition="3"}',
        "bad": "0x5 7x40 0x60",
        "fires": 35,
        "resolved": 60,
        "good": "0 5 0 7 0 9 0 11 0 5 0 6 0 7 0 8 0 9 0 5 0 7 0 8 0 9 0 4 0 6 0 5 0 7 0 9 0x60",
        "labels": {"severity": "critical"},
    },
    "SegmonDeadLetterGrowing": {
        "series": 'segmon_dead_letters_total{topic="segmon.facts.v1",reason="undecodable"}',
        "bad": "0x5 4x120",
        "fires": 10,
        "resolved": 60,
        "good": "4x120",
        "labels": {"severity": "warning"},
    },
    "SegmonDatabaseWritesFailing": {
        "series": 'segmon_database_errors_total{component="work",kind="transient"}',
        "bad": "0+1x30 30x60",
        "fires": 20,
        "resolved": 60,
        "good": "5x120",
        "labels": {"severity": "critical"},
    },
    "SegmonAbsent": {
        "series": 'segmon_build_info{version="1",component="work"}',
        "bad": "_x30 1x60",
        "fires": 20,
        "resolved": 45,
        "good": "1x120",
        "labels": {"severity": "critical"},
    },
}


def promtool_test(tmp_path, series, expectations, *, interval="1m"):
    """`series` to their values; `expectations`: expression, minute, value."""
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": interval,
        "tests": [
            {
                "interval": interval,
                "input_series": [*({"series": name, "values": values} for name, values in series.items()), INFO],
                "promql_expr_test": [
                    {"expr": expr, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": value}]}
                    for expr, minute, value in expectations
                ],
            }
        ],
    }
    file = tmp_path / "case.yaml"
    file.write_text(yaml.safe_dump(document))
    return promtool("test", "rules", file)


def firing(name, labels=None):
    """How many alerts of this name and with these labels fire."""
    wanted = {"alertname": name, "alertstate": "firing"} | (labels or {})
    selector = ",".join(f'{label}="{value}"' for label, value in wanted.items())
    return f"sum(ALERTS{{{selector}}} or vector(0))"


@pytest.mark.parametrize("name", sorted(CASES))
def test_alert_fires_and_resolves(name, tmp_path, prometheus_program):
    case = CASES[name]
    series = {case["series"]: case["bad"]} | case.get("beside", {})
    whole = firing(name, case["labels"])

    done = promtool_test(
        tmp_path, series, [(firing(name), 0, 0), (whole, case["fires"], 1), (firing(name), case["resolved"], 0)]
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(CASES))
def test_alert_does_not_fire_while_all_is_well(name, tmp_path, prometheus_program):
    case = CASES[name]

    done = promtool_test(
        tmp_path, {case["series"]: case["good"]}, [(firing(name), minute, 0) for minute in (10, 40, 70, 100)]
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_findings_of_folded_domains_alert_without_an_owner(tmp_path, prometheus_program):
    series = {'segmon_findings_open{cluster="h",domain="_other",control="c",severity="critical"}': "1x30"}
    of_folded = firing("SegmonCriticalFindingOpen", {"domain": "_other", "owner": ""})

    done = promtool_test(tmp_path, series, [(of_folded, 20, 1)])

    assert done.returncode == 0, done.stdout + done.stderr


def test_default_deny_is_not_lost_where_folded_domains_pass_and_fail_side_by_side(tmp_path, prometheus_program):
    series = {OUTCOME.format("_other", "fail"): "2x60", OUTCOME.format("_other", "pass"): "3x60"}

    done = promtool_test(tmp_path, series, [(firing("SegmonDefaultDenyLost"), minute, 0) for minute in (10, 50)])

    assert done.returncode == 0, done.stdout + done.stderr


FEBRUARY_1970, HOUR, DAY = 31 * 24 * 60, 60, 24 * 60


@pytest.mark.parametrize(
    ("schedule", "end", "due"),
    [("weekly", FEBRUARY_1970, 7 * DAY), ("monthly", FEBRUARY_1970, 28 * DAY), ("monthly", 0, 31 * DAY)],
)
def test_a_report_is_overdue_six_hours_after_the_end_of_its_period(schedule, end, due, tmp_path, prometheus_program):
    name = f'segmon_report_period_end_timestamp_seconds{{cluster="h",schedule="{schedule}"}}'
    limit = end + due + 6 * HOUR

    done = promtool_test(
        tmp_path,
        {name: f"{end * 60}x1500"},
        [(firing("SegmonReportOverdue"), limit - HOUR, 0), (firing("SegmonReportOverdue"), limit + 3 * HOUR, 1)],
        interval="1h",
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_case_and_its_runbook():
    names = {alert.name for alert in alerts.ALERTS}

    assert set(CASES) == names
    assert {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")} == names


def test_every_runbook_says_what_it_means_what_to_look_at_and_how_to_fix_it():
    for alert in alerts.ALERTS:
        page = (ROOT / "docs/runbooks" / f"{alert.name}.md").read_text()
        heads = [line for line in page.splitlines() if line.startswith("#")]

        assert heads == [f"# {alert.name}", "## What it means", "## What to look at first", "## How to fix"]


@pytest.mark.parametrize("document", ["segmon.rules.yaml", "prometheusrule.yaml"])
def test_runbooks_may_stand_elsewhere(document):
    """A site that keeps its own copy: no other line differs."""
    committed = build.generated()[PROMETHEUS / document]
    elsewhere = build.generated("https://wiki.example/segmon")[PROMETHEUS / document]

    assert elsewhere == committed.replace(f" {alerts.RUNBOOKS}/", " https://wiki.example/segmon/")
    assert elsewhere.count("runbook_url: https://wiki.example/segmon/Segmon") == len(alerts.ALERTS)


def test_recordings_are_named_by_level_metric_and_operation():
    for rule in alerts.RECORDINGS:
        level, metric, operation = rule.name.split(":")

        assert level in {"cluster", "cluster_domain"}
        assert metric.startswith("segmon_")
        assert re.fullmatch(r"[a-z]+[0-9]*[smhd]?", operation)


def test_alerts_are_named_and_worded_by_the_conventions():
    for alert in alerts.ALERTS:
        assert re.fullmatch(r"Segmon[A-Za-z]+", alert.name)
        assert alert.summary[0].isupper()
        assert alert.summary.endswith(".")
        assert "{{" not in alert.summary


def test_every_expression_speaks_only_of_specified_families():
    recorded = {rule.name for rule in alerts.RECORDINGS}
    expressions = [rule.expr for rule in (*alerts.RECORDINGS, *alerts.ALERTS)]
    spoken = {word for text in expressions for word in re.findall(r"[a-z_:]*segmon_[a-z0-9_:]+", text)}

    assert spoken <= recorded | set(metrics.METRICS_BY_NAME)


def test_what_is_generated_is_what_is_committed():
    assert build.main(["--check"]) == 0
