"""What a report says: time is weighed, nothing unevaluated is met, everything that was in scope is in it."""

from datetime import timedelta
from itertools import pairwise

import pytest
from msgspec import structs
from reports.made_reports import scope
from store.recordings import (
    SHOP,
    START,
    at,
    control,
    failing,
    passing,
    posture,
    recording,
    revision,
    seen,
    subject,
    unevaluated,
)

from models import wire
from models.compliance import ControlResult, Domain, DomainPosture, Member, Outcome, Severity
from models.errors import CannotEvaluateError, UserError
from models.facts import FactKey, Kind, Pod, Waiver
from models.recording import WaiverRow
from monitor.compliance.catalogue import CONTROLS, digest
from monitor.reports import comparing, judging, wording
from monitor.reports.content import Met, Span
from monitor.reports.gathering import identity
from monitor.store import periods

POLICY = FactKey("h", Kind.NETWORK_POLICY, "shop", "deny")


def told(store):
    """Evaluated from 10 on; fails from 20 to 30, nobody knows from 40 to 50; vouched for up to 80."""
    store.record(recording(1, passing(), vouched=(seen(10),), seconds=10))
    store.record(recording(2, failing(), revisions=(revision(b"x", step=18, key=POLICY),), seconds=20))
    store.record(recording(3, passing(), vouched=(seen(30),), seconds=30))
    store.record(recording(4, unevaluated(), seconds=40))
    store.record(recording(5, passing(), vouched=(seen(50),), seconds=50))
    store.record(recording(6, vouched=(seen(80),), seconds=80))
    return store


def time(seconds):
    return at(seconds).isoformat().replace("+00:00", "Z")


# Time


def test_time_is_weighed_and_what_nobody_saw_is_never_met(store, written):
    found = written(told(store)).control

    assert found.result == "partially met"
    assert found.seconds == {
        "met": 10.0 + 10.0 + 30.0,
        "not met": 10.0,
        "not met, waived": 0.0,
        "not evaluated": 10.0 + 10.0 + 20.0,
        "not applicable": 0.0,
    }
    assert found.share == 0.5
    assert (found.gaps, found.longest_gap_seconds) == (1, 10.0)


def test_the_stretches_of_a_control_cover_the_period_without_a_gap(store, written):
    spans = written(told(store)).control.spans

    assert (spans[0]["from_at"], spans[-1]["to_at"]) == (time(0), time(100))
    assert all(before["to_at"] == after["from_at"] for before, after in pairwise(spans))


def test_a_control_that_came_later_was_not_evaluated_before(store, written):
    late = ControlResult(control="later", outcome=Outcome.PASS, needs=("Pod",))
    store.record(recording(1, passing(), vouched=(seen(0),), seconds=0))
    store.record(
        recording(2, posture(control(Outcome.PASS, subject(Outcome.PASS)), late), vouched=(seen(70),), seconds=70)
    )
    store.record(recording(3, vouched=(seen(100),), seconds=100))
    [_, found] = written(store).domains["namespace/shop"]["controls"]

    assert (found["control"], found["seconds"]["not evaluated"], found["seconds"]["met"]) == ("later", 70.0, 30.0)
    assert found["spans"][0]["reason"] == judging.NO_STATUS


def test_a_domain_that_was_away_and_came_back_is_in_scope_only_while_it_was_there(store, written):
    store.record(recording(1, passing(), vouched=(seen(0),), seconds=0))
    store.record(recording(2, gone=("namespace/shop",), seconds=20))
    store.record(recording(3, passing(), vouched=(seen(60),), seconds=60))
    store.record(recording(4, vouched=(seen(100),), seconds=100))
    found = written(store)

    assert found.control.seconds["met"] == 20.0 + 40.0
    assert found.control.seconds["not evaluated"] == 0.0
    assert [(span["from_at"], span["to_at"]) for span in found.control.spans] == [
        (time(0), time(20)),
        (time(60), time(100)),
    ]


def test_nobody_evaluated_for_the_whole_period_is_never_green(store, written):
    store.record(recording(1, passing(), vouched=(seen(5),), seconds=5))
    found = written(store, scope(50, 100))

    assert (found.control.result, found.control.share) == ("not evaluated", 0.0)
    assert 'class="met"' not in found.html.partition("Controls over the period")[2].partition("not in scope")[2]
    assert "met 0 of 1 control at all times; 50 s of control time was not evaluated." in found.report["sentence"]


