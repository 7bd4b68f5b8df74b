"""The cluster as it was a moment ago."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scenes.log import CLUSTER, Log, deny_all, namespace, pod, seconds

from models.facts import Sync, Tick
from monitor.state.history import History, NotKnown, View


def history(log):
    made = History(CLUSTER)
    made.fold(log.records)
    return made


def owner(made, address, at):
    view = made.as_of(at)
    assert isinstance(view, View), view
    return [each.id for each in view.engine.endpoints_at(address)]


def test_an_address_belongs_to_the_pod_that_had_it_then():
    log = Log().listed(namespace("shop"), pod("old", address="10.0.0.1"))
    log.gone(pod("old"), at=seconds(20)).add(pod("new", address="10.0.0.1"), at=seconds(30))
    made = history(log)

    assert owner(made, "10.0.0.1", seconds(31)) == ["pod:shop/new"]
    assert owner(made, "10.0.0.1", seconds(25)) == []
    assert owner(made, "10.0.0.1", seconds(10)) == ["pod:shop/old"]
    assert owner(made, "10.0.0.1", seconds(31)) == ["pod:shop/new"]


def test_a_time_before_the_first_listing_or_older_than_what_is_kept_is_not_known():
    made = history(Log().listed(namespace("shop"), at=seconds(100)).add(Tick(partition=0), at=seconds(1100)))

    assert made.as_of(seconds(99)) == NotKnown("the cluster had not been listed then")
    assert made.as_of(seconds(150)) == NotKnown("policy of that time not kept")
    assert isinstance(made.as_of(seconds(1099)), View)


def test_a_time_within_a_listing_is_not_known():
    log = Log().listed(namespace("shop")).add(Sync(scope="all", phase="begun", instance="w2"), at=seconds(60))
    during = history(log).as_of(seconds(61))
    log.add(Sync(scope="all", phase="done", instance="w2"), at=seconds(70))
    made = history(log)

    assert during == NotKnown("the cluster was being listed then")
    assert made.as_of(seconds(65)) == NotKnown("the cluster was being listed then")
    assert isinstance(made.as_of(seconds(59)), View)
    assert isinstance(made.as_of(seconds(70)), View)


FACTS = (
    pod("a", address="10.0.0.1"),
    pod("a", address="10.0.0.2"),
    pod("b", address="10.0.0.1"),
    deny_all(),
    namespace("shop", x="1"),
    namespace("shop", x="2"),
)
CHANGES = st.lists(st.tuples(st.sampled_from(FACTS), st.booleans()), max_size=12)


@settings(max_examples=60, deadline=None)
@given(CHANGES, st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_any_moment_asked_in_any_order_is_what_the_facts_up_to_then_give(changes, moments):
    log = Log().listed()
    for second, (fact, is_gone) in enumerate(changes, 1):
        log.gone(fact, at=seconds(second)) if is_gone else log.add(fact, at=seconds(second))
    made = history(log)

    for moment in moments:
        view = made.as_of(seconds(moment))
        expected = Log()
        expected.records = [record for record in log.records if record.at <= seconds(moment)]
        state = expected.state()

        assert view.facts == state.facts
        assert dict(view.engine.endpoints) == dict(state.engine.endpoints)
        assert view.placement.places == state.placement.places
