"""What is too old goes, what was true after the limit can still be told, and the chain still verifies."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from store.recordings import POD, START, at, failing, passing, recording, revision, seen
from store.test_recording_flows import batch

from models import tables
from models.facts import FactKey, Kind, Namespace, Pod
from models.wire import encode_fact
from monitor.store import ChainBrokenError, connecting
from monitor.store.retiring import Limits

SHOP = FactKey("h", Kind.NAMESPACE, "", "shop")


def pod(turn):
    return encode_fact(Pod(namespace="shop", name="web-1", labels={"turn": str(turn)}))


@pytest.fixture
def kept(store):
    """Six recordings, a second apart: a pod that changes each time, a finding that opens and resolves."""
    for step in range(1, 7):
        revisions = (revision(pod(step), step=step),)
        if step == 1:
            revisions += (revision(encode_fact(Namespace(name="shop")), key=SHOP),)
        judged = failing() if step % 2 else passing()
        store.record(recording(step, judged, revisions=revisions, vouched=(seen(step),)))
    return store


def retire(store, second):
    return store.retire("h", Limits(rows=at(second), windows=at(second)), START + timedelta(days=400))


def count(store, table):
    with store.look() as look:
        return look.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_the_state_and_the_open_findings_of_any_time_after_the_limit_can_still_be_told(kept):
    before = [kept.facts_at("h", at(second)) for second in (4, 5, 6)]
    gone = retire(kept, 4)

    assert [kept.facts_at("h", at(second)) for second in (4, 5, 6)] == before
    assert kept.facts_at("h", at(4))[SHOP] == Namespace(name="shop")
    assert gone["fact_revision"] == 2
    assert gone["finding_transition"] == 2
    assert gone["control_status"] == 2


def test_the_chain_still_verifies_and_says_what_was_retired(kept):
    retire(kept, 4)
    retire(kept, 6)
    verified = kept.verify("h")

    assert (verified.revisions, verified.transitions) == (3, 2)
    assert count(kept, tables.fact_revision) == 3


def test_retiring_again_retires_nothing_and_writes_nothing(kept):
    retire(kept, 4)
    rows = count(kept, tables.chain)

    assert retire(kept, 4) == {}
    assert count(kept, tables.chain) == rows


@pytest.mark.parametrize("table", [tables.fact_revision, tables.finding_transition])
def test_a_row_that_is_younger_than_the_limit_must_be_there(kept, table):
    retire(kept, 4)
    with connecting.writing(kept._engine) as connection:
        youngest = sa.select(sa.func.max(table.c.id))
        connection.execute(sa.delete(table).where(table.c.id.in_(youngest.scalar_subquery())))

    with pytest.raises(ChainBrokenError, match=f"{table.name} of h"):
        kept.verify("h")


def test_the_newest_revision_before_the_limit_must_be_there(kept):
    retire(kept, 4)
    with connecting.writing(kept._engine) as connection:
        connection.execute(sa.delete(tables.fact_revision).where(tables.fact_revision.c.key == SHOP.text()))

    with pytest.raises(ChainBrokenError, match="fact_revision of h"):
        kept.verify("h")


def test_an_interval_that_ended_after_the_limit_must_be_there(kept):
    retire(kept, 4)
    with connecting.writing(kept._engine) as connection:
        status = tables.control_status
        connection.execute(sa.delete(status).where(status.c.to_at == at(5)))

    with pytest.raises(ChainBrokenError, match="control_status of h"):
        kept.verify("h")


def test_without_a_retired_row_nothing_may_be_missing(kept):
    with connecting.writing(kept._engine) as connection:
        oldest = tables.fact_revision.c.offset == 1
        connection.execute(sa.delete(tables.fact_revision).where(oldest, tables.fact_revision.c.key == POD.text()))

    with pytest.raises(ChainBrokenError, match="fact_revision of h"):
        kept.verify("h")


def test_a_window_of_flows_goes_by_its_own_limit_and_only_when_it_is_sealed(kept):
    kept.record_flows(batch(0, 10))
    limits = Limits(rows=at(0), windows=at(300))
    early = kept.retire("h", limits, at(400))
    kept.seal_windows("h", 0, at(200), at(401))
    kept.record_flows(batch(10, 15, seconds=20))  # late: opens the next part of the same window
    gone = kept.retire("h", limits, at(402))

    assert (early, gone) == ({}, {"flow_window": 1})
    assert count(kept, tables.flow_window) == 1
    kept.verify("h")


def test_a_sealed_window_that_is_younger_than_its_limit_must_be_there(kept):
    kept.record_flows(batch(0, 10))
    kept.seal_windows("h", 0, at(200), at(201))
    retire(kept, -1000)
    with connecting.writing(kept._engine) as connection:
        connection.execute(sa.delete(tables.flow_window))

    with pytest.raises(ChainBrokenError, match="flow_window of h"):
        kept.verify("h")
