"""Boards on a record that is empty, and on one that nobody writes any more: no error, and never a green page."""

import pytest
from scenes import grafana
from sqlalchemy import create_engine
from store.recordings import at, failing, passing, recording, seen

from dashboards.boards import all as boards
from monitor import clock
from monitor.store import Store

BOARDS = boards.documents()


@pytest.fixture
def store(database):
    made = Store.open(database)
    made.upgrade()
    yield made
    made.close()


@pytest.fixture
def engine(store, database):
    made = create_engine(database)
    yield made
    made.dispose()


def asked(engine, uid):
    """Answers by panel of a board that is opened with everything chosen, since the recordings."""
    start, end = at(-60), clock.now()
    board = BOARDS[uid]
    chosen = grafana.values_of(engine, board, start, end)
    scope = grafana.Scope(start=start, end=end, chosen=chosen, interval_seconds=3600)
    answers = {}
    for panel, target in grafana.questions(board):
        if "rawSql" in target:
            columns, rows = grafana.ask_rows(engine, target["rawSql"], scope)
            answers[panel["title"]] = [dict(zip(columns, row, strict=True)) for row in rows]
    for each in board["annotations"]["list"]:
        answers[each["name"]] = grafana.ask_rows(engine, each["target"]["rawSql"], scope)[1]
    return answers


@pytest.mark.parametrize("uid", sorted(BOARDS))
def test_an_empty_record_gives_an_empty_board_and_no_error(engine, uid):
    answers = asked(engine, uid)

    counts = {"Changes", "Widened something", "Widened without approval", "Effect not worked out"}
    full = {title for title, rows in answers.items() if rows}
    assert full <= counts | {"Open findings by age"}
    assert answers["Evidence"] == []


def test_a_record_that_nobody_writes_any_more_is_not_evaluated_whatever_it_said(engine, store):
    store.record(recording(1, failing(), vouched=(seen(1),)))
    store.record(recording(2, passing(), vouched=(seen(2),)))
    store.record(recording(3, vouched=(seen(7),), seconds=8))

    [evidence] = asked(engine, "segmon-overview")["Evidence"]
    [domain] = asked(engine, "segmon-overview")["Domains"]
    answers = asked(engine, "segmon-domain")
    outcomes = [row["outcome"] for row in answers["Posture per control"]]

    assert evidence["evidence"] == "✘ h: numbers below may be old, not fresh: Pod"
    assert (domain["outcome"], domain["compliance_ratio"], domain["not_evaluated_ratio"]) == ("error", None, 1)
    assert outcomes == ["fail", "pass", "error"]
    assert [row["outcome"] for row in answers["Controls"]] == ["error"]
    assert answers["Controls"][0]["not_evaluated_ratio"] > 0.9


def test_a_domain_that_is_gone_is_shown_up_to_its_end_and_nothing_after(engine, store):
    store.record(recording(1, passing(), vouched=(seen(1),)))
    store.record(recording(2, gone=("namespace/shop",), vouched=(seen(2),), seconds=2))

    answers = asked(engine, "segmon-domain")
    assert [row["outcome"] for row in answers["Posture per control"]] == ["pass", None]
    assert answers["Controls"] == []
    assert [row["gone_at"] for row in answers["Members"]] == [at(2)]


def test_marks_of_names_with_markup_show_it_as_it_is_written(engine, store):
    store.record(recording(1, failing(name="shop/Deployment/<b>&amp;"), vouched=(seen(1),)))

    [(_, _, text, _)] = asked(engine, "segmon-overview")["Findings"]
    assert "shop/Deployment/&lt;b>&amp;amp; · default-deny-ingress" in text
