"""What Grafana does between a board and its data sources: macros and variables expanded, questions asked, answers read.

A port of the parts that our boards use, from Grafana's documentation of global variables, variable formats and the
macros of PostgreSQL. What it does not know is an error, never passed on.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from msgspec import Struct
from parts.prometheus import PrometheusServer

SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")
PLACE = re.compile(r"\$\{(?P<braced>\w+)(?::(?P<form>\w+))?\}|\$(?P<bare>[a-zA-Z]\w*)")
MACRO = re.compile(r"\$__(?P<name>[a-zA-Z]\w*)(?:\((?P<arguments>[^()]*)\))?")


class Scope(Struct, frozen=True, kw_only=True):
    """The time shown, and what is chosen: a list for a variable that may have several values."""

    start: datetime
    end: datetime
    chosen: Mapping[str, str | list[str]]
    interval_seconds: int = 1
    scrape_seconds: int = 1

    @property
    def rate_interval(self) -> str:
        return f"{max(self.interval_seconds + self.scrape_seconds, 4 * self.scrape_seconds)}s"


def questions(board: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every panel with each of its targets, those of closed rows included."""
    for panel in panels(board):
        for target in panel.get("targets", ()):
            yield panel, target


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", ())


def sql(text: str, scope: Scope) -> str:
    """Variables first, macros after, as the browser and then the server do."""
    return MACRO.sub(lambda found: _sql_macro(found, scope), _filled(text, scope, is_sql=True))


def promql(text: str, scope: Scope) -> str:
    known = {"__rate_interval": scope.rate_interval, "__interval": f"{scope.interval_seconds}s"}
    for name, value in known.items():
        text = text.replace(f"${name}", value)
    return _filled(text, scope, is_sql=False)


def _filled(text: str, scope: Scope, *, is_sql: bool) -> str:
    def value(found: re.Match[str]) -> str:
        name = found["braced"] or found["bare"]
        if name.startswith("__"):
            return found[0]
        assert name in scope.chosen, f"no variable {name} in {text}"
        assert not is_sql or found["form"] == "sqlstring", f"{found[0]} in SQL would not be quoted: {text}"
        return _formatted(scope.chosen[name], found["form"])

    return PLACE.sub(value, text)


def _formatted(value: str | list[str], form: str | None) -> str:
    several = value if isinstance(value, list) else [value]
    match form:
        case "sqlstring":
            return ",".join("'" + each.replace("'", "''") + "'" for each in several)
        case None:  # the Prometheus data source: a regular expression inside a quoted string
            escaped = [SPECIAL.sub(r"\\\\\g<0>", each.replace("\\", "\\" * 4)) for each in several]
            return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    raise AssertionError(f"no format {form}")


def _sql_macro(found: re.Match[str], scope: Scope) -> str:
    start, end = (f"'{each.isoformat(timespec='milliseconds')}'" for each in (scope.start, scope.end))
    arguments = [each.strip() for each in (found["arguments"] or "").split(",")]
    match found["name"]:
        case "timeFilter":
            return f"{arguments[0]} BETWEEN {start} AND {end}"
        case "timeFrom":
            return start
        case "timeTo":
            return end
        case "timeGroup":
            seconds = scope.interval_seconds
            assert arguments[1] in {"$__interval", f"{seconds}s"}
            return f"floor(extract(epoch from {arguments[0]})/{seconds})*{seconds}"
        case "interval":
            return f"{scope.interval_seconds}s"
    raise AssertionError(f"no macro $__{found['name']}")


def ask_rows(engine: sa.Engine, text: str, scope: Scope) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        answer = connection.exec_driver_sql(sql(text, scope))
        return tuple(answer.keys()), [tuple(row) for row in answer]


def ask_numbers(
    prometheus: PrometheusServer, target: Mapping[str, Any], scope: Scope
) -> dict[str, list[tuple[float, float]]]:
    """Samples by the name that the legend gives; one sample each of an instant question, as of the end."""
    expression = promql(target["expr"], scope)
    if target["instant"]:
        found = prometheus.get("/api/v1/query", query=expression, time=str(scope.end.timestamp()))["data"]["result"]
        return {_named(target, each["metric"]): [_sample(each["value"])] for each in found}
    asked = {
        "query": expression,
        "start": str(scope.start.timestamp()),
        "end": str(scope.end.timestamp()),
        "step": str(scope.interval_seconds),
    }
    found = prometheus.get("/api/v1/query_range", **asked)["data"]["result"]
    return {_named(target, each["metric"]): [_sample(value) for value in each["values"]] for each in found}


def _sample(pair: list[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def _named(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), target["legendFormat"])


def values_of(
    engine: sa.Engine, board: Mapping[str, Any], start: datetime, end: datetime
) -> dict[str, str | list[str]]:
    """What the variables of a board hold when it is opened: what they list, in order, with All chosen."""
    chosen: dict[str, str | list[str]] = {}
    for variable in board["templating"]["list"]:
        match variable["type"]:
            case "query":
                scope = Scope(start=start, end=end, chosen=chosen)
                _, found = ask_rows(engine, variable["query"], scope)
                listed = [row[0] for row in found]
                chosen[variable["name"]] = listed if variable["multi"] else variable["current"]["value"]
            case "custom":
                chosen[variable["name"]] = variable["query"].split(",")
            case "textbox":
                chosen[variable["name"]] = variable["query"]
    return chosen


def address(url: str, row: Mapping[str, str], scope: Scope) -> str:
    """A data link as the browser resolves it on a row."""

    def value(found: re.Match[str]) -> str:
        name, form = found[1], found[2]
        if name.startswith("__data.fields."):
            return quote(row[name.removeprefix("__data.fields.")], safe="")
        if name == "__value.raw":
            return quote(row["__value"], safe="")
        if name == "__url_time_range":
            return "from=now-24h&to=now"
        assert form == "queryparam", url
        several = scope.chosen.get(name, name)
        return "&".join(
            f"var-{name}={quote(each, safe='')}" for each in ([several] if isinstance(several, str) else several)
        )

    return re.sub(r"\$\{([\w.]+)(?::(\w+))?\}", value, url)
