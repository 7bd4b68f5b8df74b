"""The collector of cycles rests while something is built, and lets go of nothing for ever."""

import gc
import weakref

import pytest

from streams.sweeping import Sweeping


class Ring:
    """Only the collector finds it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before():
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_while_one_of_several_builds_goes_on() -> None:
    sweeping = Sweeping()
    with sweeping.at_rest():
        with sweeping.at_rest():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_a_build_that_failed() -> None:
    with pytest.raises(ValueError, match="broken"), Sweeping().at_rest():
        raise ValueError("broken")
    assert gc.isenabled()


def test_what_is_there_when_a_cluster_was_judged_first_is_not_looked_through_either() -> None:
    sweeping, there = Sweeping(), Ring()
    seen = weakref.ref(there)
    sweeping.settle()
    del there
    gc.collect()
    assert gc.isenabled()
    assert seen() is not None
    sweeping.settle()
    assert gc.get_freeze_count() > 0


def test_what_was_built_is_not_looked_through_until_the_next_build_begins() -> None:
    sweeping = Sweeping()
    with sweeping.at_rest():
        built = Ring()
    seen = weakref.ref(built)
    del built
    gc.collect()
    assert seen() is not None
    with sweeping.at_rest():
        pass
    with sweeping.at_rest():
        gc.collect()
    assert seen() is None
