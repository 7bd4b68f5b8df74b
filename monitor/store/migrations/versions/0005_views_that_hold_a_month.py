"""Boards over a month of a large cluster: what the views worked out for each row is worked out once, and indexes by ends.

Until when the inputs of an open status are vouched for depends on the inputs alone: on PostgreSQL it is joined
(`status_limit`), not asked again for every row and every mention; closed statuses pass through `posture` untouched, so
that they are found by index, and `is_open` tells them apart. SQLite, which holds one small cluster, keeps its way.
"""

# ruff: noqa: S608 - built from names of our own tables and columns only

from __future__ import annotations

from alembic import op
from msgspec import Struct

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LIMITS = """
SELECT n.cluster, n.needs, least(min(v.until), max(j.at)) AS known_until,
  bool_or(e.input IS NOT NULL AND v.until IS NULL) AS is_lacking
FROM (SELECT DISTINCT cluster, needs FROM control_status WHERE to_at IS NULL) n
LEFT JOIN LATERAL jsonb_array_elements_text(n.needs) AS e(input) ON true
LEFT JOIN vouched v ON v.cluster = n.cluster AND v.input = e.input
LEFT JOIN (SELECT cluster, max(at) AS at FROM vouched GROUP BY cluster) j ON j.cluster = n.cluster
GROUP BY n.cluster, n.needs
"""
COUNTS = {
    "passing": "pass",
    "warning": "warn",
    "failing": "fail",
    "not_evaluated": "error",
    "not_applicable": "skip",
}
COUNTED = ", ".join(f"coalesce((s.counts ->> '{word}')::integer, 0) AS {name}" for name, word in COUNTS.items())
STATUS = f"""
SELECT s.cluster, s.domain, s.control, s.outcome, s.reason, {COUNTED}, s.waived, s.from_at, s.to_at,
  CASE WHEN s.to_at IS NULL THEN
    coalesce(CASE WHEN l.is_lacking THEN least(l.known_until, s.from_at) ELSE l.known_until END, s.from_at)
  END AS vouched_until
FROM control_status s LEFT JOIN status_limit l ON s.to_at IS NULL AND l.cluster = s.cluster AND l.needs = s.needs
"""


class Words(Struct, frozen=True):
    """What the two databases say differently."""

    view: str  # prefix of a view's name
    stale: str
    later: str  # of two times
    yes: str
    no: str


POSTGRESQL = Words("reporting.", "now() - interval '180 seconds'", "greatest", "true", "false")
SQLITE = Words("reporting_", "strftime('%Y-%m-%d %H:%M:%f', 'now', '-180 seconds')", "max", "1", "0")
"""180 seconds: as in 0002."""


def posture(words: Words) -> str:
    named, status = "s.cluster, s.domain, s.control", f"{words.view}control_status"
    stale = f"s.vouched_until < {words.stale}"
    return f"""
SELECT {named}, s.outcome, s.reason, s.failing, s.waived, s.from_at, s.to_at, {words.no} AS is_open
FROM {status} s WHERE s.to_at IS NOT NULL
UNION ALL
SELECT {named}, s.outcome, s.reason, s.failing, s.waived, s.from_at, CASE WHEN {stale} THEN s.vouched_until END, {words.yes}
FROM {status} s WHERE s.to_at IS NULL AND NOT ({stale} AND s.vouched_until <= s.from_at)
UNION ALL
SELECT {named}, 'error', 'nobody vouched for its inputs any more', 0, 0, {words.later}(s.vouched_until, s.from_at), NULL, {words.yes}
FROM {status} s WHERE s.to_at IS NULL AND {stale}
"""


def upgrade() -> None:
    op.create_index("ix_control_status_ended", "control_status", ["cluster", "domain", "control", "to_at"])
    op.create_index("ix_finding_resolved", "finding", ["cluster", "resolved_at"])
    op.create_index("ix_domain_member_to", "domain_member", ["cluster", "to_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE VIEW status_limit AS {LIMITS}")
        op.execute(f"CREATE OR REPLACE VIEW reporting.control_status AS {STATUS}")
        op.execute(f"CREATE OR REPLACE VIEW reporting.posture AS {posture(POSTGRESQL)}")
    else:
        op.execute("DROP VIEW reporting_posture")
        op.execute(f"CREATE VIEW reporting_posture AS {posture(SQLITE)}")
