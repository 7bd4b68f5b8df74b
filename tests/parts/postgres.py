"""PostgreSQL from its own programs: one server on loopback, a password of its own, as many databases as tests ask for.

It runs as `nobody` when we are root, because it refuses root. Writes are not forced to the disk: a killed server still
finds them in the page cache, and a machine that loses power takes its tests with it.
"""

import itertools
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from parts.process import Part, free_port, program, unprivileged
from psycopg import sql

SMALL = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "jit": "off",
    "log_min_messages": "fatal",
}


class PostgresServer(Part):
    """`create_database()` answers the SQLAlchemy URL of a new, empty database."""

    name = "postgres"
    superuser = "segmon"
    stop_signal = signal.SIGINT  # "fast": sessions are ended, not waited for
    death_signal = "QUIT"  # it takes its own children with it, which SIGKILL would leave running for a moment

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._settings = SMALL | dict(settings or {})
        self._port = free_port()
        self._password = secrets.token_hex(16)
        self._numbers = itertools.count(1)

    def account(self) -> tuple[int, int] | None:
        return unprivileged()

    def prepare(self) -> None:
        password = self.folder / "password"
        password.write_text(self._password)
        self.own(password)
        where = ["-D", str(self.folder / "data"), "-U", self.superuser, "--pwfile", str(password)]
        how = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self.run([self._program("initdb"), *where, *how])

    def command(self) -> Sequence[str]:
        settings = self._settings | {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self.folder / "data"), *flags]

    def answers(self) -> bool:
        try:
            psycopg.connect(self._address("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self) -> str:
        name = f"segmon_{os.getpid()}_{next(self._numbers)}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop it, whoever is still connected."""
        name = url.rpartition("/")[2]
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def url(self, database: str) -> str:
        return "postgresql+psycopg" + self._address(database).removeprefix("postgresql")

    def variables(self) -> dict[str, str]:
        """What PostgreSQL's own programs (psql, pg_dump) need to connect as the superuser."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self._port),
            "PGUSER": self.superuser,
            "PGPASSWORD": self._password,
        }

    def _address(self, database: str) -> str:
        return f"postgresql://{self.superuser}:{self._password}@127.0.0.1:{self._port}/{database}"

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _program(self, name: str) -> str:
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
        return program(self.name, name, folders=versions)
