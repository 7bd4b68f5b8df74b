"""`segmon report` as a person and as cron meet it: what is printed, exit codes, errors with their fix."""

import json
import os
import pty
import subprocess
import sys
from datetime import timedelta

import pytest
from reports.test_scheduling import day
from store.recordings import failing, passing, recording, seen

from monitor import clock
from monitor.store import Store

NOW = clock.now()
START = (NOW - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)


def segmon(*arguments):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMON_")}
    command = [sys.executable, "-m", "monitor.cli.main", "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=clean)


def since_start(moment):
    """Seconds of the recordings' own time."""
    return (moment - day("2026-11-24T12:00:00")).total_seconds()


@pytest.fixture
def record(tmp_path):
    """Evaluated since two days, failing for a day, vouched for until now; as its URL."""
    url = f"sqlite:///{tmp_path}/segmon.db"
    begin, middle, end = (since_start(START + timedelta(days=days)) for days in (0, 1, 2))
    now = since_start(NOW)
    store = Store.open(url)
    store.upgrade()
    store.record(recording(1, passing(), vouched=(seen(begin, unbroken=begin),), seconds=begin))
    store.record(recording(2, failing(), vouched=(seen(middle, unbroken=begin),), seconds=middle))
    store.record(recording(3, passing(), vouched=(seen(end, unbroken=begin),), seconds=end))
    store.record(recording(4, vouched=(seen(now, unbroken=begin),), seconds=now))
    store.close()
    return url


def created(record, out, *more):
    period = ("--from", START.isoformat(), "--to", (START + timedelta(days=2)).isoformat())
    return segmon("create", *(more or ("--all",)), *period, "--out", out, "--database", record)


def test_a_record_without_reports_says_so(record):
    assert segmon("list", "--database", record).stdout == "no report was made yet: segmon report create makes one\n"
    assert json.loads(segmon("list", "--database", record, "--output", "json").stdout) == []


def test_a_report_is_created_listed_and_verified_against_the_record(record, tmp_path):
    done = created(record, tmp_path / "out")
    [place] = (tmp_path / "out").iterdir()
    listed = json.loads(segmon("list", "--database", record, "--output", "json").stdout)
    alone, held = segmon("verify", place), segmon("verify", place, "--database", record)

    assert (done.returncode, done.stdout) == (0, f"✔ h: {place}\n")
    assert [row["place"] for row in listed] == [str(place)]
    assert alone.returncode == 0
    assert "the manifest was not held against the record" in alone.stdout
    assert held.returncode == 0
    assert f"the manifest is that of {place.name} in the record of h" in held.stdout


def test_due_makes_each_schedule_once(record, tmp_path):
    first = segmon("due", "--schedule", "daily", "--out", tmp_path / "out", "--database", record)
    again = segmon("due", "--schedule", "daily", "--out", tmp_path / "out", "--database", record)

    assert first.returncode == 0
    assert first.stdout.startswith(f"✔ h daily {NOW - timedelta(days=1):%Y-%m-%d}: ")
    assert (again.returncode, again.stdout) == (0, "✔ h daily: made already\n")


def test_a_period_that_was_over_before_the_first_evidence_is_not_due(record, tmp_path):
    this_month = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    schedules = ("--schedule", "monthly", "--schedule", "daily")
    done = segmon("due", *schedules, "--out", tmp_path / "out", "--database", record)
    is_without = this_month <= START  # on the first days of a month the record reaches into the last one
    last_month = f"– h monthly {this_month - timedelta(days=1):%Y-%m}-01: not due, the first evidence is of "

    assert (done.returncode, done.stderr) == (0, "")
    assert (last_month + f"{START:%Y-%m-%d}" in done.stdout) == is_without
    assert "✔ h daily" in done.stdout


@pytest.mark.parametrize("cluster", [(), ("--cluster", "h")])
def test_nothing_is_due_of_a_record_that_holds_nothing_yet(tmp_path, cluster):
    url = f"sqlite:///{tmp_path}/segmon.db"
    Store.open(url).upgrade()
    done = segmon("due", "--schedule", "daily", *cluster, "--out", tmp_path / "out", "--database", url)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("– nothing has been recorded yet: ")


def test_by_hand_a_record_that_holds_nothing_yet_ends_with_3(tmp_path):
    url = f"sqlite:///{tmp_path}/segmon.db"
    Store.open(url).upgrade()

    assert created(url, tmp_path / "out").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--all", "--from", "2026-13-01", "--to", "2026-12-01"), 2, "--from: no time: '2026-13-01'"),
        (("--from", "2026-10-01", "--to", "2026-11-01"), 2, "which domains? give --domain level/name, or --all"),
        (("--all", "--from", "2026-11-01", "--to", "2026-10-01"), 2, "before it begins"),
        (("--all", "--from", "2026-11-01", "--to", "2999-01-01"), 2, "the period ends in the future"),
        (("--all", "--from", "2001-01-01", "--to", "2001-02-01"), 3, "h was not evaluated before 2001-02-01"),
        (("--all", "--cluster", "none", "--from", "2026-10-01", "--to", "2026-11-01"), 2, "no cluster 'none'"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_code(record, tmp_path, arguments, code, message):
    done = segmon("create", *arguments, "--out", tmp_path / "out", "--database", record)

    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_an_unknown_domain_names_the_known_ones(record, tmp_path):
    done = created(record, tmp_path / "out", "--domain", "namespace/shopp")

    assert (done.returncode, "known: namespace/shop" in done.stderr) == (2, True)


def test_a_folder_that_cannot_be_written_is_told(record, tmp_path):
    (tmp_path / "file").write_text("")
    done = created(record, tmp_path / "file")

    assert done.returncode == 2
    assert f"cannot write the report to {tmp_path / 'file'}: File exists" in done.stderr
    assert "fix: let --out be a folder that can be written to" in done.stderr


def test_a_database_that_is_away_is_told():
    away = "postgresql://segmon@127.0.0.1:1/segmon"
    done = segmon("due", "--schedule", "daily", "--out", "x", "--database", away)

    assert done.returncode == 3
    assert "cannot reach the database" in done.stderr


def test_a_period_that_nobody_evaluated_is_reported_and_ends_with_3(tmp_path):
    url = f"sqlite:///{tmp_path}/segmon.db"
    store = Store.open(url)
    store.upgrade()
    store.record(recording(1, passing(), vouched=(seen(since_start(START)),), seconds=since_start(START)))
    store.close()
    period = ("--from", (START + timedelta(days=1)).isoformat(), "--to", (START + timedelta(days=2)).isoformat())
    done = segmon("create", "--all", *period, "--out", tmp_path / "out", "--database", url)
    [place] = (tmp_path / "out").iterdir()

    assert done.returncode == 3
    assert "nothing was evaluated in the period; the report says so" in done.stderr
    assert (place / "report.html").exists()


def test_a_bar_is_drawn_on_a_terminal_only(record, tmp_path):
    piped = created(record, tmp_path / "out")
    leader, follower = pty.openpty()
    arguments = ["create", "--all", "--from", START.isoformat(), "--to", (START + timedelta(days=2)).isoformat()]
    command = [sys.executable, "-m", "monitor.cli.main", "report", *arguments]
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        subprocess.run(
            [*command, "--out", str(tmp_path / "more"), "--database", record],
            stdout=subprocess.DEVNULL,
            stderr=follower,
            check=True,
            timeout=120,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
        )
        os.close(follower)
        drawn = terminal.read(65536).decode()

    assert piped.stderr == ""
    assert "1/1" in drawn
