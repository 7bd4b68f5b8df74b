"""Alembic's entry: runs on the connection that `upgrading` (or a test) hands over."""

from __future__ import annotations

from alembic import context

from models import tables

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=tables.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transactional_ddl=True,  # `connecting` begins SQLite's transactions itself, so that they hold DDL too
)
with context.begin_transaction():
    context.run_migrations()
