import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from store.recordings import at, failing, passing, recording, revision, seen, subject, unevaluated

from models.compliance import Outcome, Severity
from models.facts import FactKey, Kind
from models.topics import Position
from monitor.store import ChainBrokenError, Fenced, Store, queries


def moves(recorded):
    return [move.transition for move in recorded.transitions]


def outcomes(store):
    with store.look() as connection:
        rows = queries.statuses_between(connection, "h", at(-100), at(10_000))
    return [(row.outcome, row.from_at, row.to_at) for row in rows]


def test_a_finding_opens_resolves_and_reopens(store):
    first = store.record(recording(1, failing()))
    second = store.record(recording(2, passing()))
    third = store.record(recording(3, failing()))

    assert [moves(each) for each in (first, second, third)] == [["opened"], ["resolved"], ["reopened"]]
    assert second.transitions[0].reason == "fixed"


def test_a_finding_that_stays_as_it_is_makes_no_transition(store):
    store.record(recording(1, failing()))

    assert moves(store.record(recording(2, failing()))) == []


def test_a_finding_that_gets_another_sentence_or_severity_is_changed(store):
    store.record(recording(1, failing()))
    worded = store.record(recording(2, failing(sentence="is wide open")))
    graded = store.record(recording(3, failing(sentence="is wide open", severity=Severity.CRITICAL)))

    assert (moves(worded), moves(graded)) == (["changed"], ["changed"])


def test_what_could_not_be_evaluated_opens_nothing_and_resolves_nothing(store):
    store.record(recording(1, failing()))
    unknown = store.record(recording(2, unevaluated()))
    with store.look() as connection:
        [during] = queries.open_findings(connection, "h")
    again = store.record(recording(3, failing()))
    with store.look() as connection:
        [after] = queries.open_findings(connection, "h")

    assert (moves(unknown), moves(again)) == ([], [])
    assert (during.is_last_known, after.is_last_known) == (True, False)


def test_a_waiver_keeps_a_finding_failing_and_names_itself(store):
    store.record(recording(1, failing()))
    waived = store.record(recording(2, failing(waiver="SEC-1")))
    with store.look() as connection:
        [row] = queries.open_findings(connection, "h")
    ended = store.record(recording(3, failing()))

    assert (moves(waived), moves(ended)) == (["waived"], ["unwaived"])
    assert (row.state, row.waiver) == ("waived", "SEC-1")


def test_a_domain_that_is_gone_takes_its_findings_with_it(store):
    store.record(recording(1, failing()))
    gone = store.record(recording(2, gone=("namespace/shop",)))
    with store.look() as connection:
        assert queries.domains(connection, "h") == []

    assert [(move.transition, move.reason) for move in gone.transitions] == [("resolved", "gone")]
    assert outcomes(store)[-1] == ("fail", at(1), at(2))


def test_a_recording_whose_answer_was_lost_is_recognised_as_our_own(store):
    store.record(recording(1, failing()))

    again = store.record(recording(1, failing()))

    assert again.was_ours
    assert again.transitions == ()


def test_somebody_who_recorded_meanwhile_fences_us_out(store):
    store.record(recording(1, failing()))
    store.record(recording(2, passing()))

    with pytest.raises(Fenced):
        store.record(recording(3, failing(), expected=Position(1, 1)))
    with pytest.raises(Fenced):
        store.record(recording(3, failing(), expected=None))

    assert store.applied(0) == {"h": Position(1, 2)}


def test_statuses_are_intervals_without_gap_or_overlap(store):
    for step, posture in enumerate((passing(), failing(), failing(), unevaluated(), passing()), start=1):
        store.record(recording(step, posture))

    assert outcomes(store) == [
        ("pass", at(1), at(2)),
        ("fail", at(2), at(4)),
        ("error", at(4), at(5)),
        ("pass", at(5), None),
    ]


def test_an_interval_of_no_length_leaves_no_row(store):
    store.record(recording(1, passing(), seconds=1))
    store.record(recording(2, failing(), seconds=5))
    store.record(recording(3, passing(), seconds=5))

    assert [row[0] for row in outcomes(store)] == ["pass", "pass"]


def test_time_that_an_input_was_not_seen_is_cut_out_as_not_evaluated(store):
    store.record(recording(1, passing(), vouched=(seen(1, unbroken=-50),), seconds=1))
    store.record(recording(2, vouched=(seen(10, unbroken=-50),), seconds=10))
    store.record(recording(3, vouched=(seen(100, unbroken=95),), seconds=100))

    with store.look() as connection:
        [gap] = queries.gaps(connection, "h", at(0), at(1000))
    assert (gap.input, gap.from_at, gap.to_at) == ("Pod", at(10), at(100))
    assert outcomes(store) == [("pass", at(1), at(10)), ("error", at(10), at(100)), ("pass", at(100), None)]


