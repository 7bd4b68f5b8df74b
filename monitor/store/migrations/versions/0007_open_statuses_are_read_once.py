"""`posture` reads each open status once: the two rows that a stale one stands for are made of one, not looked for twice.

Open statuses lie far apart in a table of closed ones, so that to read each of them is what a board waits for. SQLite,
which holds one small cluster, keeps its way.
"""

# ruff: noqa: S608 - built from names of our own views and columns only

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STALE = "s.vouched_until < now() - interval '180 seconds'"
"""180 seconds: as in 0002."""

POSTURE = f"""
SELECT s.cluster, s.domain, s.control, s.outcome, s.reason, s.failing, s.waived, s.from_at, s.to_at, false AS is_open
FROM reporting.control_status s WHERE s.to_at IS NOT NULL
UNION ALL
SELECT s.cluster, s.domain, s.control, said.outcome, said.reason, said.failing, said.waived, said.from_at, said.to_at, true
FROM reporting.control_status s CROSS JOIN LATERAL (
  SELECT s.outcome, s.reason, s.failing, s.waived, s.from_at, CASE WHEN {STALE} THEN s.vouched_until END AS to_at
  WHERE NOT ({STALE} AND s.vouched_until <= s.from_at)
  UNION ALL
  SELECT 'error', 'nobody vouched for its inputs any more', 0, 0, greatest(s.vouched_until, s.from_at), NULL
  WHERE {STALE}
) AS said
WHERE s.to_at IS NULL
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE OR REPLACE VIEW reporting.posture AS {POSTURE}")
