"""Cutting batches by log time, knowing the broker's time without a clock, trying again."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.facts import FactKey, Kind, Namespace, Tick, key_of
from models.wire import Unreadable, encode_fact
from monitor.broker.messages import Record
from streams.decoding import incoming
from streams.log_clock import LogClock
from streams.retrying import AbandonedError, Retrying
from streams.slicing import slices

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
PODS = FactKey("east", Kind.NAMESPACE, "", "shop").text().encode()


SHOP = encode_fact(Namespace(name="shop"))


def record(offset, *, ago=0.0, key=PODS, value=SHOP):
    at = int((NOW - timedelta(seconds=ago)).timestamp() * 1000)
    return Record(topic="facts", partition=0, offset=offset, timestamp_ms=at, key=key, value=value)


def facts(*ages):
    return [incoming(record(offset, ago=age), epoch=1) for offset, age in enumerate(ages)]


def cut(*ages):
    return [([fact.record.offset for fact in each.facts], each.is_live) for each in slices(facts(*ages), now=NOW)]


def test_what_is_older_than_a_minute_is_one_slice_that_is_not_judged():
    assert cut(3600, 1800, 61, 60, 3) == [([0, 1, 2], False), ([3], True), ([4], True)]


def test_a_live_slice_spans_at_most_five_seconds():
    assert cut(12, 9, 7, 6, 0) == [([0, 1, 2], True), ([3], True), ([4], True)]


def test_a_timestamp_that_steps_back_does_not_make_a_slice_old():
    assert cut(10, 300, 9) == [([0, 1, 2], True)]


@given(st.lists(st.floats(0, 200), max_size=30))
def test_slices_hold_every_fact_once_and_in_order(ages):
    offsets = [offset for held, _ in cut(*ages) for offset in held]

    assert offsets == list(range(len(ages)))


def test_a_partitions_marks_concern_every_cluster_in_it():
    tick = Tick(partition=3)
    mark = incoming(record(1, key=key_of("", tick).text().encode(), value=encode_fact(tick)), epoch=2)

    assert (mark.cluster, mark.position.epoch, mark.value) == ("", 2, tick)


def test_an_unreadable_value_and_an_unreadable_key_are_values():
    value = incoming(record(1, value=b"{"), epoch=1)
    key = incoming(record(1, key=b"east/Nonsense//x"), epoch=1)
    nameless = incoming(record(1, key=b"\xff"), epoch=1)

    assert isinstance(value.value, Unreadable)
    assert value.key == FactKey("east", Kind.NAMESPACE, "", "shop")
    assert (key.cluster, key.key) == ("east", None)
    assert (nameless.cluster, nameless.key) == ("", None)


def test_log_time_is_the_greatest_bound_carried_on_by_the_monotonic_clock():
    seconds = 100.0
    clock = LogClock(lambda: seconds)
    before = clock.now()
    clock.saw(50_000)
    clock.saw(40_000)
    seconds = 103.0

    assert before is None
    assert clock.now() == datetime.fromtimestamp(53, UTC)


class HardEndError(Exception):
    pass


def end_hard(why):
    raise HardEndError(why)


def retrying(stop=None):
    return Retrying(
        is_transient=lambda error: isinstance(error, ConnectionError), give_up=end_hard, stop=stop or asyncio.Event()
    )


async def test_what_can_pass_is_tried_until_it_is_done():
    answers = [ConnectionError("away"), ConnectionError("away"), "done"]

    async def act():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await retrying().until_done("recording", act) == "done"


async def test_what_cannot_pass_is_raised_at_once():
    async def act():
        raise ValueError("no such column")

    with pytest.raises(ValueError, match="no such column"):
        await retrying().until_done("recording", act)


async def test_a_stop_during_a_retry_ends_the_process_hard():
    stop = asyncio.Event()

    async def act():
        stop.set()
        raise ConnectionError("away")

    with pytest.raises(HardEndError, match="left to the next owner"):
        await retrying(stop).until_done("recording", act)


async def test_work_that_is_not_ours_any_more_is_abandoned():
    async def act():
        raise ConnectionError("away")

    with pytest.raises(AbandonedError):
        await retrying().until_done("recording", act, still_ours=lambda: False)
