"""When a cluster may be judged, and which of its inputs can be trusted."""

import pytest
from scenes.log import Log, deny_all, evaluated, heard, heartbeat, key, namespace, outcome, pod, seconds, take

from models.facts import Epoch, Kind, Repair, SilentSource, Sync, Tick
from models.wire import Unreadable


def begun(scope="all", instance="w"):
    return Sync(scope=scope, phase="begun", instance=instance)


def done(scope="all", instance="w"):
    return Sync(scope=scope, phase="done", instance=instance)


def input_of(state, name):
    return state.inputs(state.at)[name]


def test_nothing_is_judged_before_the_first_listing_has_ended():
    log = Log().add(begun(), namespace("shop"))

    assert log.state().blocked(seconds(1))
    assert not log.add(done()).state().blocked(seconds(1))


def test_while_a_kind_is_listed_nothing_is_judged_for_a_minute_and_then_without_it():
    state = Log().listed(namespace("shop")).add(begun("Pod"), at=seconds(10)).later(seconds(71)).state()

    assert state.blocked(seconds(70))
    assert not state.blocked(seconds(71))
    assert input_of(state, "Pod").state == "opening"
    assert input_of(state, "Namespace").state == "fresh"


def test_a_listing_that_was_never_ended_is_cleared_by_the_next_full_one():
    log = Log().listed(namespace("shop")).add(begun("Pod"), at=seconds(10))
    state = log.listed(at=seconds(100)).state()

    assert input_of(state, "Pod").state == "fresh"


def test_marks_and_heartbeats_of_a_writer_that_was_replaced_do_not_count():
    log = Log().listed(namespace("shop")).add(begun(instance="new"), at=seconds(10))
    blocked = log.add(done(instance="w"), heartbeat(instance="w"), at=seconds(11)).state()
    listed = log.add(done(instance="new"), at=seconds(12)).state()

    assert blocked.blocked(seconds(11))
    assert not listed.blocked(seconds(12))
    assert input_of(blocked, "Node").seen_at < seconds(0)


def test_a_kind_is_stale_180_seconds_after_it_was_seen():
    log = Log().listed(namespace("shop"))
    fresh, stale = log.state(), log.add(Tick(partition=0), at=seconds(180)).state()

    assert input_of(fresh, "Pod").state == "fresh"
    assert input_of(stale, "Pod").state == "stale"


def test_a_kind_that_is_not_readable_says_why_and_only_what_needs_it_is_not_evaluated():
    state = Log().listed(namespace("shop"), pod("web-0"), deny_all()).later(seconds(5), Tier="not_readable").state()
    evaluation = evaluated(state)

    assert outcome(evaluation, "namespace/shop", "default-deny-ingress").reason == "Tier: forbidden"
    assert outcome(evaluation, "namespace/shop", "flow-escaped").outcome == "pass"


def test_a_fact_that_cannot_be_read_makes_its_kind_unreadable_until_its_key_is_readable_or_gone():
    at = key(Kind.TIER, "security")
    log = Log().listed(namespace("shop")).put(at, Unreadable("version 9"))
    broken = log.state()
    mended = log.put(at, None).state()

    assert input_of(broken, "Tier").reason == "c1/Tier//security cannot be read: version 9"
    assert input_of(mended, "Tier").state == "fresh"


def test_a_key_that_cannot_be_read_marks_the_cluster_until_a_repair_is_answered_by_a_full_listing():
    log = Log().listed(namespace("shop")).put(None, Unreadable("key"))
    broken = log.state()
    unasked = log.listed(namespace("shop")).state()
    asked = log.add(Repair(keys=("x",))).state()
    answered = log.listed(namespace("shop")).state()

    assert [input_of(each, "Pod").state for each in (broken, unasked, asked)] == ["not_readable"] * 3
    assert input_of(answered, "Pod").state == "fresh"


def test_facts_of_another_cluster_under_this_name_are_refused():
    state = Log().listed(namespace("shop")).add(heartbeat(uid="u2")).state()

    assert "another cluster (u2)" in input_of(state, "Pod").reason


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (heard(), "fresh"),
        (heard((SilentSource(source="kmsg@n1", silent_seconds=99),)), "stale"),
        (None, "not_readable"),
    ],
)
def test_flows_are_an_input_that_is_heard_silent_or_unknown(word, state):
    log = Log().add(begun(), done(), heartbeat())
    log = log.add(word) if word else log

    assert input_of(log.state(), "flows").state == state


def test_flows_are_stale_when_nothing_was_said_of_sources_for_180_seconds():
    state = Log().listed().add(heartbeat(), at=seconds(181)).state()

    assert input_of(state, "flows").state == "stale"


def test_a_log_that_begins_anew_makes_everything_before_it_worthless():
    log = Log().add(Epoch(number=1, partition=0)).listed(namespace("shop"))
    state = log.add(Epoch(number=2, partition=0)).state()

    assert not state.facts
    assert state.blocked(seconds(0))


def test_ages_are_counted_back_from_the_heartbeats_own_time():
    vouched = input_of(Log().listed().later(seconds(30)).state(), "Pod")

    assert (vouched.seen_at, vouched.unbroken_since) == (seconds(29), seconds(25))


def heard_twice(first, second, at):
    """What is vouched for after the first of two heartbeats, and after both."""
    log = Log().listed().add(first)
    before = input_of(log.state(), "Pod")
    return before, input_of(log.add(second, at=at).state(), "Pod")


@pytest.mark.parametrize("late", [-0.4, 0.0, 0.4])
def test_a_stretch_is_unbroken_however_long_each_heartbeat_took_to_its_place_in_the_log(late):
    """Silent since its listing: seen when it was listed, of which each heartbeat gives another log time."""
    silent = heartbeat(ages=(1, 1), stretch=3), heartbeat(ages=(16 - late,) * 2, stretch=3)
    before, after = heard_twice(*silent, at=seconds(15))

    assert after.unbroken_since <= before.unbroken_since <= before.seen_at


@pytest.mark.parametrize("next_beat", [{"stretch": 4}, {"stretch": 2}, {"stretch": 3, "instance": "new"}])
def test_another_stretch_is_a_break_however_short_it_was(next_beat):
    log = Log().listed().add(heartbeat(ages=(1, 1), stretch=3))
    before = input_of(log.state(), "Pod")
    if instance := next_beat.get("instance"):
        log.add(begun(instance=instance), done(instance=instance))
    after = input_of(log.add(heartbeat(ages=(0, 16.4), **next_beat), at=seconds(15)).state(), "Pod")

    assert before.seen_at < after.unbroken_since <= after.seen_at


def test_a_watch_of_an_earlier_release_that_tells_no_stretch_is_held_against_times_alone():
    before, after = heard_twice(heartbeat(ages=(1, 1)), heartbeat(ages=(15.6, 15.6)), at=seconds(15))
    upgraded = heard_twice(heartbeat(ages=(1, 1)), heartbeat(ages=(15.6, 15.6), stretch=1), at=seconds(15))

    assert after.unbroken_since > before.seen_at
    assert upgraded == (before, after)


def test_log_time_never_goes_back():
    log = Log().listed(at=seconds(50))
    state = log.state()
    take(state, [log.records[0]])

    assert state.at == seconds(50)