def test_nothing_in_scope_is_nothing_to_evaluate(store, written):
    store.record(recording(1, DomainPosture(domain=SHOP), seconds=0))
    found = written(store)

    assert found.report["share"] is None
    assert found.report["sentence"].endswith("there is nothing to evaluate.")
    assert "no time that counts" in found.html


def test_not_applicable_leaves_the_denominator(store, written):
    store.record(recording(1, posture(control(Outcome.SKIP, reason="no workloads")), vouched=(seen(0),), seconds=0))
    store.record(recording(2, vouched=(seen(100),), seconds=100))
    found = written(store)

    assert (found.control.result, found.control.share, found.report["share"]) == ("not applicable", None, None)


def test_a_warning_is_met(store, written):
    store.record(recording(1, posture(control(Outcome.WARN, subject(Outcome.WARN))), vouched=(seen(0),), seconds=0))
    store.record(recording(2, vouched=(seen(100),), seconds=100))

    assert written(store).control.result == "met"


def test_the_worst_moment_is_the_first_with_most_failing(store, written):
    two = (subject(Outcome.FAIL), subject(Outcome.FAIL, name="shop/Deployment/api"))
    store.record(recording(1, failing(), vouched=(seen(0),), seconds=0))
    store.record(recording(2, posture(control(Outcome.FAIL, *two)), seconds=40))
    store.record(recording(3, failing(), vouched=(seen(60),), seconds=60))

    assert written(store).control.worst == {"at": time(40), "failing": 2, "of": 2}


# Words


def test_the_sentence_says_what_was_not_met_and_what_was_not_evaluated(store, written):
    said = written(told(store), scope(10, 80)).report["sentence"]

    assert said == (
        "From 2026-11-24 12:00:10 to 2026-11-24 12:01:20 UTC, the only domain of h met 0 of 1 control at all times; "
        "1 was not met for 10 s together, in 1 gap; 10 s of control time was not evaluated."
    )


def test_a_period_shorter_than_an_hour_is_told_with_its_seconds():
    assert wording.period(at(0), at(3599)) == "2026-11-24 12:00:00 to 2026-11-24 12:59:59 UTC"
    assert wording.period(at(0), at(3600)) == "2026-11-24 12:00 to 2026-11-24 13:00 UTC"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.2, "< 1 s"), (42, "42 s"), (8040, "2 h 14 min"), (262_800, "3 d 1 h"), (None, "–")],
)
def test_durations_have_their_two_largest_parts(seconds, said):
    assert wording.duration(seconds) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(1, "100.0 %"), (0.99999, "> 99.9 %"), (0.00001, "< 0.1 %"), (0, "0.0 %"), (None, "no time that counts")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share, said):
    assert wording.percent(share) == said


# Gaps and what changed


def test_a_gap_names_what_changed_at_both_of_its_ends(store, written):
    found = written(told(store))
    [gap] = [span for span in found.control.spans if span["met"] == "not met"]

    assert gap["began"] == ["opened shop/Deployment/web", "created NetworkPolicy shop/deny"]
    assert gap["ended"] == ["resolved shop/Deployment/web"]
    assert "began: opened shop/Deployment/web; created NetworkPolicy shop/deny" in found.html


def test_a_gap_that_nobody_saw_the_end_of_says_so(store, written):
    store.record(recording(1, passing(), vouched=(seen(0),), seconds=0))
    store.record(recording(2, failing(), vouched=(seen(20),), seconds=20))
    store.record(recording(3, vouched=(seen(40),), seconds=40))
    [_, gap, _] = written(store).control.spans

    assert gap["ended"] == ["not evaluated any more: nobody vouched for its inputs any more"]


