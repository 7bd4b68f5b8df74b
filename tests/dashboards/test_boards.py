"""The boards as documents: the shape that Grafana reads, a grid that a person can read, links that lead somewhere."""

import copy
import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from scenes.grafana import panels

from dashboards.boards import all as boards
from dashboards.boards import links, looks, rest
from models import metrics, reporting
from models.compliance import Outcome, Severity
from models.facts import FlowClass

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Draft202012Validator(json.loads((Path(__file__).parent / "classic_dashboard.schema.json").read_text()))
DOCUMENTS = boards.documents()
every_board = pytest.mark.parametrize("uid", sorted(DOCUMENTS))


def everything(board):
    """Panels and rows, with what closed rows hold."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


@every_board
def test_a_board_has_the_shape_that_grafana_reads(uid):
    found = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in SCHEMA.iter_errors(DOCUMENTS[uid])
    ]

    assert found == []


def broken(change):
    board = copy.deepcopy(DOCUMENTS["segmon-overview"])
    change(board)
    return board


@pytest.mark.parametrize(
    "change",
    [
        lambda board: board.pop("uid"),
        lambda board: board.update(schemaVersion=12),
        lambda board: board.update(rows=[]),
        lambda board: board["panels"][0].pop("gridPos"),
        lambda board: board["panels"][0]["gridPos"].update(w=25),
        lambda board: board["panels"][0].update(type="graph"),
        lambda board: board["panels"][0]["targets"][0].update(rawQuery=False),
        lambda board: board["panels"][1]["targets"][0].update(instant=True, range=True),
        lambda board: board["panels"][1]["targets"][0]["datasource"].update(uid="abc"),
        lambda board: board["panels"][1]["options"].pop("reduceOptions"),
        lambda board: board["panels"][1]["fieldConfig"]["defaults"]["color"].pop("fixedColor"),
        lambda board: board["templating"]["list"][2].update(refresh=0),
        lambda board: board["annotations"]["list"][0].pop("target"),
        lambda board: board["panels"][0]["fieldConfig"]["defaults"]["links"][0].update(url="https://example.org"),
    ],
)
def test_the_schema_finds_what_grafana_would_stumble_over(change):
    assert not SCHEMA.is_valid(broken(change))


@every_board
def test_panels_are_numbered_and_do_not_overlap(uid):
    board = DOCUMENTS[uid]
    numbers = [panel["id"] for panel in everything(board)]
    shown = [panel["gridPos"] for panel in everything(board)]

    assert len(set(numbers)) == len(numbers)
    for one, other in combinations(shown, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


@every_board
def test_lines_are_full_and_follow_each_other_without_a_hole(uid):
    cells = {}
    for panel in everything(DOCUMENTS[uid]):
        place = panel["gridPos"]
        for y in range(place["y"], place["y"] + place["h"]):
            cells[y] = cells.get(y, 0) + place["w"]

    assert set(cells.values()) == {24}
    assert sorted(cells) == list(range(len(cells)))


@every_board
def test_evidence_is_the_first_thing_seen(uid):
    first = DOCUMENTS[uid]["panels"][0]

    assert first["title"] == "Evidence"
    assert first["gridPos"] == {"x": 0, "y": 0, "w": 24, "h": 3}


def test_the_share_not_evaluated_stands_beside_the_share_met():
    found = {panel["title"]: panel["gridPos"] for panel in panels(DOCUMENTS["segmon-overview"])}

    assert found["Controls met"]["y"] == found["Not evaluated"]["y"] == 3
    assert found["Not evaluated"]["x"] == found["Controls met"]["x"] + found["Controls met"]["w"]


@every_board
def test_a_title_is_on_a_board_once(uid):
    titles = [panel["title"] for panel in panels(DOCUMENTS[uid])]

    assert len(set(titles)) == len(titles)


def test_addresses_of_boards_never_change():
    assert set(DOCUMENTS) == {"segmon-overview", "segmon-domain", "segmon-traffic", "segmon-changes", "segmon-health"}


@every_board
def test_links_lead_to_boards_of_ours_and_keep_the_time_and_what_was_chosen(uid):
    urls = set(re.findall(r'"url": "(/d/[^"]+)"', json.dumps(DOCUMENTS[uid])))
    head = DOCUMENTS[uid]["links"]

    assert all(each["keepTime"] and each["includeVars"] for each in head)
    for url in urls:
        target = re.match(r"/d/([\w-]+)\?", url)[1]
        variables = {each["name"] for each in DOCUMENTS[target]["templating"]["list"]}
        assert "${__url_time_range}" in url
        assert "${ds_prometheus:queryparam}" in url
        assert set(re.findall(r"var-(\w+)=", url)) <= variables


def test_every_value_that_may_be_shown_has_its_words():
    assert set(looks.OUTCOMES) == set(Outcome)
    assert set(looks.SEVERITIES) == set(Severity)
    assert set(looks.CLASSES) == set(FlowClass)


def test_every_metric_family_and_every_view_is_on_a_board():
    asked = json.dumps(list(DOCUMENTS.values()))

    assert [spec.name for spec in metrics.METRICS if spec.name not in asked] == []
    assert [spec.name for spec in reporting.VIEWS if f"reporting.{spec.name}" not in asked] == []


def test_what_is_added_to_the_nouns_is_shown_before_anybody_lays_it_out():
    added = [
        metrics.MetricSpec(name="segmon_new_total", type="counter", help="New.", labels=("cluster",)),
        metrics.MetricSpec(name="segmon_new_seconds", type="histogram", help="New.", labels=("cluster",)),
        metrics.MetricSpec(name="segmon_new_timestamp_seconds", type="gauge", help="New.", labels=("cluster",)),
    ]
    view = reporting.ViewSpec(name="novelties", help="New.", columns=("cluster", "at", "what"), at="at")
    made = rest.sections("", added, [view])
    questions = [panel["targets"] for section in made for line in section.lines for _, panel in line.panels]

    asked = json.dumps(questions)
    assert "increase(segmon_new_total{" in asked
    assert "segmon_new_seconds_bucket{" in asked
    assert "1000 * max without (instance, pod) (segmon_new_timestamp_seconds{" in asked
    assert "reporting.novelties" in asked


@every_board
def test_no_control_domain_or_cluster_is_named_in_a_question(uid):
    """What is in the catalogue is asked for, not listed."""
    asked = json.dumps(
        [[each.get("expr"), each.get("rawSql")] for panel in panels(DOCUMENTS[uid]) for each in panel["targets"]]
    )

    for control in Path(ROOT / "monitor/compliance/controls").glob("[a-z]*.py"):
        assert control.stem.replace("_", "-") not in asked


@every_board
def test_the_committed_file_is_what_the_builder_makes(uid):
    file = ROOT / "dashboards/grafana/boards" / f"{uid}.json"

    assert json.loads(file.read_text()) == DOCUMENTS[uid]
    assert links.TAG in DOCUMENTS[uid]["tags"]
