"""`segmon up` as a person runs it: the demo to its end, a folder of YAML, a restart, a clean end."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from parts.process import until

from models.errors import UserError
from models.facts import Tick, key_of
from models.topics import FACTS, partition_of
from monitor.broker import embedded
from monitor.broker.connection import BrokerUnavailableError, Connection
from monitor.broker.messages import fact_message
from monitor.broker.producing import Producer
from monitor.cli import tree
from monitor.cli.tree import ChildEndedError
from monitor.cli.up import ends_in_a_row

DEMO = Path(__file__).resolve().parents[2] / "monitor" / "demo"
SHOP = (
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n"
    "spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, "
    "spec: {containers: [{name: web, image: image.example/web}]}}}\n"
)
DENY = (
    "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\n"
    "spec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n"
)
LARGE = 500_000  # bytes of one record, compressed
QUIET = ["--metrics-listen", "127.0.0.1:0", "--page-listen", "127.0.0.1:0"]


def command(*arguments):
    return [sys.executable, "-m", "monitor.cli.main", "up", *map(str, arguments)]


def run(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMON_")}
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=150, check=False, env=clean | environment
    )


@pytest.fixture
def shop(tmp_path):
    """A folder with one namespace and one workload in it."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    (folder / "shop.yaml").write_text(SHOP)
    return folder


@pytest.fixture(scope="module")
def told():
    done = run("--demo", "--once", "--output", "json")
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout)


def outcome(told, domain, control):
    [found] = [row for row in told["domains"] if row["id"] == domain]
    return found["controls"][control]["outcome"]


def test_an_allow_all_that_poses_as_default_deny_fails(told):
    assert outcome(told, "namespace/shop", "default-deny-ingress") == "fail"


def test_a_zero_rule_policy_that_is_stricter_than_it_looks_passes(told):
    assert outcome(told, "namespace/ledger", "default-deny-ingress") == "pass"
    assert outcome(told, "namespace/ledger", "default-deny-egress") == "pass"


def test_the_story_opens_findings_resolves_them_and_sees_traffic_escape(told):
    moves = [(row["transition"], row["domain"], row["control"]) for row in told["transitions"]]
    payments = [move for move in moves if move[1] == "namespace/payments"]

    assert ("opened", "namespace/payments", "default-deny-ingress") in payments
    assert payments[-1][0] == "resolved"
    assert ("opened", "namespace/records", "flow-escaped") in moves
    assert {row["class"] for row in told["paths"]} == {"permitted", "escaped"}


def test_the_policy_that_is_deleted_widens_what_it_closes_when_it_is_put_back(told):
    deleted, restored = [row for row in told["policy_changes"] if row["name"] == "default-deny"][-2:]

    assert (deleted["change"], restored["change"]) == ("deleted", "created")
    assert "outside -> payments all" in deleted["widened"]
    assert (deleted["closed"], restored["widened"]) == ([], [])
    assert restored["closed"] == deleted["widened"]


def test_every_finding_has_its_proof_and_its_fix(told):
    assert told["findings"]
    assert all(row["sentence"] and (row["trace"] or row["facts"]) and row["fix"] for row in told["findings"])


def test_a_restart_goes_on_with_the_record_it_kept(tmp_path):
    manifests = tmp_path / "cluster"
    manifests.mkdir()
    (manifests / "shop.yaml").write_text(SHOP)
    kept = ["--manifests", manifests, "--data", tmp_path / "data", "--once", "--output", "json"]

    first, second = run(*kept), run(*kept)

    assert (first.returncode, second.returncode) == (1, 1), first.stderr + second.stderr
    before, after = json.loads(first.stdout), json.loads(second.stdout)
    assert [row["since"] for row in before["findings"]] == [row["since"] for row in after["findings"]]