def test_a_larger_domains_gap_is_explained_by_the_findings_it_holds(store, written):
    tenant = Domain(id="tenant/a", level="tenant", name="a")
    web = Member(subject="shop/Deployment/web", pods=("shop/web-1",))
    failed = control(Outcome.FAIL, subject(Outcome.FAIL))
    counted = ControlResult(control=failed.control, outcome=Outcome.FAIL, counts={"fail": 1}, needs=("Pod",))
    store.record(recording(1, passing(), DomainPosture(domain=tenant, members=(web,)), vouched=(seen(0),), seconds=0))
    both = (posture(failed), DomainPosture(domain=tenant, members=(web,), results=(counted,)))
    store.record(recording(2, *both, vouched=(seen(50),), seconds=50))
    store.record(recording(3, vouched=(seen(90),), seconds=90))
    everything = written(store).domains["tenant/a"]
    alone = written(store, scope(domain="tenant/a")).domains["tenant/a"]

    for section in (everything, alone):
        assert section["controls"][0]["spans"][-2]["began"] == [
            "found at the first evaluation",
            "opened shop/Deployment/web",
        ]
    assert (everything["findings"], [each["domain"] for each in alone["findings"]]) == ([], ["namespace/shop"])


# Findings


def test_a_finding_is_shown_as_it_stood_at_the_end_of_the_period(store, written):
    told(store)
    [before] = written(store, scope(0, 25)).findings
    [after] = written(store, scope(0, 60)).findings
    later = written(store, scope(35, 60)).findings

    assert (before["state"], before["resolved_at"], before["open_seconds"]) == ("open", None, 5.0)
    assert (after["state"], after["resolved_at"], after["open_seconds"]) == ("resolved", time(30), 10.0)
    assert [move["transition"] for move in after["history"]] == ["opened", "resolved"]
    assert [move["position"] for move in after["history"]] == ["1:2", "1:3"]
    assert later == []


def test_a_finding_open_at_the_beginning_counts_from_there(store, written):
    [found] = written(told(store), scope(25, 60)).findings

    assert (found["opened_at"], found["open_seconds"], found["was_open_at_start"]) == (time(20), 5.0, True)


def test_a_finding_has_its_proof_its_fix_and_the_time_it_took(store, written):
    [found] = written(told(store)).findings

    assert (found["proof"], found["fix"], found["owner"]) == (["no policy selects it"], "close it", "ann")
    assert (found["detected_seconds"], found["resolved_after_seconds"]) == (2.0, 10.0)


def test_what_comes_again_is_counted(store, written):
    told(store)
    store.record(recording(7, failing(), vouched=(seen(85),), seconds=85))
    found = written(store)

    assert [finding["reopened"] for finding in found.findings] == [1]
    assert found.report["findings"]["by_severity"] == [
        {
            "severity": "high",
            "opened": 1,
            "reopened": 1,
            "resolved": 1,
            "median_seconds_to_resolve": 10.0,
            "longest_seconds_to_resolve": 10.0,
            "median_seconds_to_detect": 2.0,
        }
    ]


def test_a_finding_that_was_resolved_and_came_again_before_stands_at_the_start(store, written):
    told(store)
    store.record(recording(7, failing(), vouched=(seen(85),), seconds=85))
    [found] = written(store, scope(90, 100)).findings

    assert (found["state"], found["opened_at"], found["open_seconds"]) == ("open", time(85), 10.0)


def test_a_finding_that_moved_to_another_domain_is_told_once_and_whole(store, written):
    store.record(recording(1, failing(), vouched=(seen(0),), seconds=0))
    declared = Domain(id="workload/web", level="workload", name="web", owner="cleo")
    own = posture(control(Outcome.FAIL, subject(Outcome.FAIL)), domain=declared)
    left = DomainPosture(domain=SHOP, members=own.members)
    store.record(recording(2, own, left, vouched=(seen(40),), seconds=40))
    [found] = written(store).findings
    [from_between] = written(store, scope(10, 100)).findings

    assert (found["domain"], found["owner"], found["open_seconds"]) == ("workload/web", "cleo", 100.0)
    assert [move["transition"] for move in found["history"]] == ["opened", "changed"]
    assert (from_between["open_seconds"], from_between["was_open_at_start"]) == (90.0, True)


def test_a_finding_that_moved_back_later_is_told_where_it_was_then(store, written):
    store.record(recording(1, failing(), vouched=(seen(0),), seconds=0))
    own = posture(
        control(Outcome.FAIL, subject(Outcome.FAIL)), domain=Domain(id="workload/web", level="workload", name="web")
    )
    left = DomainPosture(domain=SHOP, members=own.members)
    store.record(recording(2, own, left, vouched=(seen(40),), seconds=40))
    store.record(recording(3, vouched=(seen(70),), seconds=70))
    before = written(store, scope(0, 60))
    store.record(recording(4, failing(), gone=("workload/web",), vouched=(seen(85),), seconds=85))

    assert [found["domain"] for found in before.findings] == ["workload/web"]
    assert written(store, scope(0, 60)) == before
    assert [found["domain"] for found in written(store, scope(0, 100)).findings] == ["namespace/shop"]


