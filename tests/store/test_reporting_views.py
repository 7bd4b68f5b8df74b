"""The views that Grafana reads: what they say, and that their reader can read nothing else."""

from datetime import datetime

import pytest
from msgspec import structs
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.exc import ProgrammingError
from store.recordings import at, control, failing, passing, posture, recording, revision, seen, subject
from store.test_recording_flows import batch
from store.test_recording_flows import path as seen_path

from models import reporting
from models.compliance import Domain, Outcome, Vouched
from models.facts import FactKey, FlowClass, Kind
from models.recording import PolicyEffect, Reach, ReachUpdate, WaiverRow
from models.topics import Position
from monitor import clock
from monitor.store import Store, StoreError

POLICY = FactKey("h", Kind.NETWORK_POLICY, "shop", "default-deny")
VIEWS = tuple(spec.name for spec in reporting.VIEWS)


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


def opened_reach(*connections, unknown=""):
    pair = Reach(source="namespace/shop", destination="namespace/payments", connections=connections)
    return ReachUpdate(pairs=() if unknown else (pair,), unknown=unknown, needs=("Pod",))


def told(store):
    """A short story, with something in each view."""
    effect = PolicyEffect(key=POLICY, position=Position(1, 1), closed=("any -> shop any",))
    reach = opened_reach("tcp/80", "udp/53")
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


def test_the_views_have_the_columns_that_are_promised(store):
    is_postgresql = store._engine.dialect.name == "postgresql"
    prefix, schema = ("", "reporting") if is_postgresql else ("reporting_", None)
    look = inspect(store._engine)
    found = {
        name.removeprefix(prefix): tuple(column["name"] for column in look.get_columns(name, schema))
        for name in look.get_view_names(schema)
    }

    assert found == {spec.name: spec.columns for spec in reporting.VIEWS}


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


def test_a_policy_change_that_nobody_worked_out_says_so(store):
    store.record(recording(1, revisions=(revision(b"a", key=POLICY),)))

    [(worked_out, widened, closed)] = rows(store, "policy_changes", "is_worked_out, widened_count, closed_count")
    assert (bool(worked_out), widened, closed) == (False, 0, 0)


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


def reach_shown(store):
    """Connections, and the seconds from and to."""
    found = rows(store, "reach", "connections, from_at, to_at", "from_at")
    return [(connections, *(second(store, moment) for moment in moments)) for connections, *moments in found]


def second(store, moment):
    """SQLite's views give times as text."""
    if moment is None:
        return None
    return (moment if store._engine.dialect.name == "postgresql" else at_text(moment)).second


def at_text(moment):
    return datetime.fromisoformat(moment)


def test_reach_is_shown_as_intervals(store):
    told(store)
    store.record(recording(4, reach=opened_reach("tcp/80"), seconds=20))
    store.record(recording(5, reach=opened_reach(), vouched=(seen(30),), seconds=30))

    assert reach_shown(store) == [("tcp/80\nudp/53", 1, 20), ("tcp/80", 20, 30)]
    assert store.verify("h").reach == 2


def test_reach_is_not_shown_for_the_time_in_which_it_was_not_known(store):
    store.record(recording(1, reach=opened_reach("tcp/80")))
    store.record(recording(5, reach=opened_reach(unknown="Tier: forbidden"), expected=Position(1, 1)))
    store.record(recording(9, reach=opened_reach("tcp/81"), expected=Position(1, 5), vouched=(seen(9),)))
    store.record(recording(12, reach=opened_reach(), expected=Position(1, 9), vouched=(seen(12),)))

    assert reach_shown(store) == [("tcp/80", 1, 5), ("tcp/81", 9, 12)]
    assert [(bool(known), reason) for known, reason in rows(store, "reach_status", "is_known, reason", "from_at")] == [
        (True, ""),
        (False, "Tier: forbidden"),
        (True, ""),
        (False, "nobody vouched for its inputs any more"),
    ]


def test_reach_is_not_shown_for_the_time_in_which_an_input_was_not_seen(store):
    store.record(recording(1, reach=opened_reach("tcp/80"), vouched=(seen(1),)))
    store.record(recording(2, vouched=(seen(4),), seconds=4))
    store.record(recording(3, vouched=(seen(30, unbroken=20),), seconds=30))
    store.record(recording(4, reach=opened_reach(), vouched=(seen(40, unbroken=20),), seconds=40))

    assert reach_shown(store) == [("tcp/80", 1, 4), ("tcp/80", 30, 40)]
    assert store.verify("h").reach == 1


def test_reach_that_nobody_vouches_for_any_more_is_shown_up_to_there(store):
    store.record(recording(1, reach=opened_reach("tcp/80"), vouched=(seen(7),), seconds=8))
    store.record(recording(2, vouched=(seen(7),), seconds=9))

    assert reach_shown(store) == []
    store.record(recording(3, vouched=(seen(12),), seconds=14))
    assert reach_shown(store) == [("tcp/80", 8, 12)]


