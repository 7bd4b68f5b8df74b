"""Every alert fires, does not fire, and resolves, as promtool computes it."""

import re
from pathlib import Path

import pytest
import yaml
from parts.prometheus import promtool

from dashboards import alerts, build
from models import metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards/prometheus/segmon.rules.yaml"
INFO = {
    "series": 'segmon_domain_info{cluster="h",domain="namespace/a",level="namespace",owner="ann",'
    'criticality="high",environment="prod"}',
    "values": "1x400",
}

# per alert: series that make it fire and later resolve, minutes at which it fires and is resolved, and a healthy series
CASES = {
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


def promtool_test(tmp_path, case, values, expectations):
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": case["series"], "values": values}, INFO],
                "promql_expr_test": [
                    {
                        "expr": f'sum(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                        "eval_time": f"{minute}m",
                        "exp_samples": [{"labels": "{}", "value": count}],
                    }
                    for name, minute, count in expectations
                ],
            }
        ],
    }
    file = tmp_path / "case.yaml"
    file.write_text(yaml.safe_dump(document))
    return promtool("test", "rules", file)


@pytest.mark.parametrize("name", sorted(CASES))
def test_alert_fires_and_resolves(name, tmp_path, prometheus_program):
    case = CASES[name]

    done = promtool_test(
        tmp_path, case, case["bad"], [(name, 0, 0), (name, case["fires"], 1), (name, case["resolved"], 0)]
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(CASES))
def test_alert_does_not_fire_while_all_is_well(name, tmp_path, prometheus_program):
    case = CASES[name]

    done = promtool_test(tmp_path, case, case["good"], [(name, minute, 0) for minute in (10, 40, 70, 100)])

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_case_and_its_runbook():
    names = {alert.name for alert in alerts.ALERTS}

    assert set(CASES) == names
    assert {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")} == names


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
