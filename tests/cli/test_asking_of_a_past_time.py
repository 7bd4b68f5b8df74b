"""`explain --at` and `reach --at`: the record is asked as it was, with times written as a person writes them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import typer
from store.recordings import START, at, passing, recording, revision, seen
from typer.testing import CliRunner

from models.errors import CannotEvaluateError, UserError
from models.facts import KubernetesNetworkPolicy, Namespace, Pod, key_of
from models.wire import encode_fact
from monitor.cli import explain, reach
from monitor.cli.context import DATABASE_FILE
from monitor.store import Store
from monitor.store.retiring import Limits

app = typer.Typer()
app.command()(explain.explain)
app.command()(reach.reach)

PEOPLE = (
    Namespace(name="shop"),
    Pod(namespace="shop", name="web", node="n", addresses=("10.0.0.1",)),
    Pod(namespace="shop", name="db", node="n", addresses=("10.0.0.2",)),
)
CLOSED = KubernetesNetworkPolicy(namespace="shop", name="closed", policy_types=("Ingress",))
BEFORE = ["2026-11-24T12:00:05", "2026-11-24T12:00:05Z", "2026-11-24T13:00:05+01:00"]
AFTER = ["2026-11-24T12:00:11", "2026-11-24T12:00:11Z", "2026-11-25", "2026-11-25T00:00"]


def written(*facts, step):
    return tuple(revision(encode_fact(fact), step=step, key=key_of("h", fact)) for fact in facts)


@pytest.fixture
def asked(tmp_path):
    """Two pods since 12:00:01 on November 24; nothing may enter since 12:00:10; recorded up to November 26, noon."""
    store = Store.open(f"sqlite:///{tmp_path / DATABASE_FILE}")
    store.upgrade()
    store.record(recording(1, passing(), revisions=written(*PEOPLE, step=1), vouched=(seen(1),)))
    store.record(recording(2, passing(), seconds=10, revisions=written(CLOSED, step=10), vouched=(seen(10),)))
    store.record(recording(3, passing(), seconds=TWO_DAYS, vouched=(seen(TWO_DAYS),)))
    store.close()

    def run(command, moment, *more):
        then = ["--at", moment] if moment else []
        return CliRunner().invoke(app, [command, "--data", str(tmp_path), *then, *more])

    return run


TWO_DAYS = 172_800
EXPLAIN = ("--from", "shop/web", "--to", "shop/db", "--port", "80")


@pytest.mark.parametrize(
    ("moment", "said"), [*((moment, "ALLOWED") for moment in BEFORE), *((moment, "DENIED") for moment in AFTER)]
)
def test_explain_answers_as_it_was(asked, moment, said):
    result = asked("explain", moment, *EXPLAIN)

    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith(said)


@pytest.mark.parametrize(("moment", "pairs"), [*((moment, 2) for moment in BEFORE), *((moment, 0) for moment in AFTER)])
def test_reach_answers_as_it_was(asked, moment, pairs):
    result = asked("reach", moment, "--from", "shop/*", "--to", "shop/*", "--output", "json")

    assert result.exit_code == 0, result.exception
    assert len(json.loads(result.stdout)) == pairs


def test_before_the_record_begins_nothing_is_known(asked):
    error = asked("explain", "2026-11-24", *EXPLAIN).exception

    assert isinstance(error, CannotEvaluateError)
    assert "nothing is known of cluster 'h' at 2026-11-24 00:00:00" in str(error)


@pytest.mark.parametrize(("command", "more"), [("explain", EXPLAIN), ("reach", ())])
def test_a_time_after_the_record_is_answered_as_last_known_and_ends_with_3(asked, command, more):
    result = asked(command, "2026-11-27", *more)

    assert result.exit_code == 3
    assert result.stdout
    assert "not wholly known at 2026-11-27 00:00:00: the facts of that time are not recorded" in result.stderr


@pytest.mark.parametrize(("command", "more"), [("explain", EXPLAIN), ("reach", ())])
def test_of_a_record_that_nobody_keeps_up_the_answer_says_how_old_it_is(asked, command, more):
    result = asked(command, "", *more)

    assert result.exit_code == 0
    assert "note: nobody keeps this record up: cluster h is as last known at 2026-11-26 12:00:00" in result.stderr


def test_a_time_whose_policies_are_not_kept_ends_with_3(asked, tmp_path):
    """What is left of the facts of that time would be a wrong answer."""
    store = Store.open(f"sqlite:///{tmp_path / DATABASE_FILE}")
    later = TWO_DAYS + 1
    gone = revision(None, step=later, key=key_of("h", CLOSED))
    store.record(recording(4, passing(), seconds=later, revisions=(gone,), vouched=(seen(later),)))
    store.retire("h", Limits(rows=at(later + 1), windows=at(later + 1)), START + timedelta(days=400))
    store.close()

    result = asked("explain", AFTER[0], *EXPLAIN)

    assert result.exit_code == 3
    assert "policy of that time not kept" in result.stderr


def test_a_time_that_is_none_names_its_flag(asked):
    error = asked("reach", "yesterday").exception

    assert isinstance(error, UserError)
    assert "--at: no time: 'yesterday'" in str(error)