def test_what_was_not_seen_for_long_is_not_fresh(store):
    """The recordings lie long enough in the past."""
    now = clock.now()
    store.record(
        recording(1, vouched=(seen(1), Vouched(input="Tier", seen_at=None, unbroken_since=None, state="stale")))
    )
    fresh = Vouched(input="Node", seen_at=now, unbroken_since=now)
    served = Vouched(input="HostEndpoint", seen_at=None, unbroken_since=None, state="not_served")
    store.record(structs.replace(recording(2, vouched=(fresh, served)), at=now))

    found = rows(store, "evidence", "input, is_fresh, age_seconds > 180")
    assert [(name, bool(is_fresh), old and bool(old)) for name, is_fresh, old in found] == [
        ("HostEndpoint", True, None),
        ("Node", True, False),
        ("Pod", False, True),
        ("Tier", False, None),
    ]


def vouched_now(step, *postures, **more):
    """A recording of this very moment, its inputs seen."""
    now = clock.now()
    fresh = Vouched(input="Pod", seen_at=now, unbroken_since=now)
    made = recording(step, *postures, vouched=(fresh,), **more)
    evaluation = structs.replace(made.evaluation, at=now) if made.evaluation else None
    return structs.replace(made, at=now, evaluation=evaluation)


def test_how_a_domain_stands_is_its_worst_outcome_and_the_shares_beside(store):
    bare = Domain(id="tenant/blue", level="tenant", name="blue")
    other = structs.replace(control(Outcome.ERROR), control="evidence-complete")
    failed = control(Outcome.FAIL, subject(Outcome.FAIL))
    store.record(vouched_now(1, posture(failed, other), posture(control(Outcome.SKIP), domain=bare)))

    columns = "domain, outcome, failing, not_evaluated, compliance_ratio, not_evaluated_ratio, open_findings"
    assert rows(store, "domain_posture", columns) == [
        ("namespace/shop", "fail", 1, 1, 0, 0.5, 1),
        ("tenant/blue", "skip", 0, 0, None, None, 0),
    ]


def test_a_domain_that_nobody_vouches_for_is_not_evaluated_whatever_it_was(store):
    store.record(recording(1, passing(), vouched=(seen(1),)))

    assert rows(store, "domain_posture", "outcome, passing, not_evaluated, compliance_ratio") == [("error", 0, 1, None)]


def path(source, destination, source_domains, destination_domains, flow_class=FlowClass.PERMITTED):
    return structs.replace(
        seen_path(flow_class),
        path_id=f"{source}>{destination}",
        source=source,
        destination=destination,
        source_domains=source_domains,
        destination_domains=destination_domains,
    )


def test_the_matrix_tells_what_is_allowed_from_what_was_seen(store):
    shop, payments = ("namespace/shop", "tenant/red", "cluster/h"), ("namespace/payments", "cluster/h")
    pairs = (
        Reach(source="namespace/shop", destination="namespace/payments", connections=("tcp/80",)),
        Reach(source="namespace/shop", destination="outside", connections=("tcp/443", "udp/53")),
    )
    store.record(vouched_now(1, passing(), reach=ReachUpdate(pairs=pairs, needs=("Pod",))))
    paths = (
        path("a", "b", shop, payments, FlowClass.ESCAPED),
        path("public", "b", (), payments, FlowClass.REJECTED),
        path("a", "unknown", shop, ()),
    )
    store.record_flows(structs.replace(batch(0, 4), paths=paths))

    columns = "source, destination, source_level, destination_level, connections, state"
    known = rows(store, "matrix", columns, "1, 2")
    store.record(vouched_now(2, reach=ReachUpdate(unknown="Tier: forbidden")))
    unknown = rows(store, "matrix", "source, destination, connections, is_reach_known", "1, 2")

    assert known == [
        ("namespace/shop", "namespace/payments", "namespace", "", "tcp/80", "escaped"),
        ("namespace/shop", "outside", "namespace", "", "tcp/443\nudp/53", "allowed but never seen"),
        ("namespace/shop", "unknown", "namespace", "", "", "allowed and seen"),
        ("outside", "namespace/payments", "", "", "", "denied"),
        ("tenant/red", "unknown", "", "", "", "allowed and seen"),
    ]
    assert [(*row[:3], bool(row[3])) for row in unknown] == [
        ("namespace/shop", "namespace/payments", "", False),
        ("namespace/shop", "unknown", "", False),
        ("outside", "namespace/payments", "", False),
        ("tenant/red", "unknown", "", False),
    ]


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


def test_the_reading_role_reads_a_view_that_a_later_release_adds(reader, database):
    owner = create_engine(database)
    with owner.begin() as connection:
        connection.execute(text("CREATE VIEW reporting.later AS SELECT 1 AS a"))
    owner.dispose()

    with reader.connect() as connection:
        assert connection.execute(text("SELECT a FROM reporting.later")).scalar() == 1


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
