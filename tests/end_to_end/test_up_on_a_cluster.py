"""`segmon up --kubeconfig --logs` as a person starts it: a real API server, the kernel's own lines, one command."""

import os
import signal
import subprocess
import sys

import pytest
from parts.process import CHECKOUT, until
from scenes import two_tenants

from monitor.store import Store, queries

CLUSTER = "trial"
WAIT = 60.0


class Trial:
    """One `segmon up` on the cluster, and its record."""

    def __init__(self, folder, kubeconfig):
        self._folder = folder
        self.log = folder / "kern.log"
        self.carry(["eth0: link becomes ready"])
        (folder / "domains.yaml").write_text(two_tenants.DECLARED)
        self._kubeconfig = kubeconfig

    def start(self):
        arguments = [
            *("up", "--cluster", CLUSTER, "--kubeconfig", self._kubeconfig, "--logs", self.log),
            *("--domains", self._folder / "domains.yaml", "--data", self._folder / "data"),
            *("--metrics-listen", "127.0.0.1:0", "--page-listen", "127.0.0.1:0"),
        ]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMON_")}
        with (self._folder / "said").open("a") as sink:
            return subprocess.Popen(
                [sys.executable, "-m", "monitor.cli.main", *map(str, arguments)],
                stdout=sink,
                stderr=sink,
                cwd=CHECKOUT,
                env=clean,
            )

    def carry(self, lines):
        with self.log.open("a") as file:
            file.writelines(two_tenants.as_syslog_writes(lines))

    @property
    def store(self):
        return Store.open(f"sqlite:///{self._folder}/data/segmon.db")

    def has(self, control, subject):
        with self.store.look() as look:
            return any((row.control, row.subject) == (control, subject) for row in queries.open_findings(look, CLUSTER))

    def is_evaluated(self):
        if not (self._folder / "data" / "segmon.db").exists() or "DOMAIN" not in (self._folder / "said").read_text():
            return False
        with self.store.look() as look:
            outcomes = {(row.domain, row.control): row.outcome for row in queries.open_statuses(look, CLUSTER)}
        return outcomes.get((f"cluster/{CLUSTER}", "evidence-complete")) == "pass"

    def moves(self, control, subject):
        with self.store.look() as look:
            rows = queries.transitions_after(look, CLUSTER, 0)
        return [row.transition for row in rows if (row.control, row.subject) == (control, subject)]


@pytest.fixture
def trial(tmp_path, cluster):
    two_tenants.build(cluster)
    return Trial(tmp_path, cluster.kubeconfig())


def stop(process):
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0


def test_one_command_judges_a_cluster_and_its_kernels_lines_and_goes_on_after_a_restart(trial, cluster, kernel_log):
    open_egress, crossed = ("default-deny-egress", "bank/Pod/db"), ("flow-escaped", "bank/Pod/db")
    with two_tenants.joined(kernel_log) as network:
        network.log(two_tenants.PREFIX)
        process = trial.start()
        until(trial.is_evaluated, within=WAIT, what="everything is evaluated")

        cluster.admin.delete(two_tenants.default_deny("bank"))
        until(lambda: trial.has(*open_egress), within=WAIT, what="a deleted policy is a finding")
        network.send("shop/web", "bank/db", "tcp", 8080)
        trial.carry(network.wait_for(1))
        until(lambda: trial.has(*crossed), within=WAIT, what="an undeclared flow has escaped")
        stop(process)

    cluster.admin.apply(two_tenants.default_deny("bank"))
    process = trial.start()
    until(lambda: not trial.has(*open_egress), within=WAIT, what="what was mended meanwhile is resolved")
    stop(process)

    assert trial.moves(*open_egress) == ["opened", "resolved"]
    assert trial.moves(*crossed) == ["opened"]
