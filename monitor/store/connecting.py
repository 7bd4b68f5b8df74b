"""The engine: one for each process, synchronous, called from threads (docs/decisions/0001)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from monitor.store.errors import StoreError

BUSY_SECONDS = 5
STATEMENT_SECONDS = 60
TURNS = 100
"""Of those who open a new file at once: each is one of them."""
_URL_FIX = "write it as postgresql://USER:PASSWORD@HOST/NAME or sqlite:///FILE"


def connect(url: str) -> Engine:
    """The engine for a URL. StoreError for one that cannot be used."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            return _postgresql(parsed.set(drivername="postgresql+psycopg"))
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"database.url is no database URL: {error}\n       fix: {_URL_FIX}") from error
    raise StoreError(
        f"database.url: segmon keeps its record in PostgreSQL or SQLite, not in {parsed.get_backend_name()}\n"
        f"       fix: {_URL_FIX}"
    )


def _postgresql(url: Any) -> Engine:
    options = (
        f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
        " -c timezone=UTC -c cursor_tuple_fraction=1"  # a cursor is read to its end (sql.streamed)
    )
    return create_engine(
        url,
        pool_size=4,
        max_overflow=4,
        pool_pre_ping=True,
        pool_use_lifo=True,  # the session in use last has its statements prepared and its plans at hand
        json_deserializer=msgspec.json.decode,
        connect_args={"options": options, "connect_timeout": 5, "application_name": "segmon"},
    )


def _sqlite(url: Any) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _settle(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 itself begins nothing; `_begin` does
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        _read_while_written(cursor)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        """A writer takes the lock at once: to upgrade from a read to a write fails (dependencies.md 1.5)."""
        is_writer = connection.get_execution_options().get("segmon_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    return engine


def _read_while_written(cursor: sqlite3.Cursor) -> None:
    """The write-ahead log. Of a new file that others open too SQLite refuses it at once, whatever the busy timeout:
    who is refused waits for his turn to write, for which the timeout holds, and asks again.
    """
    for _ in range(TURNS):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        else:
            return
    cursor.execute("PRAGMA journal_mode=WAL")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes; rolled back if the block raises."""
    with engine.connect() as plain:
        connection = plain.execution_options(segmon_writes=True)
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine, snapshot: str = "") -> Iterator[Connection]:
    """One consistent look, whatever is written meanwhile; with a `snapshot`, the look that it was exported from."""
    with engine.connect() as plain:
        options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
        connection = plain.execution_options(**options)
        with connection.begin():
            if snapshot:
                connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            yield connection


def exported(connection: Connection) -> str:
    """The snapshot of a look, for others to have the same while it lasts; "" where a database has no such thing."""
    if connection.dialect.name != "postgresql":
        return ""
    return str(connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one())


@contextmanager
def reading_forked(connection: Connection, snapshot: str) -> Iterator[Connection]:
    """In a process that was forked with somebody's connection: the same look, over one of its own."""
    engine = connection.engine
    engine.dispose(close=False)  # those in its pool are the other process's
    with reading(engine, snapshot) as own:
        yield own
