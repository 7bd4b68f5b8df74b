"""A large report is made by two processes: nothing of it hangs on who wrote what."""

import os
import threading

import pytest
from reports.made_reports import scope
from reports.test_reports import WAIVER, declared
from store.recordings import at, control, failing, posture, recording, seen, subject

from models.compliance import Domain, Outcome
from models.errors import UserError
from monitor.reports import judging, rendering, sharing, strips
from monitor.reports.content import DomainSection, Met, Result, Span
from monitor.store import Store
from monitor.store.errors import StoreError

NAMES = [f"n{number:02}" for number in range(2 * sharing.MANY)]


def many(store):
    """Domains enough for two processes: failing, waived, mended, gone and new ones, with a period before."""
    outcomes = (Outcome.FAIL, Outcome.PASS, Outcome.WARN, Outcome.SKIP)

    def judged(turn, names):
        return [
            posture(
                control(outcomes[(number + turn) % 4], subject(outcomes[(number + turn) % 4], name=f"{name}/x")),
                domain=Domain(id=f"namespace/{name}", level="namespace", name=name, owner=name),
            )
            for number, name in enumerate(names)
        ]

    store.record(recording(1, *judged(0, NAMES), failing(), vouched=(seen(0),), seconds=0.1, **declared(WAIVER)))
    store.record(recording(2, *judged(2, NAMES[1:]), failing(waiver="W"), vouched=(seen(40),), seconds=40.7))
    gone = tuple(f"namespace/{name}" for name in NAMES[:3])
    store.record(recording(3, *judged(5, NAMES[3:]), gone=gone, vouched=(seen(70),), seconds=70.3))
    store.record(recording(4, vouched=(seen(100),), seconds=100))
    return store


def test_two_processes_write_the_bytes_that_one_would_have_written(database, tmp_path, written):
    found = []
    for url in (database, f"sqlite:///{tmp_path}/segmon.db"):  # SQLite has no snapshot to share
        store = Store.open(url)
        store.upgrade()
        found += [written(many(store), scope(55, 100)), written(store, scope(55, 100)), written(store, scope(0, 100))]
        store.close()

    assert len(found[0].domains) > sharing.MANY
    assert found[0].report["comparison"]["worse"]
    assert found[0] == found[1]
    assert found[:3] == found[3:]


def test_both_processes_see_the_record_of_one_moment(database, written, monkeypatch):
    store = Store.open(database)
    store.upgrade()
    many(store)
    before = written(store)
    helped = sharing.helped

    def recorded_meanwhile(work):
        store.record(recording(5, failing(), vouched=(seen(90),), seconds=200))
        return helped(work)

    monkeypatch.setattr(sharing, "helped", recorded_meanwhile)
    meanwhile = written(store)
    store.close()

    assert meanwhile == before


def test_every_number_is_taken_once_from_one_end_or_the_other():
    untaken = sharing.Untaken(7)
    front, back = untaken.from_front(), untaken.from_back()
    taken = [next(front), next(back), next(back), next(front)]

    assert taken == [0, 6, 5, 1]
    assert untaken.taken == 4
    assert (list(front), list(back)) == ([2, 3, 4], [])


def test_what_the_other_process_raises_is_raised_here():
    def fails():
        raise UserError("nothing to see")

    with pytest.raises(UserError, match="nothing to see"), sharing.helped(fails) as helper:
        helper.result()


def test_a_process_that_dies_is_told_of():
    with (
        pytest.raises(StoreError, match=r"ended with 9\n.*run it again"),
        sharing.helped(lambda: os._exit(9)) as helper,
    ):
        helper.result()


def test_no_process_is_left_when_the_first_one_fails():
    with pytest.raises(ValueError, match="of its own"), sharing.helped(threading.Event().wait) as helper:
        raise ValueError("of its own")

    assert not helper.is_alive


def test_of_many_domains_a_page_shows_the_longest_gaps_of_all_controls():
    def breached(number):
        spans = (Span(met=Met.NOT_MET, from_at=at(0), to_at=at(10 + number)),)
        return judging.ControlSection(
            control=f"control-{number:02}", title=f"Title {number:02}", result=Result.NOT_MET, spans=spans, gaps=1,
            seconds=judging.totals(spans), share=0.0, longest_gap_seconds=spans[0].seconds, worst=None,
        )  # fmt: skip

    controls = tuple(breached(number) for number in range(rendering.GAPS_OF_DOMAIN + 2))
    counts = {"workloads_at_start": 1, "workloads_at_end": 1, "workloads_ever": 1}
    section = DomainSection(id="namespace/a", described=(), controls=controls, **counts)
    drawn = strips.drawn(controls, scope().from_at, scope().to_at)
    few, many_ = (rendering.domain(section, drawn, 0, of) for of in (rendering.READABLE, rendering.READABLE + 1))

    assert few.count("<h3>Title") == len(controls)
    assert [each.control.control for each in rendering._longest_of_all(section)] == [
        each.control for each in controls[2:]
    ]
    assert many_.count("<h3>Title") == rendering.GAPS_OF_DOMAIN
    assert "Shorter gaps of 2 other controls in statuses.csv" in many_
