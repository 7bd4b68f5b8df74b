"""The status page over its record: what it counts, and what it says while the database is away."""

from datetime import timedelta

from parts.postgres import PostgresServer
from store.recordings import at, failing, passing, recording, seen, unevaluated

from monitor.store import Store
from monitor.web import page
from monitor.web.status import StatusPage


def test_a_database_that_is_away_is_told_and_nothing_of_before_is_shown_as_if_it_were_current():
    with PostgresServer() as postgres:
        store = Store.open(postgres.create_database())
        store.upgrade()
        store.record(recording(1, failing(), vouched=(seen(1),)))
        status = StatusPage(store, version="0", now=lambda: at(5))
        before = page.render(status.view())
        postgres.stop()
        away = page.render(status.view())
        postgres.start()
        back = page.render(status.view())
        store.close()

    assert "shop/Deployment/web" in before
    assert "the database cannot be read" in away
    assert "shop/Deployment/web" not in away
    assert "cannot be read" not in back
    assert "shop/Deployment/web" in back


def shares(store, now):
    [cluster] = StatusPage(store, version="0", now=lambda: now).view().clusters
    return cluster.compliant_share, cluster.not_evaluated_share


def test_seconds_since_the_last_heartbeat_move_no_share_while_the_inputs_are_fresh(store):
    store.record(recording(1, failing(), vouched=(seen(0, unbroken=-50),), seconds=0))
    store.record(recording(2, passing(), vouched=(seen(30, unbroken=-50),), seconds=30))
    store.record(recording(3, vouched=(seen(40, unbroken=-50),), seconds=45))

    assert {shares(store, at(40 + since)) for since in (5, 20, 60, 180)} == {(0.25, 0.0)}


def test_once_an_input_is_stale_all_time_since_it_was_seen_is_not_evaluated(store):
    store.record(recording(1, passing(), vouched=(seen(0, unbroken=-50),), seconds=0))
    store.record(recording(2, vouched=(seen(100, unbroken=-50),), seconds=100))

    assert shares(store, at(400)) == (0.25, 0.75)


def test_an_interval_that_nobody_vouched_for_yet_counts_in_no_way(store):
    store.record(recording(1, passing(), vouched=(seen(-60, unbroken=-100),), seconds=0))

    assert shares(store, at(5)) == (None, None)


def test_what_could_not_be_evaluated_counts_up_to_the_last_heartbeat(store):
    store.record(recording(1, unevaluated(), vouched=(seen(0, name="Node"),), seconds=0))
    first = shares(store, at(9))
    store.record(recording(2, vouched=(seen(15, name="Node"),), seconds=15))

    assert first == (None, None)
    assert shares(store, at(20)) == (0.0, 1.0)


def test_what_could_not_be_evaluated_goes_on_while_nobody_sees_anything(store):
    store.record(recording(1, unevaluated(), vouched=(seen(0, name="Node"),), seconds=0))

    assert shares(store, at(400)) == (0.0, 1.0)


def test_a_day_in_which_everything_was_seen_to_its_end_is_the_day(store):
    store.record(recording(1, failing(), vouched=(seen(0, unbroken=-50),), seconds=0))
    day = timedelta(hours=24).total_seconds()
    store.record(recording(2, passing(), vouched=(seen(day / 2, unbroken=-50),), seconds=day / 2))
    store.record(recording(3, vouched=(seen(day, unbroken=-50),), seconds=day))

    assert shares(store, at(day)) == (0.5, 0.0)


def test_what_ended_behind_the_last_heartbeat_waits_for_the_next_one_as_all_does(store):
    store.record(recording(1, failing(), vouched=(seen(0, unbroken=-50),), seconds=0))
    store.record(recording(2, passing(), vouched=(seen(0, unbroken=-50),), seconds=10))
    before = shares(store, at(14))
    store.record(recording(3, vouched=(seen(40, unbroken=-50),), seconds=40))

    assert (before, shares(store, at(44))) == ((None, None), (0.75, 0.0))
