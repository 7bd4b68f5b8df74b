"""Who may talk to whom, and who does: reach and observed paths between the domains of one level.

All that is no endpoint is `outside`: it has no level and is shown at every level.
"""

from __future__ import annotations

from dashboards.queries.asking import among, chosen, over_time, rows, series
from models.facts import FlowClass

# max(state) over clusters is the worst one: the words for good states come first in the alphabet
GRAPH_EDGES = 60
"""A picture with more says nothing, and stops browsers."""

CLASSES = tuple(FlowClass)
DENIED = (FlowClass.REJECTED, FlowClass.MISDROPPED)

_LEVEL = "${level:sqlstring}"
_DOMAINS = f"({among('source', 'domain')} OR {among('destination', 'domain')})"
_PAIRS = (
    f"FROM reporting.matrix WHERE {among('cluster', 'cluster')} AND {_DOMAINS}"
    f" AND source_level IN ({_LEVEL}, '') AND destination_level IN ({_LEVEL}, '')"
)
_WORST = (
    "array_position(ARRAY['escaped', 'cannot tell', 'denied', 'allowed but never seen', 'allowed and seen'], state)"
)

BY_CLASS = over_time(f"sum by (class) (rate({series('segmon_flows_total')}[$__rate_interval]))", "{{class}}")
_sums = ", ".join(
    f"coalesce(sum(records) FILTER (WHERE flow_class = '{each}'), 0)::bigint AS {each}" for each in CLASSES
)
RECORDS = rows(
    f"""\
SELECT {_sums}
FROM reporting.flow_windows
WHERE {chosen("flow_windows")} AND $__timeFilter(window_at)
HAVING count(*) > 0""",
    " ".join(CLASSES),
)
MATRIX = rows(
    f"""\
SELECT source, destination, max(state) AS state
{_PAIRS}
GROUP BY source, destination ORDER BY source, destination LIMIT 10000""",
    "source destination state",
)
PAIRS = rows(
    f"""\
SELECT state AS pair, source, destination, connections, permitted, escaped, rejected + misdropped AS denied,
  indeterminate, records::bigint AS records, last_seen_at, allowed_since, cluster
{_PAIRS}
ORDER BY {_WORST}, records DESC, source, destination LIMIT 1000""",
    "pair source destination connections permitted escaped denied indeterminate records last_seen_at"
    " allowed_since cluster",
)
PATHS = rows(
    f"""\
SELECT flow_class, source, destination, protocol || coalesce('/' || port, '') AS port, records, last_at AS last_seen_at,
  since AS since_at, basis, cause, source_domains, destination_domains, cluster
FROM reporting.paths
WHERE {chosen("paths")} AND $__timeFilter(last_at) AND (source_domains = '' AND destination_domains = ''
  OR string_to_array(source_domains || chr(10) || destination_domains, chr(10)) && ARRAY[${{domain:sqlstring}}]::text[])
ORDER BY flow_class <> '{FlowClass.ESCAPED}', records DESC, source, destination LIMIT 200""",
    "flow_class source destination port records last_seen_at since_at basis cause source_domains"
    " destination_domains cluster",
)

_EDGES = f"""\
  SELECT source, destination, sum(permitted) AS permitted, sum(escaped) AS escaped,
    sum(rejected + misdropped) AS denied, sum(indeterminate) AS indeterminate, sum(records) AS records,
    max(connections) AS connections, max(state) AS state
  {_PAIRS} AND records > 0
  GROUP BY source, destination ORDER BY sum(escaped) > 0 DESC, sum(records) DESC, source, destination
  LIMIT {GRAPH_EDGES}"""
_ARCS = ("permitted", "escaped", "denied", "indeterminate")
_rings = ", ".join(f"(sum({each}) / sum({' + '.join(_ARCS)}))::float AS arc__{each}" for each in _ARCS)
NODES = rows(
    f"""\
WITH edges AS (
{_EDGES}
), ends AS (
  SELECT source AS id, permitted, escaped, denied, indeterminate, records FROM edges
  UNION ALL
  SELECT destination, permitted, escaped, denied, indeterminate, records FROM edges WHERE destination <> source
)
SELECT id, regexp_replace(id, '^[a-z]+/', '') AS title, substring(id FROM '^([a-z]+)/') AS subtitle,
  sum(records)::bigint AS mainstat,
  {_rings}
FROM ends GROUP BY id ORDER BY id""",
    " ".join(("id title subtitle mainstat", *(f"arc__{each}" for each in _ARCS))),
)
EDGES = rows(
    f"""\
WITH edges AS (
{_EDGES}
)
SELECT source || ' → ' || destination AS id, source, destination AS target, records::bigint AS mainstat,
  state AS secondarystat
FROM edges ORDER BY id""",
    "id source target mainstat secondarystat",
)