def test_a_domain_of_many_moves_is_read_control_by_control_and_told_the_same(store, written, monkeypatch):
    def several(*open_):
        """Controls out of their order; one has most of the moves."""
        return posture(*(
            structs.replace(
                control(Outcome.FAIL, *(
                    subject(Outcome.FAIL if (of, name) in open_ else Outcome.PASS, name=name) for name in names
                )),
                control=of,
            )
            for of, names in (("c", ("b/x",)), ("b", ("c/x", "a/x")), ("a", ("a/x",)))
        ))  # fmt: skip

    every = (("c", "b/x"), ("b", "c/x"), ("b", "a/x"), ("a", "a/x"))
    for step, open_ in enumerate((every, every[:1], every[1:], every[:2], ()), start=1):
        store.record(recording(step, several(*open_), vouched=(seen(step * 10),), seconds=step * 10))
    at_once = written(store)
    parts = []
    for held in (1, 5, 9):
        monkeypatch.setattr(periods, "HELD", held)
        parts.append(written(store))

    order = [(finding["control"], finding["subject"]) for finding in at_once.findings]
    assert order == sorted(every)
    assert sum(len(finding["history"]) for finding in at_once.findings) == 16
    assert parts == [at_once] * 3


def test_a_fix_that_changed_later_does_not_change_the_report(store, written):
    told(store)
    before = written(store, scope(0, 60))
    store.record(recording(7, failing(sentence="is wide open"), vouched=(seen(85),), seconds=85))

    assert written(store, scope(0, 60)) == before


# Waivers


WAIVER = Waiver(
    name="W",
    control="default-deny-ingress",
    domain="namespace/shop",
    reason="moves in January",
    requester="ann",
    approver="joe",
    granted_at=START - timedelta(days=30),
    expires_at=at(60),
)


def declared(waiver=WAIVER, step=1):
    key = FactKey("h", Kind.WAIVER, "", waiver.name)
    fields = {name: getattr(waiver, name) for name in WaiverRow.__struct_fields__}
    return {"revisions": (revision(wire.encode_fact(waiver), step=step, key=key),), "waivers": (WaiverRow(**fields),)}


def waived(store):
    """Waived until 60, then failing without it."""
    store.record(recording(1, failing(waiver="W"), vouched=(seen(0),), seconds=0, **declared()))
    store.record(recording(2, failing(), vouched=(seen(60),), seconds=60))
    store.record(recording(3, vouched=(seen(100),), seconds=100))
    return store


def test_waived_time_is_shown_apart_and_is_not_met(store, written):
    found = written(waived(store), scope(0, 50))

    assert (found.control.seconds["not met, waived"], found.control.share) == (50.0, 0.0)
    assert found.control.result == "met by waiver"
    assert [each["state"] for each in found.findings] == ["waived"]
    assert found.report["results"]["met"] == 0


def test_what_still_fails_when_its_waiver_is_over_is_named(store, written):
    found = written(waived(store))
    [use] = found.report["waivers"]

    assert (use["findings"], use["seconds"], use["still_failing"]) == (1, 60.0, 1)
    assert use["remarks"] == [
        "expired or withdrawn, and 1 of what it covered still failed at the end",
        "wide: every subject of the domain",
    ]
    assert [(each["state"], each["lapsed"]) for each in found.findings] == [("open", "W")]
    assert found.control.result == "not met"


def test_a_waiver_that_lapsed_before_the_period_is_named_by_what_still_fails(store, written):
    found = written(waived(store), scope(70, 100))

    assert [(each["state"], each["lapsed"]) for each in found.findings] == [("open", "W")]


