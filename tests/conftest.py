"""Fixtures for the real parts that tests run on, and what tests share.

A part is started when the first test asks for it and lives until the session (with xdist: the worker) ends.
A part that this machine cannot provide skips its tests by name, and the closing lines count them; with
SEGMON_REQUIRE_ALL=1 they fail.
tests/parts/README.md shows how each fixture is used.
"""

import itertools
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from parts.golden import Golden
from parts.process import CHECKOUT, Part, PartMissing, program, stop_on_sigterm

if TYPE_CHECKING:
    from parts.apiserver import ApiServer
    from parts.chromium import Chromium
    from parts.kafka import KafkaServer
    from parts.kernel_log import KernelLog
    from parts.postgres import PostgresServer

    from monitor.store import Store

P = TypeVar("P", bound=Part)

MISSING = "part missing: "
MARKS = {
    "kafka": "kafka",
    "postgres": "postgres",
    "apiserver": "apiserver",
    "prometheus_program": "prometheus",
    "alertmanager_program": "prometheus",
    "chromium": "chromium",
    "kernel_log": "kernel",
}
_session_parts: list[Part] = []
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-cases",
        action="store_true",
        help="rewrite golden files with what the tests got; the run fails so that the change is looked at",
    )


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        stop_on_sigterm()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses a part carries the part's mark, so that `-m "not kafka"` needs nobody to remember it."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKS:
                item.add_marker(MARKS[fixture])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    counts = Counter(found[1] for reason in reasons if (found := re.search(MISSING + r"([\w-]+)", reason)))
    if counts:
        terminalreporter.section("parts this machine lacks")
    for part, number in sorted(counts.items()):
        terminalreporter.write_line(f"{part}: {number} tests skipped")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """A part that the test before left killed or frozen, because it failed in between, is brought back."""
    for part in _session_parts:
        if part.name in getattr(item, "fixturenames", ()):
            part.resume() if part.running else part.start()
    with _missing_parts_named():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with _missing_parts_named():
        yield


@contextmanager
def _missing_parts_named() -> Iterator[None]:
    """Leave a test whose part is missing: skipped by name, or failed where everything is required."""
    try:
        yield
    except PartMissing as problem:
        if os.environ.get("SEGMON_REQUIRE_ALL") == "1":
            pytest.fail(f"{MISSING}{problem}", pytrace=False)
        pytest.skip(f"{MISSING}{problem}")


def started(make: Callable[[], P]) -> Iterator[P]:
    with make() as part:
        _session_parts.append(part)
        yield part
        _session_parts.remove(part)


def needed(part: str, *programs: str) -> None:
    for name in programs:
        program(part, name)


@pytest.fixture(scope="session")
def kafka() -> Iterator["KafkaServer"]:
    from parts.kafka import KafkaServer

    yield from started(KafkaServer)


@pytest.fixture
def topic_prefix() -> str:
    """A beginning for topic and group names that no other test of this session has."""
    return f"t{os.getpid()}-{next(_numbers)}."


@pytest.fixture(scope="session")
def postgres() -> Iterator["PostgresServer"]:
    from parts.postgres import PostgresServer

    yield from started(PostgresServer)


@pytest.fixture
def database(postgres: "PostgresServer") -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database that is dropped after the test."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def store(tmp_path: Path) -> Iterator["Store"]:
    """An empty record at this release's revision, on SQLite. tests/store has one on each database."""
    from monitor.store import Store

    opened = Store.open(f"sqlite:///{tmp_path}/segmon.db")
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def apiserver() -> Iterator["ApiServer"]:
    from parts.apiserver import ApiServer

    yield from started(ApiServer)


@pytest.fixture
def cluster(apiserver: "ApiServer") -> "ApiServer":
    """The session's API server, empty: nothing of other tests, the current policy groups, `segmon` granted nothing."""
    from parts.policy_crds import CALICO_V3, CLUSTER_POLICY

    apiserver.serve(CALICO_V3, CLUSTER_POLICY)
    apiserver.admin.clear()
    apiserver.grant()
    return apiserver


@pytest.fixture(scope="session")
def prometheus_program() -> None:
    """Prometheus and promtool are there; a test starts its own server with its own configuration."""
    needed("prometheus", "prometheus", "promtool")


@pytest.fixture(scope="session")
def alertmanager_program() -> None:
    """Alertmanager and amtool are there."""
    needed("alertmanager", "prometheus-alertmanager", "amtool")


@pytest.fixture(scope="session")
def chromium() -> Iterator["Chromium"]:
    from parts.chromium import Chromium

    yield from started(Chromium)


@pytest.fixture
def kernel_log() -> type["KernelLog"]:
    """`with kernel_log({"shop/web": ["10.244.7.5"], …}) as log:` pods as namespaces whose packets the kernel logs."""
    from parts.kernel_log import KernelLog

    return KernelLog


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Iterator[Golden]:
    """`golden(path, text)`: equal to the file beside the test, or rewritten under --update-cases."""
    file = Golden(request.path.parent, update=request.config.getoption("--update-cases"))
    yield file
    if file.rewritten:
        pytest.fail("rewritten, look at the difference: " + ", ".join(file.rewritten), pytrace=False)


@pytest.fixture(scope="session")
def oracles() -> Path:
    """The folder of expected results from other projects' own tests (SEGMON_ORACLES)."""
    folder = Path(os.environ.get("SEGMON_ORACLES", CHECKOUT.parent / "shared" / "oracles"))
    if not (folder / "README.md").exists():
        raise PartMissing("oracles", f"no README.md in {folder}; set SEGMON_ORACLES to the folder that has them")
    return folder
