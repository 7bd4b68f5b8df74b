"""The boards keep the rules, every rule finds its fault, and no exclusion outlives its need."""

import copy
from pathlib import Path

import pytest
import yaml
from scenes.linting import BOARD_RULES, PANEL_RULES, TARGET_RULES, faults

from dashboards.boards import all as boards

ROOT = Path(__file__).resolve().parents[2]
EXCLUSIONS = yaml.safe_load((ROOT / "dashboards/grafana/.lint").read_text())["exclusions"]
DOCUMENTS = boards.documents()


def test_every_board_keeps_the_rules():
    found = [fault for board in DOCUMENTS.values() for fault in faults(board) if fault.rule not in EXCLUSIONS]

    assert [f"{fault.rule}: {fault.place}: {fault.message}" for fault in found] == []


def test_every_exclusion_has_its_reason_and_is_needed():
    found = {fault.rule for board in DOCUMENTS.values() for fault in faults(board)}

    assert set(EXCLUSIONS) == found
    assert all(each["reason"].strip() for each in EXCLUSIONS.values())


def numbers(board):
    """The first panel that asks Prometheus."""
    return next(panel for panel in board["panels"] if "expr" in panel.get("targets", [{}])[0])


def rows(board):
    return next(panel for panel in board["panels"] if "rawSql" in panel.get("targets", [{}])[0])


def variable(board, name):
    return next(each for each in board["templating"]["list"] if each["name"] == name)


def ask(expression):
    return lambda board: numbers(board)["targets"][0].update(expr=expression)


def sql(text):
    return lambda board: rows(board)["targets"][0].update(rawSql=text)


def defaults(**values):
    return lambda board: numbers(board)["fieldConfig"]["defaults"].update(values)


STEPS = {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 1}]}
RED = [{"type": "value", "options": {"0": {"color": "red", "index": 0}}}]
CASES = {
    "template-datasource-rule": [lambda board: board["templating"].update(list=[])],
    "template-job-rule": [lambda board: None],
    "template-instance-rule": [lambda board: None],
    "template-label-promql-rule": [
        lambda board: variable(board, "cluster").update(datasource={"type": "prometheus"}, query="values(up, cluster)")
    ],
    "template-on-time-change-reload-rule": [lambda board: variable(board, "domain").update(refresh=1)],
    "template-unused-rule": [
        lambda board: board["templating"]["list"].append({"type": "textbox", "name": "nobody", "query": ""})
    ],
    "uneditable-dashboard": [lambda board: board.update(editable=True), lambda board: board.pop("editable")],
    "panel-datasource-rule": [
        lambda board: numbers(board)["datasource"].update(uid="P1809F7CD0C75ACF3"),
        lambda board: rows(board)["targets"][0].update(datasource={"uid": "segmon-postgres"}),
    ],
    "panel-title-description-rule": [
        lambda board: numbers(board).update(title=""),
        lambda board: rows(board).pop("description"),
    ],
    "panel-units-rule": [defaults(unit="furlong"), lambda board: rows(board)["fieldConfig"]["defaults"].pop("unit")],
    "panel-no-targets-rule": [lambda board: numbers(board).update(targets=[])],
    "segmon-core-panels": [lambda board: numbers(board).update(type="esnet-chord-panel")],
    "segmon-empty-state": [defaults(noValue=" ")],
    "segmon-gaps": [
        lambda board: numbers(board).update(type="timeseries"),
        lambda board: [defaults(custom={"spanNulls": True})(board), numbers(board).update(type="timeseries")],
    ],
    "segmon-colour-alone": [defaults(thresholds=STEPS), defaults(mappings=RED)],
    "target-promql-rule": [ask(""), ask("sum(up"), ask("up{a='b'}[5m")],
    "target-rate-interval-rule": [
        ask("rate(segmon_facts_total[5m])"),
        ask("increase(segmon_facts_total[$__interval])"),
    ],
    "target-counter-agg-rule": [
        ask("sum(segmon_facts_total)"),
        ask('segmon_facts_total{cluster="a"}'),
        ask("delta(segmon_facts_total[$__rate_interval])"),
    ],
    "target-job-rule": [ask("up")],
    "target-instance-rule": [ask("up")],
    "segmon-owner": [ask("sum by (cluster, pod) (up)")],
    "segmon-sql": [
        sql("SELECT id FROM finding"),
        sql("SELECT id FROM reporting.findings f JOIN public.chain c ON true"),
        sql("SELECT id FROM reporting.findings WHERE domain IN ($domain)"),
        sql("SELECT id FROM reporting.findings WHERE domain = '${domain}'"),
        sql("SELECT id FROM reporting.findings WHERE domain = ${domain:raw}"),
    ],
}


def test_every_rule_has_a_case():
    assert set(CASES) == set(BOARD_RULES) | set(PANEL_RULES) | set(TARGET_RULES)


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, number) for rule, each in CASES.items() for number in range(len(each))]
)
def test_a_rule_finds_its_fault(rule, number):
    broken = copy.deepcopy(DOCUMENTS["segmon-overview"])
    CASES[rule][number](broken)

    assert rule in {fault.rule for fault in faults(broken)}
