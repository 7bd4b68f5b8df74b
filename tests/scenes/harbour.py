"""The demo cluster and its story, played through the whole pipeline: Kafka, PostgreSQL, the command line's own
processes, and a Prometheus that scrapes them. What boards and reports show is asked of what this leaves.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
import yaml
from parts.process import CHECKOUT, PartFailed, until
from parts.prometheus import PrometheusServer
from parts.segmon import Segmon

from models import tables
from monitor import clock
from monitor.demo import story
from monitor.store import Store, queries

WAIT = 60.0
NODE = "harbour-logs"
SCRAPE_SECONDS = 1
USUAL_RECORDS = 13
ALL_RECORDS = 16
OPEN_IN_SHOP = 3
LINES_SPAN = timedelta(seconds=6)
"""The lines of a traffic file lie within less."""


class Harbour:
    """`filled()` plays the story and leaves everything running for as long as the block lasts."""

    cluster = story.CLUSTER

    def __init__(self, folder: Path, bootstrap: str, database: str) -> None:
        self.folder = folder
        self.database = database
        self.stage = story.set_stage(folder / "demo")
        self.stage.log.write_text(f"{clock.now().isoformat()} node-1 kernel: eth0: link becomes ready\n")
        self.settings = folder / "segmon.yaml"
        self.settings.write_text(yaml.safe_dump(self._settings(bootstrap)))
        self.store = Store.open(database)
        self.prometheus: PrometheusServer

    def _settings(self, bootstrap: str) -> dict[str, object]:
        return {
            "cluster": self.cluster,
            "kafka": {"bootstrap": bootstrap, "session_timeout_seconds": 6, "rebalance_timeout_seconds": 10},
            "database": {"url": self.database},
            "watch": {
                "manifests": str(self.stage.manifests),
                "domains": str(self.stage.domains),
                "waivers": str(self.stage.waivers),
            },
            "collect": {"files": [str(self.stage.log)], "node": NODE, "checkpoint": str(self.folder / "places")},
            "web": {"page_listen": "127.0.0.1:0"},
            "timing": {"heartbeat_seconds": 1, "tick_seconds": 1},
        }

    def segmon(self, *arguments: str | Path) -> str:
        """A command that ends well; what it printed."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMON_")}
        done = subprocess.run(
            [sys.executable, "-m", "monitor.cli.main", "--config", str(self.settings), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=CHECKOUT,
            env=clean,
        )
        if done.returncode:
            raise PartFailed(f"segmon {arguments}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    @contextmanager
    def filled(self) -> Iterator["Harbour"]:
        self.segmon("db", "upgrade")
        self.segmon("topics", "create")
        names = ("watch", "collect", "work", "match")
        with ExitStack() as stack, ThreadPoolExecutor(max_workers=len(names)) as starters:
            processes = {name: Segmon(self.settings, name) for name in names}
            for process in processes.values():
                stack.callback(process.close)
            scrape = self._scrape(processes)
            self.prometheus = stack.enter_context(PrometheusServer(yaml.safe_dump({"scrape_configs": [scrape]})))
            list(starters.map(Segmon.start, processes.values()))
            self._play()
            self._report()
            yield self
        self.store.close()

    def _scrape(self, processes: dict[str, Segmon]) -> dict[str, object]:
        """As in production: a job, and instances that nobody tells apart."""
        targets = [{"targets": [process.metrics]} for process in processes.values()]
        return {
            "job_name": "segmon",
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "scrape_timeout": f"{SCRAPE_SECONDS}s",
            "static_configs": targets,
        }

    # The story, each step when the one before it is recorded and scraped

    def _play(self) -> None:
        seen = {
            story.usual_traffic: (lambda: self._records() >= USUAL_RECORDS, None),
            story.delete_policy: (self._moved("namespace/payments", "opened"), ("namespace/payments", 1)),
            story.restore_policy: (self._moved("namespace/payments", "resolved"), ("namespace/payments", 0)),
            story.crossing_traffic: (self._moved("namespace/records", "opened"), ("namespace/records", 1)),
        }
        self._wait("the cluster is judged", lambda: self._moves("namespace/shop"))
        self._wait("the record reaches back as far as the lines of the story", self._reaches_back)
        self._wait("the log is heard and all evidence fresh", self._all_fresh)
        self._wait("the worker is scraped", lambda: self._open_in("namespace/shop") == OPEN_IN_SHOP)
        for step in story.STORY:
            step.act(self.stage, clock.now())
            recorded, scraped = seen[step.act]
            self._wait(step.told, recorded)
            if scraped:
                self._wait(f"{step.told}, as scraped", lambda: self._open_in(scraped[0]) == scraped[1])  # noqa: B023
        self._wait("the last records are counted", lambda: self._records() >= ALL_RECORDS)

    def _wait(self, what: str, holds: Callable[[], object]) -> None:
        until(holds, within=WAIT, what=what)

    def _records(self) -> int:
        with self.store.look() as look:
            return look.execute(sa.select(sa.func.sum(tables.flow_window.c.count))).scalar() or 0

    def _moves(self, domain: str) -> list[str]:
        table = tables.finding_transition
        moves = sa.select(table.c.transition).where(table.c.domain == domain).order_by(table.c.id)
        with self.store.look() as look:
            return list(look.execute(moves).scalars())

    def _moved(self, domain: str, how: str) -> Callable[[], bool]:
        return lambda: self._moves(domain)[-1:] == [how]

    def _open_in(self, domain: str) -> float | None:
        return self.prometheus.value(f'sum(segmon_findings_open{{domain="{domain}"}})')

    def _reaches_back(self) -> bool:
        with self.store.look() as look:
            first = look.execute(sa.select(sa.func.min(tables.fact_revision.c.at))).scalar()
        return first is not None and clock.now() - first > LINES_SPAN

    def _all_fresh(self) -> bool:
        with self.store.look() as look:
            inputs = queries.inputs(look, self.cluster)
        return bool(inputs) and all(each.state in {"fresh", "not_served"} for each in inputs)

    def _report(self) -> None:
        now = clock.now()
        period = ("--from", (now - timedelta(hours=1)).isoformat(), "--to", now.isoformat())
        self.segmon("report", "create", "--all", *period, "--out", self.folder / "reports")
