"""Panels of Grafana's classic model, core types only: what every one of them must have is asked for here.

Law 1: title, description, unit and words for "nothing" are not optional. Law 2: no line is drawn across a gap.
Law 3: thresholds have one step: what has a colour has words (`looks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from dashboards.boards import looks
from dashboards.boards.columns import overrides
from dashboards.boards.targets import REFS, source, target
from dashboards.queries.asking import Numbers, Rows

_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_HIDE = {"legend": False, "tooltip": False, "viz": False}
_AXIS = {
    "axisPlacement": "auto",
    "axisLabel": "",
    "axisColorMode": "text",
    "scaleDistribution": {"type": "linear"},
    "hideFrom": _HIDE,
    "thresholdsStyle": {"mode": "off"},
}


class About(Struct, frozen=True, kw_only=True):
    """What a panel says of itself. `empty`: shown where there is nothing."""

    title: str
    description: str
    unit: str
    empty: str


Panel = dict[str, Any]


def _panel(kind: str, about: About, questions: Sequence[Numbers | Rows], options: Mapping[str, Any]) -> Panel:
    defaults = {
        "unit": about.unit,
        "noValue": about.empty,
        "color": {"mode": "fixed", "fixedColor": looks.NEUTRAL},
        "thresholds": {"mode": "absolute", "steps": [{"color": looks.NEUTRAL, "value": None}]},
        "mappings": [],
        "custom": {},
    }
    return {
        "type": kind,
        "title": about.title,
        "description": about.description,
        "datasource": source(questions[0]),
        "targets": [target(question, ref) for question, ref in zip(questions, REFS, strict=False)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": dict(options),
        "transparent": False,
    }


def _mapped(panel: Panel, mappings: list[dict[str, Any]]) -> Panel:
    """Words and, with them, the colours of the mappings."""
    defaults = panel["fieldConfig"]["defaults"]
    defaults["mappings"] = mappings
    if mappings:
        defaults["color"] = {"mode": "thresholds"}
    return panel


def stat(
    about: About, *questions: Numbers | Rows, mappings: Sequence[dict[str, Any]] = (), field: str = "", links: Any = ()
) -> Panel:
    """One big number a question; of rows, the one `field`."""
    reduce = {"calcs": ["lastNotNull"], "fields": f"/^{field}$/" if field else "", "values": False}
    options = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": "auto" if len(questions) > 1 else "value",
        "wideLayout": True,
        "reduceOptions": reduce,
    }
    panel = _mapped(_panel("stat", about, questions, options), list(mappings))
    panel["fieldConfig"]["defaults"]["links"] = list(links)
    return panel


def banner(about: About, question: Rows, *, good: str, bad: str, links: Any = ()) -> Panel:
    """A sentence a row across the board; its first character decides the colour."""
    panel = stat(about, question, mappings=looks.by_glyph(good, bad), field=question.columns[0], links=links)
    panel["options"] |= {"colorMode": "background", "orientation": "horizontal"}
    panel["options"]["reduceOptions"] |= {"values": True, "calcs": []}
    panel["options"]["text"] = {"valueSize": 20}
    return panel


def bars(
    about: About,
    *questions: Numbers | Rows,
    named: Mapping[str, looks.Look] | None = None,
    top: float | None = None,
    links: Any = (),
) -> Panel:
    """Horizontal bars, a series each, in the order of the answer; `top` = where a bar is full."""
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "text",
        "namePlacement": "left",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {**_LEGEND, "showLegend": False},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    panel = _panel("bargauge", about, questions, options)
    panel["fieldConfig"]["defaults"] |= {"min": 0, "links": list(links)} | ({"max": top} if top else {})
    panel["fieldConfig"]["overrides"] = looks.coloured(named or {})
    return panel


def lines(
    about: About,
    *questions: Numbers | Rows,
    named: Mapping[str, looks.Look] | None = None,
    is_stacked: bool = False,
    is_share: bool = False,
) -> Panel:
    """Numbers over time. A gap stays a gap."""
    options = {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}}
    panel = _panel("timeseries", about, questions, options)
    defaults = panel["fieldConfig"]["defaults"]
    defaults["color"] = {"mode": "palette-classic"}
    defaults |= {"min": 0} | ({"max": 1} if is_share else {})
    defaults["custom"] = _AXIS | {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter",
        "lineWidth": 1,
        "fillOpacity": 60 if is_stacked else 8,
        "gradientMode": "none",
        "spanNulls": False,
        "insertNulls": False,
        "showPoints": "auto",
        "pointSize": 4,
        "stacking": {"mode": "normal" if is_stacked else "none", "group": "A"},
    }
    panel["fieldConfig"]["overrides"] = looks.coloured(named or {})
    return panel


def counts_over_time(about: About, question: Rows, named: Mapping[str, looks.Look]) -> Panel:
    """Rows with a time column, as stacked bars."""
    panel = lines(about, question, named=named, is_stacked=True)
    panel["fieldConfig"]["defaults"]["custom"] |= {"drawStyle": "bars", "fillOpacity": 80, "showPoints": "never"}
    return panel


def states(
    about: About, *questions: Numbers | Rows, words: Mapping[str, looks.Look], split: str = "", links: Any = ()
) -> Panel:
    """A strip for each series over time. `split`: the column by which rows become series."""
    options = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.85,
        "perPage": 25,
        "legend": {**_LEGEND, "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    panel = _mapped(_panel("state-timeline", about, questions, options), looks.mapped(words))
    defaults = panel["fieldConfig"]["defaults"]
    defaults["custom"] = {
        "lineWidth": 0,
        "fillOpacity": 85,
        "spanNulls": False,
        "insertNulls": False,
        "hideFrom": _HIDE,
    }
    defaults["links"] = list(links)
    if split:
        defaults["displayName"] = f"${{__field.labels.{split}}}"
        parts = {"fields": [split], "keepFields": False, "naming": {"asLabels": True}}
        panel["transformations"] = [{"id": "partitionByValues", "options": parts}]
    return panel


def table(about: About, question: Rows) -> Panel:
    """Rows as they are; how a column looks follows from its name."""
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "frameIndex": 0,
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""},
        "sortBy": [],
    }
    panel = _panel("table", about, [question], options)
    panel["fieldConfig"]["defaults"]["custom"] = {
        "align": "auto",
        "cellOptions": {"type": "auto"},
        "inspect": False,
        "filterable": True,
    }
    panel["fieldConfig"]["overrides"] = overrides(question.columns)
    return panel


def matrix(about: About, question: Rows, *, words: Mapping[str, looks.Look]) -> Panel:
    """Three columns (row, column, value) as a square table; a cell without a value says so."""
    panel = _mapped(table(about, question), looks.mapped(words))
    row, column, value = question.columns
    square = {"rowField": row, "columnField": column, "valueField": value, "emptyValue": "null"}
    panel["transformations"] = [{"id": "groupingToMatrix", "options": square}]
    panel["fieldConfig"]["defaults"]["custom"] |= {"cellOptions": {"type": "color-text"}, "filterable": False}
    panel["fieldConfig"]["overrides"] = []
    return panel


def stacked_bars(about: About, question: Rows, *, named: Mapping[str, looks.Look]) -> Panel:
    """A bar for each row, named by the first column, made of the others."""
    options = {
        "xField": question.columns[0],
        "orientation": "auto",
        "stacking": "normal",
        "showValue": "auto",
        "groupWidth": 0.7,
        "barWidth": 0.9,
        "barRadius": 0,
        "fullHighlight": False,
        "xTickLabelRotation": 0,
        "xTickLabelSpacing": 0,
        "legend": _LEGEND,
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    panel = _panel("barchart", about, [question], options)
    panel["fieldConfig"]["defaults"]["custom"] = _AXIS | {"lineWidth": 1, "fillOpacity": 80, "gradientMode": "none"}
    panel["fieldConfig"]["overrides"] = looks.coloured(named)
    return panel


def graph(about: About, nodes: Rows, edges: Rows, *, arcs: Mapping[str, looks.Look]) -> Panel:
    """Nodes and edges; `arcs` are the parts of a node's ring."""
    options = {"nodes": {"mainStatUnit": about.unit}, "edges": {"mainStatUnit": about.unit}}
    panel = _panel("nodeGraph", about, [nodes, edges], options)
    for each, name in zip(panel["targets"], ("nodes", "edges"), strict=True):
        each["refId"] = name
    panel["fieldConfig"]["overrides"] = looks.coloured(arcs)
    return panel
