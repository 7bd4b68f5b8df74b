"""What can go wrong in the database: what passes by itself, what a person mends, and the fence."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from models.errors import CannotEvaluateError, UserError


class StoreError(UserError):
    """The database cannot be used as it is; the message names the fix."""


class DatabaseAwayError(StoreError):
    """The database does not answer, or lets nobody in: as of a broker that is away, nothing can be told."""

    exit_code = CannotEvaluateError.exit_code


class ChainBrokenError(CannotEvaluateError):
    """The record does not fit its hash chain; the message names the first row that does not."""


class Fenced(Exception):  # noqa: N818 - named for what happened
    """Somebody else recorded this cluster since our State was built: State is to be dropped and built again."""


# PostgreSQL: connection lost (08), serialisation and deadlock (40), resources and disk (53), operator stops it (57),
# lock not available (55P03), system error (58).
_PASSING_CLASSES = ("08", "40", "53", "57", "58")
_AWAY_CLASSES = ("08", "57P")
_PASSING_STATES = frozenset({"55P03"})
DISK_FULL = "the disk that holds the record is full\n       fix: free space, or give --data DIR elsewhere"
"""Of the embedded store."""
AWAY_FIX = "start it, or set database.url (SEGMON_DATABASE__URL, --database) to where it is and lets segmon in"

_SQLITE_PASSING = ("locked", "busy", "disk is full", "disk i/o error", "unable to open")


def away(error: BaseException) -> DatabaseAwayError:
    """What is told of an error of the connection."""
    said = str(getattr(error, "orig", error)).partition("\n")[0]
    return DatabaseAwayError(f"cannot reach the database: {said}\n       fix: {AWAY_FIX}")


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed later. Disk full counts: space may be freed."""
    if not isinstance(error, DBAPIError):
        return False
    if is_away(error):
        return True
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        is_of_operation = isinstance(cause, sqlite3.OperationalError)
        return is_of_operation and any(word in str(cause).lower() for word in _SQLITE_PASSING)
    state = _state(error)
    return state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES


def is_away(error: BaseException) -> bool:
    """Whether the server was never reached, lost, or is going: what it refused or gave up is something else."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return isinstance(error.orig, sqlite3.OperationalError) and "unable to open" in str(error.orig).lower()
    state = _state(error)
    return state.startswith(_AWAY_CLASSES) or (isinstance(error, OperationalError | InterfaceError) and not state)


def _state(error: DBAPIError) -> str:
    """PostgreSQL's; empty where there was no server to say one."""
    return getattr(error.orig, "sqlstate", None) or ""


def is_disk_full(error: BaseException) -> bool:
    """The embedded store stops with this; a server's administrator is told by its own monitoring."""
    cause = getattr(error, "orig", None)
    return isinstance(cause, sqlite3.Error) and "full" in str(cause).lower()
