"""No part outlives its session, whatever ends that; a missing part is named, counted, and never passes in silence."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from parts.process import CHECKOUT, PartFailed, PartMissing, program, until

HOLDER = """
import sys, time
sys.path.insert(0, "tests")
from parts.postgres import PostgresServer
from parts.process import stop_on_sigterm
stop_on_sigterm()
with PostgresServer() as postgres:
    print(postgres.pid, postgres.folder, flush=True)
    time.sleep(60)
"""


PORTS = 3000  # of some 12,000: two processes that did not know of one another would share hundreds

TAKER = f"""
import sys
sys.path.insert(0, "tests")
from parts.process import free_port
print(*(free_port() for _ in range({PORTS})), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(postgres):
    """Another process that runs a part; `postgres` is asked for because the machine must have it."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as child:
        pid, folder = child.stdout.readline().split()
        yield child, Path("/proc", pid), Path(folder)
        child.kill()


def run_tests(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith(("SEGMON_", "PYTEST_"))}
        | {"PYTHONPATH": str(CHECKOUT / "tests")}
        | environment,
    )


def test_a_port_is_given_to_one_of_two_processes_only():
    command = [sys.executable, "-c", TAKER]
    with ExitStack() as stack:
        takers = [
            stack.enter_context(
                subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        first, second = (set(taker.stdout.readline().split()) for taker in takers)

    assert len(first) == len(second) == PORTS
    assert not first & second


def test_sigterm_stops_the_parts_and_removes_their_folders(holder):
    child, part, folder = holder
    child.terminate()

    assert child.wait(timeout=30) == 128 + signal.SIGTERM
    assert not part.exists()
    assert not folder.exists()


def test_a_part_dies_with_a_killed_session_and_the_next_one_removes_its_folder(holder, postgres):
    child, part, folder = holder
    child.kill()
    child.wait()
    until(lambda: not part.exists(), within=10, what="the part is gone")
    with type(postgres)():
        pass

    assert not folder.exists()


def test_a_part_that_does_not_come_up_says_what_it_logged(postgres):
    with pytest.raises(PartFailed, match="unrecognized configuration parameter"):
        type(postgres)(settings={"no_such_setting": "1"}).start()


def test_a_program_that_is_not_there_is_named_with_the_fix():
    with pytest.raises(PartMissing, match="mesh: no program no-such-program; run `make parts`"):
        program("mesh", "no-such-program")


def test_a_missing_part_skips_its_tests_by_name_and_is_counted(tmp_path):
    done = run_tests("tests/parts/test_kafka_server.py", SEGMON_PARTS=str(tmp_path))

    assert done.returncode == 0
    assert "part missing: kafka" in done.stdout
    assert "kafka: 5 tests skipped" in done.stdout


def test_where_everything_is_required_a_missing_part_fails(tmp_path):
    place = {"SEGMON_PARTS": str(tmp_path), "SEGMON_REQUIRE_ALL": "1"}
    done = run_tests("tests/parts/test_kafka_server.py", **place)

    assert done.returncode == 1
    assert "part missing: kafka" in done.stdout


def test_missing_oracles_are_skipped_by_name(tmp_path):
    file = tmp_path / "test_it.py"
    file.write_text("def test_it(oracles):\n    assert oracles\n")
    done = run_tests(str(file), f"--confcutdir={tmp_path}", "-p", "conftest", SEGMON_ORACLES=str(tmp_path))

    assert "oracles: 1 tests skipped" in done.stdout


def test_a_golden_file_is_compared_and_rewritten_only_on_request(tmp_path):
    file, expected = tmp_path / "test_it.py", tmp_path / "cases" / "it.txt"
    file.write_text("def test_it(golden):\n    golden('cases/it.txt', 'new')\n")
    expected.parent.mkdir()
    expected.write_text("old")
    common = (str(file), f"--confcutdir={tmp_path}", "-p", "conftest")
    differs = run_tests(*common)
    kept = expected.read_text()
    updating = run_tests(*common, "--update-cases")
    again = run_tests(*common)

    assert (differs.returncode, kept) == (1, "old")
    assert (updating.returncode, expected.read_text()) == (1, "new")
    assert "rewritten, look at the difference: cases/it.txt" in updating.stdout
    assert again.returncode == 0
