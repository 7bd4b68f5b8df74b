"""Batches of one source that are counted in one transaction leave the record that they leave one by one."""

import shutil
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes.log import START

from models import tables
from models.facts import FlowClass
from models.flows import FlowBatch, FlowRecord
from models.recording import FlowRecording, SeenPath, WindowCount
from monitor.flows.windows import window_of
from monitor.store import Store
from streams import sighting


def path(path_id, flow_class, second, number):
    at = START + timedelta(seconds=second)
    return SeenPath(
        path_id=path_id,
        source="a/Pod/x",
        destination="b/Pod/y",
        source_domains=("namespace/a",),
        destination_domains=("namespace/b",),
        protocol="tcp",
        port=80,
        flow_class=flow_class,
        basis="computed",
        cause="why",
        first_at=at,
        last_at=at,
        count=number,
    )


PATHS = st.lists(
    st.tuples(
        st.sampled_from("pqr"), st.sampled_from([FlowClass.ESCAPED, FlowClass.PERMITTED]), st.sampled_from([1, 2])
    ),
    max_size=3,
    unique_by=lambda each: each[0],
)


def recordings(listed):
    """Batches in order, two minutes apart; each with a record that the source lost and one that nobody could read."""
    for number, paths in enumerate(listed):
        seen = tuple(path(path_id, flow_class, 120 * number, times) for path_id, flow_class, times in paths)
        yield FlowRecording(
            partition=0,
            cluster="c1",
            node="n1",
            source="file:/x@n1",
            generation="g",
            start=10 * number,
            end=10 * number + 10,
            at=START + timedelta(seconds=120 * number + 1),
            paths=tuple(sorted(seen, key=lambda each: each.path_id)),
            windows=tuple(
                WindowCount(
                    window_at=window_of(each.first_at),
                    path_id=each.path_id,
                    flow_class=each.flow_class,
                    count=each.count,
                )
                for each in seen
            ),
            records=len(paths),
            unparsed=1,
        )


def recorded(folder, numbers, every):
    file = folder / f"{next(numbers)}.db"
    shutil.copy(folder / "empty.db", file)
    store = Store.open(f"sqlite:///{file}")
    for each in every:
        assert store.record_flows(each).counted
    with store.look() as connection:
        rows = {
            table.name: [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key))]
            for table in (tables.source_position, tables.observed_path, tables.flow_window, tables.evidence_gap)
        }
    store.close()
    file.unlink()
    return rows


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PATHS, min_size=1, max_size=6))
def test_counting_together_is_counting_one_by_one(empty, listed):
    every = list(recordings(listed))

    assert recorded(*empty, sighting.together(every)) == recorded(*empty, every)


def test_what_agrees_is_counted_in_one_transaction_and_a_change_of_class_begins_another():
    agreeing = list(recordings([[("p", FlowClass.ESCAPED, 1)]] * 3))
    changing = list(recordings([[("p", FlowClass.ESCAPED, 1)], [("p", FlowClass.PERMITTED, 1)]]))

    assert [(each.start, each.end) for each in sighting.together(agreeing)] == [(0, 30)]
    assert [(each.start, each.end) for each in sighting.together(changing)] == [(0, 10), (10, 20)]


def batch(start, *, source="file:/x@n1", generation="g", predecessor=""):
    record = FlowRecord(
        at=START,
        source_address="10.0.0.1",
        destination_address="10.0.0.2",
        protocol="tcp",
        prefix="calico-packet",
        position=start + 10,
    )
    return FlowBatch(
        cluster="c1",
        node="n1",
        source=source,
        generation=generation,
        start=start,
        end=start + 10,
        predecessor=predecessor,
        records=(record,),
    )


def test_only_what_goes_on_where_the_one_before_ends_joins_it():
    assert sighting.joins(batch(10), batch(0))
    assert not sighting.joins(batch(20), batch(0))
    assert not sighting.joins(batch(10, source="file:/y@n1"), batch(0))
    assert not sighting.joins(batch(10, generation="h"), batch(0))
    assert not sighting.joins(batch(10, predecessor="f"), batch(0))
