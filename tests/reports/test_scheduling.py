"""Scheduled reports: each period once, however many run it; those that were missed, those that somebody only began."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from reports.made_reports import MADE, scope
from reports.test_reports import told
from store.recordings import at

from models.errors import CannotEvaluateError, UserError
from monitor.reports import checking, gathering, making
from monitor.reports.making import Order
from monitor.reports.scheduling import CATCH_UP, Schedule, due, last_period
from monitor.store import Store
from monitor.store.reports import Claim


@pytest.fixture
def out(tmp_path):
    """SQLite's own files lie in `tmp_path`."""
    return tmp_path / "out"


def order(out, wanted=None, schedule=Schedule.DAILY):
    return Order(scope=wanted or scope(), out=out, schedule=schedule)


def day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Which periods


@pytest.mark.parametrize(
    ("schedule", "now", "begin", "end"),
    [
        (Schedule.DAILY, "2026-11-24T00:00:00", "2026-11-23", "2026-11-24"),
        (Schedule.DAILY, "2026-11-23T23:59:59", "2026-11-22", "2026-11-23"),
        (Schedule.DAILY, "2026-03-30T12:00:00", "2026-03-29", "2026-03-30"),  # clocks go forward in Europe on the 29th
        (Schedule.WEEKLY, "2026-11-30T00:00:00", "2026-11-23", "2026-11-30"),
        (Schedule.WEEKLY, "2026-11-29T23:59:59", "2026-11-16", "2026-11-23"),
        (Schedule.MONTHLY, "2026-03-01T00:00:00", "2026-02-01", "2026-03-01"),
        (Schedule.MONTHLY, "2028-03-31T12:00:00", "2028-02-01", "2028-03-01"),
        (Schedule.MONTHLY, "2027-01-01T00:00:01", "2026-12-01", "2027-01-01"),
    ],
)
def test_the_last_period_is_the_one_that_is_over(schedule, now, begin, end):
    assert last_period(schedule, day(now)) == (day(begin), day(end))


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_the_machines_time_zone_does_not_matter(zone, monkeypatch):
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert last_period(Schedule.MONTHLY, day("2026-11-30T23:30:00")) == (day("2026-10-01"), day("2026-11-01"))
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("schedule", "made_until", "begins"),
    [
        (Schedule.DAILY, None, ["2026-11-23"]),
        (Schedule.DAILY, "2026-11-24", []),
        (Schedule.DAILY, "2026-11-21", ["2026-11-21", "2026-11-22", "2026-11-23"]),
        (Schedule.WEEKLY, "2026-11-09", ["2026-11-09", "2026-11-16"]),
        (Schedule.MONTHLY, "2026-08-01", ["2026-08-01", "2026-09-01", "2026-10-01"]),
    ],
)
def test_missed_periods_are_made_up_for_oldest_first(schedule, made_until, begins):
    periods = due(schedule, day(made_until) if made_until else None, day("2026-11-24T05:00:00"))

    assert [begin for begin, _ in periods] == [day(text) for text in begins]
    assert not periods or periods[-1] == last_period(schedule, day("2026-11-24T05:00:00"))


def test_a_long_time_off_is_made_up_for_in_several_runs():
    periods = due(Schedule.DAILY, day("2025-11-24"), day("2026-11-24"))

    assert (len(periods), periods[0][0]) == (CATCH_UP, day("2025-11-24"))


def test_a_clock_that_went_back_makes_nothing_again():
    assert due(Schedule.DAILY, day("2026-11-24"), day("2026-11-20")) == []


# Once


def test_a_scheduled_report_is_made_once_by_however_many(store, out):
    told(store)
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _: making.make(store, order(out), MADE), range(3)))

    assert len([each for each in done if each]) == 1
    assert len(list(out.iterdir())) == 1
    assert store.reports_made_until("h", "daily") == at(100)


def _make_in_process(url, out, started, results):
    store = Store.open(url)
    started.wait()
    try:
        done = making.make(store, order(out), MADE)
        results.put(str(done.place) if done else "")
    finally:
        store.close()


def test_two_processes_make_it_once(database, out):
    store = Store.open(database)
    store.upgrade()
    told(store)
    forked = multiprocessing.get_context("spawn")
    started, results = forked.Barrier(2), forked.Queue()
    processes = [forked.Process(target=_make_in_process, args=(database, out, started, results)) for _ in range(2)]
    for process in processes:
        process.start()
    places = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)

    assert sorted(bool(place) for place in places) == [False, True]
    assert [row.schedule for row in store.reports("h")] == ["daily"]
    assert len(list(out.iterdir())) == 1
    store.close()


