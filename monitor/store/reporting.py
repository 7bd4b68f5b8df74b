"""Who may read the `reporting` views: SELECT on them, nothing else (docs/reporting.md)."""

from __future__ import annotations

from sqlalchemy import Engine, text

from monitor.store import connecting
from monitor.store.errors import StoreError


def grant(engine: Engine, role: str) -> None:
    """Let an existing PostgreSQL role read the views, and take from it whatever else it had here."""
    if engine.dialect.name != "postgresql":
        raise StoreError("only PostgreSQL has roles: whoever may read the SQLite file may read all of it")
    with connecting.writing(engine) as connection:
        known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).scalar()
        if not known:
            raise StoreError(f"the database has no role {role!r}\n       fix: CREATE ROLE {role} LOGIN PASSWORD '…'")
        quoted = engine.dialect.identifier_preparer.quote_identifier(role)
        for statement in (
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {0}",
            "REVOKE CREATE ON SCHEMA public FROM {0}",
            "GRANT USAGE ON SCHEMA reporting TO {0}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO {0}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA reporting GRANT SELECT ON TABLES TO {0}",
        ):
            connection.execute(text(statement.format(quoted)))
