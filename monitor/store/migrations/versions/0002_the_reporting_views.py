"""The `reporting` views: the contract for Grafana and for people's own SQL (docs/reporting.md lists the columns).

PostgreSQL: schema `reporting`; SQLite has no schemas: `reporting_<view>`. Readers get SELECT on these and nothing else
(`monitor.store.reporting.grant`). Base tables may change; a view's columns only grow.
"""

# ruff: noqa: S608 - built from names of our own tables and columns only

from __future__ import annotations

from alembic import op
from msgspec import Struct

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STALE_SECONDS = 180
"""A status is current for so long after its inputs were last vouched for (docs/architecture.md, Numbers)."""


class Words(Struct, frozen=True):
    """What the two databases say differently."""

    view: str  # prefix of a view's name
    now_stale: str
    elements: str  # of a JSON array, as rows with a `value`
    joined: str  # the same, one row with NULL for an empty one
    length: str
    number: str  # of a JSON object
    lines: str  # the array under a key of a JSON object, one line each
    text: str  # a JSON array, one line each
    now: str


POSTGRESQL = Words(
    view="reporting.",
    now="now()",
    now_stale=f"now() - interval '{STALE_SECONDS} seconds'",
    elements="jsonb_array_elements_text({0}) AS {1}(value)",
    joined="LEFT JOIN LATERAL jsonb_array_elements_text({0}) AS {1}(value) ON true",
    length="coalesce(jsonb_array_length({0}), 0)",
    number="coalesce(({0} ->> '{1}')::integer, 0)",
    lines="coalesce(array_to_string(ARRAY(SELECT jsonb_array_elements_text({0} -> '{1}')), chr(10)), '')",
    text="coalesce(array_to_string(ARRAY(SELECT jsonb_array_elements_text({0})), chr(10)), '')",
)
SQLITE = Words(
    view="reporting_",
    now="strftime('%Y-%m-%d %H:%M:%f', 'now')",
    now_stale=f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{STALE_SECONDS} seconds')",
    elements="json_each({0}) AS {1}",
    joined="LEFT JOIN json_each({0}) AS {1} ON true",
    length="coalesce(json_array_length({0}), 0)",
    number="coalesce(json_extract({0}, '$.{1}'), 0)",
    lines="coalesce((SELECT group_concat(value, char(10)) FROM json_each({0}, '$.{1}')), '')",
    text="coalesce((SELECT group_concat(value, char(10)) FROM json_each({0})), '')",
)


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    words = POSTGRESQL if is_postgresql else SQLITE
    if is_postgresql:
        op.execute("CREATE SCHEMA reporting")
    for name, body in {**_posture(words), **_findings(words), **_traffic(words), **_record(words)}.items():
        op.execute(f"CREATE VIEW {words.view}{name} AS {body}")


def _posture(words: Words) -> dict[str, str]:
    needs = words.elements.format("s.needs", "n")
    counts = {
        "passing": "pass",
        "warning": "warn",
        "failing": "fail",
        "not_evaluated": "error",
        "not_applicable": "skip",
    }
    counted = ", ".join(f"{words.number.format('s.counts', key)} AS {name}" for name, key in counts.items())
    vouched = (
        "coalesce((SELECT min(l.limit_at) FROM ("
        f"SELECT coalesce(v.until, s.from_at) AS limit_at FROM {needs}"
        " LEFT JOIN vouched v ON v.cluster = s.cluster AND v.input = n.value"
        " UNION ALL SELECT max(v.at) FROM vouched v WHERE v.cluster = s.cluster) l), s.from_at)"
    )
    status = f"{words.view}control_status"
    named = "s.cluster, s.domain, s.control"
    stale = f"s.to_at IS NULL AND s.vouched_until < {words.now_stale}"
    return {
        "domains": (
            "SELECT d.cluster, d.id AS domain, d.level, d.name, d.owner, d.criticality, d.environment,"
            " d.from_at, d.to_at, d.to_at IS NULL AS is_current,"
            " (SELECT count(*) FROM domain_member m WHERE m.cluster = d.cluster AND m.domain = d.id"
            " AND m.to_at IS NULL AND d.to_at IS NULL) AS workloads FROM domain d"
        ),
        "members": (
            f"SELECT m.cluster, m.domain, m.subject, {words.length.format('m.pods')} AS pods,"
            f" {words.text.format('m.pods')} AS pod_names, m.from_at, m.to_at FROM domain_member m"
        ),
        "control_status": (
            f"SELECT {named}, s.outcome, s.reason, {counted}, s.waived, s.from_at, s.to_at,"
            f" CASE WHEN s.to_at IS NULL THEN {vouched} END AS vouched_until FROM control_status s"
        ),
        "posture": (
            f"SELECT {named}, s.outcome, s.reason, s.failing, s.waived, s.from_at,"
            f" CASE WHEN {stale} THEN s.vouched_until ELSE s.to_at END AS to_at FROM {status} s"
            f" WHERE NOT ({stale} AND s.vouched_until <= s.from_at)"
            f" UNION ALL SELECT {named}, 'error', 'nobody vouched for its inputs any more', 0, 0,"
            " CASE WHEN s.vouched_until > s.from_at THEN s.vouched_until ELSE s.from_at END, NULL"
            f" FROM {status} s WHERE {stale}"
        ),
        "evidence": (
            "SELECT cluster, input, state, reason, from_at AS unbroken_since, until AS seen_at, at AS judged_at"
            " FROM vouched"
        ),
        "gaps": "SELECT id, cluster, input, from_at, to_at, reason FROM evidence_gap",
    }


