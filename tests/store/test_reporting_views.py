"""The views that Grafana reads: what they say, and that their reader can read nothing else."""

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError
from store.recordings import at, failing, passing, recording, revision, seen
from store.test_recording_flows import batch

from models.facts import FactKey, Kind
from models.recording import PolicyEffect, Reach, WaiverRow
from models.topics import Position
from monitor.store import Store, StoreError

POLICY = FactKey("h", Kind.NETWORK_POLICY, "shop", "default-deny")
VIEWS = (
    "clusters",
    "control_status",
    "domains",
    "evidence",
    "findings",
    "flow_windows",
    "gaps",
    "members",
    "paths",
    "policy_changes",
    "posture",
    "reach",
    "reports",
    "sources",
    "traffic",
    "transitions",
    "waivers",
)


def rows(store, view, columns="*", order="1"):
    prefix = "reporting." if store._engine.dialect.name == "postgresql" else "reporting_"
    with store.look() as connection:
        return [
            tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {prefix}{view} ORDER BY {order}"))
        ]


def waiver(name="W-1"):
    return WaiverRow(
        name=name,
        control="default-deny-ingress",
        domain="namespace/shop",
        subject="",
        reason="migration",
        requester="ann",
        approver="bob",
        ticket="T-1",
        compensating_control="",
        granted_at=at(-100),
        expires_at=at(-50),
    )


def told(store):
    """A short story, with something in each view."""
    effect = PolicyEffect(key=POLICY, position=Position(1, 1), closed=("any -> shop any",))
    reach = (Reach(source="namespace/shop", destination="cluster/h", connections=("tcp/80", "udp/53")),)
    store.record(
        recording(1, failing(), revisions=(revision(b"a", key=POLICY),), effects=(effect,), reach=reach, seconds=1)
    )
    store.record(recording(2, failing(waiver="W-1"), vouched=(seen(2),), waivers=(waiver(),), seconds=2))
    store.record(recording(3, passing(), vouched=(seen(9),), seconds=9))
    store.record_flows(batch(0, 4))
    return store


def test_every_view_answers(store):
    told(store)
    found = {view: len(rows(store, view)) for view in VIEWS}

    assert {view for view, number in found.items() if not number} == {"gaps", "reports"}


def test_a_finding_is_shown_with_its_proof_and_rank(store):
    store.record(recording(1, failing()))

    assert rows(store, "findings", "state, severity_rank, sentence, proof, fix, owner") == [
        ("open", 4, "is open", "no policy selects it", "close it", "ann")
    ]


def test_traffic_is_shown_between_all_domains_of_both_ends(store):
    told(store)

    assert rows(store, "traffic", "source, destination, flow_class, paths, records", "2") == [
        ("namespace/shop", "namespace/payments", "escaped", 1, 4),
        ("namespace/shop", "tenant/blue", "escaped", 1, 4),
    ]


def test_a_policy_change_is_shown_with_what_it_closed(store):
    told(store)

    assert rows(store, "policy_changes", "name, change, widened_count, closed_count, closed") == [
        ("default-deny", "created", 0, 1, "any -> shop any")
    ]


def test_a_waiver_is_shown_as_expired_with_what_it_covers(store):
    store.record(recording(1, failing(waiver="W-1"), waivers=(waiver(),)))

    [(name, expired, findings)] = rows(store, "waivers", "name, is_expired, findings")
    assert (name, bool(expired), findings) == ("W-1", True, 1)


def test_posture_that_nobody_vouches_for_any_more_is_not_evaluated(store):
    """The recordings lie long enough in the past."""
    store.record(recording(1, failing(), vouched=(seen(1),)))
    store.record(recording(2, passing(), vouched=(seen(2),)))
    store.record(recording(3, vouched=(seen(7),), seconds=8))

    found = rows(store, "posture", "outcome, to_at IS NULL", "from_at")
    assert [(outcome, bool(is_open)) for outcome, is_open in found] == [
        ("fail", False),
        ("pass", False),
        ("error", True),
    ]


def test_reach_is_shown_as_intervals(store):
    told(store)
    store.record(recording(4, reach=(), seconds=20))

    [(connections, count, closed)] = rows(store, "reach", "connections, connection_count, to_at IS NOT NULL")
    assert (connections, count, bool(closed)) == ("tcp/80\nudp/53", 2, True)
    assert store.verify("h").changes == 1


@pytest.fixture
def reader(database):
    """A store on PostgreSQL, and an engine of a role that was granted the views."""
    store = Store.open(database)
    store.upgrade()
    told(store)
    role = f"reader_{make_url(database).database}"
    with store._engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'"))
    store.grant_reporting(role)
    engine = create_engine(make_url(database).set(username=role, password="secret"))
    yield engine
    engine.dispose()
    with store._engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))
    store.close()


def test_the_reading_role_reads_every_view(reader):
    with reader.connect() as connection:
        for view in VIEWS:
            connection.execute(text(f"SELECT * FROM reporting.{view}"))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM finding",
        "SELECT * FROM fact_revision",
        "SELECT * FROM chain",
        "DELETE FROM reporting.gaps",
        "UPDATE reporting.clusters SET epoch = 0",
        "CREATE TABLE public.mine (a int)",
        "CREATE TABLE reporting.mine (a int)",
    ],
)
def test_the_reading_role_can_do_nothing_else(reader, statement):
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), reader.connect() as connection:
        connection.execute(text(statement))


def test_views_are_granted_only_to_a_role_that_exists(store):
    with pytest.raises(StoreError, match=r"has no role 'nobody-here'|only PostgreSQL has roles"):
        store.grant_reporting("nobody-here")
