"""Connection sets obey set algebra, exactly, and say themselves in words that can be read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.verdicts import Connection
from monitor.policy import connections, intervals
from monitor.policy.connections import EVERYTHING, NOTHING, ConnectionSet

# few distinct edges, so that ranges meet, touch and cover each other
PORT = st.sampled_from([0, 1, 52, 53, 54, 79, 80, 81, 1023, 1024, 65534, 65535])
BYTE = st.sampled_from([0, 1, 3, 8, 254, 255])


def interval_sets(number):
    return st.lists(st.tuples(number, number).map(sorted).map(tuple), max_size=3).map(intervals.of)


def ported():
    return st.builds(connections.ports, st.sampled_from([6, 17, 132]), interval_sets(PORT), interval_sets(PORT))


def typed():
    return st.builds(connections.icmp, st.sampled_from([1, 58]), interval_sets(BYTE), interval_sets(BYTE))


def whole():
    return st.builds(connections.protocol, st.sampled_from([1, 2, 6, 17, 58, 132, 136, 255]))


def sets():
    part = st.one_of(ported(), typed(), whole(), st.just(EVERYTHING))
    return st.lists(st.tuples(part, st.booleans()), max_size=4).map(folded)


def folded(steps):
    joined = NOTHING
    for part, is_added in steps:
        joined = joined | part if is_added else joined - part
    return joined


def packets():
    return st.one_of(
        st.builds(
            lambda p, d, s: packet(p, destination_port=d, source_port=s), st.sampled_from([6, 17, 132]), PORT, PORT
        ),
        st.builds(lambda p, t, c: packet(p, icmp_type=t, icmp_code=c), st.sampled_from([1, 58]), BYTE, BYTE),
        st.builds(packet, st.sampled_from([2, 47, 136])),
    )


def packet(protocol, **fields):
    return Connection(source_address="10.0.0.1", destination_address="10.0.0.2", protocol=protocol, **fields)


@given(sets(), sets(), packets())
def test_a_packet_is_in_the_union_when_it_is_in_either(left, right, one):
    assert (one in (left | right)) == (one in left or one in right)


@given(sets(), sets(), packets())
def test_a_packet_is_in_the_intersection_when_it_is_in_both(left, right, one):
    assert (one in (left & right)) == (one in left and one in right)


@given(sets(), sets(), packets())
def test_a_packet_is_in_the_difference_when_it_is_only_in_the_first(left, right, one):
    assert (one in (left - right)) == (one in left and one not in right)


@given(sets(), sets(), sets())
def test_equal_sets_are_equal_whatever_made_them(a, b, c):
    assert a & (b | c) == (a & b) | (a & c)
    assert a - (b | c) == (a - b) & (a - c)
    assert ~~a == a
    assert (a - b) | (a & b) == a
    assert not (a & ~a)
    assert (a | ~a).is_everything


@given(sets(), sets())
def test_equal_sets_have_equal_hashes(a, b):
    assert hash(a | b) == hash(b | a)


@given(sets(), sets())
def test_containment_is_an_empty_difference(a, b):
    assert (a <= b) == (a | b == b)


@given(sets())
def test_the_words_of_a_set_are_read_back_as_the_set(one):
    assert connections.from_words(one.words()) == one


@given(sets())
def test_the_edges_of_a_set_lie_on_both_sides_of_its_borders(one):
    for number, first, second in one.edges():
        inside = intervals.plane_holds(one.plane(number), first, second)
        probe = ConnectionSet(0, ((number, ((first, first + 1, (second, second + 1)),)),))

        assert bool(probe & one) == inside


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tcp/8080"], "tcp/8080"),
        (["tcp/80", "tcp/81"], "tcp/80:81"),
        (["udp/53", "tcp/53"], "tcp/53, udp/53"),
        (["icmp", "icmp/8"], "icmp"),
        (["icmp/3/4"], "icmp/3/4"),
        (["tcp/80 from 1024:65535"], "tcp/80 from 1024:65535"),
        (["all"], "all"),
        (["all but tcp/22"], "all but tcp/22"),
        (["47"], "gre"),
    ],
)
def test_connections_are_written_as_people_write_them(words, expected):
    assert str(connections.from_words(words)) == expected


@pytest.mark.parametrize(
    "word",
    ["", "tcp/", "tcp/x", "tcp/70000", "tcp/9:1", "http/80", "igmp/3", "300", "udp/53/4", "icmp/8 from 3", "tcp/²"],
)
def test_a_word_that_is_no_connection_is_named(word):
    with pytest.raises(ValueError, match=r"no connection|range|only tcp"):
        connections.from_words([word])


@given(interval_sets(st.integers(0, 30)), interval_sets(st.integers(0, 30)))
def test_interval_sets_agree_with_sets_of_numbers(left, right):
    def numbers(edges):
        return {n for first, last in intervals.ranges(edges) for n in range(first, last + 1)}

    assert numbers(intervals.union(left, right)) == numbers(left) | numbers(right)
    assert numbers(intervals.intersection(left, right)) == numbers(left) & numbers(right)
    assert numbers(intervals.difference(left, right)) == numbers(left) - numbers(right)
    assert intervals.size(left) == len(numbers(left))
    assert intervals.union(left, right) == intervals.of([*intervals.ranges(left), *intervals.ranges(right)])
