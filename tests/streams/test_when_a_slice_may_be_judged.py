"""What SQL remembers is read for a slice that may be judged, and for no other: a long listing has many slices."""

from itertools import pairwise

import pytest
from scenes.log import CLUSTER, heard, heartbeat, namespace, pod, seconds

from models.facts import Sync, key_of
from models.wire import encode_fact
from monitor.broker.messages import Record
from monitor.state.state import State
from streams import assessing
from streams.assessing import Known, Place, Remembered
from streams.decoding import incoming
from streams.slicing import Slice


def fact(offset, value, at):
    key = key_of(CLUSTER, value).text().encode()
    stamp = int(seconds(at).timestamp() * 1000)
    record = Record(
        topic="f", partition=0, offset=offset, timestamp_ms=stamp, key=key, value=encode_fact(value), headers=()
    )
    return incoming(record, epoch=1)


BEGUN, DONE = (Sync(scope="all", phase=phase, instance="w") for phase in ("begun", "done"))
FIRST = (BEGUN, namespace("shop"), pod("a"), pod("b"), DONE, heartbeat(), heard())
AGAIN = (BEGUN, pod("a"), pod("b"), DONE, heartbeat())  # by a watch that was restarted
ENDLESS = (BEGUN, pod("a"), pod("b"), pod("c"))
LISTED = (*FIRST, pod("c"), pod("d"), *AGAIN, *ENDLESS)


def told(known, part):
    """Whether it was held to be one that may be judged, and whether it was judged."""
    may_be = assessing.may_be_judged(known, part)
    made = assessing.recording(known, part, Place(0, None), Remembered())
    return may_be, made.evaluation is not None


def in_slices(size, *, seconds_apart=1, is_live=True):
    facts = [fact(number, value, number * seconds_apart) for number, value in enumerate(LISTED, 1)]
    borders = [*range(0, len(facts), size), len(facts)]
    known = Known(state=State(CLUSTER))
    return [told(known, Slice(tuple(facts[start:end]), is_live=is_live)) for start, end in pairwise(borders)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("seconds_apart", [1, 40])
def test_no_slice_is_judged_that_was_not_held_to_be_one(size, seconds_apart):
    answers = in_slices(size, seconds_apart=seconds_apart)

    assert any(is_judged for _, is_judged in answers)
    assert all(may_be for may_be, is_judged in answers if is_judged)


def test_a_part_of_the_first_listing_without_its_end_is_held_to_be_none():
    answers = in_slices(1)

    assert [may_be for may_be, _ in answers[1:4]] == [False, False, False]


def test_a_slice_that_is_too_old_is_held_to_be_none():
    assert not any(may_be for may_be, _ in in_slices(3, is_live=False))
