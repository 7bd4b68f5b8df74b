"""The first tables."""

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
        sa.Column("content", sa.LargeBinary(), nullable=False),
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
        sa.Column("counts", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("waived", sa.Integer(), nullable=False),
        sa.Column("needs", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("to_at IS NULL OR to_at >= from_at", name=op.f("ck_control_status_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control_status")),
        sa.UniqueConstraint(
            "cluster", "domain", "control", "from_at", name=op.f("uq_control_status_cluster_domain_control_from_at")
        ),
    )
    with op.batch_alter_table("control_status", schema=None) as batch_op:
        batch_op.create_index(
            "ix_control_status_open",
            ["cluster", "domain", "control"],
            unique=True,
            postgresql_where=sa.text("to_at IS NULL"),
            sqlite_where=sa.text("to_at IS NULL"),
        )

    op.create_table(
        "domain",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("level", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("criticality", sa.String(length=16), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("cluster", "id", name=op.f("pk_domain")),
    )
    op.create_table(
        "domain_member",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("domain", sa.String(length=512), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("pods", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("to_at IS NULL OR to_at >= from_at", name=op.f("ck_domain_member_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain_member")),
    )
    with op.batch_alter_table("domain_member", schema=None) as batch_op:
        batch_op.create_index(
            "ix_domain_member_open",
            ["cluster", "domain", "subject"],
            unique=True,
            postgresql_where=sa.text("to_at IS NULL"),
            sqlite_where=sa.text("to_at IS NULL"),
        )
        batch_op.create_index("ix_domain_member_span", ["cluster", "domain", "from_at"], unique=False)

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
    with op.batch_alter_table("evidence_gap", schema=None) as batch_op:
        batch_op.create_index("ix_evidence_gap_at", ["cluster", "from_at"], unique=False)

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
    with op.batch_alter_table("fact_revision", schema=None) as batch_op:
        batch_op.create_index("ix_fact_revision_at", ["cluster", "at"], unique=False)
        batch_op.create_index("ix_fact_revision_key", ["cluster", "key", "at"], unique=False)
        batch_op.create_index(
            "ix_fact_revision_last",
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
        sa.Column("evidence", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("waiver", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("is_last_known", sa.Boolean(), nullable=False),
        sa.Column("first_at", UtcDateTime(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    with op.batch_alter_table("finding", schema=None) as batch_op:
        batch_op.create_index(
            "ix_finding_open",
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
        sa.Column("evidence", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding_transition")),
    )
    with op.batch_alter_table("finding_transition", schema=None) as batch_op:
        batch_op.create_index("ix_finding_transition_at", ["cluster", "at"], unique=False)
        batch_op.create_index("ix_finding_transition_finding", ["finding_id", "at"], unique=False)

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
        sa.Column("source_domains", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("destination_domains", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
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
    with op.batch_alter_table("observed_path", schema=None) as batch_op:
        batch_op.create_index(
            "ix_observed_path_outbox",
            ["cluster"],
            unique=False,
            postgresql_where=sa.text("outbox"),
            sqlite_where=sa.text("outbox"),
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
