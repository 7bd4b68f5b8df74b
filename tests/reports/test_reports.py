"""An audit report: the same record and period say the same, nothing unevaluated is met, every file is vouched for."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from store.conftest import store as store  # noqa: PLC0414 - the fixture, on both databases
from store.recordings import at, control, failing, passing, posture, recording, revision, seen, subject, unevaluated

from models.compliance import Domain, Outcome
from models.errors import CannotEvaluateError, UserError
from models.facts import FactKey, Kind
from monitor.reports import checking, files, gathering, making
from monitor.reports.content import Result
from monitor.reports.gathering import Making
from monitor.reports.scheduling import Schedule, last_period
from monitor.store.periods import Scope

MADE = Making(at=at(5000), release="0.1.0")


def scope(begin=0, end=100, domain=""):
    return Scope(cluster="h", domain=domain, from_at=at(begin), to_at=at(end))


def gathered(store, wanted=None, made=MADE):
    with store.look() as connection:
        return gathering.report(connection, wanted or scope(), made)


def told(store):
    """Evaluated from 10 on; fails from 20 to 30, nobody knows from 40 to 50; vouched for up to 80."""
    policy = FactKey("h", Kind.NETWORK_POLICY, "shop", "deny")
    store.record(recording(1, passing(), vouched=(seen(10),), seconds=10))
    store.record(recording(2, failing(), revisions=(revision(b"x", step=20, key=policy),), seconds=20))
    store.record(recording(3, passing(), vouched=(seen(30),), seconds=30))
    store.record(recording(4, unevaluated(), seconds=40))
    store.record(recording(5, passing(), vouched=(seen(50),), seconds=50))
    store.record(recording(6, vouched=(seen(80),), seconds=80))
    return store


def only(report):
    [domain] = report.domains
    [found] = domain.controls
    return found


def test_time_is_weighed_and_what_nobody_saw_is_never_met(store):
    found = only(gathered(told(store)))

    assert found.result is Result.PARTIALLY
    assert found.seconds == {
        "met": 10.0 + 10.0 + 30.0,
        "not met": 10.0,
        "not met, waived": 0.0,
        "not evaluated": 10.0 + 10.0 + 20.0,
        "not applicable": 0.0,
    }
    assert found.share == 0.5


def test_the_stretches_of_a_control_cover_the_period_without_a_gap(store):
    spans = only(gathered(told(store))).spans

    assert (spans[0].from_at, spans[-1].to_at) == (at(0), at(100))
    assert all(before.to_at == after.from_at for before, after in pairwise(spans))


def test_the_sentence_says_what_was_not_met_and_what_was_not_evaluated(store):
    said = gathered(told(store), scope(10, 80)).sentence

    assert said == (
        "From 2026-11-24 12:00 to 2026-11-24 12:01 UTC, the 1 domain of h met 0 of 1 controls at all times; "
        "1 was not met for 10 s together, in 1 gap; 10 s of control time was not evaluated."
    )


def test_a_finding_is_shown_as_it_stood_at_the_end_of_the_period(store):
    told(store)
    [before] = gathered(store, scope(0, 25)).findings
    [after] = gathered(store, scope(0, 60)).findings
    later = gathered(store, scope(35, 60)).findings

    assert (before.state, before.resolved_at, before.open_seconds) == ("open", None, 5.0)
    assert (after.state, after.resolved_at, after.open_seconds) == ("resolved", at(30), 10.0)
    assert [move.transition for move in after.history] == ["opened", "resolved"]
    assert later == ()


def test_a_finding_open_at_the_beginning_counts_from_there(store):
    [found] = gathered(told(store), scope(25, 60)).findings

    assert (found.opened_at, found.open_seconds, found.proof) == (at(20), 5.0, ("no policy selects it",))


def test_waived_time_is_shown_apart_and_is_not_met(store):
    store.record(recording(1, failing(waiver="W"), vouched=(seen(0),), seconds=0))
    store.record(recording(2, passing(), vouched=(seen(100),), seconds=100))
    found = gathered(store)

    assert (only(found).seconds["not met, waived"], only(found).share, only(found).result) == (
        100.0,
        0.0,
        Result.NOT_MET,
    )
    assert [each.state for each in found.findings] == ["waived"]


def test_what_is_gone_by_the_end_is_in_scope_all_the_same(store):
    store.record(recording(1, failing(), vouched=(seen(0),), seconds=0))
    store.record(recording(2, gone=("namespace/shop",), seconds=50))
    found = gathered(store)

    assert [domain.id for domain in found.domains] == ["namespace/shop"]
    assert (found.domains[0].workloads_ever, found.domains[0].workloads_at_end) == (1, 0)
    assert only(found).seconds["not met"] == 50.0


def test_a_new_owner_during_the_period_is_shown_beside_the_old_one(store):
    moved = Domain(id="namespace/shop", level="namespace", name="shop", owner="bob")
    store.record(recording(1, passing(), seconds=0))
    store.record(recording(2, posture(control(Outcome.PASS, subject(Outcome.PASS)), domain=moved), seconds=50))
    [domain] = gathered(store).domains

    assert [(each.owner, each.to_at) for each in domain.described] == [("ann", at(50)), ("bob", None)]


def test_the_same_period_gives_the_same_bytes_whatever_came_after(store):
    told(store)
    first = files.rendered(gathered(store, scope(0, 60)))
    store.record(recording(7, failing(), vouched=(seen(200),), seconds=200))
    again = files.rendered(gathered(store, scope(0, 60)))

    assert first == again


def test_only_the_stated_time_and_release_differ_when_made_again(store):
    told(store)
    first = files.rendered(gathered(store))
    later = files.rendered(gathered(store, made=Making(at=at(9000), release="0.2.0")))
    differing = {name for name in first if first[name] != later[name]}
    changed = [
        name
        for name, value in json.loads(first["report.json"]).items()
        if value != json.loads(later["report.json"])[name]
    ]

    assert differing == {"report.html", "report.json"}
    assert changed == ["made_at", "release"]


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        (scope(100, 0), UserError, "ends .* before it begins"),
        (scope(0, 6000), UserError, "in the future"),
        (scope(0, 100, "namespace/none"), UserError, "no domain namespace/none .*known: namespace/shop"),
        (scope(-100, 0), CannotEvaluateError, "was not evaluated before"),
    ],
)
def test_a_report_that_cannot_be_says_why(store, wanted, error, message):
    told(store)

    with pytest.raises(error, match=message):
        gathered(store, wanted)


def test_what_a_cluster_may_contain_is_escaped(store):
    name = '=cmd|"/C calc"!A1<script>alert(1)</script>\u202e'
    store.record(recording(1, posture(control(Outcome.FAIL, subject(Outcome.FAIL, name=name))), seconds=0))
    made = files.rendered(gathered(store))
    [head, row] = csv.reader(io.StringIO(made["findings.csv"].decode()))

    assert b"<script>" not in made["report.html"]
    assert row[head.index("subject")] == "'" + name


def test_a_report_is_written_whole_listed_and_verified(store, tmp_path):
    told(store)
    place = making.make(store, scope(), MADE, tmp_path)
    [row] = store.reports("h")

    assert len(checking.check(place).files) == 9
    assert (row.id, row.place) == (place.name, str(place))
    assert store.verify("h").reports == 1


@pytest.mark.parametrize("change", ["edited", "missing", "added", "manifest"])
def test_a_report_that_somebody_changed_does_not_verify(store, tmp_path, change):
    place = making.make(told(store), scope(), MADE, tmp_path)
    match change:
        case "edited":
            (place / "findings.csv").write_text("nothing")
        case "missing":
            (place / "findings.csv").unlink()
        case "added":
            (place / "more.csv").write_text("")
        case _:
            (place / "manifest.json").write_text("{")

    with pytest.raises(CannotEvaluateError, match=r"findings\.csv|more\.csv|manifest\.json"):
        checking.check(place)


def test_a_scheduled_report_is_made_once_by_however_many(store, tmp_path):
    told(store)
    with ThreadPoolExecutor(3) as threads:
        places = list(threads.map(lambda _: making.make(store, scope(), MADE, tmp_path, Schedule.DAILY), range(3)))

    assert len([place for place in places if place]) == 1
    assert len(list(tmp_path.glob("R-*"))) == 1


def test_a_report_that_failed_is_not_claimed_for_ever(store, tmp_path):
    told(store)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the report"):
        making.make(store, scope(), MADE, tmp_path / "file", Schedule.DAILY)

    assert making.make(store, scope(), MADE, tmp_path / "out", Schedule.DAILY) is not None


def test_the_last_period_is_the_one_that_is_over():
    now = at(0)  # a Tuesday

    assert last_period(Schedule.DAILY, now)[1] == now.replace(hour=0)
    assert [day.strftime("%a") for day in last_period(Schedule.WEEKLY, now)] == ["Mon", "Mon"]
    assert [day.day for day in last_period(Schedule.MONTHLY, now)] == [1, 1]
    assert last_period(Schedule.DAILY, now)[1] - last_period(Schedule.DAILY, now)[0] == timedelta(days=1)
