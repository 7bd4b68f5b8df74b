"""Pairs of domains as they are asked for: what may connect, whether that is known, what was seen."""

from msgspec import structs
from store.recordings import at, passing, recording
from store.test_recording_flows import batch
from store.test_reporting_views import path

from models.facts import FlowClass
from models.recording import Reach, ReachUpdate
from monitor.store import pairs


def may(source, destination, *connections):
    return Reach(source=source, destination=destination, connections=connections)


TOLD = ReachUpdate(
    pairs=(may("namespace/a", "namespace/b", "tcp/80"), may("outside", "namespace/a", "all")),
    is_whole=True,
    needs=("Pod",),
)


def ends(rows):
    return [(row.source, row.destination, row.connections) for row in rows]


def test_nothing_is_known_before_the_first_evaluation(store):
    with store.look() as connection:
        assert pairs.status(connection, "h") is None


def test_only_pairs_of_the_ends_that_are_asked_for_are_read(store):
    store.record(recording(1, passing(), reach=TOLD))

    with store.look() as connection:
        assert ends(pairs.among(connection, "h", ("namespace/a", "outside"))) == [("outside", "namespace/a", ["all"])]
        assert ends(pairs.of(connection, "h", "namespace/a")) == [
            ("namespace/a", "namespace/b", ["tcp/80"]),
            ("outside", "namespace/a", ["all"]),
        ]
        assert pairs.status(connection, "h").needs == ["Pod"]


def test_a_changed_pair_leaves_the_others_and_a_whole_ends_what_it_lacks(store):
    store.record(recording(1, passing(), reach=TOLD))
    store.record(recording(2, reach=ReachUpdate(pairs=(may("namespace/a", "namespace/b"),))))
    with store.look() as connection:
        changed = ends(pairs.among(connection, "h", ("namespace/a", "namespace/b", "outside")))
    store.record(recording(3, reach=ReachUpdate(pairs=(may("namespace/b", "namespace/b", "all"),), is_whole=True)))
    with store.look() as connection:
        whole = ends(pairs.among(connection, "h", ("namespace/a", "namespace/b", "outside")))

    assert changed == [("outside", "namespace/a", ["all"])]
    assert whole == [("namespace/b", "namespace/b", ["all"])]


def test_a_pair_that_stays_as_it_is_goes_on(store):
    store.record(recording(1, passing(), reach=TOLD))
    store.record(recording(2, reach=TOLD))

    with store.look() as connection:
        [first, _] = pairs.of(connection, "h", "namespace/a")
    assert first.from_at == at(1)


def test_traffic_is_summed_up_by_the_domains_of_its_ends(store):
    shop = ("namespace/shop", "cluster/h")
    paths = (
        path("a", "b", shop, ("namespace/bank",), FlowClass.ESCAPED),
        path("a2", "b", shop, ("namespace/bank",), FlowClass.ESCAPED),
        path("a", "public", shop, ()),
        path("unknown", "a", (), shop, FlowClass.INDETERMINATE),
    )
    store.record_flows(structs.replace(batch(0, 4), paths=paths))

    with store.look() as connection:
        found = {
            (row.sources[0], row.destinations[0]): (row.flow_class, row.paths) for row in pairs.traffic(connection, "h")
        }
    assert found == {
        ("namespace/shop", "namespace/bank"): ("escaped", 2),
        ("namespace/shop", "outside"): ("permitted", 1),
        ("unknown", "namespace/shop"): ("indeterminate", 1),
    }
