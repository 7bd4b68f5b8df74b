"""Kafka and PostgreSQL for benchmarks: the parts that the tests run on, and segmon's settings for them.

Who imports this has put `tests` on the path.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import yaml
from parts.kafka import KafkaServer
from parts.postgres import PostgresServer
from parts.process import stop_on_sigterm

from benchmarks.measuring import ROOT

CLUSTER = "bench"
DURABLE = {"fsync": "on", "full_page_writes": "on", "track_commit_timestamp": "on", "shared_buffers": "256MB"}
"""As in production: a commit is on the disk. When it was is asked of the server itself."""


class Ground:
    """A broker with the topics, a database with the tables, and a settings file that names them."""

    def __init__(self, folder: Path, kafka: KafkaServer, database: str) -> None:
        self.folder = folder
        self.kafka = kafka
        self.database = database
        self.settings = folder / "segmon.yaml"

    def write_settings(self, **sections: Any) -> None:
        content = {
            "cluster": CLUSTER,
            "kafka": {"bootstrap": self.kafka.bootstrap, "session_timeout_seconds": 6, "rebalance_timeout_seconds": 10},
            "database": {"url": self.database},
            "web": {"page_listen": "127.0.0.1:0"},
        }
        self.settings.write_text(yaml.safe_dump(content | sections))

    def segmon(self, *arguments: str) -> None:
        """A command that ends well."""
        command = [sys.executable, "-m", "monitor.cli.main", "--config", str(self.settings), *arguments]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    def begin(self, **sections: Any) -> None:
        self.write_settings(**sections)
        self.segmon("db", "upgrade")
        self.segmon("topics", "create")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.plain_url) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload]

    @property
    def plain_url(self) -> str:
        return self.database.replace("postgresql+psycopg", "postgresql")


@contextmanager
def ground() -> Iterator[Ground]:
    stop_on_sigterm()
    with ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer(heap_mib=512))
        postgres = stack.enter_context(PostgresServer(settings=DURABLE))
        yield Ground(kafka.folder, kafka, postgres.create_database())
