"""What becomes another result although nothing happened."""

from scenes.log import CLUSTER, Log, deny_all, evaluated, namespace, outcome, pod, seconds, take

from models.facts import Waiver
from monitor.state.state import Dirty


def test_a_pod_that_outlives_the_grace_period_is_judged_again():
    log = Log().listed(namespace("shop"), pod("web-0", created_at=seconds(0)))
    state = log.state()
    young = evaluated(state, state.take_dirty())
    take(state, log.later(seconds(60)).records[-3:])
    old = evaluated(state, state.take_dirty())

    assert outcome(young, "namespace/shop", "unprotected-endpoint").outcome == "skip"
    assert outcome(old, "namespace/shop", "unprotected-endpoint").outcome == "fail"


def test_a_pod_that_was_protected_all_along_is_not_judged_again_when_its_grace_ends():
    log = Log().listed(namespace("shop"), pod("web-0", created_at=seconds(0)), deny_all())
    state = log.state()
    evaluated(state, state.take_dirty())
    take(state, log.later(seconds(60)).records[-3:])

    assert state.take_dirty() == Dirty(frozenset(), frozenset())


def test_a_young_pod_that_loses_its_policy_is_judged_again_when_its_grace_ends():
    log = Log().listed(namespace("shop"), pod("web-0", created_at=seconds(0)), deny_all())
    state = log.state()
    evaluated(state, state.take_dirty())
    take(state, log.gone(deny_all(), at=seconds(30)).records[-1:])
    young = evaluated(state, state.take_dirty())
    take(state, log.later(seconds(60)).records[-3:])
    old = evaluated(state, state.take_dirty())

    assert outcome(young, "namespace/shop", "unprotected-endpoint").outcome == "skip"
    assert outcome(old, "namespace/shop", "unprotected-endpoint").outcome == "fail"


def test_a_waiver_that_expires_makes_everything_dirty_at_that_moment():
    waiver = Waiver(
        name="w",
        control="unprotected-endpoint",
        reason="r",
        requester="a",
        approver="b",
        granted_at=seconds(-10),
        expires_at=seconds(30),
    )
    log = Log().listed(namespace("shop"), pod("web-0"), waiver)
    state = log.state()
    waived = evaluated(state, state.take_dirty())
    before = take_until(state, log, 29)
    after = take_until(state, log, 30)
    unwaived = evaluated(state)

    assert (before, after) == (frozenset(), {f"cluster/{CLUSTER}", "namespace/shop"})
    assert outcome(waived, "namespace/shop", "unprotected-endpoint").waived == 1
    assert outcome(unwaived, "namespace/shop", "unprotected-endpoint").waived == 0


def take_until(state, log, second):
    take(state, log.later(seconds(second)).records[-3:])
    return state.take_dirty().domains
