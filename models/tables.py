"""The tables of record (docs/architecture.md). Core tables, no ORM; migrations live in monitor.store.migrations.

Law 1: every table has the cluster. Law 2: audit rows are appended; intervals are closed, never rewritten.
Times are UTC: UtcDateTime refuses naive values on the way in and adds UTC on the way out (SQLite keeps no zone).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A UTC instant with microseconds."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# None is NULL: JSON's own null would be a value, and `IS NULL` would not find it
_json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_id = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts rows by INTEGER only


def _serial() -> Column[Any]:
    return Column("id", _id, primary_key=True, autoincrement=True)


applied = Table(
    "applied",
    metadata,
    Column("partition", Integer, primary_key=True),
    Column("cluster", String(253), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

epoch = Table(
    "epoch",
    metadata,
    Column("topic", String(253), primary_key=True),
    Column("cluster", String(253), nullable=False, server_default=""),
    Column("number", BigInteger, nullable=False),
)

fact_revision = Table(
    "fact_revision",
    metadata,
    _serial(),
    Column("cluster", String(253), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("key", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("raw", LargeBinary),  # NULL = gone
    Column("reason", Text, nullable=False, server_default=""),
    Column("is_synthetic", Boolean, nullable=False),
    Column("is_last", Boolean, nullable=False),  # of its key; the one column that is changed, once
    Index(
        "ix_fact_revision_last",
        "cluster",
        "key",
        unique=True,
        postgresql_where=text("is_last"),
        sqlite_where=text("is_last"),
    ),
    Index("ix_fact_revision_key", "cluster", "key", "at"),
    Index("ix_fact_revision_at", "cluster", "at"),
)

domain = Table(
    "domain",
    metadata,
    Column("span_id", _id, primary_key=True, autoincrement=True),
    Column("cluster", String(253), nullable=False),
    Column("id", String(512), nullable=False),
    Column("level", String(32), nullable=False),
    Column("name", String(512), nullable=False),
    Column("owner", Text, nullable=False),
    Column("criticality", String(16), nullable=False),
    Column("environment", Text, nullable=False),
    Column("from_at", UtcDateTime, nullable=False),
    Column("to_at", UtcDateTime),  # NULL = exists, as described
    CheckConstraint("to_at IS NULL OR to_at >= from_at", name="ordered"),
    Index(
        "ix_domain_open",
        "cluster",
        "id",
        unique=True,
        postgresql_where=text("to_at IS NULL"),
        sqlite_where=text("to_at IS NULL"),
    ),
    Index("ix_domain_span", "cluster", "id", "from_at"),
)

domain_member = Table(
    "domain_member",
    metadata,
    _serial(),
    Column("cluster", String(253), nullable=False),
    Column("domain", String(512), nullable=False),
    Column("subject", Text, nullable=False),
    Column("pods", _json, nullable=False),
    Column("from_at", UtcDateTime, nullable=False),
    Column("to_at", UtcDateTime),
    CheckConstraint("to_at IS NULL OR to_at >= from_at", name="ordered"),
    Index(
        "ix_domain_member_open",
        "cluster",
        "domain",
        "subject",
        unique=True,
        postgresql_where=text("to_at IS NULL"),
        sqlite_where=text("to_at IS NULL"),
    ),
    Index("ix_domain_member_to", "cluster", "to_at"),
    Index("ix_domain_member_span", "cluster", "domain", "subject", "from_at"),
)

control_status = Table(
    "control_status",
    metadata,
    _serial(),
    Column("cluster", String(253), nullable=False),
    Column("domain", String(512), nullable=False),
    Column("control", String(128), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("reason", Text, nullable=False),
    Column("counts", _json, nullable=False),
    Column("waived", Integer, nullable=False),
    Column("needs", _json, nullable=False),
    Column("from_at", UtcDateTime, nullable=False),
    Column("to_at", UtcDateTime),
    CheckConstraint("to_at IS NULL OR to_at >= from_at", name="ordered"),
    UniqueConstraint("cluster", "domain", "control", "from_at"),
    Index("ix_control_status_ended", "cluster", "domain", "control", "to_at"),
    Index("ix_control_status_to", "cluster", "to_at"),
    Index(
        "ix_control_status_open",
        "cluster",
        "domain",
        "control",
        unique=True,
        postgresql_where=text("to_at IS NULL"),
        sqlite_where=text("to_at IS NULL"),
    ),
)

vouched = Table(
    "vouched",
    metadata,
    Column("cluster", String(253), primary_key=True),
    Column("input", String(128), primary_key=True),
    Column("from_at", UtcDateTime),  # unbroken since
    Column("until", UtcDateTime),  # last seen, at a live evaluation
    Column("state", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

finding = Table(
    "finding",
    metadata,
    Column("id", String(24), primary_key=True),
    Column("cluster", String(253), nullable=False),
    Column("domain", String(512), nullable=False),
    Column("control", String(128), nullable=False),
    Column("subject", Text, nullable=False),
    Column("state", String(16), nullable=False),  # open, waived, resolved
    Column("severity", String(16), nullable=False),
    Column("sentence", Text, nullable=False),
    Column("fix", Text, nullable=False),
    Column("evidence", _json, nullable=False),
    Column("waiver", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("is_last_known", Boolean, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Index("ix_finding_resolved", "cluster", "resolved_at"),
    Index("ix_finding_open", "cluster", "domain", "control", postgresql_where=text("state <> 'resolved'")),
)

finding_transition = Table(
    "finding_transition",
    metadata,
    _serial(),
    Column("cluster", String(253), nullable=False),
    Column("finding_id", String(24), nullable=False),
    Column("domain", String(512), nullable=False),
    Column("control", String(128), nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("transition", String(16), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", _json, nullable=False),
    Index("ix_finding_transition_at", "cluster", "at"),
    Index("ix_finding_transition_finding", "finding_id", "at"),
    Index("ix_finding_transition_domain", "cluster", "domain", "at"),
)

waiver = Table(
    "waiver",
    metadata,
    Column("cluster", String(253), primary_key=True),
    Column("name", String(253), primary_key=True),
    Column("control", String(128), nullable=False),
    Column("domain", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("approver", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("compensating_control", Text, nullable=False),
    Column("granted_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("is_declared", Boolean, nullable=False),  # False = taken out of waivers.yaml
)

evidence_gap = Table(
    "evidence_gap",
    metadata,
    _serial(),
    Column("cluster", String(253), nullable=False),
    Column("input", String(512), nullable=False),  # a kind, flows, a log source, or evaluation
    Column("from_at", UtcDateTime, nullable=False),
    Column("to_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_evidence_gap_at", "cluster", "from_at"),
)

policy_change = Table(
    "policy_change",
    metadata,
    _serial(),
    Column("cluster", String(253), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("namespace", String(253), nullable=False),
    Column("name", Text, nullable=False),
    Column("change", String(16), nullable=False),  # created, changed, deleted
    Column("before", String(64)),  # digest of the revision; NULL = there was none
    Column("after", String(64)),
    Column("approval", Text, nullable=False),
    Column("widened", _json),  # connections gained, in words; NULL = not worked out
    Column("closed", _json),
    Index("ix_policy_change_at", "cluster", "at"),
)

domain_reach = Table(
    "domain_reach",
    metadata,
    _serial(),
    Column("cluster", String(253), nullable=False),
    Column("source", String(512), nullable=False),
    Column("destination", String(512), nullable=False),
    Column("connections", _json, nullable=False),  # in words: tcp/8080, udp/53
    Column("from_at", UtcDateTime, nullable=False),
    Column("to_at", UtcDateTime),
    CheckConstraint("to_at IS NULL OR to_at >= from_at", name="ordered"),
    Index(
        "ix_domain_reach_open",
        "cluster",
        "source",
        "destination",
        unique=True,
        postgresql_where=text("to_at IS NULL"),
        sqlite_where=text("to_at IS NULL"),
    ),
    Index("ix_domain_reach_span", "cluster", "source", "destination", "from_at"),
)

reach_status = Table(
    "reach_status",
    metadata,
    _serial(),
    Column("cluster", String(253), nullable=False),
    Column("is_known", Boolean, nullable=False),  # False: the rows of domain_reach count for nothing in this time
    Column("reason", Text, nullable=False),
    Column("needs", _json, nullable=False),
    Column("from_at", UtcDateTime, nullable=False),
    Column("to_at", UtcDateTime),
    CheckConstraint("to_at IS NULL OR to_at >= from_at", name="ordered"),
    Index(
        "ix_reach_status_open",
        "cluster",
        unique=True,
        postgresql_where=text("to_at IS NULL"),
        sqlite_where=text("to_at IS NULL"),
    ),
    Index("ix_reach_status_span", "cluster", "from_at"),
)

report = Table(
    "report",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("cluster", String(253), nullable=False),
    Column("domain", String(512), nullable=False),  # "" = all
    Column("schedule", String(16), nullable=False),  # daily, weekly, monthly; "" = asked for by hand
    Column("from_at", UtcDateTime, nullable=False),
    Column("to_at", UtcDateTime, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("release", String(64), nullable=False),
    Column("manifest", String(64)),  # digest of the manifest; NULL = being made
    Column("chain_seq", BigInteger, nullable=False),
    Column("chain_hash", String(64), nullable=False),
    Column("place", Text, nullable=False),  # folder it was written to
    Index(
        "ix_report_scheduled",
        "cluster",
        "domain",
        "schedule",
        "from_at",
        "to_at",
        unique=True,
        postgresql_where=text("schedule <> ''"),
        sqlite_where=text("schedule <> ''"),
    ),
)

source_position = Table(
    "source_position",
    metadata,
    Column("cluster", String(253), primary_key=True),
    Column("source", String(512), primary_key=True),
    Column("generation", String(253), primary_key=True),
    Column("node", String(253), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("heard_at", UtcDateTime, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("unparsed", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
)

flow_window = Table(
    "flow_window",
    metadata,
    Column("cluster", String(253), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("window_at", UtcDateTime, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("path_id", String(32), primary_key=True),
    Column("flow_class", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("is_sealed", Boolean, nullable=False),
)

observed_path = Table(
    "observed_path",
    metadata,
    Column("cluster", String(253), primary_key=True),
    Column("path_id", String(32), primary_key=True),
    Column("source", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("source_domains", _json, nullable=False),
    Column("destination_domains", _json, nullable=False),
    Column("protocol", String(16), nullable=False),
    Column("port", Integer),
    Column("flow_class", String(16), nullable=False),
    Column("basis", String(16), nullable=False),
    Column("cause", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("is_gone", Boolean, nullable=False),
    Column("outbox", Boolean, nullable=False),  # to be published
    Index("ix_observed_path_outbox", "cluster", postgresql_where=text("outbox"), sqlite_where=text("outbox")),
)

chain = Table(
    "chain",
    metadata,
    Column("cluster", String(253), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("what", String(64), nullable=False),
    Column("content", LargeBinary),  # canonical bytes that the digest covers; NULL = retired
    Column("digest", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

chain_head = Table(
    "chain_head",
    metadata,
    Column("cluster", String(253), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
