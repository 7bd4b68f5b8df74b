"""Bringing the database to this release's revision, and saying what is wrong if it is not there."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from monitor.store import connecting
from monitor.store.errors import StoreError

_LOCK = 7_361_720_001  # any number that nobody else uses


def upgrade(engine: Engine) -> tuple[str, str]:
    """To the newest revision; two that try at once wait for each other. Returns the revision before and after.

    One transaction: a migration that fails leaves the database as it was.
    """
    with connecting.writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # another's migration may take its time, and ours
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = _refuse_newer(_revision(connection))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, head()


def check(engine: Engine) -> None:
    """StoreError, with the fix, unless the database is at this release's revision. Looking makes no empty file."""
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and not Path(file).exists():
        raise StoreError(f"there is no database {file}\n       fix: segmon db upgrade")
    found = _refuse_newer(current(engine))
    if found != head():
        there = f"at revision {found}" if found else "empty"
        raise StoreError(f"the database is {there}, this segmon needs {head()}\n       fix: segmon db upgrade")


def current(engine: Engine) -> str:
    """The database's revision; "" for an empty one."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def head() -> str:
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _refuse_newer(found: str) -> str:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found and found not in known:
        raise StoreError(
            f"the database is at revision {found}, this segmon knows up to {head()}; "
            "it was migrated by a newer release\n"
            "       fix: upgrade segmon, or restore the database from before the migration"
        )
    return found


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("monitor.store") / "migrations"))
    return config
