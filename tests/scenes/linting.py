"""Our port of dashboard-linter's rules, by their names there (observability.md), and some of our own.

It reads the JSON only: whether PromQL and SQL are valid is answered by Prometheus and PostgreSQL themselves
(test_answers.py). Exclusions stand in dashboards/grafana/.lint, each with its reason.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct
from scenes.grafana import panels

Board = Mapping[str, Any]
Panel = Mapping[str, Any]
Target = Mapping[str, Any]

UNITS = frozenset(
    [
        "none",
        "string",
        "short",
        "percent",
        "percentunit",
        "bytes",
        "decbytes",
        "s",
        "ms",
        "ns",
        "cps",
        "ops",
        "reqps",
        "dateTimeAsIso",
        "bool",
    ]
)
CORE = frozenset({"stat", "bargauge", "timeseries", "state-timeline", "table", "barchart", "nodeGraph", "row", "text"})
READ = re.compile(r"(?<!epoch )(?<!DISTINCT )\b(?:FROM|JOIN)\s+(?!LATERAL\b)([a-z_]+(?:\.[a-z_]+)?)\b(?!\()")
NAMED = re.compile(r"\b([a-z_]+) AS \(")
PLACE = re.compile(r"\$(?!__)\{?\w+(?::(\w+))?\}?")
LABEL_FUNCTION = re.compile(r"^(label_values|label_names|metrics|query_result)\(.+\)$", re.DOTALL)
COUNTER = re.compile(r"\b\w+_total\b(?:\{[^}]*\})?(?P<range>\[[^\]]+\])?")
RANGE = re.compile(r"\b(?P<function>\w+)\s*\((?P<selector>\w+(?:\{[^}]*\})?)\[(?P<range>[^\]]+)\]")


class Fault(Struct, frozen=True):
    rule: str
    board: str
    panel: str  # "" = the board as a whole
    message: str

    @property
    def place(self) -> str:
        return f"{self.board} · {self.panel}" if self.panel else self.board


def faults(board: Board) -> Iterator[Fault]:
    for name, rule in BOARD_RULES.items():
        yield from (Fault(name, board["uid"], "", message) for message in rule(board))
    for panel in panels(board):
        for name, rule in PANEL_RULES.items():
            yield from (Fault(name, board["uid"], panel.get("title", ""), message) for message in rule(board, panel))
        for target in panel.get("targets", ()):
            for name, rule in TARGET_RULES.items():
                found = rule(board, panel, target)
                yield from (Fault(name, board["uid"], panel.get("title", ""), message) for message in found)


def _variables(board: Board, kind: str) -> list[Mapping[str, Any]]:
    return [each for each in board["templating"]["list"] if each["type"] == kind]


# Rules on a board


def template_datasource(board: Board) -> Iterator[str]:
    sources = _variables(board, "datasource")
    if not sources:
        yield "has no templated data source"
    for each in sources:
        expected = f"{each['query']}_datasource"
        if each["name"] not in {expected, "datasource"}:
            yield f"data source variable {each['name']} should be {expected}"


def _template_of(label: str) -> Callable[[Board], Iterator[str]]:
    def rule(board: Board) -> Iterator[str]:
        found = [each for each in board["templating"]["list"] if each["name"] == label]
        if not found:
            yield f"has no variable {label}"
        for each in found:
            if each.get("allValue") != ".+" or not each.get("multi"):
                yield f"variable {label} should be a multi select with allValue .+"

    return rule


def template_label_promql(board: Board) -> Iterator[str]:
    for each in _variables(board, "query"):
        if (each.get("datasource") or {}).get("type") == "prometheus" and not LABEL_FUNCTION.match(each["query"]):
            yield f"variable {each['name']} asks {each['query']!r}, which is no label function"


def template_on_time_change_reload(board: Board) -> Iterator[str]:
    for each in _variables(board, "query"):
        if each.get("refresh") != 2:
            yield f"variable {each['name']} is not refreshed on a change of the time range"


def uneditable(board: Board) -> Iterator[str]:
    if board.get("editable", True):
        yield "is editable"


def unused_variable(board: Board) -> Iterator[str]:
    text = str([board["panels"], board["annotations"]]) + str(
        [each.get("query") for each in board["templating"]["list"]]
    )
    for each in board["templating"]["list"]:
        if not re.search(rf"\$\{{?{each['name']}\b", text):
            yield f"variable {each['name']} is not used"


# Rules on a panel


def panel_datasource(board: Board, panel: Panel) -> Iterator[str]:
    known = {f"${{{each['name']}}}" for each in _variables(board, "datasource")}
    for holder in (panel, *panel.get("targets", ())):
        uid = (holder.get("datasource") or {}).get("uid")
        if uid not in known:
            yield f"uses data source {uid!r}, which is no variable"


def panel_title_description(_board: Board, panel: Panel) -> Iterator[str]:
    for name in ("title", "description"):
        if not panel.get(name, "").strip():
            yield f"has no {name}"


def panel_units(_board: Board, panel: Panel) -> Iterator[str]:
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if unit not in UNITS:
        yield f"has no or an unknown unit: {unit!r}"


def panel_no_targets(_board: Board, panel: Panel) -> Iterator[str]:
    if not panel.get("targets"):
        yield "has no target"


def panel_core_type(_board: Board, panel: Panel) -> Iterator[str]:
    if panel["type"] not in CORE:
        yield f"type {panel['type']} is no core panel"


def panel_empty_state(_board: Board, panel: Panel) -> Iterator[str]:
    if not panel["fieldConfig"]["defaults"].get("noValue", "").strip():
        yield "has no words for an empty answer"


def panel_gaps(_board: Board, panel: Panel) -> Iterator[str]:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    if panel["type"] in {"timeseries", "state-timeline"} and custom.get("spanNulls") is not False:
        yield "draws across gaps"


def panel_colour_alone(_board: Board, panel: Panel) -> Iterator[str]:
    """A colour that says good or bad has words: a mapped text, or the value itself beside a mapped one."""
    config = panel["fieldConfig"]
    settings = [config["defaults"], *_overridden(config)]
    for each in settings:
        several = len((each.get("thresholds") or {}).get("steps", ())) > 1
        if several and not _has_words(each.get("mappings", ())):
            yield "tells by thresholds without words"
        for mapping in each.get("mappings", ()):
            silent = [result for result in _results(mapping) if result.get("color") and not result.get("text")]
            if silent and mapping["type"] != "regex" and not _has_words(each["mappings"]):
                yield "tells by the colour of a mapping without words"


def _overridden(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for override in config["overrides"]:
        yield {each["id"]: each["value"] for each in override["properties"]}


def _results(mapping: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    options = mapping["options"]
    return [options["result"]] if "result" in options else list(options.values())


def _has_words(mappings: Any) -> bool:
    return any(result.get("text") for mapping in mappings for result in _results(mapping))


# Rules on a target


def _expression(target: Target) -> str:
    return str(target.get("expr", ""))


def target_rate_interval(_board: Board, _panel: Panel, target: Target) -> Iterator[str]:
    for found in RANGE.finditer(_expression(target)):
        if found["function"] in {"rate", "irate", "increase"} and found["range"] != "$__rate_interval":
            yield f"{found['function']} over [{found['range']}] instead of [$__rate_interval]"


def target_counter_agg(_board: Board, _panel: Panel, target: Target) -> Iterator[str]:
    text = _expression(target)
    for found in COUNTER.finditer(text):
        before = re.search(r"(\w+)\s*\($", text[: found.start()])
        if not found["range"] or not before or before[1] not in {"rate", "irate", "increase"}:
            yield f"counter {found[0]} without rate, irate or increase"


def _target_matches(label: str) -> Callable[[Board, Panel, Target], Iterator[str]]:
    def rule(_board: Board, _panel: Panel, target: Target) -> Iterator[str]:
        text = _expression(target)
        if text and not re.search(rf'\b{label}=~"\${label}"', text):
            yield f"has no matcher {label}"

    return rule


def target_promql(_board: Board, _panel: Panel, target: Target) -> Iterator[str]:
    """Only that there is an expression and its brackets close; Prometheus says the rest."""
    if target.get("datasource", {}).get("type") != "prometheus":
        return
    text = _expression(target)
    if not text.strip():
        yield "has no expression"
    for opening, closing in ("()", "[]", "{}"):
        if text.count(opening) != text.count(closing):
            yield f"{opening}{closing} do not match in {text!r}"


def target_owner(_board: Board, _panel: Panel, target: Target) -> Iterator[str]:
    """Names of processes come and go: no answer may be split by them."""
    text = _expression(target)
    if re.search(r"\bby\s*\([^)]*\b(instance|pod)\b", text):
        yield "is split by instance or pod"


def target_sql(_board: Board, _panel: Panel, target: Target) -> Iterator[str]:
    """The reporting views only, and values quoted."""
    text = str(target.get("rawSql", ""))
    for name in set(READ.findall(text)) - set(NAMED.findall(text)):
        if not name.startswith("reporting."):
            yield f"reads {name}"
    for found in PLACE.finditer(text):
        if found[1] != "sqlstring":
            yield f"puts {found[0]} into SQL unquoted"


BOARD_RULES: Mapping[str, Callable[[Board], Iterator[str]]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": _template_of("job"),
    "template-instance-rule": _template_of("instance"),
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "template-unused-rule": unused_variable,
    "uneditable-dashboard": uneditable,
}
PANEL_RULES: Mapping[str, Callable[[Board, Panel], Iterator[str]]] = {
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "segmon-core-panels": panel_core_type,
    "segmon-empty-state": panel_empty_state,
    "segmon-gaps": panel_gaps,
    "segmon-colour-alone": panel_colour_alone,
}
TARGET_RULES: Mapping[str, Callable[[Board, Panel, Target], Iterator[str]]] = {
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-counter-agg-rule": target_counter_agg,
    "target-job-rule": _target_matches("job"),
    "target-instance-rule": _target_matches("instance"),
    "segmon-owner": target_owner,
    "segmon-sql": target_sql,
}
