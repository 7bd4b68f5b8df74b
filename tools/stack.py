"""`make stack`: the stack of docker-compose.yml from local programs, with the demo cluster, until Ctrl-C.

The same programs as the tests run on (tests/parts), each on a free loopback port. Everything is written below one
folder, which is stated at the start and removed at the end: a trial. Grafana is left out, for want of a local program.
If one part ends, its last words are told and everything stops.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from parts.kafka import KafkaServer  # noqa: E402 - tests/ comes onto the path above
from parts.postgres import PostgresServer  # noqa: E402
from parts.process import Part, PartFailed, PartMissing, free_port, stop_on_sigterm  # noqa: E402
from parts.prometheus import Alertmanager, PrometheusServer  # noqa: E402
from parts.segmon import Segmon  # noqa: E402

CLUSTER = "harbour"
LOOK_SECONDS = 0.5
STOPPED, FAILED, MISSING = 0, 1, 3


class Story(Part):
    """The demo's files, and what happens to them."""

    name = "story"

    def __init__(self, stage: Path) -> None:
        super().__init__()
        self._stage = stage

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "monitor.demo", str(self._stage)]

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(ROOT)}

    def answers(self) -> bool:
        return (self._stage / "kern.log").exists()


class Reports(Part):
    """The schedule: each report once, however often it asks."""

    name = "reports"

    def __init__(self, settings: Path, out: Path) -> None:
        super().__init__()
        self._due = f"{sys.executable} -m monitor.cli.main --config {settings} report due --out {out}"

    def command(self) -> Sequence[str]:
        schedules = " ".join(f"--schedule {each}" for each in ("daily", "weekly", "monthly"))
        return ["/bin/sh", "-c", f"while :; do {self._due} {schedules} && sleep 900 || sleep 60; done"]

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(ROOT)}

    def answers(self) -> bool:
        return True


@contextmanager
def home() -> Iterator[Path]:
    """The folder that everything is below; its name lets the next part that starts remove it, should we be killed."""
    folder = Path(tempfile.mkdtemp(prefix=f"segmon-{os.getpid()}-0-stack-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user and has a folder of its own in here
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)


def settings_in(folder: Path, kafka: KafkaServer, database: str) -> Path:
    stage = folder / "demo"
    content = {
        "cluster": CLUSTER,
        "kafka": {"bootstrap": kafka.bootstrap},
        "database": {"url": database},
        "watch": {
            "manifests": str(stage / "cluster"),
            "domains": str(stage / "domains.yaml"),
            "waivers": str(stage / "waivers.yaml"),
        },
        "collect": {"files": [str(stage / "kern.log")], "node": CLUSTER, "checkpoint": str(folder / "places")},
        "web": {"page_listen": "127.0.0.1:0"},
    }
    file = folder / "segmon.yaml"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(content))
    return file


def command(settings: Path, *arguments: str) -> None:
    """A command of segmon that ends; PartFailed with its words if it ends badly."""
    line = [sys.executable, "-m", "monitor.cli.main", "--config", str(settings), *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartFailed(f"segmon {' '.join(arguments)} ended with {done.returncode}\n{done.stderr.strip()}")


def scraping(processes: Mapping[str, Segmon], alertmanager: Alertmanager) -> str:
    """The containers' Prometheus configuration with this machine's addresses."""
    content = yaml.safe_load((ROOT / "deploy/compose/prometheus.yaml").read_text())
    content["global"] |= {"scrape_interval": "5s", "scrape_timeout": "4s", "evaluation_interval": "5s"}
    [content["scrape_configs"]] = [[job for job in content["scrape_configs"] if job["job_name"] == "segmon"]]
    targets = [{"targets": [process.metrics], "labels": {"process": name}} for name, process in processes.items()]
    content["scrape_configs"][0] = {"job_name": "segmon", "static_configs": targets}
    there = alertmanager.url.removeprefix("http://")
    content["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [there]}]}]
    return yaml.safe_dump(content)


class Stack:
    """All parts, started in the order in which they need each other, stopped in the reverse one."""

    def __init__(self, folder: Path, life: ExitStack) -> None:
        self._folder = folder
        self._life = life
        self._parts: dict[str, Part] = {}

    def start(self) -> dict[str, str]:
        """Addresses by what they are."""
        kafka, postgres = KafkaServer(), PostgresServer()
        alertmanager = Alertmanager((ROOT / "dashboards/alertmanager/alertmanager.yaml").read_text())
        story = Story(self._folder / "demo")
        self._run({"Kafka": kafka, "PostgreSQL": postgres, "Alertmanager": alertmanager, "story": story})
        database = postgres.create_database()
        settings = settings_in(self._folder, kafka, database)
        command(settings, "db", "upgrade")
        command(settings, "topics", "create")
        page = f"127.0.0.1:{free_port()}"
        processes = {
            "watch": Segmon(settings, "watch"),
            "collect": Segmon(settings, "collect"),
            "work-1": Segmon(settings, "work", "--page-listen", page),
            "work-2": Segmon(settings, "work"),
            "match-1": Segmon(settings, "match"),
            "match-2": Segmon(settings, "match"),
        }
        rules = (ROOT / "dashboards/prometheus/segmon.rules.yaml").read_text()
        prometheus = PrometheusServer(scraping(processes, alertmanager), files={"segmon.rules.yaml": rules})
        reports = Reports(settings, self._folder / "reports")
        self._run({**processes, "Prometheus": prometheus, "reports": reports})
        return {
            "status page": f"http://{page}",
            "Prometheus": prometheus.url,
            "Alertmanager": alertmanager.url,
            "PostgreSQL": database.replace("+psycopg", ""),
            "Kafka": kafka.bootstrap,
            **{f"metrics of {name}": f"http://{each.metrics}/metrics" for name, each in processes.items()},
        }

    def watch(self) -> str:
        """Return when a part has ended: its name and last words."""
        while all(part.running for part in self._parts.values()):
            time.sleep(LOOK_SECONDS)
        name, part = next((name, part) for name, part in self._parts.items() if not part.running)
        return f"{name} ended\n{part.last_words()}"

    def _run(self, parts: Mapping[str, Part]) -> None:
        """Start them side by side; they are stopped side by side too."""
        self._parts |= parts
        self._life.callback(_side_by_side, [part.close for part in parts.values()])
        _side_by_side([part.start for part in parts.values()])


def _side_by_side(calls: Sequence) -> None:
    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        for ended in [pool.submit(call) for call in calls]:
            ended.result()


def tell(addresses: Mapping[str, str], folder: Path) -> None:
    print(f"segmon stack, cluster {CLUSTER}; every address is on loopback")
    for what, where in addresses.items():
        print(f"  {what:20}{where}")
    print(f"  {'data':20}{folder}, removed at the end")
    print("Ctrl-C stops everything.", flush=True)


def main() -> int:
    stop_on_sigterm()
    with home() as folder, ExitStack() as life:
        print(f"starting in {folder}", flush=True)
        try:
            stack = Stack(folder, life)
            tell(stack.start(), folder)
            print(f"error: {stack.watch()}", file=sys.stderr)
        except KeyboardInterrupt:
            print("stopping", flush=True)
            return STOPPED
        except PartMissing as problem:
            print(f"error: part missing: {problem}", file=sys.stderr)
            return MISSING
        except PartFailed as problem:
            print(f"error: {problem}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
