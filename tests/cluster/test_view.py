"""How far a source can be trusted: states, ages, and what is never vouched for."""

import pytest

from models.facts import FactKey, Kind
from monitor.cluster import view as views
from monitor.cluster.differences import Change
from monitor.cluster.settling import Settling, Signature
from monitor.cluster.view import View

KEY = FactKey("east", Kind.POD, "shop", "web")


class Hands:
    """A clock that moves when told."""

    def __init__(self):
        self.at = 1000.0

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def view(clock):
    return View(clock)


def pods(view):
    return view.freshness(stale_seconds=180)[Kind.POD]


def test_a_kind_that_is_not_listed_in_its_time_is_not_readable_with_the_last_trouble(view, clock):
    view.kinds[Kind.POD].troubled("500")
    before = pods(view).state
    clock.at += 31

    assert before == "opening"
    assert (pods(view).state, pods(view).reason) == ("not_readable", "500")


def test_trouble_makes_a_listed_kind_stale_only_after_its_limit(view, clock):
    view.kinds[Kind.POD].listed({})
    clock.at += 179
    view.kinds[Kind.POD].troubled("no connection")
    before = pods(view).state
    clock.at += 2

    assert before == "fresh"
    assert (pods(view).state, pods(view).reason) == ("stale", "no connection")


def test_a_refusal_counts_at_once_and_is_over_when_the_source_vouches_again(view):
    view.kinds[Kind.POD].listed({})
    view.kinds[Kind.POD].unreadable("403")
    refused = pods(view)
    view.kinds[Kind.POD].seen()

    assert (refused.state, refused.reason) == ("not_readable", "403")
    assert pods(view).state == "fresh"


def test_a_long_silence_breaks_what_was_unbroken_and_a_short_one_does_not(view, clock):
    pod = view.kinds[Kind.POD]
    pod.listed({})
    clock.at += 80
    pod.seen()
    after_short = pods(view).unbroken_since
    clock.at += 91
    pod.seen()

    assert after_short == 1000.0
    assert pods(view).unbroken_since == clock.at


def test_every_break_begins_another_stretch_and_nothing_else_does(view, clock):
    pod = view.kinds[Kind.POD]

    def stretch():
        return pods(view).at(Kind.POD, clock.at).stretch

    unlisted = stretch()
    pod.listed({KEY: b"1"})
    listed = stretch()
    clock.at += 80
    pod.seen()
    pod.changed(KEY, b"2")
    pod.troubled("500")
    pod.unreadable("403")
    kept = stretch()
    pod.broken()
    squashed = stretch()
    clock.at += 91
    pod.seen()
    silent = stretch()
    pod.listed({})

    assert (unlisted, listed, kept, squashed, silent, stretch()) == (0, 1, 1, 2, 3, 4)


def test_a_kind_that_is_not_served_says_so(view):
    view.kinds[Kind.POD].listed({}, is_served=False)

    assert pods(view).state == "not_served"


def test_changes_come_out_in_order_with_nothing_swallowed(view):
    pod = view.kinds[Kind.POD]
    pod.listed({KEY: b"1"})
    view.take()
    pod.changed(KEY, None)
    pod.changed(KEY, b"1")

    assert view.take().changes == (Change(KEY, None), Change(KEY, b"1"))


def test_an_event_that_changes_nothing_is_no_change(view):
    pod = view.kinds[Kind.POD]
    pod.listed({KEY: b"1"})
    view.take()
    pod.changed(KEY, b"1")

    assert view.take().changes == ()


def test_what_could_not_be_published_waits_as_its_latest_state_and_is_not_unbroken(view, clock):
    pod = view.kinds[Kind.POD]
    pod.listed({KEY: b"1"})
    view.take()
    pod.changed(KEY, None)
    taken = view.take()
    clock.at += 5
    pod.changed(KEY, b"2")
    view.put_back(taken)

    assert view.take().changes == (Change(KEY, b"2"),)
    assert pods(view).unbroken_since == clock.at


def test_what_waits_is_bounded_by_the_number_of_things(view, monkeypatch):
    monkeypatch.setattr(views, "MOST_PENDING", 10)
    view = View(Hands())
    pod = view.kinds[Kind.POD]
    pod.listed({})
    view.take()
    for number in range(1000):
        pod.changed(KEY, b"%d" % number)

    changes = view.take().changes
    assert len(changes) <= 11
    assert changes[-1] == Change(KEY, b"999")


def test_a_file_written_in_place_is_taken_after_a_second_and_one_moved_into_place_at_the_second_look():
    settling = Settling()
    first = settling.look({"a": Signature(1, 1, 1), "b": Signature(2, 1, 1)}, at=0.0)
    changed = {"a": Signature(1, 2, 2), "b": Signature(3, 2, 1)}
    looks = [settling.look(changed, at=at)[0] for at in (0.2, 0.4, 0.6, 1.3, 1.5)]

    assert first == (["a", "b"], [])
    assert looks == [[], ["b"], [], ["a"], []]


def test_a_file_that_keeps_growing_is_not_taken_and_a_removed_one_is_gone_at_once():
    settling = Settling()
    settling.look({"a": Signature(1, 0, 0)}, at=0.0)
    growing = [settling.look({"a": Signature(1, size, size)}, at=size * 0.9)[0] for size in range(1, 10)]

    assert growing == [[]] * 9
    assert settling.look({}, at=20.0) == ([], ["a"])