def test_a_waiver_that_covers_nothing_and_one_that_was_approved_by_its_requester_are_remarked(store, written):
    mine = Waiver(
        **{name: getattr(WAIVER, name) for name in WAIVER.__struct_fields__} | {"approver": "ann", "domain": ""}
    )
    store.record(recording(1, passing(), vouched=(seen(0),), seconds=0, **declared(mine)))
    [use] = written(store).report["waivers"]

    assert use["remarks"] == [
        "expired in the period",
        "covered nothing in the period",
        "wide: every subject of every domain",
        "requested and approved by the same person",
    ]


def test_a_waiver_is_shown_as_it_was_declared_then(store, written):
    waived(store)
    before = written(store, scope(0, 90))
    longer = Waiver(**{name: getattr(WAIVER, name) for name in WAIVER.__struct_fields__} | {"expires_at": at(9000)})
    store.record(recording(4, seconds=95, **declared(longer, step=95)))

    assert written(store, scope(0, 90)) == before
    assert len(written(store).report["waivers"]) == 2


# Scope and population


def test_what_is_gone_by_the_end_is_in_scope_all_the_same(store, written):
    store.record(recording(1, failing(), vouched=(seen(0),), seconds=0))
    store.record(recording(2, gone=("namespace/shop",), seconds=50))
    found = written(store)
    section = found.domains["namespace/shop"]

    assert (section["workloads_at_start"], section["workloads_ever"], section["workloads_at_end"]) == (1, 1, 0)
    assert found.control.seconds["not met"] == 50.0
    assert [row["to"] for row in found.rows("members")] == [time(50)]


def test_a_new_owner_during_the_period_is_shown_beside_the_old_one(store, written):
    moved = Domain(id="namespace/shop", level="namespace", name="shop", owner="bob")
    store.record(recording(1, passing(), seconds=0))
    store.record(recording(2, posture(control(Outcome.PASS, subject(Outcome.PASS)), domain=moved), seconds=50))
    [domain] = written(store).domains.values()

    assert [(each["owner"], each["to_at"]) for each in domain["described"]] == [("ann", time(50)), ("bob", None)]


def pod(name, **more):
    key = FactKey("h", Kind.POD, "shop", name)
    return key, wire.encode_fact(Pod(name=name, namespace="shop", addresses=("10.0.0.1",), **more))


def test_objects_are_counted_at_the_start_at_the_end_and_ever(store, written):
    (web, state), (job, done) = pod("web-1"), pod("job-1", is_finished=True)
    store.record(recording(1, passing(), revisions=(revision(state, step=1, key=web),), seconds=1))
    store.record(recording(2, revisions=(revision(done, step=20, key=job),), seconds=20))
    store.record(
        recording(3, revisions=(revision(None, step=40, key=web), revision(b"x", step=40, key=POLICY)), seconds=40)
    )
    store.record(recording(4, revisions=(revision(None, step=60, key=POLICY),), seconds=60))
    counts = {row["kind"]: row for row in written(store, scope(10, 50)).report["population"]["counts"]}
    later = {row["kind"]: row for row in written(store, scope(61, 70)).report["population"]["counts"]}

    assert counts["Pod"] == {"kind": "Pod", "at_start": 1, "at_end": 1, "ever": 2}
    assert counts["NetworkPolicy"] == {"kind": "NetworkPolicy", "at_start": 0, "at_end": 1, "ever": 1}
    assert later == {"Pod": {"kind": "Pod", "at_start": 1, "at_end": 1, "ever": 1}}


def test_pods_that_no_domain_holds_are_named_with_the_reason(store, written):
    (web, state), (job, done), (new, bare) = pod("web-1"), pod("job-1", is_finished=True), pod("new-1")
    whole = Domain(id="cluster/h", level="cluster", name="h")
    everything = posture(control(Outcome.PASS, subject(Outcome.PASS)), domain=whole)
    known = tuple(revision(raw, step=1, key=key) for key, raw in ((web, state), (job, done), (new, bare)))
    store.record(recording(1, everything, revisions=known, seconds=1))
    end = written(store).report["population"]["at_end"]

    assert (end["known"], end["held"], end["outside_count"], end["unknown_count"]) == (3, 1, 2, 0)
    assert end["outside"] == ["shop/job-1: finished, no longer an endpoint", "shop/new-1: not yet evaluated"]


# Against the period before


