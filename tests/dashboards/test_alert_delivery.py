"""From a policy deleted in a cluster to an alert that somebody receives, and what is held back while evidence is stale.

A real API server, Kafka and PostgreSQL, the command line's own processes, a real Prometheus with the rules that we ship
(their `for` shortened, nothing else), a real Alertmanager with our configuration and a receiver on loopback.
"""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from parts.process import CHECKOUT, until
from parts.prometheus import Alertmanager, PrometheusServer, amtool
from parts.segmon import Segmon
from scenes import two_tenants

from dashboards import alerts
from monitor import clock

CLUSTER = f"alerted-{os.getpid()}"  # the topics have the product's names: the session's broker may hold other clusters
WAIT = 60.0
SHIPPED = CHECKOUT / "dashboards/alertmanager/alertmanager.yaml"


class Receiver:
    """Where Alertmanager delivers: everything that it posted, and the alerts in it by name and domain."""

    def __init__(self):
        self.posts = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                """Nothing to say."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def got(self, name, status, **labels):
        """The last delivered alert of this name, status and labels."""
        for post in reversed(self.posts):
            for alert in post["alerts"]:
                wanted = {"alertname": name} | labels
                if alert["status"] == status and wanted.items() <= alert["labels"].items():
                    return alert | {"group": post["groupLabels"]}
        return None

    def names(self):
        return {
            (alert["labels"]["alertname"], alert["labels"].get("cluster")) for p in self.posts for alert in p["alerts"]
        }


def delivering_to(url):
    """Our configuration with a receiver, and without the wait for others of the same group."""
    content = yaml.safe_load(SHIPPED.read_text())
    content["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    content["receivers"] = [{"name": "segmon", "webhook_configs": [{"url": url, "send_resolved": True}]}]
    return yaml.safe_dump(content)


def hurried_rules():
    """The rules that we ship, in seconds instead of minutes."""
    content = alerts.groups()
    for group in content["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = "0s"
                rule.pop("keep_firing_for", None)
    return yaml.safe_dump(content)


@contextmanager
def watched(processes, alertmanager):
    targets = [{"targets": [process.metrics for process in processes]}]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "segmon", "static_configs": targets}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.url.removeprefix("http://")]}]}]},
    }
    with PrometheusServer(yaml.safe_dump(config), files={"rules.yaml": hurried_rules()}) as prometheus:
        yield prometheus


@pytest.fixture
def settings(tmp_path, kafka, database, cluster):
    """Two tenants whose walls are sound, topics and tables."""
    two_tenants.build(cluster)
    (tmp_path / "domains.yaml").write_text(two_tenants.DECLARED)
    file = tmp_path / "segmon.yaml"
    content = {
        "cluster": CLUSTER,
        "kafka": {"bootstrap": kafka.bootstrap, "session_timeout_seconds": 6, "rebalance_timeout_seconds": 10},
        "database": {"url": database},
        "watch": {"kubeconfig": str(cluster.kubeconfig()), "domains": str(tmp_path / "domains.yaml")},
        "web": {"page_listen": "127.0.0.1:0"},
        "timing": {"heartbeat_seconds": 1, "tick_seconds": 1},
    }
    file.write_text(yaml.safe_dump(content))
    for command in (("db", "upgrade"), ("topics", "create")):
        subprocess.run(
            [sys.executable, "-m", "monitor.cli.main", "--config", str(file), *command],
            cwd=CHECKOUT,
            check=True,
            capture_output=True,
        )
    return file


@pytest.mark.usefixtures("prometheus_program", "alertmanager_program")
def test_a_policy_deleted_in_the_cluster_is_an_alert_that_arrives_and_is_resolved_when_it_is_back(settings, cluster):
    with (
        Receiver() as receiver,
        Alertmanager(delivering_to(receiver.url)) as alertmanager,
        Segmon(settings, "work") as work,
        Segmon(settings, "watch") as watch,
        watched((work, watch), alertmanager) as prometheus,
    ):
        met = f'segmon_control_outcome{{cluster="{CLUSTER}",domain="namespace/bank",control="default-deny-egress"}}'
        until(lambda: prometheus.query(met), within=WAIT, what="the bank's walls are judged and scraped")
        before = receiver.got("SegmonCriticalFindingOpen", "firing")
        cluster.admin.delete(two_tenants.default_deny("bank"))
        critical = {"domain": "namespace/bank", "severity": "critical"}
        fired = until(
            lambda: receiver.got("SegmonCriticalFindingOpen", "firing", **critical), within=WAIT, what="the alert"
        )
        lost = until(lambda: receiver.got("SegmonDefaultDenyLost", "firing"), within=WAIT, what="what was lost")
        cluster.admin.apply(two_tenants.default_deny("bank"))
        resolved = until(
            lambda: receiver.got("SegmonCriticalFindingOpen", "resolved", **critical), within=WAIT, what="the all-clear"
        )

    assert before is None
    assert fired["labels"]["cluster"] == CLUSTER
    assert fired["labels"]["owner"] == "team-bank"
    assert fired["group"] == {"cluster": CLUSTER, "domain": "namespace/bank", "alertname": "SegmonCriticalFindingOpen"}
    assert fired["annotations"]["summary"] == "A security domain has a critical segmentation finding."
    assert fired["annotations"]["description"] == f"namespace/bank in {CLUSTER} has 1 critical finding(s) open."
    assert fired["annotations"]["runbook_url"].endswith("/docs/runbooks/SegmonCriticalFindingOpen.md")
    assert lost["labels"]["control"] == "default-deny-egress"
    assert resolved["fingerprint"] == fired["fingerprint"]


@pytest.mark.usefixtures("prometheus_program", "alertmanager_program")
def test_an_alert_that_fired_while_alertmanager_was_away_arrives_when_it_is_back():
    """No process of ours runs, which is an alert of its own."""
    with Receiver() as receiver, Alertmanager(delivering_to(receiver.url)) as alertmanager:
        alertmanager.stop()
        with watched((), alertmanager) as prometheus:
            until(
                lambda: prometheus.query('ALERTS{alertname="SegmonAbsent",alertstate="firing"}'),
                within=WAIT,
                what="Prometheus goes on judging",
            )
            before = list(receiver.posts)
            alertmanager.start()
            until(lambda: receiver.got("SegmonAbsent", "firing"), within=WAIT, what="the alert that was raised before")

    assert before == []


# Inhibition


def raised(alertmanager, name, *, over=False, **labels):
    """Tell Alertmanager of an alert as Prometheus does; `over`: that it has ended."""
    [written] = [alert for alert in alerts.ALERTS if alert.name == name]
    kind = "compliance" if written.is_compliance else "evidence"
    now = clock.now()
    alert = {
        "labels": {"alertname": name, "severity": written.severity, "segmon": kind} | labels,
        "annotations": {"summary": written.summary},
        "startsAt": (now - timedelta(minutes=1)).isoformat(),
        "endsAt": (now if over else now + timedelta(hours=1)).isoformat(),
    }
    request = urllib.request.Request(
        f"{alertmanager.url}/api/v2/alerts",
        data=json.dumps([alert]).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def inhibited(alertmanager):
    return {
        (alert["labels"]["alertname"], alert["labels"]["cluster"])
        for alert in alertmanager.alerts()
        if alert["status"]["inhibitedBy"]
    }


@pytest.mark.usefixtures("alertmanager_program")
def test_while_evidence_is_stale_compliance_alerts_of_that_cluster_are_held_back_and_come_when_it_is_fresh():
    of_east = {"cluster": "east", "domain": "namespace/bank"}
    with Receiver() as receiver, Alertmanager(delivering_to(receiver.url)) as alertmanager:
        raised(alertmanager, "SegmonEvidenceStale", cluster="east", input="Pod")
        until(lambda: receiver.got("SegmonEvidenceStale", "firing"), within=WAIT, what="stale evidence is told")
        raised(alertmanager, "SegmonCriticalFindingOpen", **of_east)
        raised(alertmanager, "SegmonConsumerStuck", cluster="east", topic="segmon.facts.v1", partition="3")
        raised(alertmanager, "SegmonCriticalFindingOpen", cluster="west", domain="namespace/bank")
        told = {("SegmonCriticalFindingOpen", "west"), ("SegmonConsumerStuck", "east"), ("SegmonEvidenceStale", "east")}
        until(
            lambda: told <= receiver.names(), within=WAIT, what="what is not about compliance, and the other cluster's"
        )
        held_back, delivered = inhibited(alertmanager), receiver.names()
        raised(alertmanager, "SegmonEvidenceStale", over=True, cluster="east", input="Pod")
        until(
            lambda: receiver.got("SegmonCriticalFindingOpen", "firing", **of_east),
            within=WAIT,
            what="what was held back comes when evidence is fresh again",
        )

    assert held_back == {("SegmonCriticalFindingOpen", "east")}
    assert delivered == told


@pytest.mark.usefixtures("alertmanager_program")
def test_silent_log_sources_hold_back_only_what_says_the_same():
    with Receiver() as receiver, Alertmanager(delivering_to(receiver.url)) as alertmanager:
        raised(alertmanager, "SegmonEvidenceStaleForLong", cluster="east", input="flows")
        until(lambda: receiver.got("SegmonEvidenceStaleForLong", "firing"), within=WAIT, what="silence is told")
        raised(alertmanager, "SegmonNotEvaluated", cluster="east", domain="namespace/bank")
        raised(alertmanager, "SegmonDefaultDenyLost", cluster="east", domain="namespace/bank")
        until(lambda: receiver.got("SegmonDefaultDenyLost", "firing"), within=WAIT, what="the compliance alert")
        held_back = inhibited(alertmanager)

    assert held_back == {("SegmonNotEvaluated", "east")}
    assert receiver.names() == {("SegmonEvidenceStaleForLong", "east"), ("SegmonDefaultDenyLost", "east")}


@pytest.mark.usefixtures("alertmanager_program")
def test_evidence_that_is_stale_for_long_is_told_once_and_not_twice():
    with Receiver() as receiver, Alertmanager(delivering_to(receiver.url)) as alertmanager:
        raised(alertmanager, "SegmonEvidenceStaleForLong", cluster="east", input="Pod")
        until(lambda: receiver.got("SegmonEvidenceStaleForLong", "firing"), within=WAIT, what="the critical one")
        raised(alertmanager, "SegmonEvidenceStale", cluster="east", input="Pod")
        raised(alertmanager, "SegmonEvidenceStale", cluster="east", input="Tier")
        until(lambda: receiver.got("SegmonEvidenceStale", "firing", input="Tier"), within=WAIT, what="the other input")
        held_back = [alert["labels"]["input"] for alert in alertmanager.alerts() if alert["status"]["inhibitedBy"]]

    assert held_back == ["Pod"]


@pytest.mark.usefixtures("alertmanager_program")
@pytest.mark.parametrize(
    "labels", [{"alertname": "SegmonCriticalFindingOpen", "domain": "namespace/bank"}, {"alertname": "SegmonAbsent"}]
)
def test_every_alert_is_routed_to_the_receiver_that_an_operator_fills_in(labels):
    checked = amtool("check-config", SHIPPED)
    words = [f"{name}={value}" for name, value in labels.items()]
    routed = amtool("config", "routes", "test", f"--config.file={SHIPPED}", *words)

    assert checked.returncode == 0, checked.stderr
    assert routed.stdout.strip() == "segmon"
