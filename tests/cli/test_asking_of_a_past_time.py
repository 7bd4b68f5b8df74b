"""`explain --at` and `reach --at`: the record is asked as it was, with times written as a person writes them."""

from __future__ import annotations

import json

import pytest
import typer
from store.recordings import recording, revision
from typer.testing import CliRunner

from models.errors import CannotEvaluateError, UserError
from models.facts import KubernetesNetworkPolicy, Namespace, Pod, key_of
from models.wire import encode_fact
from monitor.cli import explain, reach
from monitor.cli.sources import DATABASE_FILE
from monitor.store import Store

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
    """Two pods since 12:00:01 on November 24; nothing may enter since 12:00:10."""
    store = Store.open(f"sqlite:///{tmp_path / DATABASE_FILE}")
    store.upgrade()
    store.record(recording(1, revisions=written(*PEOPLE, step=1)))
    store.record(recording(2, seconds=10, revisions=written(CLOSED, step=10)))
    store.close()

    def run(command, at, *more):
        return CliRunner().invoke(app, [command, "--data", str(tmp_path), "--at", at, *more])

    return run


EXPLAIN = ("--from", "shop/web", "--to", "shop/db", "--port", "80")


@pytest.mark.parametrize(("at", "said"), [*((at, "ALLOWED") for at in BEFORE), *((at, "DENIED") for at in AFTER)])
def test_explain_answers_as_it_was(asked, at, said):
    result = asked("explain", at, *EXPLAIN)

    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith(said)


@pytest.mark.parametrize(("at", "pairs"), [*((at, 2) for at in BEFORE), *((at, 0) for at in AFTER)])
def test_reach_answers_as_it_was(asked, at, pairs):
    result = asked("reach", at, "--from", "shop/*", "--to", "shop/*", "--output", "json")

    assert result.exit_code == 0, result.exception
    assert len(json.loads(result.stdout)) == pairs


def test_before_the_record_begins_nothing_is_known(asked):
    error = asked("explain", "2026-11-24", *EXPLAIN).exception

    assert isinstance(error, CannotEvaluateError)
    assert "nothing is known of cluster 'h' at 2026-11-24 00:00:00" in str(error)


def test_a_time_that_is_none_names_its_flag(asked):
    error = asked("reach", "yesterday").exception

    assert isinstance(error, UserError)
    assert "--at: no time: 'yesterday'" in str(error)
