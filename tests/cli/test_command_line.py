"""What a person sees of the command line: exit codes, errors with their fix, output forms."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from msgspec import structs
from sqlalchemy.exc import OperationalError
from store.recordings import START, control, failing, passing, posture, recording, seen, subject

from models.compliance import Domain, Outcome
from models.recording import Reach, ReachUpdate
from monitor import clock
from monitor.cli import context, main
from monitor.store import Store


def segmon(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMON_")}
    return subprocess.run(
        [sys.executable, "-m", "monitor.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean | environment,
    )


def judged(posture, *, seconds_ago=0):
    """A recording of a live evaluation so long ago."""
    seconds = (clock.now() - START).total_seconds() - seconds_ago
    return recording(1, posture, seconds=seconds, vouched=(seen(seconds),))


@pytest.fixture
def record(tmp_path):
    """A record with one open finding, as its URL."""
    url = f"sqlite:///{tmp_path}/segmon.db"
    store = Store.open(url)
    store.upgrade()
    store.record(recording(1, failing()))
    store.close()
    return url


def test_open_findings_end_with_1_and_are_listed(record):
    done = segmon("findings", "--database", record)

    assert done.returncode == 1
    assert "namespace/shop" in done.stdout
    assert "is open" in done.stdout


def test_findings_as_json_hold_proof_and_fix(record):
    done = segmon("findings", "--database", record, "--output", "json")

    [finding] = json.loads(done.stdout)
    assert finding["trace"] == ["no policy selects it"]
    assert finding["fix"] == "close it"


def test_findings_are_listed_with_their_fix(record):
    done = segmon("findings", "--database", record)

    assert "fix: close it" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "known"),
    [(("--domain", "shpo"), "known: namespace/shop"), (("--control", "nope"), "flow-escaped")],
)
def test_a_misspelt_domain_or_control_is_no_compliance(record, arguments, known):
    done = segmon("findings", *arguments, "--database", record)

    assert done.returncode == 2
    assert known in done.stderr


def test_a_larger_domain_counts_the_findings_of_its_members(tmp_path):
    tenant = Domain(id="tenant/blue", level="tenant", name="blue")
    url = f"sqlite:///{tmp_path}/segmon.db"
    store = Store.open(url)
    store.upgrade()
    whole = posture(control(Outcome.FAIL, subject(Outcome.FAIL)), domain=tenant)
    counting = structs.replace(whole, results=(structs.replace(whole.results[0], subjects=()),))
    store.record(recording(1, failing(), counting))
    store.close()

    listed = segmon("findings", "--domain", "blue", "--database", url)
    described = segmon("describe", "domain", "blue", "--database", url)

    assert (listed.returncode, "shop/Deployment/web" in listed.stdout) == (1, True)
    assert "open findings (1)" in described.stdout


def test_no_findings_end_with_0_only_if_something_was_evaluated(tmp_path):
    url = f"sqlite:///{tmp_path}/segmon.db"
    store = Store.open(url)
    store.upgrade()
    nothing = segmon("findings", "--database", url)
    store.record(judged(passing()))

    evaluated = segmon("findings", "--database", url)

    assert nothing.returncode == 3
    assert "nothing has been recorded yet" in nothing.stderr
    assert evaluated.returncode == 0


def test_no_findings_of_a_record_that_nobody_keeps_up_end_with_3(tmp_path):
    url = f"sqlite:///{tmp_path}/segmon.db"
    store = Store.open(url)
    store.upgrade()
    store.record(judged(passing(), seconds_ago=3600))

    done = segmon("findings", "--database", url)

    assert done.returncode == 3
    assert "was last evaluated at" in done.stderr


def test_findings_of_a_record_that_nobody_keeps_up_are_last_known(tmp_path):
    url = f"sqlite:///{tmp_path}/segmon.db"
    store = Store.open(url)
    store.upgrade()
    store.record(judged(failing(), seconds_ago=3600))

    done = segmon("findings", "--database", url)

    assert done.returncode == 1
    assert "last known: h was last evaluated at" in done.stderr


def test_the_record_of_segmon_up_is_named_by_its_folder(record, tmp_path):
    for command in (("findings",), ("describe", "domain", "shop"), ("verify",)):
        by_folder, by_url = segmon(*command, "--data", tmp_path), segmon(*command, "--database", record)
        assert by_folder.stdout == by_url.stdout

    both = segmon("findings", "--data", tmp_path, "--database", record)
    assert (both.returncode, "fix: --database URL or --data DIR" in both.stderr) == (2, True)


def test_looking_for_a_record_leaves_no_empty_one_behind(tmp_path):
    done = segmon("findings", "--database", f"sqlite:///{tmp_path}/new.db")

    assert "there is no database" in done.stderr
    assert not (tmp_path / "new.db").exists()


def test_a_domain_is_described_by_its_name(record):
    done = segmon("describe", "domain", "shop", "--database", record)
    unknown = segmon("describe", "domain", "shpo", "--database", record)

    assert done.returncode == 0
    assert "✘ fail" in done.stdout
    assert "fix: close it" in done.stdout
    assert (unknown.returncode, "known: namespace/shop" in unknown.stderr) == (2, True)


def test_a_domain_is_described_with_what_may_connect_as_far_as_that_is_known(tmp_path):
    url = f"sqlite:///{tmp_path}/segmon.db"
    store = Store.open(url)
    store.upgrade()
    pair = Reach(source="outside", destination="namespace/shop", connections=("tcp/443 (203.0.113.0/24)",))
    known = judged(failing())
    store.record(structs.replace(known, reach=ReachUpdate(pairs=(pair,), needs=("Pod",))))
    told = segmon("describe", "domain", "shop", "--database", url)
    lost = recording(2, expected=known.position, seconds=(known.at - START).total_seconds() + 1)
    store.record(structs.replace(lost, reach=ReachUpdate(unknown="Tier: forbidden")))
    unknown = segmon("describe", "domain", "shop", "--database", url)

    assert "from outside" in told.stdout
    assert "tcp/443 (203.0.113.0/24)  since " in told.stdout
    assert "? not known: Tier: forbidden" in unknown.stdout
    assert "203.0.113.0/24" not in unknown.stdout


def test_verify_names_the_head_of_the_chain_and_ends_with_3_when_it_is_broken(record):
    good = segmon("verify", "--database", record)
    store = Store.open(record)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER tr_finding_transition_update")  # what an administrator can do
        connection.exec_driver_sql("UPDATE finding_transition SET sentence = 'x', severity = 'low'")
    store.close()

    bad = segmon("verify", "--database", record)

    assert good.returncode == 0
    assert "head " in good.stdout
    assert bad.returncode == 3
    assert "is not what the chain covers" in bad.stderr


def test_an_old_database_names_the_command_that_mends_it(tmp_path):
    done = segmon("findings", "--database", f"sqlite:///{tmp_path}/new.db")

    assert done.returncode == 2
    assert "fix: segmon db upgrade" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_database_is_upgraded_once_and_again_without_harm(tmp_path):
    url = f"sqlite:///{tmp_path}/new.db"

    first, second = (segmon("db", "upgrade", "--database", url) for _ in range(2))

    assert first.stdout.startswith("upgraded from empty to ")
    assert second.stdout.startswith("already at revision ")


def test_help_lists_every_command_with_what_it_is_for():
    done = segmon("--help")

    listed = dict(line.split(maxsplit=1) for line in done.stdout.partition("Commands:")[2].strip().splitlines())
    assert listed.keys() == main.COMMANDS.keys()
    assert all(len(told) > 10 for told in listed.values())


def test_a_mistyped_command_names_the_one_that_was_meant():
    done = segmon("reeach")

    assert (done.returncode, "Did you mean 'reach'?" in done.stderr) == (2, True)


def test_reach_of_files_loads_no_broker_database_settings_or_event_loop(tmp_path):
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, spec: {containers: [{name: c}]}}\n"
    (tmp_path / "pod.yaml").write_text(pod)
    script = (
        "import sys; from monitor.cli import main; main.app(standalone_mode=False); "
        "print('loaded', *sorted({'asyncio', 'pydantic', 'sqlalchemy', 'aiokafka', 'faust'} & sys.modules.keys()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, "reach", "--manifests", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "loaded"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("findings", "--database", "nonsense"), {}, "no database URL"),
        (("findings", "--database", "mysql://x/y"), {}, "PostgreSQL or SQLite"),
        (("findings",), {"SEGMON_KAFKKA__BOOTSTRAP": "x"}, "did you mean 'kafka'"),
        (("dead", "list", "--bootstrap", "host:port"), {}, "'host:port' is no address"),
        (("up", "--demo", "--data", __file__), {}, "fix: name a folder that can be written"),
        (("up", "--demo", "--cluster", "a b"), {}, "flags: cluster: 'a b' is no name"),
        (("watch", "--manifests", "/", "--metrics-listen", "nonsense"), {}, "write host:port with --metrics-listen"),
        (("--config", "/absent.yaml", "findings"), {}, "cannot read settings /absent.yaml"),
        (("up",), {}, "give one of --demo, --manifests DIR and --kubeconfig FILE"),
        (("up", "--demo", "--once", "--output", "csv"), {}, "'csv' is not one of 'table', 'json'"),
        (("collect", "--metrics-listen", "127.0.0.1:0"), {}, "collect needs a file to remember how far it read"),
    ],
)
def test_what_a_person_can_mend_is_told_without_a_traceback(arguments, environment, said):
    done = segmon(*arguments, **environment)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def pods(many):
    """So many pods of one namespace, as YAML."""
    return "".join(
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: w{number}, namespace: shop}}\nspec: {{nodeName: n}}\n"
        for number in range(many)
    )


def reached(folder, sink):
    command = [sys.executable, "-m", "monitor.cli.main", "reach", "--manifests", str(folder), "--output", "json"]
    return subprocess.run(command, stdout=sink, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


@pytest.mark.parametrize("many", [1, 60], ids=["at the end", "in the middle"])
def test_a_reader_that_leaves_ends_it_as_a_pipe_does_and_looks_like_no_finding(tmp_path, many):
    (tmp_path / "pods.yaml").write_text(pods(many))
    read, write = os.pipe()
    os.close(read)

    done = reached(tmp_path, write)
    os.close(write)

    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_full_disk_under_the_answer_is_told_as_such(tmp_path):
    (tmp_path / "pods.yaml").write_text(pods(1))

    with Path("/dev/full").open("w") as full:
        done = reached(tmp_path, full)

    assert (done.returncode, done.stderr) == (2, "error: cannot write the answer: No space left on device\n")


def test_a_file_that_is_no_kubeconfig_is_told_as_such(tmp_path):
    file = tmp_path / "config"
    file.write_text("text\n")

    done = segmon("reach", "--kubeconfig", file)

    assert (done.returncode, done.stderr.partition("\n")[0]) == (2, f"error: {file} is no kubeconfig")


def test_a_full_disk_under_the_record_is_told_as_such(tmp_path, monkeypatch, capsys):
    """SQLite is asked for a file of one page: what it then says is what it says on a full disk."""
    with sqlite3.connect(tmp_path / "small.db") as small:
        small.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as full:
            small.execute("CREATE TABLE t (x)")
    wrapped = OperationalError("CREATE TABLE t (x)", {}, full.value)
    monkeypatch.setattr(main, "app", lambda: (_ for _ in ()).throw(wrapped))

    with pytest.raises(SystemExit) as ended:
        main.main()

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: the disk that holds the record is full\n       fix: ")


@pytest.mark.parametrize(
    ("cause", "code"),
    [(psycopg.errors.QueryCanceled("too long"), 4), (psycopg.errors.AdminShutdown("going"), 3)],
    ids=["a statement that took too long", "a server that goes"],
)
def test_only_a_database_that_is_away_is_told_as_such(cause, code, monkeypatch, capsys):
    monkeypatch.setattr(main, "app", lambda: (_ for _ in ()).throw(OperationalError("SELECT", {}, cause)))

    with pytest.raises(SystemExit) as ended:
        main.main()

    assert ended.value.code == code
    assert ("cannot reach the database" in capsys.readouterr().err) is (code == 3)


def test_a_terminal_without_our_signs_gets_their_numbers_and_the_answer(record):
    done = segmon("verify", "--database", record, PYTHONIOENCODING="latin-1")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("\\u2714 ")


def test_a_broker_that_is_away_is_a_line_of_the_doctor(record):
    done = segmon("doctor", "--bootstrap", "127.0.0.1:1", "--database", record)

    assert done.returncode == 1
    assert "✘ broker 127.0.0.1:1" in done.stdout
    assert "✔ database" in done.stdout
    assert "✔ clock" in done.stdout


@pytest.mark.parametrize("asked", [("dead", "list"), ("dead", "replay"), ("topics", "create")])
def test_a_broker_that_is_away_ends_a_command_with_3_and_the_fix_alone(record, asked):
    done = segmon(*asked, "--bootstrap", "127.0.0.1:1", SEGMON_DATABASE__URL=record)
    problem, fix = done.stderr.splitlines()

    assert (done.returncode, done.stdout) == (3, "")
    assert problem.startswith("error: the broker does not answer: 127.0.0.1:1: ")
    assert fix == "       fix: start the broker, or set kafka.bootstrap (SEGMON_KAFKA__BOOTSTRAP) to where it is"


@pytest.mark.parametrize(
    "asked",
    [
        ("findings",),
        ("verify",),
        ("describe", "domain", "shop"),
        ("db", "upgrade"),
        ("report", "list"),
        ("reach",),
        ("explain", "--from", "a/b", "--to", "c/d", "--port", "80/tcp"),
    ],
)
def test_a_database_that_is_away_ends_a_command_with_3_and_the_fix_alone(asked):
    done = segmon(*asked, "--database", "postgresql://segmon@127.0.0.1:1/segmon")

    assert done.returncode == 3
    assert done.stderr.startswith("error: cannot reach the database: ")
    assert done.stderr.count("\n") == 2
    assert "\n       fix: start it, or set database.url" in done.stderr


def test_a_database_that_is_away_is_a_line_of_the_doctor_with_its_fix():
    done = segmon("doctor", "--database", "postgresql://segmon@127.0.0.1:1/segmon", "--output", "json")

    [line] = [each for each in json.loads(done.stdout) if each["what"] == "database"]
    assert line["state"] == "wrong"
    assert line["fix"].startswith("start it")


@pytest.mark.parametrize("command", ["reach", "explain"])
def test_asking_a_record_that_is_not_there_leaves_no_empty_one_behind(command, tmp_path):
    ends = ("--from", "a/b", "--to", "c/d", "--port", "80/tcp") if command == "explain" else ()

    done = segmon(command, *ends, "--database", f"sqlite:///{tmp_path}/new.db")

    assert done.returncode == 2
    assert "fix: segmon db upgrade" in done.stderr
    assert not (tmp_path / "new.db").exists()


def test_names_from_a_cluster_cannot_steer_the_terminal_or_a_spreadsheet(capsys):
    row = {"subject": "=cmd()\x1b[2J\u202e"}

    context.emit([row], ("subject",), context.Output.TABLE)
    context.emit([row], ("subject",), context.Output.CSV)

    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "'=cmd()" in said
