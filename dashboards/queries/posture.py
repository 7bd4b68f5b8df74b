"""Is it segmented as declared, and since when: outcomes of controls in domains.

A share is of what was evaluated; what was not evaluated is a share of its own and never part of the first.
"""

from __future__ import annotations

from dashboards.queries.asking import (
    FROM,
    TO,
    chosen,
    latest,
    now,
    of_each_cluster,
    over_time,
    overlaps,
    rows,
    several,
    state,
)
from models.compliance import ROLL_UP, Outcome

COMPLIANT = (Outcome.PASS, Outcome.WARN)
EVALUATED = (*COMPLIANT, Outcome.FAIL)
APPLICABLE = (*EVALUATED, Outcome.ERROR)
RANKS = {outcome: rank for rank, outcome in enumerate(reversed(ROLL_UP))}
"""Numbers for outcomes where a panel needs them: the worst is the highest."""

TIMELINE_ROWS = 20_000


def _outcomes(*outcomes: Outcome) -> str:
    return state("segmon_control_outcome", f'outcome=~"{"|".join(outcomes)}"')


def _share(part: tuple[Outcome, ...], whole: tuple[Outcome, ...], by: str = "") -> str:
    """Absent where the whole is empty: nothing evaluated gives no number."""
    total = f"sum{by} ({_outcomes(*whole)})"
    return f"(sum{by} ({_outcomes(*part)}) or 0 * {total}) / {total}"


def _in(outcomes: tuple[Outcome, ...]) -> str:
    return "(" + ", ".join(f"'{outcome}'" for outcome in outcomes) + ")"


MET = now(_share(COMPLIANT, EVALUATED))
NOT_EVALUATED = now(_share((Outcome.ERROR,), APPLICABLE))
MET_OVER_TIME = over_time(_share(COMPLIANT, EVALUATED), "controls met")
NOT_EVALUATED_OVER_TIME = over_time(_share((Outcome.ERROR,), APPLICABLE), "not evaluated")

WORST_DOMAINS = now(
    "sort(bottomk(25, max by (cluster, domain) (segmon_domain_compliance_ratio"
    '{cluster=~"$cluster", domain=~"$domain"})))',
    "{{domain}} · {{cluster}}",
)
OUTCOMES_OVER_TIME = over_time(f"sum by (outcome) ({state('segmon_control_outcome')})", "{{outcome}}")

_ranked = " or ".join(f"{RANKS[outcome]} * {_outcomes(outcome)}" for outcome in ROLL_UP)
DOMAINS_OVER_TIME = over_time(f"max by (cluster, domain) ({_ranked})", "{{domain}} · {{cluster}}")

_WORST = "array_position(ARRAY[" + ", ".join(f"'{outcome}'" for outcome in ROLL_UP) + "], outcome::text)"

DOMAINS = rows(
    f"""\
SELECT domain, outcome, compliance_ratio::float, not_evaluated_ratio::float, failing, open_findings, waived_findings,
  workloads, level, owner, criticality, environment, cluster
FROM reporting.domain_posture
WHERE {chosen("domain_posture")}
ORDER BY {_WORST}, compliance_ratio NULLS LAST, open_findings DESC, domain""",
    "domain outcome compliance_ratio not_evaluated_ratio failing open_findings waived_findings workloads"
    " level owner criticality environment cluster",
)

STRIPS = 200
FEW = 10
"""Domains: of so few, what ended in the time shown is looked up as well."""
_STATUS = "cluster, domain, control, outcome, reason, failing, waived, from_at, to_at"
_SPANS = f"""\
standing AS ( -- each open status once: they lie far apart
  SELECT {_STATUS} FROM reporting.posture WHERE {chosen("posture")} AND is_open
), shown AS (
  (SELECT cluster, domain, control FROM ( -- a stale status has two rows
    SELECT cluster, domain, control, from_at, {_WORST} AS rank FROM standing
    ORDER BY rank, from_at DESC, domain, control LIMIT {2 * STRIPS}
  ) AS foremost
  GROUP BY cluster, domain, control ORDER BY min(rank), min(from_at) DESC, domain, control LIMIT {STRIPS})
  UNION
  SELECT cluster, domain, control FROM reporting.control_status
  WHERE {chosen("control_status")} AND to_at > {FROM} AND from_at < {TO}
    AND cardinality(ARRAY[${{domain:sqlstring}}]::text[]) <= {FEW}
), told AS (
  SELECT p.* FROM shown CROSS JOIN LATERAL ( -- one by one, by index: OFFSET keeps the planner from reading them all
    SELECT {_STATUS} FROM reporting.posture p
    WHERE p.cluster = shown.cluster AND p.domain = shown.domain AND p.control = shown.control
      AND NOT is_open AND to_at > {FROM} AND from_at < {TO} OFFSET 0
  ) AS p
  UNION ALL
  SELECT standing.* FROM shown JOIN standing USING (cluster, domain, control) WHERE {overlaps()}
), spans AS (
  SELECT cluster, domain, control, outcome, reason, failing, waived, from_at, to_at,
    extract(epoch FROM least(coalesce(to_at, now()), {TO}) - greatest(from_at, {FROM})) AS seconds,
    lead(from_at) OVER (PARTITION BY cluster, domain, control ORDER BY from_at) AS next_at
  FROM told
)"""

_SERIES = f"domain || ' · ' || control || CASE WHEN {several('cluster')} THEN ' · ' || cluster ELSE '' END"
TIMELINE = rows(
    f"""\
WITH {_SPANS}, points AS (
  SELECT greatest(from_at, {FROM}) AS time, {_SERIES} AS series, outcome FROM spans
  UNION ALL -- where an interval ends and none follows it, nothing is drawn
  SELECT to_at, {_SERIES}, NULL FROM spans WHERE to_at < {TO} AND next_at IS DISTINCT FROM to_at
)
SELECT time, series, outcome FROM points ORDER BY time, series LIMIT {TIMELINE_ROWS}""",
    "time series outcome",
)

CONTROLS = rows(
    f"""\
WITH {_SPANS}, shares AS (
  SELECT cluster, domain, control,
    coalesce(sum(seconds) FILTER (WHERE outcome IN {_in(COMPLIANT)}), 0)
      / nullif(sum(seconds) FILTER (WHERE outcome IN {_in(EVALUATED)}), 0) AS met,
    coalesce(sum(seconds) FILTER (WHERE outcome = '{Outcome.ERROR}'), 0) / nullif(sum(seconds), 0) AS missing
  FROM spans GROUP BY cluster, domain, control
)
SELECT control, outcome, from_at AS since_at, met::float AS met_ratio, missing::float AS not_evaluated_ratio,
  failing, waived, reason, domain
FROM spans JOIN shares USING (cluster, domain, control)
WHERE to_at IS NULL OR to_at >= {TO}
ORDER BY {_WORST}, domain, control""",
    "control outcome since_at met_ratio not_evaluated_ratio failing waived reason domain",
)

_member = "subject, pods, pod_names, from_at AS since_at, to_at AS gone_at, domain"
_standing = of_each_cluster("members", "to_at IS NULL", f"from_at < {TO}", order="domain, subject", limit=1000)
MEMBERS = rows(
    f"""\
SELECT subject, pods, pod_names, since_at, gone_at, domain
FROM (
  SELECT {_member} FROM {_standing} AS standing
  UNION ALL
  SELECT {_member} FROM {latest("members", "to_at", 500, order="domain")} AS gone
) AS members
ORDER BY gone_at NULLS FIRST, domain, subject LIMIT 1000""",
    "subject pods pod_names since_at gone_at domain",
)
