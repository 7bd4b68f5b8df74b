"""What is recorded slice by slice, each telling only what differs, is what an evaluation from nothing concludes."""

import shutil

from hypothesis import HealthCheck, given, settings
from scenes.changes import BASE, CHANGES, applied
from scenes.log import CLUSTER, Log, deny_all, evaluated, heard, heartbeat, seconds

from models import tables
from models.wire import Unreadable, encode_fact
from monitor.broker.messages import Record
from monitor.state.state import State
from monitor.store import Store
from streams import assessing
from streams.assessing import Known, Place, Remembered
from streams.decoding import Incoming
from streams.slicing import Slice


def incoming(record):
    """As it comes from the broker."""
    value = record.value
    raw = None if value is None else b"?" if isinstance(value, Unreadable) else encode_fact(value)
    at = int(record.at.timestamp() * 1000)
    sent = Record(
        topic="f",
        partition=0,
        offset=record.position.offset,
        timestamp_ms=at,
        key=record.key.text().encode(),
        value=raw,
    )
    return Incoming(
        record=sent, position=record.position, at=record.at, cluster=CLUSTER, key=record.key, value=record.value
    )


def open_rows(store, table, *columns):
    with store.look() as connection:
        rows = connection.execute(table.select().where(table.c.cluster == CLUSTER)).mappings()
        return {
            tuple(row[name] if name != "pods" else tuple(row[name]) for name in columns)
            for row in rows
            if row.get("to_at") is None and row.get("state") != "resolved"
        }


def assert_is(store, anew):
    postures = anew.postures
    assert open_rows(store, tables.domain, "id", "criticality") == {
        (each.domain.id, each.domain.criticality) for each in postures
    }
    assert open_rows(store, tables.domain_member, "domain", "subject", "pods") == {
        (each.domain.id, member.subject, member.pods) for each in postures for member in each.members
    }
    assert open_rows(store, tables.control_status, "domain", "control", "outcome", "reason", "waived") == {
        (each.domain.id, one.control, one.outcome.value, one.reason, one.waived)
        for each in postures
        for one in each.results
    }
    unknown = {one.control for each in postures for one in each.results if one.outcome == "error"}
    open_ones = open_rows(store, tables.finding, "control", "domain", "subject", "sentence", "severity", "waiver")
    assert {each for each in open_ones if each[0] not in unknown} == {
        (one.control, each.domain.id, found.subject, found.sentence, found.severity.value, found.waiver)
        for each in postures
        for one in each.results
        for found in one.subjects
        if found.outcome == "fail" and one.control not in unknown
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_the_record_after_every_slice_is_what_an_evaluation_from_nothing_concludes(empty, changes):
    folder, numbers = empty
    file = folder / f"{next(numbers)}.db"
    shutil.copy(folder / "empty.db", file)
    store, log, known = Store.open(f"sqlite:///{file}"), Log().listed(*BASE), Known(state=State(CLUSTER))
    recorded, taken = None, 0
    try:
        for number, change in enumerate([None, *changes]):
            if change is not None:
                applied(log, change, seconds(7 * number))
            if number % 4 == 3:
                log.gone(deny_all("a")) if number % 8 == 3 else log.add(deny_all("a"))
            if number % 3 == 2:
                log.add(heartbeat(Tier="not_readable" if number % 2 else "fresh"), heard())
            part = Slice(tuple(incoming(each) for each in log.records[taken:]), is_live=True)
            made = assessing.recording(known, part, Place(0, recorded), Remembered())
            store.record(made)
            recorded, taken = made.position, len(log.records)

            assert_is(store, evaluated(log.state()))
        store.verify(CLUSTER)
    finally:
        store.close()
        file.unlink()
