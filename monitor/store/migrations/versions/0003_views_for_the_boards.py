"""Views that the Grafana boards ask: how each domain stands now, who may and does talk to whom; freshness told by name.

`evidence` grows by two columns; `domain_posture` and `matrix` are new. The boards add nothing to what these conclude.
"""

# ruff: noqa: S608 - built from names of our own tables and columns only

from __future__ import annotations

from alembic import op
from msgspec import Struct

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STALE_SECONDS = 180
"""As in 0002: nothing is fresh that was not seen, or not judged, for so long."""

CLASSES = ("permitted", "escaped", "rejected", "misdropped", "indeterminate")


class Words(Struct, frozen=True):
    """What the two databases say differently."""

    view: str  # prefix of a view's name
    now_stale: str
    age: str  # seconds since a time


POSTGRESQL = Words(
    view="reporting.",
    now_stale=f"now() - interval '{STALE_SECONDS} seconds'",
    age="extract(epoch FROM now() - {0})::double precision",
)
SQLITE = Words(
    view="reporting_",
    now_stale=f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{STALE_SECONDS} seconds')",
    age="(julianday('now') - julianday({0})) * 86400.0",
)


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    words = POSTGRESQL if is_postgresql else SQLITE
    if is_postgresql:
        op.execute(f"CREATE OR REPLACE VIEW reporting.evidence AS {_evidence(words)}")
    else:
        op.execute("DROP VIEW reporting_evidence")
        op.execute(f"CREATE VIEW reporting_evidence AS {_evidence(words)}")
    op.execute(f"CREATE VIEW {words.view}domain_posture AS {_domain_posture(words)}")
    op.execute(f"CREATE VIEW {words.view}matrix AS {_matrix(words)}")


def _evidence(words: Words) -> str:
    seen = f"state = 'not_served' OR (state = 'fresh' AND until >= {words.now_stale})"
    return (
        "SELECT cluster, input, state, reason, from_at AS unbroken_since, until AS seen_at, at AS judged_at,"
        f" at >= {words.now_stale} AND ({seen}) AS is_fresh, {words.age.format('until')} AS age_seconds FROM vouched"
    )


def _domain_posture(words: Words) -> str:
    """A status that nobody vouches for any more counts as error; a domain without any status as well."""
    columns = {
        "passing": "pass",
        "warning": "warn",
        "failing": "fail",
        "not_evaluated": "error",
        "not_applicable": "skip",
    }
    counted = ", ".join(
        f"sum(CASE WHEN j.outcome = '{word}' THEN 1 ELSE 0 END) AS {name}" for name, word in columns.items()
    )
    shown = ", ".join(f"coalesce(c.{name}, 0) AS {name}" for name in columns)
    met, evaluated = "(c.passing + c.warning)", "(c.passing + c.warning + c.failing)"
    return (
        "WITH j AS (SELECT s.cluster, s.domain,"
        f" CASE WHEN s.vouched_until < {words.now_stale} THEN 'error' ELSE s.outcome END AS outcome"
        f" FROM {words.view}control_status s WHERE s.to_at IS NULL),"
        f" c AS (SELECT j.cluster, j.domain, {counted} FROM j GROUP BY j.cluster, j.domain),"
        " f AS (SELECT n.cluster, n.domain, count(*) AS open_findings,"
        " sum(CASE WHEN n.state = 'waived' THEN 1 ELSE 0 END) AS waived_findings, max(n.severity_rank) AS worst"
        f" FROM {words.view}findings n WHERE n.state <> 'resolved' GROUP BY n.cluster, n.domain)"
        " SELECT d.cluster, d.domain, d.level, d.name, d.owner, d.criticality, d.environment, d.workloads,"
        " CASE WHEN c.domain IS NULL THEN 'error' WHEN c.failing > 0 THEN 'fail' WHEN c.not_evaluated > 0 THEN 'error'"
        " WHEN c.warning > 0 THEN 'warn' WHEN c.passing > 0 THEN 'pass' ELSE 'skip' END AS outcome,"
        f" {shown}, CASE WHEN {evaluated} > 0 THEN {met} * 1.0 / {evaluated} END AS compliance_ratio,"
        f" CASE WHEN {evaluated} + c.not_evaluated > 0"
        f" THEN c.not_evaluated * 1.0 / ({evaluated} + c.not_evaluated) END AS not_evaluated_ratio,"
        " coalesce(f.open_findings, 0) AS open_findings, coalesce(f.waived_findings, 0) AS waived_findings,"
        " coalesce(f.worst, 0) AS worst_severity_rank"
        f" FROM {words.view}domains d LEFT JOIN c ON c.cluster = d.cluster AND c.domain = d.domain"
        " LEFT JOIN f ON f.cluster = d.cluster AND f.domain = d.domain WHERE d.is_current"
    )


def _matrix(words: Words) -> str:
    """What may connect now beside what was seen. A pair that is neither allowed nor seen has no row."""
    counted = ", ".join(f"sum(CASE WHEN t.flow_class = '{each}' THEN t.paths ELSE 0 END) AS {each}" for each in CLASSES)
    shown = ", ".join(f"coalesce(t.{each}, 0) AS {each}" for each in CLASSES)
    ends = "SELECT {0}.cluster, {0}.source, {0}.destination FROM"
    same = "{0}.cluster = p.cluster AND {0}.source = p.source AND {0}.destination = p.destination"
    return (
        f"WITH r AS (SELECT * FROM {words.view}reach WHERE to_at IS NULL),"
        f" t AS (SELECT t.cluster, t.source, t.destination, {counted}, sum(t.records) AS records,"
        f" max(t.last_at) AS last_at FROM {words.view}traffic t GROUP BY t.cluster, t.source, t.destination),"
        f" p AS ({ends.format('r')} r UNION {ends.format('t')} t)"
        " SELECT p.cluster, p.source, p.destination, coalesce(a.level, '') AS source_level,"
        " coalesce(b.level, '') AS destination_level, coalesce(r.connections, '') AS connections,"
        f" coalesce(r.connection_count, 0) AS connection_count, r.from_at AS allowed_since, {shown},"
        " coalesce(t.records, 0) AS records, t.last_at AS last_seen_at,"
        " CASE WHEN t.escaped > 0 THEN 'escaped' WHEN t.permitted > 0 THEN 'allowed and seen'"
        " WHEN t.rejected + t.misdropped > 0 THEN 'denied' WHEN t.indeterminate > 0 THEN 'cannot tell'"
        " ELSE 'allowed but never seen' END AS state"
        f" FROM p LEFT JOIN r ON {same.format('r')} LEFT JOIN t ON {same.format('t')}"
        " LEFT JOIN domain a ON a.cluster = p.cluster AND a.id = p.source AND a.to_at IS NULL"
        " LEFT JOIN domain b ON b.cluster = p.cluster AND b.id = p.destination AND b.to_at IS NULL"
    )
