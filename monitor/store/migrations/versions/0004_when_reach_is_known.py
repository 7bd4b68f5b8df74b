"""When it was known what may connect: outside of these times the rows of domain_reach count for nothing.

The view `reach` shows only what was known, cut at its ends; `reach_status` shows when it was not, and why. `matrix` has
the pairs that reach has (domains of one level, and the outside as one), and says whether reach is known.
"""

# ruff: noqa: S608 - built from names of our own tables and columns only

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from msgspec import Struct
from sqlalchemy.dialects.postgresql import JSONB

from models.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STALE_SECONDS = 180
"""As in 0002."""

_json = sa.JSON().with_variant(JSONB(), "postgresql")


class Words(Struct, frozen=True):
    """What the two databases say differently."""

    view: str
    now_stale: str
    needs: str
    length: str
    text: str


POSTGRESQL = Words(
    view="reporting.",
    now_stale=f"now() - interval '{STALE_SECONDS} seconds'",
    needs="jsonb_array_elements_text(s.needs) AS n(value)",
    length="coalesce(jsonb_array_length(r.connections), 0)",
    text="coalesce(array_to_string(ARRAY(SELECT jsonb_array_elements_text(r.connections)), chr(10)), '')",
)
SQLITE = Words(
    view="reporting_",
    now_stale=f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{STALE_SECONDS} seconds')",
    needs="json_each(s.needs) AS n",
    length="coalesce(json_array_length(r.connections), 0)",
    text="coalesce((SELECT group_concat(value, char(10)) FROM json_each(r.connections)), '')",
)


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "reach_status",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("is_known", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("needs", _json, nullable=False),
        sa.Column("from_at", UtcDateTime(), nullable=False),
        sa.Column("to_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("to_at IS NULL OR to_at >= from_at", name=op.f("ck_reach_status_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reach_status")),
    )
    op.create_index(
        "ix_reach_status_open",
        "reach_status",
        ["cluster"],
        unique=True,
        postgresql_where=sa.text("to_at IS NULL"),
        sqlite_where=sa.text("to_at IS NULL"),
    )
    op.create_index("ix_reach_status_span", "reach_status", ["cluster", "from_at"], unique=False)
    _guard()
    words = POSTGRESQL if is_postgresql else SQLITE
    op.execute(f"CREATE VIEW {words.view}reach_status AS {_status(words)}")
    for name, body in {"reach": _reach(words), "matrix": _matrix(words)}.items():
        if is_postgresql:  # replaced in place, so that readers keep their grants
            op.execute(f"CREATE OR REPLACE VIEW {words.view}{name} AS {body}")
        else:
            op.execute(f"DROP VIEW {words.view}{name}")
            op.execute(f"CREATE VIEW {words.view}{name} AS {body}")


def _status(words: Words) -> str:
    """An open time counts as far as its inputs were vouched for, as a posture does."""
    vouched = (
        "coalesce((SELECT min(l.limit_at) FROM ("
        f"SELECT coalesce(v.until, s.from_at) AS limit_at FROM {words.needs}"
        " LEFT JOIN vouched v ON v.cluster = s.cluster AND v.input = n.value"
        " UNION ALL SELECT max(v.at) FROM vouched v WHERE v.cluster = s.cluster) l), s.from_at)"
    )
    spans = (
        "SELECT s.cluster, s.is_known, s.reason, s.from_at, s.to_at,"
        f" CASE WHEN s.to_at IS NULL AND s.is_known THEN {vouched} END AS vouched_until FROM reach_status s"
    )
    stale = f"k.vouched_until IS NOT NULL AND k.vouched_until < {words.now_stale}"
    return (
        "SELECT k.cluster, k.is_known, k.reason, k.from_at,"
        f" CASE WHEN {stale} THEN k.vouched_until ELSE k.to_at END AS to_at"
        f" FROM ({spans}) k WHERE NOT ({stale} AND k.vouched_until <= k.from_at)"
        f" UNION ALL SELECT k.cluster, {_false()},"
        " 'nobody vouched for its inputs any more',"
        " CASE WHEN k.vouched_until > k.from_at THEN k.vouched_until ELSE k.from_at END, NULL"
        f" FROM ({spans}) k WHERE {stale}"
    )


def _reach(words: Words) -> str:
    return (
        f"SELECT r.cluster, r.source, r.destination, {words.text} AS connections, {words.length} AS connection_count,"
        " CASE WHEN k.from_at > r.from_at THEN k.from_at ELSE r.from_at END AS from_at,"
        " CASE WHEN r.to_at IS NULL OR k.to_at < r.to_at THEN k.to_at ELSE r.to_at END AS to_at"
        f" FROM domain_reach r JOIN {words.view}reach_status k ON k.cluster = r.cluster AND k.is_known"
        " AND (k.to_at IS NULL OR k.to_at > r.from_at) AND (r.to_at IS NULL OR r.to_at > k.from_at)"
    )


LEVELS = ("namespace", "tenant", "workload")
CLASSES = ("permitted", "escaped", "rejected", "misdropped", "indeterminate")


def _matrix(words: Words) -> str:
    """As in 0003, but for the pairs. Where reach is not known only what was seen has a row."""
    counted = ", ".join(f"sum(CASE WHEN t.flow_class = '{each}' THEN t.paths ELSE 0 END) AS {each}" for each in CLASSES)
    shown = ", ".join(f"coalesce(t.{each}, 0) AS {each}" for each in CLASSES)
    ends = "SELECT {0}.cluster, {0}.source, {0}.destination FROM"
    same = "{0}.cluster = p.cluster AND {0}.source = p.source AND {0}.destination = p.destination"
    seen = (
        f"SELECT t.cluster, {_end('t.source')} AS source, {_end('t.destination')} AS destination,"
        f" {_level('t.source')} AS one, {_level('t.destination')} AS other, t.flow_class, t.paths, t.records, t.last_at"
        f" FROM {words.view}traffic t"
    )
    return (
        f"WITH k AS (SELECT cluster, is_known FROM {words.view}reach_status WHERE to_at IS NULL),"
        f" r AS (SELECT * FROM {words.view}reach WHERE to_at IS NULL),"
        f" t AS (SELECT t.cluster, t.source, t.destination, {counted}, sum(t.records) AS records,"
        f" max(t.last_at) AS last_at FROM ({seen}) t WHERE t.one <> 'cluster' AND t.other <> 'cluster'"
        " AND (t.one = t.other OR t.one = '' OR t.other = '') AND t.one || t.other <> ''"
        " GROUP BY t.cluster, t.source, t.destination),"
        f" p AS ({ends.format('r')} r UNION {ends.format('t')} t)"
        " SELECT p.cluster, p.source, p.destination, coalesce(a.level, '') AS source_level,"
        " coalesce(b.level, '') AS destination_level, coalesce(r.connections, '') AS connections,"
        f" coalesce(r.connection_count, 0) AS connection_count, r.from_at AS allowed_since, {shown},"
        " coalesce(t.records, 0) AS records, t.last_at AS last_seen_at,"
        " CASE WHEN t.escaped > 0 THEN 'escaped' WHEN t.permitted > 0 THEN 'allowed and seen'"
        " WHEN t.rejected + t.misdropped > 0 THEN 'denied' WHEN t.indeterminate > 0 THEN 'cannot tell'"
        " ELSE 'allowed but never seen' END AS state,"
        f" coalesce(k.is_known, {_false()}) AS is_reach_known"
        f" FROM p LEFT JOIN r ON {same.format('r')} LEFT JOIN t ON {same.format('t')}"
        " LEFT JOIN k ON k.cluster = p.cluster"
        " LEFT JOIN domain a ON a.cluster = p.cluster AND a.id = p.source AND a.to_at IS NULL"
        " LEFT JOIN domain b ON b.cluster = p.cluster AND b.id = p.destination AND b.to_at IS NULL"
    )


def _level(end: str) -> str:
    """Of a domain's id; empty for what is no domain."""
    known = " ".join(f"WHEN {end} LIKE '{level}/%' THEN '{level}'" for level in (*LEVELS, "cluster"))
    return f"CASE {known} ELSE '' END"


def _end(end: str) -> str:
    """Every peer outside is one, as in reach; who cannot be told stays unknown."""
    return f"CASE WHEN {_level(end)} <> '' OR {end} = 'unknown' THEN {end} ELSE 'outside' END"


def _false() -> str:
    return str(sa.false().compile(op.get_bind()))


def _guard() -> None:
    """As every table of intervals is guarded (0001)."""
    overlaps = (
        "EXISTS (SELECT 1 FROM reach_status t WHERE t.cluster = NEW.cluster"
        " AND (NEW.to_at IS NULL OR t.from_at < NEW.to_at) AND (t.to_at IS NULL OR t.to_at > NEW.from_at))"
    )
    _refuse("INSERT", overlaps, "reach_status: intervals overlap")
    _refuse("UPDATE", "OLD.to_at IS NOT NULL OR NEW.from_at <> OLD.from_at", "reach_status: a closed interval stays")


def _refuse(event: str, when: str, message: str) -> None:
    name = f"reach_status_{event.lower()}"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER tr_{name} BEFORE {event} ON reach_status WHEN {when}"
            f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION fn_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {when} THEN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END IF;"
        " RETURN NEW; END $$"
    )
    op.execute(f"CREATE TRIGGER tr_{name} BEFORE {event} ON reach_status FOR EACH ROW EXECUTE FUNCTION fn_{name}()")
