"""Regions turned round, held against plain sets while classes are split off and let through something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.policy import connections, reach_matrix
from monitor.policy.reach_matrix import Matrix

ALLOWED = tuple(connections.ports(6, (port, port + 1)) for port in (80, 443))
CLASSES = 6
NUMBERS = st.integers(0, 40)
FARS = st.lists(st.sets(NUMBERS, max_size=8) | st.just(frozenset(range(41))), min_size=2, max_size=2)
STEPS = st.lists(
    st.tuples(st.just("split"), NUMBERS)
    | st.tuples(st.just("replace"), NUMBERS, FARS)
    | st.tuples(st.just("retouch"), NUMBERS, NUMBERS, st.sets(st.integers(0, 1)))
    | st.tuples(st.just("ask"), NUMBERS),
    max_size=25,
)


@pytest.fixture(autouse=True, scope="module")
def _boxes_of_three_classes_are_wide():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reach_matrix, "NARROW", 2)
        patched.setattr(reach_matrix, "MANY_SHAPES", 3)
        yield


class Plain:
    """For each class that lets anything through: of every set of connections the far classes."""

    def __init__(self, size):
        self.size = size
        self.fars = {}

    def split(self, old):
        for fars in self.fars.values():
            for far in fars:
                if old in far:
                    far.add(self.size)
        self.size += 1

    def replace(self, place, fars):
        self.fars[place] = [{far % self.size for far in each} for each in fars]
        return region_of(self.fars[place])

    def retouch(self, place, far, wanted):
        for at, each in enumerate(self.fars[place]):
            (each.add if at in wanted else each.discard)(far)
        return [ALLOWED[at] for at in wanted]

    def letting(self, far):
        return {
            allowed: found
            for at, allowed in enumerate(ALLOWED)
            if (found := bits(place for place, fars in self.fars.items() if far in fars[at]))
        }


def bits(places):
    return sum(1 << place for place in places)


def region_of(fars):
    return tuple((bits(far), allowed) for far, allowed in zip(fars, ALLOWED, strict=True) if far)


def held(matrix, place):
    return {box for box in matrix.region(place) if box[0]}


def letting(matrix, place):
    """What comes in parts put together."""
    found = {}
    for part, allowed in matrix.letting(place):
        if part:
            found[allowed] = found.get(allowed, 0) | part
    return found


@given(st.dictionaries(st.integers(0, CLASSES - 1), FARS), STEPS)
def test_a_matrix_follows_splits_and_changes(first, steps):
    plain = Plain(CLASSES)
    matrix = Matrix({place: plain.replace(place, fars) for place, fars in first.items()}, CLASSES)

    for what, number, *rest in steps:
        place = number % plain.size
        if what == "split":
            assert matrix.split(place) == plain.size
            plain.split(place)
        elif what == "replace":
            matrix.replace(place, plain.replace(place, *rest))
        elif what == "retouch":
            far = rest[0] % plain.size
            if place in plain.fars:
                matrix.retouch(place, far, plain.retouch(place, far, rest[1]))
        else:  # not after every step: what is not asked grows by several splits at once
            assert letting(matrix, place) == plain.letting(place)
            assert place not in plain.fars or held(matrix, place) == set(region_of(plain.fars[place]))

    for place, fars in plain.fars.items():
        assert held(matrix, place) == set(region_of(fars))
        matrix.replace(place, region_of(fars))
        assert matrix.has(place, region_of(fars))
    for place in range(plain.size):
        assert letting(matrix, place) == plain.letting(place)


def test_a_box_that_has_grown_is_taken_out_where_it_was_put():
    matrix = Matrix({0: region_of([{0, 1, 2}, set()])}, 4)
    assert letting(matrix, 1) == {ALLOWED[0]: 1}
    for _ in range(4):
        matrix.split(2)

    matrix.replace(0, region_of([set(), {1}]))

    assert [letting(matrix, place) for place in range(8)] == [{}, {ALLOWED[1]: 1}, {}, {}, {}, {}, {}, {}]