def _findings(words: Words) -> dict[str, str]:
    rank = (
        "CASE {0}.severity WHEN 'critical' THEN 5 WHEN 'high' THEN 4 WHEN 'medium' THEN 3 WHEN 'low' THEN 2 ELSE 1 END"
    )
    return {
        "findings": (
            "SELECT f.id, f.cluster, f.domain, f.owner, f.control, f.subject, f.state, f.severity,"
            f" {rank.format('f')} AS severity_rank, f.sentence, f.fix, {words.lines.format('f.evidence', 'steps')} AS proof,"
            " f.waiver, f.is_last_known, f.first_at, f.opened_at, f.last_at, f.resolved_at FROM finding f"
        ),
        "transitions": (
            "SELECT t.id, t.cluster, t.at, t.finding_id, t.domain, t.control, t.subject, t.transition, t.severity,"
            f" {rank.format('t')} AS severity_rank, t.sentence, t.reason FROM finding_transition t"
        ),
        "waivers": (
            "SELECT w.cluster, w.name, w.control, w.domain, w.subject, w.reason, w.requester, w.approver, w.ticket,"
            f" w.compensating_control, w.granted_at, w.expires_at, w.is_declared, w.expires_at <= {words.now} AS is_expired,"
            " (SELECT count(*) FROM finding f WHERE f.cluster = w.cluster AND f.waiver = w.name) AS findings FROM waiver w"
        ),
    }


def _traffic(words: Words) -> dict[str, str]:
    return {
        "paths": (
            f"SELECT p.cluster, p.source, p.destination, {words.text.format('p.source_domains')} AS source_domains,"
            f" {words.text.format('p.destination_domains')} AS destination_domains, p.protocol, p.port, p.flow_class,"
            " p.basis, p.cause, p.since, p.first_at, p.last_at, p.count AS records FROM observed_path p WHERE NOT p.is_gone"
        ),
        "traffic": (
            "SELECT p.cluster, coalesce(a.value, p.source) AS source, coalesce(b.value, p.destination) AS destination,"
            " p.flow_class, count(*) AS paths, sum(p.count) AS records, max(p.last_at) AS last_at FROM observed_path p"
            f" {words.joined.format('p.source_domains', 'a')} {words.joined.format('p.destination_domains', 'b')}"
            " WHERE NOT p.is_gone GROUP BY 1, 2, 3, 4"
        ),
        "flow_windows": (
            "SELECT w.cluster, w.window_at, w.flow_class, sum(w.count) AS records FROM flow_window w GROUP BY 1, 2, 3"
        ),
        "reach": (
            f"SELECT r.cluster, r.source, r.destination, {words.text.format('r.connections')} AS connections,"
            f" {words.length.format('r.connections')} AS connection_count, r.from_at, r.to_at FROM domain_reach r"
        ),
        "sources": (
            "SELECT cluster, source, max(node) AS node, max(heard_at) AS heard_at, sum(records) AS records,"
            " sum(unparsed) AS unparsed, sum(lost) AS lost FROM source_position GROUP BY cluster, source"
        ),
    }


def _record(words: Words) -> dict[str, str]:
    return {
        "clusters": 'SELECT cluster, epoch, "offset", at FROM applied',
        "policy_changes": (
            "SELECT c.id, c.cluster, c.at, c.kind, c.namespace, c.name, c.change, c.before, c.after, c.approval,"
            f" c.widened IS NOT NULL AS is_worked_out, {words.length.format('c.widened')} AS widened_count,"
            f" {words.length.format('c.closed')} AS closed_count, {words.text.format('c.widened')} AS widened,"
            f" {words.text.format('c.closed')} AS closed FROM policy_change c"
        ),
        "reports": (
            "SELECT id, cluster, domain, schedule, from_at, to_at, made_at, release, manifest FROM report"
            " WHERE manifest IS NOT NULL"
        ),
    }