def _listens_to_hangups():
    """Also in a run that nohup began."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP], ids=["ctrl-c", "closed terminal"])
def test_a_stop_leaves_no_process_and_no_folder(tmp_path, how):
    log = tmp_path / "said"
    with log.open("w") as sink:
        process = subprocess.Popen(
            command("--demo", *QUIET),
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            env=os.environ | {"TMPDIR": str(tmp_path)},
            preexec_fn=_listens_to_hangups,  # noqa: PLW1509 - no threads here
        )
    until(lambda: "DOMAIN" in log.read_text(), within=60, what="the posture")
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
    ).stdout.split()

    process.send_signal(how)
    process.wait(timeout=30)

    assert process.returncode == 0
    assert len(children) == 3
    assert list(tmp_path.iterdir()) == [log]
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), within=10, what="children gone")


def test_the_demo_tells_what_was_read_plays_its_story_and_says_what_to_ask_next(tmp_path):
    log = tmp_path / "said"
    with log.open("w") as sink:
        process = subprocess.Popen(
            command("--demo", "--data", tmp_path / "data", *QUIET), stdout=sink, stderr=sink, start_new_session=True
        )
    until(lambda: "Ctrl-C stops everything" in log.read_text(), within=120, what="the end of the story")
    said = log.read_text()
    asked = next(line for line in said.splitlines() if line.startswith("why?")).split("explain")[1].split()
    why = subprocess.run(
        [sys.executable, "-m", "monitor.cli.main", "explain", *asked],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)

    assert "policies in 3 tiers, 2 of them staged   ! 1 that Calico drops" in said
    assert "fixed after " in said
    assert "widened   deleted payments/default-deny: " in said
    assert "closed    created payments/default-deny: " in said
    assert said.index("— analytics reads the records of another tenant") < said.index("flow-escaped")
    assert why.returncode == 0, why.stderr
    assert why.stdout.startswith("ALLOWED  analytics/Deployment/etl → records/StatefulSet/records")


def test_only_ends_that_follow_each_other_closely_are_counted_together():
    quick = ends_in_a_row(ends_in_a_row(0, lived_seconds=1), lived_seconds=2)

    assert quick == 2
    assert ends_in_a_row(4, lived_seconds=3600) == 1


def test_an_address_in_use_is_told_once_with_its_fix_and_no_address_is_announced(shop):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("--manifests", shop, "--metrics-listen", "127.0.0.1:0", "--page-listen", address)
    problem, fix = done.stderr.splitlines()

    assert done.returncode == 2
    assert problem.startswith(f"error: cannot listen on {address}: ")
    assert fix == "       fix: choose another address with --page-listen (SEGMON_WEB__PAGE_LISTEN)"
    assert "http://" not in done.stdout


def test_without_the_extra_the_fix_is_told(shop, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "confluent_kafka.py").write_text("raise ImportError('not installed')\n")
    done = run("--manifests", shop, "--once", PYTHONPATH=str(hidden))

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: the embedded broker needs confluent-kafka, which is not installed",
        "       fix: pip install 'segmon[embedded]'",
    ]


def test_a_variable_for_one_address_is_not_taken_by_every_part(shop):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    done = run("--manifests", shop, "--once", SEGMON_WEB__METRICS_LISTEN=address)

    assert (done.returncode, done.stderr) == (1, "")


def test_a_settings_file_says_what_flags_do_not(shop, tmp_path):
    settings, data = tmp_path / "segmon.yaml", tmp_path / "data"
    settings.write_text(
        json.dumps({"cluster": "east", "watch": {"manifests": str(shop)}, "timing": {"tick_seconds": 7}})
    )
    done = run("--once", "--data", data, "--output", "json", SEGMON_CONFIG=str(settings))

    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["cluster"] == "east"
    assert json.loads((data / "work.json").read_text())["timing"]["tick_seconds"] == 7


def test_the_addresses_that_are_told_answer(shop, tmp_path):
    log = tmp_path / "said"
    with upped(log, "--manifests", shop):
        until(lambda: "DOMAIN" in log.read_text(), within=60, what="the posture")
        [line] = [line for line in log.read_text().splitlines() if line.startswith("status page ")]
        answers = [urllib.request.urlopen(url, timeout=10).status for url in re.findall(r"http://\S+", line)]

    assert answers == [200, 200]


def test_a_file_that_cannot_be_read_is_named_and_to_blame(shop):
    (shop / "broken.yaml").write_text("kind: [\n")
    done = run("--manifests", shop, "--once")
    [line] = done.stderr.splitlines()

    assert done.returncode == 1
    assert line.startswith(f"not read: {shop}/broken.yaml:")
    assert f"{shop}/broken.yaml:" in done.stdout
    assert f"mend {shop}/broken.yaml" in done.stdout


def test_a_file_that_holds_no_manifest_is_refused_with_the_fix(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Shop\n\nSells: things.\n")
    done = run("--manifests", readme, *QUIET)
    problem, fix = done.stderr.splitlines()

    assert done.returncode == 3
    assert problem.startswith(f"error: no manifests under {readme}: {readme}:")
    assert fix == "       fix: give --manifests a file or a folder of Kubernetes objects, in YAML or JSON"


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        ("monitor.web.server.AddressInUseError", UserError),  # a person must mend it
        ("monitor.settings.SettingsError", UserError),
        ("monitor.broker.epochs.EpochError", ChildEndedError),  # the embedded broker forgot: a new one knows again
        ("monitor.broker.reading.TruncatedLogError", ChildEndedError),
    ],
)
async def test_what_a_part_ends_with_decides_whether_it_is_started_anew(tmp_path, error, ends):
    module, _, name = error.rpartition(".")
    script = (
        f"from monitor.cli import main; from {module} import {name}\n"
        f"def wrong(): raise {name}('it is so\\n       fix: do this')\n"
        "main.app = wrong; main.main()"
    )
    log = tmp_path / "part.log"
    async with tree.child(["-c", script], log=log) as process:
        with pytest.raises(ends) as told:
            await tree.ended(process, "part", log)

    assert type(told.value) is ends
    assert "it is so" in str(told.value)


def test_a_disk_that_fills_under_the_record_stops_everything_with_the_fix(tmp_path):
    """A disk of 900 kB, in a mount namespace of its own: the schema fits in, the first evaluation does not."""
    room = tmp_path / "room"
    room.mkdir()
    small = ["unshare", "--mount", "--map-root-user", "sh", "-c", 'mount -t tmpfs -o size=900k none "$0" && exec "$@"']
    arguments = command("--manifests", DEMO / "cluster", "--data", room, *QUIET)
    done = subprocess.run([*small, room, *arguments], capture_output=True, text=True, timeout=150, check=False)

    assert (done.returncode, done.stderr) == (
        2,
        "error: the disk that holds the record is full\n       fix: free space, or give --data DIR elsewhere\n",
    )


def test_two_ups_do_not_share_a_folder(tmp_path):
    import fcntl

    data = tmp_path / "data"
    data.mkdir()
    with (data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("--manifests", DEMO / "cluster", "--data", data, "--once")

    assert done.returncode == 2
    assert "is in use by another segmon up" in done.stderr


@contextmanager
def upped(log, *arguments):
    """A tree that is gone behind the block, whatever happened in it: its children die with it."""
    with log.open("w") as sink:
        process = subprocess.Popen(command(*arguments, *QUIET), stdout=sink, stderr=sink, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


@pytest.mark.parametrize("victim", ["monitor.broker.embedded", "work"])
def test_a_part_that_dies_restarts_everything_and_the_record_goes_on(tmp_path, victim):
    manifests, log = tmp_path / "cluster", tmp_path / "said"
    manifests.mkdir()
    (manifests / "shop.yaml").write_text(SHOP)
    with upped(log, "--manifests", manifests, "--data", tmp_path / "data") as process:
        until(lambda: "DOMAIN" in log.read_text(), within=60, what="the posture")
        children = subprocess.run(["pgrep", "-P", str(process.pid), "-a"], capture_output=True, text=True, check=False)
        [child] = [line.split()[0] for line in children.stdout.splitlines() if victim in line.split()]
        os.kill(int(child), signal.SIGKILL)
        until(lambda: log.read_text().count("DOMAIN") == 2, within=60, what="the posture again")
        (manifests / "deny.yaml").write_text(DENY)
        until(lambda: "resolved" in log.read_text(), within=60, what="a change behind the restart")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)

    assert "restarting everything" in log.read_text()
    assert process.returncode == 0


def test_a_broker_that_dropped_its_beginning_restarts_everything_and_the_record_goes_on(shop, tmp_path):
    log, data = tmp_path / "said", tmp_path / "data"
    with upped(log, "--manifests", shop, "--data", data) as process:
        until(lambda: "DOMAIN" in log.read_text(), within=60, what="the posture")
        asyncio.run(fill_up((data / "broker").read_text()))
        until(lambda: log.read_text().count("DOMAIN") == 2, within=90, what="the posture again")
        (shop / "shop.yaml").write_text(SHOP + DENY)
        until(lambda: "resolved" in log.read_text(), within=60, what="a change behind the restart")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)

    assert process.returncode == 0
    [why] = [line for line in log.read_text().splitlines() if line.startswith("restarting everything: ")]
    assert "the embedded broker dropped its oldest records" in why


async def fill_up(address):
    """More into the cluster's partition of facts than the embedded broker holds, until it does or is gone."""
    tick = Tick(partition=partition_of("cluster", embedded.PARTITIONS))
    with suppress(TimeoutError, BrokerUnavailableError):
        async with asyncio.timeout(20), Producer(Connection(bootstrap=address)) as producer:
            for _ in range(embedded.RETENTION_BYTES // LARGE + 2):
                noise = secrets.token_hex(LARGE)  # what is compressed to half of it
                large = fact_message(FACTS.name, "", key_of("", tick), tick, source=noise)
                await producer.send_to(tick.partition, large)
