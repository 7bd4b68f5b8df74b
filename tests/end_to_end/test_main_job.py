"""The main job from end to end, on real parts and with the processes that a person starts.

A real API server, Apache Kafka and PostgreSQL; the command line's own processes, two of each kind that shares its work;
lines that the kernel wrote for packets between two network namespaces; a real Prometheus that scrapes.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from parts.kubernetes_api import ref
from parts.process import CHECKOUT, PartFailed, until
from parts.prometheus import PrometheusServer
from parts.segmon import Segmon
from scenes import two_tenants

from models import tables
from models.facts import API_KINDS
from models.topics import TOPICS
from monitor.store import Store, pairs, queries

CLUSTER = f"east-{os.getpid()}"  # the topics have the product's names, so the session's broker may hold other clusters
WAIT = 30.0


class Installation:
    """Settings in a file, commands that end, and what the record says."""

    def __init__(self, folder: Path, kafka, database, kubeconfig):
        self.log = folder / "kern.log"
        self.log.touch()  # a log that holds nothing yet is heard all the same
        (folder / "domains.yaml").write_text(two_tenants.DECLARED)
        self.settings = folder / "segmon.yaml"
        content = {
            "cluster": CLUSTER,
            "kafka": {
                "bootstrap": kafka.bootstrap,
                "session_timeout_seconds": 6,
                "rebalance_timeout_seconds": 10,
            },
            "database": {"url": database},
            "watch": {"kubeconfig": str(kubeconfig), "domains": str(folder / "domains.yaml")},
            "collect": {"files": [str(self.log)], "node": "node-1", "checkpoint": str(folder / "places")},
            "web": {"page_listen": "127.0.0.1:0"},
            "timing": {"heartbeat_seconds": 1, "tick_seconds": 1},
        }
        self.settings.write_text(yaml.safe_dump(content))
        self.store = Store.open(database)

    def segmon(self, *arguments):
        """A command that ends."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMON_")}
        return subprocess.run(
            [sys.executable, "-m", "monitor.cli.main", "--config", str(self.settings), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=CHECKOUT,
            env=clean,
        )

    @contextmanager
    def running(self):
        """The six processes, by name."""
        wanted = {
            "watch": ("watch", "--kubeconfig", self.settings_of("watch", "kubeconfig")),
            "collect": ("collect", "--logs", self.log),
            "work-1": ("work",),
            "work-2": ("work",),
            "match-1": ("match",),
            "match-2": ("match",),
        }
        with ExitStack() as stack, ThreadPoolExecutor(max_workers=len(wanted)) as starters:
            processes = {name: Segmon(self.settings, *arguments) for name, arguments in wanted.items()}
            for process in processes.values():
                stack.callback(process.close)
            list(starters.map(Segmon.start, processes.values()))
            yield processes

    def settings_of(self, section, key):
        return yaml.safe_load(self.settings.read_text())[section][key]

    def carry(self, lines):
        with self.log.open("a") as file:
            file.writelines(two_tenants.as_syslog_writes(lines))

    # The record

    def findings(self):
        with self.store.look() as look:
            return {(row.control, row.subject): row for row in queries.open_findings(look, CLUSTER)}

    def outcomes(self, domain):
        with self.store.look() as look:
            return {row.control: row.outcome for row in queries.open_statuses(look, CLUSTER) if row.domain == domain}

    def until(self, holds, what):
        """Wait for it; where it does not come, say what the record has instead."""
        try:
            return until(holds, within=WAIT, what=what)
        except PartFailed as failure:
            with self.store.look() as look:
                inputs = [row for row in queries.inputs(look, CLUSTER) if row.state not in {"fresh", "not_served"}]
                statuses = queries.open_statuses(look, CLUSTER)
            found = [(*key, row.sentence) for key, row in self.findings().items()]
            seen = [(row.domain, row.control, row.outcome, row.reason) for row in statuses if row.outcome != "skip"]
            raise PartFailed(f"{failure}\n{found=}\n{inputs=}\n{seen=}\npaths={self.paths()}") from None

    def moves(self, control, subject):
        with self.store.look() as look:
            rows = queries.transitions_after(look, CLUSTER, 0)
        return [row.transition for row in rows if (row.control, row.subject) == (control, subject)]

    def effects(self, namespace, name):
        """What each change of a policy did, in order."""
        with self.store.look() as look:
            rows = pairs.effects_after(look, CLUSTER, 0)
        return [row for row in rows if (row.namespace, row.name) == (namespace, name)]

    def reach(self, source, destination):
        """When anything could be opened between the two."""
        table = tables.domain_reach
        of_pair = (table.c.cluster == CLUSTER, table.c.source == source, table.c.destination == destination)
        with self.store.look() as look:
            rows = look.execute(sa.select(table.c.from_at, table.c.to_at).where(*of_pair).order_by(table.c.from_at))
            return [tuple(row) for row in rows]

    def paths(self):
        """Class and count of each, by its ends and port."""
        with self.store.look() as look:
            rows = queries.paths(look, CLUSTER)
        return {(row.source, row.destination, row.protocol, row.port): (str(row.flow_class), row.count) for row in rows}

    def windows(self):
        table = tables.flow_window
        total = sa.select(table.c.flow_class, sa.func.sum(table.c.count)).where(table.c.cluster == CLUSTER)
        with self.store.look() as look:
            return {row[0]: int(row[1]) for row in look.execute(total.group_by(table.c.flow_class))}


@pytest.fixture
def installation(tmp_path, kafka, database, cluster):
    """Topics, tables and the role that we ship; two tenants whose walls are sound."""
    two_tenants.build(cluster)
    made = Installation(tmp_path, kafka, database, cluster.kubeconfig())
    for command in (("db", "upgrade"), ("topics", "create")):
        done = made.segmon(*command)
        assert done.returncode == 0, done.stderr
    yield made
    made.store.close()


@pytest.fixture
def network(kernel_log):
    with two_tenants.joined(kernel_log) as log:
        log.log(two_tenants.PREFIX, match=["-p", "tcp", "--dport", "9999"], verdict="DROP")
        log.log(two_tenants.PREFIX)
        yield log


@contextmanager
def scraped(processes):
    targets = [{"targets": [process.metrics], "labels": {"part": name}} for name, process in processes.items()]
    scrape = {"job_name": "segmon", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": targets}
    with PrometheusServer(yaml.safe_dump({"scrape_configs": [scrape]})) as prometheus:
        yield prometheus


def test_the_main_job_from_a_change_in_the_cluster_to_sql_and_prometheus(
    installation, cluster, network, prometheus_program
):
    with installation.running() as processes, scraped(processes) as prometheus:
        the_clusters_walls_are_judged_as_they_stand(installation)
        a_policy_deleted_is_a_finding_until_it_is_back(installation, cluster.admin)
        a_namespace_made_without_policy_is_found_and_gone_with_it(installation, cluster.admin)
        packets_are_judged_by_what_the_kernel_logged(installation, network)
        prometheus_sees_what_sql_says(installation, prometheus)
        the_doctor_finds_all_well(installation)
        logs = {name: process.log.read_text() for name, process in processes.items()}

    assert [name for name, log in logs.items() if "Traceback" in log] == []
    the_commands_say_the_same(installation)


def the_clusters_walls_are_judged_as_they_stand(installation):
    def judged():
        outcomes = [installation.outcomes(f"namespace/{name}") for name in ("shop", "bank")]
        return all(each.get("default-deny-ingress") == each.get("default-deny-egress") == "pass" for each in outcomes)

    installation.until(judged, what="both namespaces pass default deny")
    installation.until(
        lambda: installation.outcomes(f"cluster/{CLUSTER}").get("evidence-complete") == "pass",
        what="all evidence is there, the log source's included",
    )

    assert installation.findings() == {}


def a_policy_deleted_is_a_finding_until_it_is_back(installation, api):
    """The passage from shop still isolates ingress (Calico: a policy's end denies): only egress is open."""
    failing = ("default-deny-egress", "bank/Pod/db")
    api.delete(two_tenants.default_deny("bank"))
    found = installation.until(lambda: installation.findings().get(failing), what="bank's egress is a finding")

    assert (found.domain, found.owner, found.state) == ("namespace/bank", "team-bank", "open")
    assert installation.outcomes("namespace/bank")["default-deny-ingress"] == "pass"

    api.apply(two_tenants.default_deny("bank"))
    installation.until(lambda: not installation.findings(), what="the finding is resolved")

    assert installation.moves(*failing) == ["opened", "resolved"]
    *_, deleted, restored = installation.effects("bank", "default-deny")
    assert "bank -> outside all" in deleted.widened
    assert (restored.closed, restored.widened, deleted.closed) == (deleted.widened, [], [])
    [(opened_at, closed_at)] = installation.reach("namespace/bank", "outside")
    assert deleted.at <= opened_at < restored.at <= closed_at  # each at the end of a slice, with what came just behind


def a_namespace_made_without_policy_is_found_and_gone_with_it(installation, api):
    api.namespace("lab")
    api.run_pod("lab", "probe", {"app": "probe"}, ip="10.244.91.7")
    bare = {(f"default-deny-{direction}", "lab/Pod/probe") for direction in ("ingress", "egress")}
    installation.until(lambda: set(installation.findings()) == bare, what="lab lies open in both directions")
    api.delete(ref("v1", "Namespace", "lab"))
    installation.until(lambda: not installation.findings(), what="what is gone has no findings")
    installation.until(lambda: not installation.outcomes("namespace/lab"), what="what is gone has no outcomes")

    assert [installation.moves(*each) for each in bare] == [["opened", "resolved"]] * 2


def packets_are_judged_by_what_the_kernel_logged(installation, network):
    answered = [network.send("shop/web", "bank/db", "tcp", port) for port in (5432, 5432, 8080, 9999)]
    installation.carry(network.wait_for(4))
    expected = {
        ("shop/Pod/web", "bank/Pod/db", "tcp", 5432): ("permitted", 2),
        ("shop/Pod/web", "bank/Pod/db", "tcp", 8080): ("escaped", 1),
        ("shop/Pod/web", "bank/Pod/db", "tcp", 9999): ("rejected", 1),
    }
    installation.until(lambda: installation.paths() == expected, what=f"the paths are {expected}")

    assert answered == [True, True, True, False]
    assert installation.windows() == {"permitted": 2, "escaped": 1, "rejected": 1}

    installation.until(
        lambda: any(control == "flow-escaped" for control, _ in installation.findings()),
        what="the escaped flow is a finding",
    )
    found = installation.findings()

    assert {control for control, _ in found} == {"flow-escaped"}
    assert "tcp/8080" in found["flow-escaped", "bank/Pod/db"].sentence


def prometheus_sees_what_sql_says(installation, prometheus):
    """Only the worker that has the cluster exposes it, so that sums over workers are right."""
    of_cluster = f'cluster="{CLUSTER}"'
    in_sql = len(installation.findings())
    expected = {
        f'sum(segmon_findings_open{{{of_cluster}, control="flow-escaped", severity="critical"}})': in_sql,
        f"sum(segmon_findings_open{{{of_cluster}}})": in_sql,
        f"count(count by (part) (segmon_findings_open{{{of_cluster}}}))": 1,
        f'sum(segmon_flows_total{{{of_cluster}, class="escaped"}})': 1,
        f'sum(segmon_flows_total{{{of_cluster}, class="permitted"}})': 2,
        f'sum(segmon_findings_total{{{of_cluster}, control="default-deny-egress", transition="opened"}})': 2,
        f"min(segmon_watch_synced{{{of_cluster}}})": 1,
        f"min(segmon_evidence_fresh{{{of_cluster}}})": 1,
        "count(segmon_build_info)": 6,
        "sum(up)": 6,
    }

    def wrong():
        seen = {expression: prometheus.value(expression) for expression in expected}
        return {name: value for name, value in seen.items() if value != expected[name]}

    try:
        installation.until(lambda: not wrong(), what="Prometheus has what SQL says")
    except PartFailed as failure:
        whole = prometheus.query('{__name__=~"segmon_findings_.+|segmon_flows_total|segmon_watch_synced|up"}')
        raise PartFailed(f"{failure}\n{wrong()=}\n{whole=}") from None


def the_doctor_finds_all_well(installation):
    done = installation.segmon("doctor", "--output", "json")
    checks = json.loads(done.stdout)
    looked_at = " ".join(check["what"] for check in checks)

    assert [check for check in checks if check["state"] != "well"] == []
    assert done.returncode == 0
    for what in ("broker", *(f"topic {spec.name}" for spec in TOPICS), "database", "clock", "API server", "log source"):
        assert what in looked_at
    assert all(f"read {kind.value}" in looked_at for kind in API_KINDS)


def the_commands_say_the_same(installation):
    verified, listed = installation.segmon("verify"), installation.segmon("findings", "--output", "json")

    assert (verified.returncode, f"✔ {CLUSTER}: " in verified.stdout) == (0, True)
    assert listed.returncode == 1
    assert {(row["control"], row["subject"]) for row in json.loads(listed.stdout)} == set(installation.findings())
