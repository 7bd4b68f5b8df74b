from datetime import timedelta

import pytest
from msgspec import structs
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from store.recordings import at, control, failing, passing, posture, recording, seen, subject

from models.compliance import Domain, Outcome
from models.metrics import DOMAIN_LIMIT, OTHER_DOMAIN
from models.recording import Recorded, WaiverRow
from monitor.compliance.catalogue import CONTROLS
from monitor.store.reports import Claim, Made
from monitor.web.exposition import Exposition
from monitor.web.gauges import Gauges
from monitor.web.health import Health


@pytest.fixture
def exposition():
    return Exposition("work", version="0")


@pytest.fixture
def gauges(store, exposition):
    return Gauges(exposition, Health(), store, now=lambda: at(100), monotonic=lambda: 0.0)


def lines(exposition, family):
    return [line for line in exposition.text().decode().splitlines() if line.startswith(family + "{")]


def test_the_gauges_of_a_cluster_are_there_only_while_it_is_ours(store, exposition, gauges):
    store.record(recording(1, failing(), vouched=(seen(1),)))

    before = lines(exposition, "segmon_findings_open")
    gauges.adopted("h")
    ours = lines(exposition, "segmon_findings_open")
    gauges.released("h")

    assert before == []
    assert (
        'segmon_findings_open{cluster="h",control="default-deny-ingress",domain="namespace/shop",severity="high"} 1.0'
        in ours
    )
    assert lines(exposition, "segmon_findings_open") == []


def test_a_domain_that_is_gone_takes_its_label_sets_with_it(store, exposition, gauges):
    store.record(recording(1, failing()))
    gauges.adopted("h")
    before = lines(exposition, "segmon_domain_info")

    store.record(recording(2, gone=("namespace/shop",)))

    assert len(before) == 1
    assert lines(exposition, "segmon_domain_info") == []


def test_domains_beyond_the_limit_are_folded_into_one_and_counted(store, exposition, gauges):
    many = [
        posture(domain=Domain(id=f"namespace/n{n:04}", level="namespace", name=f"n{n:04}"))
        for n in range(DOMAIN_LIMIT + 3)
    ]
    store.record(recording(1, *many))
    gauges.adopted("h")

    exposition.text()
    workloads = lines(exposition, "segmon_workloads")

    assert len(workloads) == DOMAIN_LIMIT + 1
    assert any(f'domain="{OTHER_DOMAIN}"' in line for line in workloads)
    assert lines(exposition, "segmon_series_dropped_total") == ['segmon_series_dropped_total{cluster="h"} 3.0']


def test_a_record_that_cannot_be_read_leaves_no_last_values(store, exposition, gauges, tmp_path):
    store.record(recording(1, passing()))
    gauges.adopted("h")
    there = lines(exposition, "segmon_domain_compliance_ratio")

    store.close()
    (tmp_path / "segmon.db").write_bytes(b"no database")

    assert there == ['segmon_domain_compliance_ratio{cluster="h",domain="namespace/shop"} 1.0']
    assert lines(exposition, "segmon_domain_compliance_ratio") == []


def test_lag_is_that_of_all_partitions(store):
    health = Health()
    gauges = Gauges(Exposition("work", version="0"), health, store, now=lambda: at(0), monotonic=lambda: 5.0)

    gauges.lag("segmon.facts.v1", 0, 7)
    gauges.lag("segmon.facts.v1", 1, 0)

    assert health.lag == 7


def test_committed_transitions_are_counted(store, exposition, gauges):
    made = recording(1, failing())
    gauges.recorded(made, store.record(made), seconds=0.01)
    gauges.recorded(made, Recorded(was_ours=True), seconds=0.01)

    [line] = lines(exposition, "segmon_findings_total")
    assert line.endswith('transition="opened"} 1.0')


def test_a_counted_transition_names_its_finding_for_who_asks_for_exemplars(store, exposition, gauges):
    made = recording(1, failing())
    recorded = store.record(made)
    gauges.recorded(made, recorded, seconds=0.01)

    text = exposition.text(openmetrics.generate_latest).decode()
    [counter] = [family for family in openmetrics_families(text) if family.name == "segmon_findings"]

    [move] = recorded.transitions
    assert [sample.exemplar.labels for sample in counter.samples] == [{"finding_id": move.finding_id}]


def test_what_is_known_beforehand_begins_at_zero_so_that_the_first_event_is_an_increase(store, exposition, gauges):
    store.record(recording(1, passing()))
    gauges.adopted("h")
    matching = Exposition("match", version="0")
    match = Gauges(matching, Health(), store, now=lambda: at(100), monotonic=lambda: 0.0)
    match.follows("h")

    assert 'segmon_flows_total{class="escaped",cluster="h"} 0.0' in lines(matching, "segmon_flows_total")
    assert 'segmon_database_errors_total{component="match",kind="transient"} 0.0' in lines(
        matching, "segmon_database_errors_total"
    )
    assert len(lines(matching, "segmon_dead_letters_total")) == 2
    opened = [line for line in lines(exposition, "segmon_findings_total") if 'transition="opened"' in line]
    assert len(opened) == len(CONTROLS)
    assert {line[-3:] for line in opened} == {"0.0"}