def test_what_got_worse_since_the_period_before_is_named(store, written):
    store.record(recording(1, passing(), vouched=(seen(0),), seconds=0))
    store.record(recording(2, failing(), vouched=(seen(50),), seconds=50))
    store.record(recording(3, vouched=(seen(100),), seconds=100))
    worse = written(store, scope(50, 100)).report["comparison"]

    assert (worse["is_evaluated"], worse["share"], worse["gaps"], worse["better"]) == (True, 1.0, 0, [])
    assert [(each["before"], each["now"]) for each in worse["worse"]] == [("met", "not met")]


def test_domains_that_are_new_or_gone_since_the_period_before_are_named(store, written):
    other = Domain(id="namespace/new", level="namespace", name="new")
    store.record(recording(1, passing(), vouched=(seen(0),), seconds=0))
    store.record(
        recording(
            2,
            posture(control(Outcome.PASS, subject(Outcome.PASS, name="n")), domain=other),
            gone=("namespace/shop",),
            vouched=(seen(50),),
            seconds=50,
        )
    )
    found = written(store, scope(50, 100)).report["comparison"]

    assert (found["domains_new"], found["domains_gone"]) == (["namespace/new"], ["namespace/shop"])


def test_without_evidence_of_the_period_before_nothing_is_compared(store, written):
    found = written(told(store))

    assert found.report["comparison"]["is_evaluated"] is False
    assert "nothing to compare with" in found.html


@pytest.mark.parametrize(
    ("begin", "end", "before"),
    [("2026-10-01", "2026-11-01", "2026-09-01"), ("2026-03-01", "2026-04-01", "2026-02-01"),
     ("2027-01-01", "2027-02-01", "2026-12-01"), ("2026-10-02", "2026-11-02", "2026-09-01"),
     ("2026-11-23", "2026-11-30", "2026-11-16")],
)  # fmt: skip
def test_the_period_before_a_month_is_the_month_before_else_as_long(begin, end, before):
    times = [START.fromisoformat(f"{text}T00:00+00:00") for text in (begin, end, before)]

    assert comparing.period_before(*times[:2]) == (times[2], times[0])


# Identity, and what cannot be


def test_a_report_states_what_it_was_made_from(store, written):
    report = written(told(store)).report

    assert (report["id"], report["catalogue"]) == (identity(scope()), digest(CONTROLS))
    assert report["first_evidence_at"] == time(10)
    assert report["chain"]["seq"] > 0
    assert report["limitations"]


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        (scope(100, 0), UserError, "ends .* before it begins"),
        (scope(50, 50), UserError, "ends .* before it begins"),
        (scope(0, 6000), UserError, "in the future"),
        (scope(0, 100, "namespace/none"), UserError, "no domain namespace/none .*known: namespace/shop"),
        (scope(-100, 0), CannotEvaluateError, "was not evaluated before"),
    ],
)
def test_a_report_that_cannot_be_says_why(store, written, wanted, error, message):
    told(store)

    with pytest.raises(error, match=message):
        written(store, wanted)


def test_a_strip_shows_the_worst_of_each_piece():
    from monitor.reports import strips

    minute = timedelta(minutes=1)
    month = timedelta(days=30)
    spans = [
        Span(met=Met.MET, from_at=START, to_at=START + month / 2),
        Span(met=Met.NOT_MET, from_at=START + month / 2, to_at=START + month / 2 + minute),
        Span(met=Met.MET, from_at=START + month / 2 + minute, to_at=START + month),
    ]
    drawn = dict(strips.paths(strips.pieces(spans, START, START + month)))

    assert drawn == {"met": "M0 0h120v10h-120zM121 0h119v10h-119z", "not-met": "M120 0h1v10h-1z"}


def test_a_piece_of_all_domains_is_as_bad_as_the_worst_of_them(store, written):
    other = Domain(id="namespace/api", level="namespace", name="api")
    good = posture(control(Outcome.PASS, subject(Outcome.PASS, name="api/Deployment/api")), domain=other)
    store.record(recording(1, good, failing(severity=Severity.LOW), vouched=(seen(0),), seconds=0))
    store.record(recording(2, vouched=(seen(100),), seconds=100))
    found = written(store)
    first_page = found.html.partition('<section aria-labelledby="domains">')[0]

    assert 'class="not-met" d="M0 0h240v10h-240z"' in first_page
    assert (found.report["results"]["met"], found.report["results"]["not met"]) == (1, 1)
