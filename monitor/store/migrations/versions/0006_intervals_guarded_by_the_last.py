"""An interval is held against the last one before its end, found by index: a first start records 60,000 at once.

The former guard asked whether any interval overlaps. PostgreSQL plans that once for a session, on a table that is empty
at a first start, where every index looks as good: since 0005 it went through all rows of the cluster for each new one,
and 100,000 pods could not be recorded within a minute. As intervals of one thing do not overlap, the last that begins
before the new one's end tells; two that begin at one time are refused too.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INTERVALS = {
    "domain": ("id",),
    "domain_member": ("domain", "subject"),
    "control_status": ("domain", "control"),
    "domain_reach": ("source", "destination"),
    "reach_status": (),
}


def upgrade() -> None:
    for table, identity in INTERVALS.items():
        _guard(table, _overlaps(table, identity), f"{table}: intervals overlap")


def _overlaps(table: str, identity: tuple[str, ...]) -> str:
    same = " AND ".join(f"t.{name} = NEW.{name}" for name in ("cluster", *identity))
    return (  # names of our own tables and columns, above
        "COALESCE((SELECT t.to_at IS NULL OR t.to_at > NEW.from_at OR t.from_at = NEW.from_at"  # noqa: S608
        f" FROM {table} t WHERE {same} AND (NEW.to_at IS NULL OR t.from_at < NEW.to_at OR t.from_at = NEW.from_at)"
        " ORDER BY t.from_at DESC LIMIT 1), FALSE)"
    )


def _guard(table: str, when: str, message: str) -> None:
    """In place of the former one."""
    name = f"{table}_insert"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER tr_{name}")
        op.execute(
            f"CREATE TRIGGER tr_{name} BEFORE INSERT ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    op.execute(
        f"CREATE OR REPLACE FUNCTION fn_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {when} THEN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END IF;"
        " RETURN NEW; END $$"
    )
