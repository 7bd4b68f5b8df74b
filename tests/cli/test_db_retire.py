"""`segmon db retire` on a record of two clusters: the limits are the settings', counted back from now."""

from datetime import timedelta

import pytest
from store.recordings import POD, at, failing, passing, recording, revision, seen
from typer.testing import CliRunner

from models.facts import Pod
from models.wire import encode_fact
from monitor import clock
from monitor.cli.context import DATABASE_FILE
from monitor.cli.main import app
from monitor.store import Store

DAYS = 400


def pod(turn):
    return encode_fact(Pod(namespace="shop", name="web-1", labels={"turn": str(turn)}))


@pytest.fixture
def folder(tmp_path):
    """Four changes of one pod, long ago as the settings count it."""
    store = Store.open(f"sqlite:///{tmp_path / DATABASE_FILE}")
    store.upgrade()
    for step in range(1, 5):
        judged = failing() if step % 2 else passing()
        made = recording(step, judged, revisions=(revision(pod(step), step=step, key=POD),), vouched=(seen(step),))
        store.record(made)
    store.close()
    return tmp_path


def retired(folder, *, days):
    return CliRunner(env={"SEGMON_KEEP__DAYS": str(days)}).invoke(app, ["db", "retire", "--data", str(folder)])


def test_what_is_older_than_the_settings_keep_is_counted_by_table_and_gone(folder):
    age = (clock.now() - at(0)) // timedelta(days=1)
    young, old, again = retired(folder, days=age + 2), retired(folder, days=1), retired(folder, days=1)

    assert (young.exit_code, young.output) == (0, "h: nothing\n")
    assert old.exit_code == 0
    assert "3 of fact_revision" in old.output
    assert (again.exit_code, again.output) == (0, "h: nothing\n")


def test_a_cluster_that_the_record_does_not_know_is_named(folder):
    done = CliRunner().invoke(app, ["db", "retire", "--data", str(folder), "--cluster", "nowhere"])

    assert done.exit_code != 0
    assert "nowhere" in str(done.exception) + done.output
