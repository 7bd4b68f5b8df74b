"""How far what is shown can be believed: freshness of inputs, coverage of log sources, gaps, reports."""

from __future__ import annotations

from dashboards.queries.asking import among, chosen, now, over_time, overlaps, rows, state

BANNER = rows(
    f"""\
SELECT CASE WHEN bool_and(is_fresh)
  THEN '✔ ' || cluster || ': evidence is fresh, ' || count(*) || ' inputs, the oldest seen '
    || coalesce(round(max(age_seconds)), 0) || ' s ago'
  ELSE '✘ ' || cluster || ': numbers below may be old, not fresh: '
    || string_agg(input, ', ' ORDER BY input) FILTER (WHERE NOT is_fresh)
  END AS evidence
FROM reporting.evidence
WHERE {chosen("evidence")}
GROUP BY cluster ORDER BY bool_and(is_fresh), cluster""",
    "evidence",
)

REPORTS = rows(
    f"""\
SELECT made_at, coalesce(nullif(domain, ''), 'all domains') AS scope, from_at, to_at,
  coalesce(nullif(schedule, ''), 'by hand') AS schedule, id AS report, cluster
FROM reporting.reports
WHERE {among("cluster", "cluster")} AND (domain = '' OR {among("domain", "domain")})
ORDER BY made_at DESC LIMIT 10""",
    "made_at scope from_at to_at schedule report cluster",
)

SOURCES = rows(
    f"""\
SELECT source, node, heard_at, extract(epoch FROM now() - heard_at)::float AS age_seconds, records::bigint AS records,
  unparsed::bigint AS unparsed, lost::bigint AS lost, cluster
FROM reporting.sources
WHERE {chosen("sources")}
ORDER BY heard_at""",
    "source node heard_at age_seconds records unparsed lost cluster",
)

GAPS = rows(
    f"""\
SELECT from_at, to_at, extract(epoch FROM to_at - from_at)::float AS duration_seconds, input, reason, cluster
FROM reporting.gaps
WHERE {chosen("gaps")} AND {overlaps()}
ORDER BY from_at DESC LIMIT 500""",
    "from_at to_at duration_seconds input reason cluster",
)

INPUTS = rows(
    f"""\
SELECT input, is_fresh, state AS input_state, seen_at, age_seconds, unbroken_since, reason, cluster
FROM reporting.evidence
WHERE {chosen("evidence")}
ORDER BY is_fresh, age_seconds DESC NULLS FIRST, input""",
    "input is_fresh input_state seen_at age_seconds unbroken_since reason cluster",
)

CLUSTERS = rows(
    f"""\
SELECT cluster, at AS recorded_at, extract(epoch FROM now() - at)::float AS age_seconds, epoch, "offset"
FROM reporting.clusters
WHERE {chosen("clusters")}
ORDER BY at""",
    "cluster recorded_at age_seconds epoch offset",
)

OLDEST = now(f"max ({state('segmon_evidence_age_seconds')})")
STALE = now(f"sum (1 - {state('segmon_evidence_fresh')})")
FRESH_OVER_TIME = over_time(f"min by (cluster, input) ({state('segmon_evidence_fresh')})", "{{input}} · {{cluster}}")
AGE_OVER_TIME = over_time(
    f"max by (cluster, input) ({state('segmon_evidence_age_seconds')})", "{{input}} · {{cluster}}"
)
