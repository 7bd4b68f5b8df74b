"""Statements that both databases take, in their executemany form, and answers that are too long to be held.

What a recording asks is built once and given its values as parameters: to build a statement anew costs SQLAlchemy more
than to execute it (docs/decisions/0116). Where the databases differ it is built once for each, by the dialect's name.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Insert, Select, Table, any_, bindparam, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

POSTGRESQL = "postgresql"

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


def insert(dialect: str, table: Table) -> Any:
    """An insert that knows ON CONFLICT."""
    return postgresql.insert(table) if dialect == POSTGRESQL else sqlite.insert(table)


def add(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Append rows that have the same columns."""
    if len(rows) >= MANY and connection.dialect.name == POSTGRESQL:
        _copy(connection, table, rows)
    elif rows:
        connection.execute(_insert(table), [dict(row) for row in rows])


@functools.cache
def _insert(table: Table) -> Insert:
    return table.insert()


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


def put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert, or replace every column but the key."""
    if rows:
        statement = _put(connection.dialect.name, table, tuple(rows[0]))
        connection.execute(statement, [dict(row) for row in rows])


@functools.cache
def _put(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    keys = [column.name for column in table.primary_key]
    statement = insert(dialect, table)
    changed = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


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


def one_of(dialect: str, column: Column[Any], parameter: str) -> ColumnElement[bool]:
    """That a column is one of the values of a parameter: of a part (`parts`), in one array on PostgreSQL."""
    if dialect == POSTGRESQL:
        return column == any_(bindparam(parameter, type_=postgresql.ARRAY(column.type)))
    return column.in_(bindparam(parameter, expanding=True))


def parts(connection: Connection, values: Iterable[T]) -> Iterator[list[T]]:
    """Distinct values, in order, as many at a time as the database takes in one parameter of `one_of`."""
    return _cut(values, ARRAY if connection.dialect.name == POSTGRESQL else CHUNK)


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Distinct values, in order, for IN lists."""
    return _cut(values, CHUNK)


def _cut(values: Iterable[T], most: int) -> Iterator[list[T]]:
    every = sorted(set(values))
    return (every[start : start + most] for start in range(0, len(every), most))


def among(connection: Connection, column: Column[T], values: Iterable[T]) -> Iterator[ColumnElement[bool]]:
    """Conditions of which one holds if the column is one of these; none for no values."""
    for part in parts(connection, values):
        if connection.dialect.name == POSTGRESQL:
            yield column == any_(bindparam(None, part, postgresql.ARRAY(column.type)))
        else:
            yield column.in_(part)


def streamed(connection: Connection, statement: Select[Any]) -> Iterator[Any]:
    """Rows of a long answer, a part at a time through a cursor of the server's; what was read is let go.

    On PostgreSQL they are the driver's own tuples: there is nothing to convert in them, as sessions are in UTC
    (`connecting`), and a million of them take half the time (decision 0085).
    """
    if connection.dialect.name == POSTGRESQL:
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
