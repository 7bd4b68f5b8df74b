"""Sets of small numbers as bits: what goes in comes out."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.policy import bits


@given(st.sets(st.integers(0, 700)))
def test_places_come_back_in_order(places):
    assert list(bits.ones(bits.of(places))) == sorted(places)


@given(st.lists(st.integers(0, 70)))
def test_a_place_that_is_named_twice_is_there_once(places):
    assert bits.of(places) == sum(1 << place for place in set(places))
