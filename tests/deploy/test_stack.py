"""`make stack` as a person runs it: every part up, findings and metrics where they are looked for, a clean end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from parts.process import CHECKOUT, PartFailed, PartMissing, until

PROCESSES = {"watch", "collect", "work-1", "work-2", "match-1", "match-2"}
MISSING = 3


def children_of(folder):
    """Processes that run in or for the stack's folder, by what they were started as."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            here = str((place / "cwd").readlink())
        except OSError:
            continue
        if here.startswith(str(folder)) or any(str(folder) in word for word in words):
            found[int(place.name)] = " ".join(words)
    return found


class Stack:
    def __init__(self, process):
        self.process = process
        self.said = []

    def until_it_says(self, text):
        for line in self.process.stdout:
            self.said.append(line)
            if text in line:
                return
        code = self.process.wait()
        words = self.process.stderr.read()
        if code == MISSING:
            part, _, fix = words.removeprefix("error: part missing: ").partition(": ")
            raise PartMissing(part, fix.strip())
        raise PartFailed(f"the stack ended with {code}\n{''.join(self.said)}\n{words}")

    def stopped(self):
        """Its code after Ctrl-C; where it does not stop, what was still running of it."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            raise PartFailed(f"the stack did not stop: {children_of(self.folder)}") from None

    @property
    def folder(self):
        return Path(re.search(r"starting in (\S+)", self.said[0])[1])

    @property
    def addresses(self):
        return {
            found[1].strip(): found[2] for line in self.said if (found := re.match(r"  (.{20})(\S+)(,.*)?\n", line))
        }

    @property
    def ports(self):
        return {int(found[1]) for line in self.said if (found := re.search(r"127\.0\.0\.1:(\d+)", line))}


@contextmanager
def running():
    command = [sys.executable, str(CHECKOUT / "tools/stack.py")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMON_")}
    if "SEGMON_PARTS" in os.environ:
        clean["SEGMON_PARTS"] = os.environ["SEGMON_PARTS"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    # As from a terminal: a run of the tests in the background of a shell would pass on that Ctrl-C is ignored.
    pipes["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, env=clean, **pipes) as process:
        try:
            yield Stack(process)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=60)


def is_free(port):
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) != 0


def nothing_is_left_of(stack):
    assert children_of(stack.folder) == {}
    assert not stack.folder.exists()
    assert [port for port in stack.ports if not is_free(port)] == []


def findings(address):
    with psycopg.connect(address) as connection:
        rows = connection.execute("SELECT control FROM finding WHERE state <> 'resolved' AND cluster = 'harbour'")
        return [row[0] for row in rows]


def asked(address, expression):
    with urllib.request.urlopen(f"{address}/api/v1/query?{urlencode({'query': expression})}", timeout=10) as answer:
        found = json.load(answer)["data"]["result"]
    return float(found[0]["value"][1]) if found else None


@pytest.mark.usefixtures("prometheus_program", "alertmanager_program")
def test_the_demo_is_judged_recorded_and_scraped_and_ctrl_c_leaves_nothing():
    with running() as stack:
        stack.until_it_says("Ctrl-C stops everything")
        where = stack.addresses
        recorded = until(lambda: findings(where["PostgreSQL"]), within=60, what="findings in PostgreSQL")
        open_ones = "sum(max without (instance, process) (segmon_findings_open))"
        until(lambda: asked(where["Prometheus"], open_ones), within=60, what="findings in Prometheus")
        up = until(lambda: asked(where["Prometheus"], "sum(up) >= 6"), within=60, what="every process is scraped")
        parts = children_of(stack.folder)
        code = stack.stopped()

    assert {name.removeprefix("metrics of ") for name in where if name.startswith("metrics of")} == PROCESSES
    assert "default-deny-ingress" in recorded
    assert up == len(PROCESSES)
    assert len(parts) >= len(PROCESSES) + len({"kafka", "postgres", "prometheus", "alertmanager", "story", "reports"})
    assert code == 0
    nothing_is_left_of(stack)


@pytest.mark.slow
@pytest.mark.usefixtures("prometheus_program", "alertmanager_program")
def test_a_part_that_ends_is_named_and_ends_the_stack():
    with running() as stack:
        stack.until_it_says("Ctrl-C stops everything")
        [watch] = [number for number, words in children_of(stack.folder).items() if " watch " in words]
        os.kill(watch, signal.SIGKILL)
        code = stack.process.wait(timeout=90)
        words = stack.process.stderr.read()

    assert code == 1
    assert words.startswith("error: watch ended")
    nothing_is_left_of(stack)
