"""What match records: counted once whatever comes twice, gaps named, changed paths published once."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from store.recordings import at

from models import tables
from models.facts import FlowClass
from models.recording import FlowRecording, SeenPath, WindowCount
from monitor.store import ChainBrokenError, Fenced, Store, queries


def path(flow_class=FlowClass.ESCAPED, *, last=0, count=1, path_id="p1"):
    return SeenPath(
        path_id=path_id,
        source="shop/Deployment/web",
        destination="payments/StatefulSet/ledger",
        source_domains=("namespace/shop",),
        destination_domains=("namespace/payments", "tenant/blue"),
        protocol="tcp",
        port=5432,
        flow_class=flow_class,
        basis="computed",
        cause="end of tier default",
        first_at=at(last),
        last_at=at(last),
        count=count,
    )


def batch(start, end, *, flow_class=FlowClass.ESCAPED, generation="g1", seconds=None, **more):
    moment = end if seconds is None else seconds
    count = end - start
    seen = count > 0
    return FlowRecording(
        partition=0,
        cluster="h",
        node="n1",
        source="file:/var/log/kern.log@n1",
        generation=generation,
        start=start,
        end=end,
        at=at(moment),
        paths=(path(flow_class, last=moment, count=count),) if seen else (),
        windows=(WindowCount(window_at=at(0), path_id="p1", flow_class=flow_class, count=count),) if seen else (),
        records=count,
        **more,
    )


def counted(store):
    with store.look() as connection:
        return connection.execute(select(func.sum(tables.flow_window.c.count))).scalar_one()


def gaps(store):
    with store.look() as connection:
        return [gap.reason for gap in queries.gaps(connection, "h", at(-1000), at(10_000))]


def test_a_batch_that_comes_twice_is_counted_once(store):
    first = store.record_flows(batch(0, 10))
    again = store.record_flows(batch(0, 10))

    assert (first.counted, again.counted) == (True, False)
    assert counted(store) == 10


def test_a_batch_that_was_counted_in_part_is_handed_back(store):
    store.record_flows(batch(0, 10))

    with pytest.raises(Fenced, match="counted up to 10"):
        store.record_flows(batch(5, 15))
    assert store.source_place("h", "file:/var/log/kern.log@n1", "g1") == 10


def test_two_that_hear_a_new_log_at_once_count_it_once(store):
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: store.record_flows(batch(0, 10)).counted, range(4)))

    assert sorted(found) == [False, False, False, True]
    assert counted(store) == 10


def test_lines_that_never_came_are_a_gap_in_the_evidence(store):
    store.record_flows(batch(0, 10))
    skipped = store.record_flows(batch(15, 20))

    assert skipped.gap
    assert gaps(store) == ["5 of g1 never delivered"]


def test_the_end_of_a_rotated_log_that_never_came_is_a_gap(store):
    store.record_flows(batch(0, 10))
    store.record_flows(batch(0, 5, generation="g2", seconds=30, predecessor="g1", predecessor_end=12))
    store.record_flows(batch(5, 9, generation="g2", seconds=31))

    assert gaps(store) == ["the last 2 of g1 never delivered"]


def test_what_a_source_lost_itself_is_a_gap(store):
    assert store.record_flows(batch(0, 3, lost=7)).gap
    assert gaps(store) == ["7 records lost by the source"]


def test_a_path_is_published_when_new_and_when_its_class_changes_only(store):
    published = []
    for start, flow_class in enumerate((FlowClass.ESCAPED, FlowClass.ESCAPED, FlowClass.PERMITTED)):
        store.record_flows(batch(start, start + 1, flow_class=flow_class))
        rows = store.outbox("h")
        published.append([(row.version, row.path.flow_class.value) for row in rows])
        store.clear_outbox("h", [(row.path.path_id, row.version) for row in rows])

    assert published == [[(1, "escaped")], [], [(2, "permitted")]]


def test_a_change_during_the_send_stays_in_the_outbox(store):
    store.record_flows(batch(0, 1))
    [read] = store.outbox("h")
    store.record_flows(batch(1, 2, flow_class=FlowClass.REJECTED))
    store.clear_outbox("h", [(read.path.path_id, read.version)])

    assert [(row.version, row.path.flow_class) for row in store.outbox("h")] == [(2, FlowClass.REJECTED)]


def test_an_older_sight_that_comes_late_does_not_bring_an_old_class_back(store):
    store.record_flows(batch(0, 1, flow_class=FlowClass.PERMITTED, seconds=100))
    store.record_flows(batch(1, 2, flow_class=FlowClass.ESCAPED, seconds=50))
    with store.look() as connection:
        [row] = queries.paths(connection, "h")

    assert (row.flow_class, row.count, row.last_at) == ("permitted", 2, at(100))
    assert [each.version for each in store.outbox("h")] == [1]


def test_a_path_not_seen_for_long_is_published_as_gone(store):
    store.record_flows(batch(0, 1))
    store.forget_paths("h", at(1000))

    assert [(row.version, row.is_gone) for row in store.outbox("h")] == [(2, True)]


def test_sealed_windows_are_chained_and_late_records_open_the_next_part(store):
    store.record_flows(batch(0, 10))
    sealed = store.seal_windows("h", 0, at(300), at(301))
    store.record_flows(batch(10, 12))
    with store.look() as connection:
        parts = connection.execute(select(tables.flow_window.c.part, tables.flow_window.c.count)).all()

    assert sealed == 1
    assert sorted(map(tuple, parts)) == [(0, 10), (1, 2)]
    assert store.verify("h").chain_rows == 1


def test_verify_finds_a_sealed_window_that_somebody_changed(store):
    store.record_flows(batch(0, 10))
    store.seal_windows("h", 0, at(300), at(301))
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE flow_window SET count = 1"))

    with pytest.raises(ChainBrokenError, match="flow_window"):
        store.verify("h")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 19), max_size=5), again=st.lists(st.integers(0, 5), max_size=4))
def test_however_a_log_is_cut_and_sent_again_its_lines_are_counted_once(tmp_path_factory, cuts, again):
    edges = [0, *sorted(set(cuts)), 20]
    spans = list(pairwise(edges))
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('flows')}/segmon.db")
    store.upgrade()
    for number, span in enumerate(spans):
        store.record_flows(batch(*span))
        for earlier in again:
            if earlier <= number:
                store.record_flows(batch(*spans[earlier]))
    found = counted(store), gaps(store)
    store.close()

    assert found == (20, [])