def test_by_hand_a_further_version_is_made_each_time(store, out):
    told(store)
    places = [making.make(store, order(out, schedule=None), MADE).place for _ in range(2)]

    assert [place.name for place in places] == [f"{gathering.identity(scope())}.{number}" for number in (1, 2)]


# Somebody who died


def _die_while_making(url, out):
    """As a kill in the middle: claimed, some files written, no word said."""
    store = Store.open(url)

    def die(done, of):
        os.kill(os.getpid(), signal.SIGKILL)

    making.make(store, order(out), MADE, die)


def test_what_somebody_died_of_making_is_made_by_the_next_at_once(store, out):
    told(store)
    url = store._engine.url.render_as_string(hide_password=False)
    process = multiprocessing.get_context("spawn").Process(target=_die_while_making, args=(url, out))
    process.start()
    process.join(timeout=60)
    while (done := making.make(store, order(out), MADE)) is None:
        """PostgreSQL has not yet seen that the session is gone."""

    assert process.exitcode == -signal.SIGKILL
    assert done.place.name == f"{gathering.identity(scope())}.2"
    assert checking.check_record(store, checking.check(done.place), done.place) == done.place.name
    assert [row.id for row in store.reports("h")] == [done.place.name]
    assert store.verify("h").reports == 1


def test_a_folder_that_a_dead_one_left_is_not_in_the_way(store, out):
    """Died after the folder was moved to its place, before it was entered in the record."""
    told(store)
    store.claim_report(
        Claim(
            report=gathering.identity(scope()),
            cluster="h",
            domain="",
            schedule="daily",
            from_at=at(0),
            to_at=at(100),
            at=at(4000),
            release="0.1.0",
        )
    )
    left = out / f"{gathering.identity(scope())}.1"
    left.mkdir(parents=True)
    done = making.make(store, order(out), MADE)

    assert done.place.name == f"{gathering.identity(scope())}.2"
    assert left.exists()


def test_who_comes_back_after_his_report_was_taken_over_does_not_enter_a_second_one(store, out):
    from monitor.store.errors import StoreError
    from monitor.store.reports import Made

    told(store)
    claim = Claim(
        report=gathering.identity(scope()), cluster="h", domain="", schedule="daily",
        from_at=at(0), to_at=at(100), at=at(4000), release="0.1.0",
    )  # fmt: skip
    number = store.claim_report(claim)
    making.make(store, order(out), MADE)

    with pytest.raises(StoreError, match="was taken over by somebody else"):
        store.finish_report(number, Made(manifest="0" * 64, chain_seq=0, chain_hash="0" * 64, place="x"))


def test_a_report_that_failed_is_not_claimed_for_ever(store, out):
    told(store)
    out.mkdir()
    (out / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the report"):
        making.make(store, order(out / "file"), MADE)

    assert making.make(store, order(out / "out"), MADE) is not None


def test_nothing_half_made_is_left_in_the_folder(store, out):
    told(store)
    with pytest.raises(CannotEvaluateError):
        making.make(store, order(out, scope(-100, 0)), MADE)

    assert list(out.iterdir()) == []
    assert store.reports("h") == []


# What else may be wrong


def test_a_record_that_goes_beyond_now_is_a_clock_that_jumped(store, out):
    told(store)

    with pytest.raises(UserError, match=r"goes up to .*12:01:20 UTC, and now is .*11:00:00 UTC\n.*set the clock"):
        early = gathering.Making(at=at(0) - timedelta(hours=1), release="0.1.0")
        making.make(store, order(out, scope(-7200, -3600)), early)


def test_a_database_that_goes_away_in_the_middle_is_told_as_such(database, out, postgres):
    store = Store.open(database)
    store.upgrade()
    told(store)

    def stop(done, of):
        postgres.kill()

    try:
        with pytest.raises(UserError, match=r"the database went away while the report was made\n.*run it again"):
            making.make(store, order(out), MADE, stop)
    finally:
        postgres.start()
    again = making.make(store, order(out), MADE)

    assert again is not None
    assert [path.name for path in out.iterdir()] == [again.place.name]
    store.close()
