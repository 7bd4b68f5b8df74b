"""What was changed of what decides, and what that widened or closed."""

from __future__ import annotations

from dashboards.queries.asking import as_text, chosen, latest, rows

_SHOWN = f"FROM reporting.policy_changes WHERE {chosen('policy_changes')} AND $__timeFilter(at)"
_NAMED = "coalesce(nullif(namespace, '') || '/', '') || name"
_EFFECT = (
    "CASE WHEN NOT is_worked_out THEN 'not worked out' WHEN widened_count > 0 AND closed_count > 0"
    " THEN 'widened and closed' WHEN widened_count > 0 THEN 'widened' WHEN closed_count > 0 THEN 'closed'"
    " ELSE 'no effect' END"
)

COUNTS = rows(
    f"""\
SELECT count(*) AS changes, count(*) FILTER (WHERE widened_count > 0) AS widening,
  count(*) FILTER (WHERE widened_count > 0 AND approval = '') AS without_approval,
  count(*) FILTER (WHERE NOT is_worked_out) AS not_worked_out
{_SHOWN}""",
    "changes widening without_approval not_worked_out",
)
OVER_TIME = rows(
    f"""\
SELECT to_timestamp($__timeGroup(at, $__interval)) AS time,
  count(*) FILTER (WHERE change = 'created') AS created, count(*) FILTER (WHERE change = 'changed') AS changed,
  count(*) FILTER (WHERE change = 'deleted') AS deleted
{_SHOWN}
GROUP BY 1 ORDER BY 1""",
    "time created changed deleted",
)
CHANGES = rows(
    f"""\
SELECT at, change, kind, {_NAMED} AS name, {_EFFECT} AS effect, widened, closed, approval, changes.cluster
FROM {latest("policy_changes", "at", 500)} AS changes
ORDER BY at DESC, id DESC LIMIT 500""",
    "at change kind name effect widened closed approval cluster",
)
_told = as_text(f"change || ' ' || kind || ' ' || {_NAMED} || ': ' || {_EFFECT}")
MARKS = rows(
    f"""\
SELECT at AS time, count(*) || ' policy changes' AS title,
  string_agg({_told}, '<br/>' ORDER BY id)
    FILTER (WHERE number <= 8) || CASE WHEN count(*) > 8 THEN '<br/>…' ELSE '' END AS text,
  'policy' AS tags
FROM (
  SELECT changes.*, row_number() OVER (PARTITION BY changes.cluster, at ORDER BY id) AS number
  FROM {latest("policy_changes", "at", 2000)} AS changes
) AS changes
GROUP BY cluster, at ORDER BY at DESC LIMIT 200""",
    "time title text tags",
)
"""Annotations: the changes of one moment together."""
