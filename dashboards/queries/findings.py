"""What is wrong, with its proof and smallest fix, and how it came and went."""

from __future__ import annotations

from dashboards.queries.asking import Numbers, among, as_text, chosen, latest, now, over_time, rows, series, state
from models.compliance import Severity

WORST_FIRST: tuple[Severity, ...] = tuple(reversed(Severity))
_KNOWN = f"0 * count ({state('segmon_domain_info')})"
"""0 where a worker tells of domains; nothing where none does: no data is not "no findings"."""

OPEN = now(f"sum ({state('segmon_findings_open')}) or {_KNOWN}")
WAIVED = now(f"sum ({state('segmon_domain_waived')})")


def _of(severity: Severity) -> Numbers:
    found = state("segmon_findings_open", f'severity="{severity}"')
    return now(f"sum ({found}) or {_KNOWN}", severity)


BY_SEVERITY = tuple(_of(severity) for severity in WORST_FIRST)
OPEN_OVER_TIME = over_time(f"sum by (severity) ({state('segmon_findings_open')})", "{{severity}}")
MOVES = over_time(
    f"sum by (transition) (increase({series('segmon_findings_total')}[$__rate_interval]))", "{{transition}}"
)

_AGES = (("under 1 day", 0, 1), ("1 to 7 days", 1, 7), ("7 to 30 days", 7, 30), ("over 30 days", 30, 100_000))
_ages = ", ".join(f"({number}, '{words}', {least}, {limit})" for number, (words, least, limit) in enumerate(_AGES))
_counts = ", ".join(f"count(f.id) FILTER (WHERE f.severity = '{each}') AS {each}" for each in WORST_FIRST)
BY_AGE = rows(
    f"""\
SELECT a.age, {_counts}
FROM (VALUES {_ages}) AS a (number, age, least, least_of_next)
LEFT JOIN reporting.findings f ON f.state <> 'resolved'
  AND f.opened_at <= now() - a.least * interval '1 day' AND f.opened_at > now() - a.least_of_next * interval '1 day'
  AND {chosen("findings", alias="f")}
GROUP BY a.number, a.age ORDER BY a.number""",
    " ".join(("age", *WORST_FIRST)),
)

_STANDS = "CASE WHEN is_last_known THEN state || ', last known' ELSE state END"
_FOUND = "severity domain control subject sentence fix opened_at state waiver owner proof finding"
_shown = (
    "severity, domain, control, subject, sentence, fix, opened_at, state, waiver, owner, proof, id AS finding,"
    " severity_rank"
)
FINDINGS = rows(
    f"""\
SELECT {_FOUND.replace(" ", ", ")}
FROM (
  (SELECT {_shown} FROM reporting.findings WHERE {chosen("findings")} AND state <> 'resolved'
  ORDER BY severity_rank DESC, opened_at LIMIT 500)
  UNION ALL
  SELECT {_shown.replace("severity,", "f.severity,", 1)} FROM {latest("findings", "resolved_at", 500)} AS f
) AS found
ORDER BY state = 'resolved', severity_rank DESC, opened_at, domain, control, subject LIMIT 500""",
    _FOUND,
)
OPEN_ONES = rows(
    f"""\
SELECT severity, domain, control, subject, sentence, opened_at, state, owner, id AS finding
FROM reporting.findings
WHERE {chosen("findings")} AND state <> 'resolved'
ORDER BY severity_rank DESC, opened_at, domain, control, subject LIMIT 50""",
    "severity domain control subject sentence opened_at state owner finding",
)
_FACES = (
    ("What is wrong", "f.sentence"),
    ("Proof", "f.proof"),
    ("Smallest fix", "f.fix"),
    ("Subject", "f.subject"),
    ("Control", "f.control"),
    ("Domain", "f.domain || coalesce(', owner ' || nullif(f.owner, ''), '')"),
    ("State", f"{_STANDS} || coalesce(', waiver ' || nullif(f.waiver, ''), '')"),
    ("First seen", "to_char(f.first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'"),
    ("Last seen", "to_char(f.last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'"),
)
_faces = ", ".join(f"({number}, '{words}', {told})" for number, (words, told) in enumerate(_FACES))
ONE = rows(
    f"""\
SELECT v.what, v.told
FROM reporting.findings f CROSS JOIN LATERAL (VALUES {_faces}) AS v (number, what, told)
WHERE f.id = ${{finding:sqlstring}}
ORDER BY v.number""",
    "what told",
)
ITS_MOVES = rows(
    """\
SELECT at, transition, severity, reason, sentence
FROM reporting.transitions
WHERE finding_id = ${finding:sqlstring}
ORDER BY at DESC, id DESC LIMIT 200""",
    "at transition severity reason sentence",
)
TRANSITIONS = rows(
    f"""\
SELECT at, transition, severity, domain, control, subject, sentence, reason, finding_id AS finding
FROM {latest("transitions", "at", 500)} AS moves
ORDER BY at DESC, id DESC LIMIT 500""",
    "at transition severity domain control subject sentence reason finding",
)
WAIVERS = rows(
    f"""\
SELECT name, control, domain, subject,
  (SELECT count(*) FROM reporting.findings f
  WHERE f.cluster = w.cluster AND f.waiver = w.name AND f.state <> 'resolved') AS findings,
  expires_at, is_expired, is_declared, reason, requester, approver, ticket, compensating_control, cluster
FROM reporting.waivers w
WHERE {among("cluster", "cluster")} AND {among("control", "control")} AND (domain = '' OR {among("domain", "domain")})
ORDER BY is_expired DESC, expires_at, name LIMIT 500""",
    "name control domain subject findings expires_at is_expired is_declared reason requester approver ticket"
    " compensating_control cluster",
)
MARKS = rows(
    f"""\
SELECT at AS time, count(*) || ' findings moved' AS title,
  string_agg({as_text("transition || ' ' || severity || ': ' || subject || ' · ' || control")}, '<br/>'
    ORDER BY severity_rank DESC, subject) FILTER (WHERE number <= 8)
    || CASE WHEN count(*) > 8 THEN '<br/>…' ELSE '' END AS text,
  'findings' AS tags
FROM (
  SELECT moves.*, row_number() OVER (PARTITION BY moves.cluster, at ORDER BY severity_rank DESC, subject) AS number
  FROM {latest("transitions", "at", 2000)} AS moves
) AS moves
GROUP BY cluster, at ORDER BY at DESC LIMIT 200""",
    "time title text tags",
)
"""Annotations: the moves of one moment together."""
