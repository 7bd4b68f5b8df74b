"""Every question of every board, asked as Grafana asks it of what the demo's story left: the answers are in answers/.

The record is read as the role that Grafana gets. A panel without an expected answer is a difference, and so fails.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

import pytest
from scenes import grafana
from sqlalchemy import create_engine, make_url, text

from dashboards.boards import all as boards
from monitor import clock
from monitor.store import queries

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

BOARDS = boards.documents()
NUMBERS_OF_THE_MOMENT = {"Records waiting", "Lag", "segmon_series_dropped_total"}
COLUMNS_OF_THE_MOMENT = {"age_seconds", "offset", "epoch", "seen_at"}
ORDER_OF_THE_MOMENT = {"Inputs", "reach"}
RECENT = 5.0
"""Seconds: a series that ended before was an outcome of the first moments, before the story."""
WORST = "Domains, worst first"
BEFORE_THE_STORY = "evidence-complete"
"""Whether the log is heard before the first judgement is open: this control may open and resolve before the story."""


@pytest.fixture(scope="module")
def reader(harbour):
    """An engine of the role that was granted the views, and nothing else."""
    url = make_url(harbour.database)
    role = f"grafana_{url.database}"
    with harbour.store._engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'"))
    harbour.segmon("db", "grant", role)
    engine = create_engine(url.set(username=role, password="secret"))
    yield engine
    engine.dispose()
    with harbour.store._engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))


@pytest.fixture(scope="module")
def span():
    """The time shown: the story, and some before it."""
    end = clock.now()
    return end - timedelta(minutes=15), end


class Asking:
    """A board opened with everything chosen; `choose` narrows it."""

    def __init__(self, harbour, reader, span, uid):
        self.board = BOARDS[uid]
        self._prometheus, self._reader = harbour.prometheus, reader
        start, end = span
        self.scope = grafana.Scope(start=start, end=end, chosen=grafana.values_of(reader, self.board, start, end))

    def choose(self, **values):
        self.scope = grafana.Scope(start=self.scope.start, end=self.scope.end, chosen=self.scope.chosen | values)
        return self

    def _target(self, title, ref):
        [target] = [
            each for panel, each in grafana.questions(self.board) if (panel["title"], each["refId"]) == (title, ref)
        ]
        return target

    def rows(self, title, ref="A"):
        columns, rows = grafana.ask_rows(self._reader, self._target(title, ref)["rawSql"], self.scope)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def numbers(self, title, ref="A"):
        return grafana.ask_numbers(self._prometheus, self._target(title, ref), self.scope)

    def answer(self, panel, target) -> list[str]:
        """Lines to compare; what belongs to the moment and not to the story is left out or named."""
        if "rawSql" in target:
            columns, rows = grafana.ask_rows(self._reader, target["rawSql"], self.scope)
            return [" | ".join(columns), *_lines(panel["title"], columns, rows)]
        found = grafana.ask_numbers(self._prometheus, target, self.scope)
        still = {name: values for name, values in found.items() if values[-1][0] > self.scope.end.timestamp() - RECENT}
        lines = [f"{name or '·'}: {_number(panel, target, values)}" for name, values in still.items()]
        return sorted(lines) if panel["type"] == "bargauge" else lines


def _lines(title, columns, rows):
    if title == "Gaps in the evidence":
        return ["<as recorded>"]
    if title == "Posture per control":
        last = {series: outcome for _, series, outcome in rows}
        return sorted(f"… | {series} | {outcome}" for series, outcome in last.items())
    if title == "reach_status":  # before the first heartbeat it is not known
        rows = rows[:1]
    if title == "Changes over time":  # into which second a change falls is chance
        rows = [("<sum>", *(sum(row[at] for row in rows) for at in range(1, len(columns))))]
    lines = [" | ".join(_told(title, name, value) for name, value in zip(columns, row, strict=True)) for row in rows]
    if "transition" in columns or "finding" in columns:
        lines = [line for line in lines if BEFORE_THE_STORY not in line]
    return sorted(lines) if title in ORDER_OF_THE_MOMENT else lines


def _number(panel, target, values):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if (
        unit in {"s", "cps", "dateTimeAsIso"}
        or "increase(" in target["expr"]
        or panel["title"] in NUMBERS_OF_THE_MOMENT
    ):
        return "<number>"
    return f"{values[-1][1]:.4g}"


def _told(title, name, value):
    if name in COLUMNS_OF_THE_MOMENT:
        return f"<{name}>"
    if isinstance(value, datetime):
        return "<time>"
    if title == "Controls" and name.endswith("_ratio") and value is not None:
        return "<share>"
    if isinstance(value, float | Decimal):
        return f"{float(value):.4g}"
    words = "–" if value in {None, ""} else str(value)
    words = re.sub(r"\b[0-9a-f]{24}\b|\bR-[0-9a-f]{12}\.\d+", "<id>", words)
    words = re.sub(r"\d+ s ago", "<seconds> s ago", words)
    words = re.sub(r"file:\S+/kern.log", "file:<folder>/kern.log", words)
    return re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+00:00| UTC)?", "<time>", words).replace("\n", " / ")


@pytest.mark.parametrize("uid", sorted(BOARDS))
def test_every_question_of_a_board_has_the_answer_that_the_story_implies(uid, harbour, reader, span, golden):
    asking = Asking(harbour, reader, span, uid)
    told = []
    for panel, target in grafana.questions(asking.board):
        told += [f"## {panel['title']} [{target['refId']}]", *asking.answer(panel, target), ""]
    golden(f"answers/{uid}.txt", "\n".join(told))


@pytest.mark.parametrize("uid", sorted(BOARDS))
def test_the_columns_of_an_answer_are_those_that_the_board_was_laid_out_for(uid, harbour, reader, span):
    asking = Asking(harbour, reader, span, uid)
    for panel, target in grafana.questions(asking.board):
        if panel["type"] == "table" and "transformations" not in panel:
            columns, _ = grafana.ask_rows(reader, target["rawSql"], asking.scope)
            named = [each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]]

            assert named == list(columns), panel["title"]


def test_a_domain_fails_while_its_policy_is_gone_and_passes_again(harbour, reader, span):
    """Told twice: by Prometheus as numbers, by the record as intervals."""
    numbers = Asking(harbour, reader, span, "segmon-overview").numbers("Domains over time")[
        "namespace/payments · harbour"
    ]
    points = Asking(harbour, reader, span, "segmon-domain").rows("Posture per control")
    recorded = [row["outcome"] for row in points if row["series"] == "namespace/payments · default-deny-ingress"]

    assert [value for value, _ in groupby(value for _, value in numbers)][-3:] == [1, 4, 1]
    assert [outcome for outcome, _ in groupby(recorded)][-3:] == ["pass", "fail", "pass"]


def test_the_share_of_time_in_which_a_control_was_met_is_of_what_was_evaluated(harbour, reader, span):
    rows = Asking(harbour, reader, span, "segmon-domain").rows("Controls")
    share = {(row["domain"], row["control"]): row["met_ratio"] for row in rows}

    assert share["namespace/ledger", "default-deny-ingress"] == 1
    assert 0 < share["namespace/payments", "default-deny-ingress"] < 1
    assert share["namespace/analytics", "default-deny-ingress"] == 0
    assert share["namespace/kube-system", "default-deny-ingress"] is None


def test_every_gap_that_is_recorded_is_shown(harbour, reader, span):
    with harbour.store.look() as look:
        recorded = {(row.input, row.reason) for row in queries.gaps(look, harbour.cluster, *span)}

    shown = Asking(harbour, reader, span, "segmon-health").rows("Gaps in the evidence")
    assert {(row["input"], row["reason"]) for row in shown} == recorded


def test_the_worst_domains_come_first(harbour, reader, span):
    shares = [values[-1][1] for values in Asking(harbour, reader, span, "segmon-overview").numbers(WORST).values()]

    assert shares == sorted(shares)
    assert shares[0] == 0.2


def test_from_a_finding_in_the_overview_one_click_leads_to_its_proof(harbour, reader, span):
    overview = Asking(harbour, reader, span, "segmon-overview")
    [row] = [row for row in overview.rows("Open findings, worst first") if row["control"] == "flow-escaped"]
    [panel] = [each for each in grafana.panels(overview.board) if each["title"] == "Open findings, worst first"]
    link = next(
        each["value"][0]["url"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "finding"
        for each in override["properties"]
        if each["id"] == "links"
    )
    url = grafana.address(link, row, overview.scope)

    assert url.startswith("/d/segmon-domain?from=now-24h&to=now&")
    assert f"var-finding={row['finding']}" in url
    assert "var-domain=namespace%2Frecords" in url

    chosen = Asking(harbour, reader, span, "segmon-domain").choose(finding=row["finding"])
    proof = {row["what"]: row["told"] for row in chosen.rows("The finding chosen")}
    assert proof["Subject"] == "records/StatefulSet/records"
    assert "analytics/Deployment/etl" in proof["What is wrong"]
    assert proof["Proof"]
    assert proof["Smallest fix"]
    assert proof["Domain"] == "namespace/records, owner team-care"
    assert [row["transition"] for row in chosen.rows("Its history")] == ["opened"]


def test_what_is_chosen_narrows_every_answer(harbour, reader, span):
    one = {"domain": ["namespace/payments"], "severity": ["high"], "control": ["default-deny-ingress"]}
    overview = Asking(harbour, reader, span, "segmon-overview").choose(**one)
    domain = Asking(harbour, reader, span, "segmon-domain").choose(**one)

    assert [row["domain"] for row in overview.rows("Domains")] == ["namespace/payments"]
    assert overview.rows("Open findings, worst first") == []
    assert [row["state"] for row in domain.rows("Findings")] == ["resolved"]
    assert [row["transition"] for row in domain.rows("Transitions")] == ["resolved", "opened"]
    assert list(overview.numbers("Domains over time")) == ["namespace/payments · harbour"]
    assert [value for _, value in overview.numbers("Controls met")[""]] == [1]


def test_names_with_quotes_backslashes_and_brackets_stay_names(harbour, reader, span):
    odd = {"domain": ["it's", "back\\slash", "x' OR 'a' = 'a", "((", "é\u202e"], "control": ["'; --"]}
    for uid in BOARDS:
        asking = Asking(harbour, reader, span, uid).choose(**odd, finding="'")
        for panel, target in grafana.questions(asking.board):
            asking.answer(panel, target)


def test_an_empty_choice_is_an_empty_board_and_no_error(harbour, reader, span):
    for uid in BOARDS:
        asking = Asking(harbour, reader, span, uid)
        asking.choose(**{name: [] for name, value in asking.scope.chosen.items() if isinstance(value, list)})
        for panel, target in grafana.questions(asking.board):
            asking.answer(panel, target)


def test_changes_and_findings_are_annotated_on_every_board(harbour, reader, span):
    for board in BOARDS.values():
        scope = Asking(harbour, reader, span, board["uid"]).scope
        marks = {}
        for each in board["annotations"]["list"]:
            columns, rows = grafana.ask_rows(reader, each["target"]["rawSql"], scope)
            marks[each["name"]] = [dict(zip(columns, row, strict=True)) for row in rows]

        texts = " ".join(row["text"] for row in marks["Policy changes"])
        assert "deleted KubernetesNetworkPolicy payments/default-deny" in texts
        moved = " ".join(row["text"] for row in marks["Findings"])
        assert "opened critical: records/StatefulSet/records · flow-escaped" in moved
        assert "resolved high: payments/Deployment/worker · default-deny-ingress" in moved
        assert all({"time", "title", "text", "tags"} == set(row) for rows in marks.values() for row in rows)
