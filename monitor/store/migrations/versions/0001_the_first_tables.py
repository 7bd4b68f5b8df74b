"""The first tables, and what the database itself refuses: overlapping intervals, changes of what is closed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from models.tables import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tables()
    for table, identity in INTERVALS.items():
        _guard_intervals(table, identity)
    for table in APPENDED:
        _guard_appended(table)


def _tables() -> None:
    op.create_table(
        "applied",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "cluster", name=op.f("pk_applied")),
    )
    op.create_table(
        "chain",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("what", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "seq", name=op.f("pk_chain")),
    )
    op.create_table(
        "chain_head",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name=op.f("pk_chain_head")),
    )
    op.create_table(
        "control_status",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("domain", sa.String(length=512), nullable=False),
        sa.Column("control", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "counts", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("waived", sa.Integer(), nullable=False),
        sa.Column(
            "needs", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("to_at IS NULL OR to_at >= from_at", name=op.f("ck_control_status_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control_status")),
        sa.UniqueConstraint(
            "cluster", "domain", "control", "from_at", name=op.f("uq_control_status_cluster_domain_control_from_at")
        ),
    )
    op.create_index(
        "ix_control_status_open",
        "control_status",
        ["cluster", "domain", "control"],
        unique=True,
        postgresql_where=sa.text("to_at IS NULL"),
        sqlite_where=sa.text("to_at IS NULL"),
    )
    op.create_index("ix_control_status_to", "control_status", ["cluster", "to_at"], unique=False)
    op.create_table(
        "domain",
        sa.Column("span_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("level", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("criticality", sa.String(length=16), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("to_at IS NULL OR to_at >= from_at", name=op.f("ck_domain_ordered")),
        sa.PrimaryKeyConstraint("span_id", name=op.f("pk_domain")),
    )
    op.create_index(
        "ix_domain_open",
        "domain",
        ["cluster", "id"],
        unique=True,
        postgresql_where=sa.text("to_at IS NULL"),
        sqlite_where=sa.text("to_at IS NULL"),
    )
    op.create_index("ix_domain_span", "domain", ["cluster", "id", "from_at"], unique=False)
    op.create_table(
        "domain_member",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("domain", sa.String(length=512), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column(
            "pods", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("to_at IS NULL OR to_at >= from_at", name=op.f("ck_domain_member_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain_member")),
    )
    op.create_index(
        "ix_domain_member_open",
        "domain_member",
        ["cluster", "domain", "subject"],
        unique=True,
        postgresql_where=sa.text("to_at IS NULL"),
        sqlite_where=sa.text("to_at IS NULL"),
    )
    op.create_index("ix_domain_member_span", "domain_member", ["cluster", "domain", "subject", "from_at"], unique=False)
    op.create_table(
        "domain_reach",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("source", sa.String(length=512), nullable=False),
        sa.Column("destination", sa.String(length=512), nullable=False),
        sa.Column(
            "connections", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("to_at IS NULL OR to_at >= from_at", name=op.f("ck_domain_reach_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain_reach")),
    )
    op.create_index(
        "ix_domain_reach_open",
        "domain_reach",
        ["cluster", "source", "destination"],
        unique=True,
        postgresql_where=sa.text("to_at IS NULL"),
        sqlite_where=sa.text("to_at IS NULL"),
    )
    op.create_index(
        "ix_domain_reach_span", "domain_reach", ["cluster", "source", "destination", "from_at"], unique=False
    )
    op.create_table(
        "epoch",
        sa.Column("topic", sa.String(length=253), nullable=False),
        sa.Column("cluster", sa.String(length=253), server_default="", nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_epoch")),
    )
    op.create_table(
        "evidence_gap",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("input", sa.String(length=512), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence_gap")),
    )
    op.create_index("ix_evidence_gap_at", "evidence_gap", ["cluster", "from_at"], unique=False)
    op.create_table(
        "fact_revision",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("is_synthetic", sa.Boolean(), nullable=False),
        sa.Column("is_last", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fact_revision")),
    )
    op.create_index("ix_fact_revision_at", "fact_revision", ["cluster", "at"], unique=False)
    op.create_index("ix_fact_revision_key", "fact_revision", ["cluster", "key", "at"], unique=False)
    op.create_index(
        "ix_fact_revision_last",
        "fact_revision",
        ["cluster", "key"],
        unique=True,
        postgresql_where=sa.text("is_last"),
        sqlite_where=sa.text("is_last"),
    )
    op.create_table(
        "finding",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("domain", sa.String(length=512), nullable=False),
        sa.Column("control", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("fix", sa.Text(), nullable=False),
        sa.Column(
            "evidence", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("waiver", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("is_last_known", sa.Boolean(), nullable=False),
        sa.Column("first_at", UtcDateTime(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    op.create_index(
        "ix_finding_open",
        "finding",
        ["cluster", "domain", "control"],
        unique=False,
        postgresql_where=sa.text("state <> 'resolved'"),
    )
    op.create_table(
        "finding_transition",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("finding_id", sa.String(length=24), nullable=False),
        sa.Column("domain", sa.String(length=512), nullable=False),
        sa.Column("control", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("transition", sa.String(length=16), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "evidence", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding_transition")),
    )
    op.create_index("ix_finding_transition_at", "finding_transition", ["cluster", "at"], unique=False)
    op.create_index("ix_finding_transition_domain", "finding_transition", ["cluster", "domain", "at"], unique=False)
    op.create_index("ix_finding_transition_finding", "finding_transition", ["finding_id", "at"], unique=False)
    op.create_table(
        "flow_window",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("window_at", UtcDateTime(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("path_id", sa.String(length=32), nullable=False),
        sa.Column("flow_class", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("is_sealed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "cluster", "partition", "window_at", "part", "path_id", "flow_class", name=op.f("pk_flow_window")
        ),
    )
    op.create_table(
        "observed_path",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("path_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column(
            "source_domains",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "destination_domains",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
        ),
        sa.Column("protocol", sa.String(length=16), nullable=False),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("flow_class", sa.String(length=16), nullable=False),
        sa.Column("basis", sa.String(length=16), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("first_at", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("is_gone", sa.Boolean(), nullable=False),
        sa.Column("outbox", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "path_id", name=op.f("pk_observed_path")),
    )
    op.create_index(
        "ix_observed_path_outbox",
        "observed_path",
        ["cluster"],
        unique=False,
        postgresql_where=sa.text("outbox"),
        sqlite_where=sa.text("outbox"),
    )
    op.create_table(
        "policy_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("namespace", sa.String(length=253), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("change", sa.String(length=16), nullable=False),
        sa.Column("before", sa.String(length=64), nullable=True),
        sa.Column("after", sa.String(length=64), nullable=True),
        sa.Column("approval", sa.Text(), nullable=False),
        sa.Column(
            "widened", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=True
        ),
        sa.Column(
            "closed", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_change")),
    )
    op.create_index("ix_policy_change_at", "policy_change", ["cluster", "at"], unique=False)
    op.create_table(
        "report",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("domain", sa.String(length=512), nullable=False),
        sa.Column("schedule", sa.String(length=16), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("manifest", sa.String(length=64), nullable=True),
        sa.Column("chain_seq", sa.BigInteger(), nullable=False),
        sa.Column("chain_hash", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
    )
    op.create_index(
        "ix_report_scheduled",
        "report",
        ["cluster", "domain", "schedule", "from_at", "to_at"],
        unique=True,
        postgresql_where=sa.text("schedule <> ''"),
        sqlite_where=sa.text("schedule <> ''"),
    )
    op.create_table(
        "source_position",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("source", sa.String(length=512), nullable=False),
        sa.Column("generation", sa.String(length=253), nullable=False),
        sa.Column("node", sa.String(length=253), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("unparsed", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "source", "generation", name=op.f("pk_source_position")),
    )
    op.create_table(
        "vouched",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("input", sa.String(length=128), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=True),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "input", name=op.f("pk_vouched")),
    )
    op.create_table(
        "waiver",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("control", sa.String(length=128), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("compensating_control", sa.Text(), nullable=False),
        sa.Column("granted_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("is_declared", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "name", name=op.f("pk_waiver")),
    )


INTERVALS = {
    "domain": ("id",),
    "domain_member": ("domain", "subject"),
    "control_status": ("domain", "control"),
    "domain_reach": ("source", "destination"),
}
APPENDED = ("finding_transition", "policy_change", "evidence_gap")
"""Retention deletes from them; nobody changes a row."""


def _guard_intervals(table: str, identity: tuple[str, ...]) -> None:
    """An exclusion constraint would need PostgreSQL's btree_gist, which many servers lack; a trigger does on both."""
    same = " AND ".join(f"t.{name} = NEW.{name}" for name in ("cluster", *identity))
    overlaps = (  # names of our own tables and columns, above
        f"EXISTS (SELECT 1 FROM {table} t WHERE {same}"  # noqa: S608
        " AND (NEW.to_at IS NULL OR t.from_at < NEW.to_at) AND (t.to_at IS NULL OR t.to_at > NEW.from_at))"
    )
    _refuse(table, "INSERT", overlaps, f"{table}: intervals overlap")
    _refuse(table, "UPDATE", "OLD.to_at IS NOT NULL OR NEW.from_at <> OLD.from_at", f"{table}: a closed interval stays")


def _guard_appended(table: str) -> None:
    _refuse(table, "UPDATE", "OLD.id = NEW.id", f"{table}: rows are appended, never changed")


def _refuse(table: str, event: str, when: str, message: str) -> None:
    """Raise `message` before the event if `when` holds."""
    name = f"{table}_{event.lower()}"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER tr_{name} BEFORE {event} ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION fn_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {when} THEN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END IF;"
        " RETURN NEW; END $$"
    )
    op.execute(f"CREATE TRIGGER tr_{name} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION fn_{name}()")