@pytest.mark.parametrize(("criticality", "severity"), [("low", "medium"), ("medium", "high"), ("critical", "critical")])
def test_open_findings_begin_at_zero_in_the_severity_that_the_domain_gives_them(
    store, exposition, gauges, criticality, severity
):
    domain = Domain(id="namespace/shop", level="namespace", name="shop", criticality=criticality)
    store.record(recording(1, posture(control(Outcome.PASS, subject(Outcome.PASS)), domain=domain)))
    gauges.adopted("h")

    [line] = lines(exposition, "segmon_findings_open")
    assert f'severity="{severity}"' in line
    assert line.endswith(" 0.0")


def waiver(name, *, days):
    text = dict.fromkeys(("control", "domain", "subject", "reason", "requester", "approver", "ticket"), "x")
    times = {"granted_at": at(0), "expires_at": at(0) + timedelta(days=days)}
    return WaiverRow(name=name, compensating_control="", **text, **times)


def test_the_first_expiry_of_the_waivers_that_hold_is_told(store, exposition, gauges):
    expired = structs.replace(waiver("old", days=1), granted_at=at(-100), expires_at=at(50))
    store.record(recording(1, passing(), waivers=(expired, waiver("a", days=30), waiver("b", days=9))))
    gauges.adopted("h")
    first = lines(exposition, "segmon_waiver_expiry_timestamp_seconds")
    store.record(recording(2, waivers=()))

    assert [float(line.rpartition(" ")[2]) for line in first] == [(at(0) + timedelta(days=9)).timestamp()]
    assert lines(exposition, "segmon_waiver_expiry_timestamp_seconds") == []


def scheduled(store, *, end, schedule="daily"):
    """A report of the period of one day up to `end` days after the beginning."""
    until = at(0) + timedelta(days=end)
    name = f"{schedule}-{end}"
    wanted = Claim(
        report=name,
        cluster="h",
        domain="",
        schedule=schedule,
        from_at=until - timedelta(days=1),
        to_at=until,
        at=until,
        release="0",
    )
    return store.claim_report(wanted)


def test_the_end_of_the_last_period_that_was_reported_is_told_and_a_claim_is_no_report(store, exposition, gauges):
    store.record(recording(1, passing()))
    gauges.adopted("h")
    for end in (1, 2):
        made = Made(manifest="d", chain_seq=1, chain_hash="0" * 64, place="p")
        store.finish_report(scheduled(store, end=end), made)
    by_hand = Made(manifest="d", chain_seq=1, chain_hash="0" * 64, place="p")
    store.finish_report(scheduled(store, end=7, schedule=""), by_hand)
    scheduled(store, end=3)

    [line] = lines(exposition, "segmon_report_period_end_timestamp_seconds")
    assert 'schedule="daily"' in line
    assert float(line.rpartition(" ")[2]) == (at(0) + timedelta(days=2)).timestamp()


MANY = [structs.replace(CONTROLS[n % len(CONTROLS)], id=f"control-{n:02}") for n in range(40)]


class Wide(Gauges):
    """As if the catalogue had forty controls."""

    severities = {control.id: control.severity for control in MANY}  # noqa: RUF012 - as in the class above


def test_two_hundred_domains_by_forty_controls_stay_below_twenty_thousand_series(store, exposition):
    """And ten domains more cost no more than the one that they are folded into."""
    outcomes = (Outcome.PASS, Outcome.FAIL, Outcome.WARN, Outcome.ERROR)  # each has a label set for its findings
    postures = [
        posture(
            *(
                structs.replace(
                    control(outcomes[(n + place) % 4], subject(outcomes[(n + place) % 4], name=f"n{n}/Deployment/web")),
                    control=each.id,
                )
                for place, each in enumerate(MANY)
            ),
            domain=Domain(id=f"namespace/n{n:04}", level="namespace", name=f"n{n:04}"),
        )
        for n in range(DOMAIN_LIMIT + 10)
    ]
    store.record(recording(1, *postures[:DOMAIN_LIMIT], vouched=(seen(1),)))
    gauges = Wide(exposition, Health(), store, now=lambda: at(100), monotonic=lambda: 0.0)
    gauges.adopted("h")
    at_the_limit = samples(exposition)
    store.record(recording(2, *postures[DOMAIN_LIMIT:]))
    beyond = samples(exposition)

    assert DOMAIN_LIMIT * len(MANY) < at_the_limit < 20_000
    assert beyond - at_the_limit < len(MANY) * (len(outcomes) + 2) + 10


def samples(exposition):
    return sum(len(family.samples) for family in text_string_to_metric_families(exposition.text().decode()))


def test_label_values_hold_whatever_a_cluster_may_contain(store, exposition, gauges):
    hostile = 'a"b\\c\nd{e="f"}\u202e=cmd' + "x" * 200
    domain = Domain(id=f"namespace/{hostile}", level="namespace", name=hostile, owner=hostile)
    store.record(recording(1, posture(control(Outcome.FAIL, subject(Outcome.FAIL)), domain=domain)))
    gauges.adopted("h")

    families = {family.name: family for family in text_string_to_metric_families(exposition.text().decode())}
    [info] = families["segmon_domain_info"].samples
    [open_findings] = families["segmon_findings_open"].samples

    assert info.labels["owner"] == hostile
    assert open_findings.labels["domain"] == f"namespace/{hostile}"
    assert open_findings.value == 1