def test_a_break_is_cut_out_once_though_not_all_of_the_input_is_seen_again_yet(store):
    """As of flows: one partition is heard anew from 15 on, another from 27 on, a third was heard at 10 last."""
    store.record(recording(1, passing(), vouched=(seen(10),), seconds=10))
    for step, (seconds, unbroken) in enumerate(((20, 15), (21, 15), (22, 15), (30, 27), (31, 27)), start=2):
        store.record(recording(step, vouched=(seen(10, unbroken=unbroken),), seconds=seconds))

    with store.look() as connection:
        gaps = queries.gaps(connection, "h", at(0), at(1000))
    assert sorted((gap.from_at, gap.to_at) for gap in gaps) == [(at(10), at(20)), (at(20), at(30))]
    assert outcomes(store) == [("error", at(10), at(20)), ("error", at(20), at(30)), ("pass", at(30), None)]


def test_an_open_status_counts_only_as_far_as_its_inputs_were_vouched_for(store):
    store.record(recording(1, passing(), vouched=(seen(0, unbroken=-50),), seconds=0))
    store.record(recording(2, vouched=(seen(10, unbroken=-50),), seconds=12))

    with store.look() as connection:
        shares = queries.shares(
            queries.open_statuses(connection, "h"), queries.inputs(connection, "h"), (at(0), at(100))
        )

    assert (shares.compliant, shares.not_evaluated, shares.not_compliant) == (10.0, 90.0, 0.0)


def test_a_fact_equal_to_its_last_revision_writes_none(store):
    store.record(recording(1, revisions=(revision(b"a"), revision(b"a"), revision(b"b"))))
    store.record(recording(2, revisions=(revision(b"b", step=2),)))
    store.record(recording(3, revisions=(revision(None, step=3), revision(None, step=3))))

    verified = store.verify("h")

    assert verified.revisions == 3
    assert store.known_keys("h") == frozenset()


def test_the_facts_of_a_past_moment_are_kept(store):
    pod = b'{"fact":{"kind":"Pod","name":"web-1","namespace":"shop"},"v":1}'
    store.record(recording(1, revisions=(revision(pod),)))
    store.record(recording(2, revisions=(revision(None, step=2),)))

    assert [fact.name for fact in store.facts_at("h", at(1)).values()] == ["web-1"]
    assert store.facts_at("h") == {}


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM finding_transition WHERE id = 1",
        "DELETE FROM control_status WHERE to_at IS NOT NULL",
        "UPDATE control_status SET outcome = 'skip' WHERE to_at IS NULL",
        "UPDATE control_status SET reason = 'all well' WHERE to_at IS NULL",
        "DELETE FROM policy_change",
        "DELETE FROM evidence_gap",
        "UPDATE fact_revision SET at = '2020-01-01 00:00:00'",
        "UPDATE chain SET what = 'other' WHERE seq = 1",
        "DELETE FROM chain WHERE seq = 1",
        "DELETE FROM chain WHERE seq = (SELECT max(seq) FROM chain)",
    ],
)
def test_verify_finds_what_somebody_changed(store, tampering):
    policy = FactKey("h", Kind.TIER, "", "default")
    store.record(recording(1, failing(), revisions=(revision(b"a"), revision(b"p", key=policy))))
    store.record(recording(2, passing(), vouched=(seen(2),)))
    store.record(recording(3, vouched=(seen(9, unbroken=8),), seconds=9))
    store.verify("h")
    with store._engine.begin() as connection:
        connection.execute(text(tampering))

    with pytest.raises(ChainBrokenError):
        store.verify("h")


def test_epochs_are_never_given_twice(store):
    assert [store.next_epoch("a"), store.next_epoch("b"), store.next_epoch("a")] == [1, 1, 2]


STEPS = st.lists(st.sampled_from(["pass", "fail", "error", "waived"]), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, doubled=st.sets(st.integers(0, 5)))
def test_recordings_that_come_twice_change_nothing(tmp_path_factory, steps, doubled):
    made = {
        "pass": passing(),
        "fail": failing(),
        "error": unevaluated(),
        "waived": failing(waiver="W"),
    }
    ends = []
    for with_doubles in (False, True):
        store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('double')}/segmon.db")
        store.upgrade()
        for step, name in enumerate(steps, start=1):
            store.record(recording(step, made[name]))
            if with_doubles and step in doubled:
                store.record(recording(step, made[name]))
        with store.look() as connection:
            ends.append(
                (
                    queries.open_findings(connection, "h"),
                    [(row.transition, row.at) for row in queries.last_transitions(connection, "h", 99)],
                    queries.statuses_between(connection, "h", at(-1), at(99)),
                )
            )
        store.close()

    assert ends[0] == ends[1]


def test_a_subject_that_moves_to_another_domain_keeps_its_finding(store):
    from store.recordings import SHOP, control, posture

    from models.compliance import Domain

    other = Domain(id="namespace/other", level="namespace", name="other")
    store.record(recording(1, failing()))
    moved = store.record(
        recording(2, posture(control(Outcome.FAIL, subject(Outcome.FAIL)), domain=other), posture(domain=SHOP))
    )

    assert moves(moved) == ["changed"]
