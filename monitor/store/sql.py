"""Statements that both databases take, in their executemany form, and answers that are too long to be held."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, any_, bindparam, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

Row = Mapping[str, Any]
T = TypeVar("T", str, int, tuple[str, str])

MANY = 200
"""Rows from which a COPY is worth its own round trips."""

ARRAY = 20_000
"""Values in one array."""

FEW = 100
"""Values, in lists that are put into one statement together."""

CHUNK = 400
"""Values, or pairs of them, in one IN list: SQLite takes 999 parameters in its oldest builds."""

PART = 5_000
"""Rows of a long answer that are held at a time."""

_cursors = itertools.count(1)


def insert(connection: Connection, table: Table) -> Any:
    """An insert that knows ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def add(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Append rows that have the same columns."""
    if len(rows) >= MANY and connection.dialect.name == "postgresql":
        _copy(connection, table, rows)
    elif rows:
        connection.execute(table.insert(), [dict(row) for row in rows])


def _copy(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """As COPY: in the same transaction, with the same triggers, without a round trip for each row."""
    columns = [table.c[name] for name in rows[0]]
    bound = [(column.name, _bound(column, connection)) for column in columns]
    names = ", ".join(connection.dialect.identifier_preparer.quote(column.name) for column in columns)
    cursor = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:  # type: ignore[attr-defined]
        for row in rows:
            copy.write_row([to_bound(row[name]) for name, to_bound in bound])


def _bound(column: Column[Any], connection: Connection) -> Callable[[Any], Any]:
    """What a value of a column is bound as, here as in any other insert."""
    made = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return made or (lambda value: value)


def put(connection: Connection, table: Table, rows: Sequence[Row], *, keep: Iterable[str] = ()) -> None:
    """Insert, or replace every column but the key and those in `keep`."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = insert(connection, table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in {*keys, *keep}}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), [dict(row) for row in rows])


@contextmanager
def locked(connection: Connection, name: str) -> Iterator[bool]:
    """Whether this PostgreSQL session got the lock of that name; held while the block lasts and the session lives."""
    lock = {"name": name}
    got = connection.execute(text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))"), lock).scalar_one()
    try:
        yield bool(got)
    finally:
        if got:
            _unlock(connection, lock)


def _unlock(connection: Connection, lock: Row) -> None:
    try:
        connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))"), lock)
    except DBAPIError:
        connection.invalidate()  # the session is gone, or goes now, and its lock with it


def chunks(values: Iterable[T]) -> Iterable[list[T]]:
    """Distinct values, in order."""
    every = sorted(set(values))
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]


def among(connection: Connection, column: Column[T], values: Iterable[T]) -> Iterator[ColumnElement[bool]]:
    """Conditions of which one holds if the column is one of these; none for no values. One array on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        yield from (column.in_(part) for part in chunks(values))
        return
    every = sorted(set(values))
    for start in range(0, len(every), ARRAY):
        part = bindparam(None, every[start : start + ARRAY], postgresql.ARRAY(column.type))
        yield column == any_(part)


def streamed(connection: Connection, statement: Select[Any]) -> Iterator[Any]:
    """Rows of a long answer, a part at a time through a cursor of the server's; what was read is let go.

    On PostgreSQL they are the driver's own tuples: there is nothing to convert in them, as sessions are in UTC
    (`connecting`), and a million of them take half the time (decision 0085).
    """
    if connection.dialect.name == "postgresql":
        yield from _through_cursor(connection, statement)
    else:
        for part in connection.execute(statement, execution_options={"yield_per": PART}).partitions():
            yield from part


def _through_cursor(connection: Connection, statement: Select[Any]) -> Iterator[Any]:
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    driver: Any = connection.connection.driver_connection
    errors: Any = connection.dialect.loaded_dbapi.Error  # not imported: 9 MiB, which SQLite does not need
    try:
        with driver.cursor(f"streamed_{next(_cursors)}") as cursor:
            cursor.execute(str(compiled), compiled.params, binary=True)
            while part := cursor.fetchmany(PART):
                yield from part
    except errors as error:
        is_lost = connection.dialect.is_disconnect(error, driver, None)
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            str(compiled), None, error, errors, connection_invalidated=is_lost, dialect=connection.dialect
        ) from error
