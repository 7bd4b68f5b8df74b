"""What a person can choose on a board: data sources, cluster, domain, control, severity.

The lists come from the record, at each change of the time shown; "All" is the list itself, so that it means the same to
both data sources.
"""

from __future__ import annotations

from typing import Any

from dashboards.boards.targets import POSTGRESQL, PROMETHEUS
from dashboards.queries.asking import among, overlaps
from models.compliance import Severity
from models.metrics import DOMAIN_LIMIT, OTHER_DOMAIN

ON_TIME_CHANGE = 2
_ALL = {"selected": True, "text": ["All"], "value": ["$__all"]}

CLUSTERS = "SELECT DISTINCT cluster FROM reporting.clusters ORDER BY 1"
DOMAINS = f"""\
SELECT domain FROM reporting.domains WHERE {among("cluster", "cluster")} AND {overlaps()}
UNION SELECT '{OTHER_DOMAIN}' FROM reporting.domains WHERE is_current GROUP BY cluster HAVING count(*) > {DOMAIN_LIMIT}
ORDER BY 1"""
CONTROLS = f"""\
SELECT DISTINCT control FROM reporting.control_status
WHERE {among("cluster", "cluster")} AND to_at IS NULL
UNION -- of domains that are gone, what was judged to their end
SELECT s.control FROM reporting.domains d
JOIN reporting.control_status s ON s.cluster = d.cluster AND s.domain = d.domain AND s.to_at = d.to_at
WHERE {among("d.cluster", "cluster")} AND $__timeFilter(d.to_at) ORDER BY 1"""
LEVELS = f"SELECT DISTINCT level FROM reporting.domains WHERE {among('cluster', 'cluster')} AND {overlaps()} ORDER BY 1"


def _source(name: str, label: str, kind: str) -> dict[str, Any]:
    return {
        "type": "datasource",
        "name": name,
        "label": label,
        "query": kind,
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "current": {},
        "skipUrlSync": False,
    }


def chosen_from(name: str, label: str, sql: str, description: str) -> dict[str, Any]:
    """Several of what a query lists, or all."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": POSTGRESQL,
        "query": sql,
        "definition": sql,
        "regex": "",
        "sort": 0,
        "refresh": ON_TIME_CHANGE,
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "allValue": None,
        "options": [],
        "current": _ALL,
        "skipUrlSync": False,
    }


def severities() -> dict[str, Any]:
    """The words of the catalogue, worst first."""
    words = [str(each) for each in reversed(Severity)]
    everything = {"selected": True, "text": "All", "value": "$__all"}
    return {
        "type": "custom",
        "name": "severity",
        "label": "Severity",
        "description": "Of findings.",
        "query": ",".join(words),
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "allValue": None,
        "options": [everything, *({"selected": False, "text": word, "value": word} for word in words)],
        "current": _ALL,
        "skipUrlSync": False,
    }


def level() -> dict[str, Any]:
    """One level at a time: domains of different levels hold each other."""
    one = {"selected": True, "text": "namespace", "value": "namespace"}
    return chosen_from("level", "Level", LEVELS, "Which kind of domains are the rows and columns.") | {
        "includeAll": False,
        "multi": False,
        "current": one,
    }


def finding() -> dict[str, Any]:
    return {
        "type": "textbox",
        "name": "finding",
        "label": "Finding",
        "description": "Id of a finding, set by a click on one.",
        "query": "",
        "hide": 0,
        "options": [{"selected": True, "text": "", "value": ""}],
        "current": {"selected": True, "text": "", "value": ""},
        "skipUrlSync": False,
    }


def common() -> list[dict[str, Any]]:
    """On every board."""
    return [
        _source("ds_prometheus", "Numbers", str(PROMETHEUS["type"])),
        _source("ds_postgres", "Record", str(POSTGRESQL["type"])),
        chosen_from("cluster", "Cluster", CLUSTERS, "Clusters of the record."),
        chosen_from("domain", "Domain", DOMAINS, "Security domains that existed in the time shown."),
        chosen_from("control", "Control", CONTROLS, "Controls that are judged, or were of domains that are gone."),
        severities(),
    ]
