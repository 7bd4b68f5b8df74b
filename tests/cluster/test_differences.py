"""What is published, and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from models.facts import FactKey, Kind
from monitor.cluster.differences import ORDER, Change, differences, digest, still_new

KEYS = [FactKey("east", kind, "shop", name) for kind in ORDER for name in "ab"]
FACTS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([b"1", b"2"]))
CHANGES = st.lists(st.builds(Change, st.sampled_from(KEYS[:6]), st.sampled_from([b"1", b"2", None])))


def digests(facts):
    return {key: digest(value) for key, value in facts.items()}


def played(facts, changes):
    held = dict(facts)
    for change in changes:
        if change.value is None:
            held.pop(change.key, None)
        else:
            held[change.key] = change.value
    return held


@given(wanted=FACTS, known=FACTS)
def test_the_difference_brings_the_log_to_the_source_and_says_nothing_twice(wanted, known):
    changes = differences(wanted.keys() | known.keys(), wanted, digests(known))

    assert played(known, changes) == wanted
    assert all(known.get(change.key) != change.value for change in changes)


@given(known=FACTS, changes=CHANGES)
def test_changes_that_repeat_what_holds_are_left_out_and_the_end_is_the_same(known, changes):
    new = still_new(changes, digests(known))

    assert played(known, new) == played(known, changes)
    assert still_new(new, digests(known)) == new


def test_what_others_depend_on_comes_first_and_what_is_gone_comes_last():
    pod, policy, namespace = (
        FactKey("east", kind, "shop", "x") for kind in (Kind.POD, Kind.NETWORK_POLICY, Kind.NAMESPACE)
    )
    old_pod, old_policy = (FactKey("east", kind, "shop", "old") for kind in (Kind.POD, Kind.NETWORK_POLICY))
    known = {old_pod: b"x", old_policy: b"x"}
    changes = differences(
        [pod, old_policy, policy, old_pod, namespace], dict.fromkeys((pod, policy, namespace), b"1"), known
    )

    assert [change.key for change in changes] == [namespace, policy, pod, old_pod, old_policy]


def test_every_kind_that_is_published_has_its_place():
    marks = {Kind.EPOCH, Kind.TICK, Kind.SYNC, Kind.HEARTBEAT, Kind.REPAIR, Kind.OBSERVED_PATH, Kind.SOURCES_HEARD}

    assert set(ORDER) == set(Kind) - marks
