import pytest
from store.recordings import at, failing, passing, posture, recording, seen

from models.compliance import Domain
from models.metrics import DOMAIN_LIMIT, OTHER_DOMAIN
from models.recording import Recorded
from monitor.store import Store
from monitor.web.exposition import Exposition
from monitor.web.gauges import Gauges
from monitor.web.health import Health


@pytest.fixture
def store(tmp_path):
    opened = Store.open(f"sqlite:///{tmp_path}/segmon.db")
    opened.upgrade()
    yield opened
    opened.close()


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
