"""From board to board, and from a row to what it speaks of. The time shown and what was chosen go along.

A board's address is its uid, which never changes.
"""

from __future__ import annotations

from typing import Any

from dashboards.queries.asking import CHOSEN

OVERVIEW, DOMAIN, TRAFFIC, CHANGES, HEALTH = (
    "segmon-overview",
    "segmon-domain",
    "segmon-traffic",
    "segmon-changes",
    "segmon-health",
)
TAG = "segmon"
_ALONG = "${__url_time_range}&${ds_prometheus:queryparam}&${ds_postgres:queryparam}"


def board(uid: str, *parameters: str) -> str:
    """The address of a board, with what is to be chosen there."""
    return f"/d/{uid}?" + "&".join((_ALONG, *parameters))


def _link(title: str, url: str) -> dict[str, Any]:
    return {"title": title, "url": url, "targetBlank": False}


def _cluster(columns: tuple[str, ...]) -> str:
    return _field("cluster") if "cluster" in columns else "${cluster:queryparam}"


def _field(name: str, variable: str = "") -> str:
    return f"var-{variable or name}=${{__data.fields.{name}:percentencode}}"


def to_domain(columns: tuple[str, ...]) -> dict[str, Any]:
    return _link("Open the domain", board(DOMAIN, _cluster(columns), _field("domain")))


def to_control(columns: tuple[str, ...]) -> dict[str, Any]:
    """The control in the domain of the row."""
    domain = _field("domain") if "domain" in columns else "${domain:queryparam}"
    return _link("This control in its domain", board(DOMAIN, _cluster(columns), domain, _field("control")))


def to_finding(columns: tuple[str, ...]) -> dict[str, Any]:
    """Proof, fix and history."""
    domain = _field("domain") if "domain" in columns else "${domain:queryparam}"
    return _link("Proof and history", board(DOMAIN, _cluster(columns), domain, _field("finding")))


def to_traffic(columns: tuple[str, ...]) -> dict[str, Any]:
    end = "${__value.raw:percentencode}"
    return _link("Its traffic", board(TRAFFIC, _cluster(columns), f"var-domain={end}"))


def to_domain_of_series() -> dict[str, Any]:
    """From a line, strip or bar that is a domain."""
    ends = (f"var-{name}=${{__field.labels.{name}:percentencode}}" for name in ("cluster", "domain"))
    return _link("Open the domain", board(DOMAIN, *ends))


def to_findings() -> dict[str, Any]:
    """What a number counts, with what was chosen."""
    chosen = (f"${{{name}:queryparam}}" for name in CHOSEN)
    return _link("The findings", board(DOMAIN, *chosen))


def to_health() -> dict[str, Any]:
    return _link("What is not fresh, and why", board(HEALTH, "${cluster:queryparam}"))


def everywhere() -> list[dict[str, Any]]:
    """The boards of segmon, in the head of each."""
    return [
        {
            "type": "dashboards",
            "title": "segmon",
            "tags": [TAG],
            "asDropdown": False,
            "includeVars": True,
            "keepTime": True,
            "targetBlank": False,
            "icon": "external link",
            "tooltip": "",
            "url": "",
        }
    ]
