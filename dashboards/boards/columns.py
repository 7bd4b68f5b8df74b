"""How a column of a table looks, by its name: the same everywhere.

A name ending in `_at` is a time, in `_ratio` a share, in `_seconds` a span. What is not listed is shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboards.boards import links, looks

WORDS: Mapping[str, Mapping[str, looks.Look]] = {
    "outcome": looks.OUTCOMES,
    "severity": looks.SEVERITIES,
    "state": looks.FINDING_STATES,
    "transition": looks.TRANSITIONS,
    "flow_class": looks.CLASSES,
    "pair": looks.PAIRS,
    "effect": looks.EFFECTS,
    "is_fresh": looks.YES_NO,
    "is_declared": looks.YES_NO,
    "is_expired": looks.EXPIRED,
}
TITLES: Mapping[str, str] = {
    "at": "When",
    "sentence": "What is wrong",
    "fix": "Smallest fix",
    "what": " ",
    "told": " ",
    "flow_class": "Class",
    "is_fresh": "Fresh",
    "is_declared": "Declared",
    "is_expired": "In force",
    "name": "Name",
    "input_state": "State",
    "met_ratio": "Met, of the time shown",
    "not_evaluated_ratio": "Not evaluated",
    "compliance_ratio": "Controls met",
    "open_findings": "Findings open",
    "waived_findings": "of them waived",
    "last_seen_at": "Last seen",
    "allowed_since": "Allowed since",
    "pair": "Allowed, seen",
    "opened_at": "Open since",
}
WIDTHS: Mapping[str, int] = {
    "severity": 90,
    "state": 110,
    "outcome": 150,
    "transition": 110,
    "flow_class": 130,
    "change": 90,
    "what": 140,
    "pair": 200,
    "effect": 180,
}
WRAPPED = frozenset(
    {"sentence", "fix", "proof", "told", "reason", "widened", "closed", "connections", "cause", "pod_names"}
)
TARGETS: Mapping[str, Any] = {
    "domain": links.to_domain,
    "source": links.to_traffic,
    "destination": links.to_traffic,
    "finding": links.to_finding,
    "control": links.to_control,
}


def overrides(columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """One for each column that is not shown as it is."""
    found = [(name, _properties(name, columns)) for name in columns]
    return [{"matcher": {"id": "byName", "options": name}, "properties": each} for name, each in found if each]


def _properties(name: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    properties: dict[str, Any] = {"displayName": TITLES.get(name) or _title(name)}
    properties |= _by_suffix(name)
    if words := WORDS.get(name):
        properties |= {
            "mappings": looks.mapped(words),
            "color": {"mode": "thresholds"},
            "custom.cellOptions": {"type": "color-text"},
        }
    if name in WIDTHS:
        properties["custom.width"] = WIDTHS[name]
    if name in WRAPPED:
        properties |= {"custom.cellOptions": {"type": "auto", "wrapText": True}, "custom.inspect": True}
    if link := TARGETS.get(name):
        properties["links"] = [link(columns)]
    return [{"id": key, "value": value} for key, value in properties.items()]


def _by_suffix(name: str) -> dict[str, Any]:
    if name == "at" or name.endswith(("_at", "_since")):
        return {"unit": "dateTimeAsIso", "custom.width": 170}
    if name.endswith("_ratio"):
        bar = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
        return {"unit": "percentunit", "min": 0, "max": 1, "custom.cellOptions": bar, "custom.width": 150}
    if name.endswith("_seconds"):
        return {"unit": "s", "custom.width": 110}
    return {}


def _title(name: str) -> str:
    return name.removesuffix("_at").removesuffix("_seconds").replace("_", " ").capitalize()
