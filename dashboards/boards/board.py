"""A board: rows of panels on Grafana's grid of 24 columns, as classic JSON (schema 39: Grafana 10.4 and later).

Law 1: uids and titles never change; panels are numbered in the order in which they are seen.
Law 2: every board carries the annotations of policy changes and findings, and the links to the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from dashboards.boards import links, looks, variables
from dashboards.boards.panels import Panel
from dashboards.boards.targets import POSTGRESQL
from dashboards.queries import changes, findings
from dashboards.queries.asking import Rows

COLUMNS = 24
SCHEMA_VERSION = 39


class Line(Struct, frozen=True):
    """Panels side by side, each with its width; together they fill the line."""

    height: int
    panels: tuple[tuple[int, Panel], ...]


class Section(Struct, frozen=True):
    """A heading; closed, what is below it is loaded when somebody opens it."""

    title: str
    lines: tuple[Line, ...]
    is_closed: bool = False


class Board(Struct, frozen=True, kw_only=True):
    uid: str
    title: str
    description: str
    sections: tuple[Line | Section, ...]
    more_variables: tuple[dict[str, Any], ...] = ()
    span: str = "now-24h"


def document(board: Board) -> dict[str, Any]:
    """The JSON that Grafana reads."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": [links.TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "1m",
        "time": {"from": board.span, "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "liveNow": False,
        "links": links.everywhere(),
        "annotations": {"list": marks()},
        "templating": {"list": [*variables.common(), *board.more_variables]},
        "panels": _placed(board.sections),
    }


def marks() -> list[dict[str, Any]]:
    return [
        _mark("Policy changes", changes.MARKS, looks.ORANGE),
        _mark("Findings", findings.MARKS, looks.VERMILION),
    ]


def _mark(name: str, question: Rows, colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": POSTGRESQL,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "target": {"refId": "Anno", "editorMode": "code", "format": "table", "rawQuery": True, "rawSql": question.sql},
    }


def _placed(sections: Sequence[Line | Section]) -> list[Panel]:
    numbered: list[Panel] = []
    top = 0
    for section in sections:
        if isinstance(section, Line):
            numbered += _line(section, top)
            top += section.height
            continue
        inside: list[Panel] = []
        heading, top = _heading(section, top), top + 1
        for line in section.lines:
            inside += _line(line, top)
            top += line.height
        numbered += [heading | {"panels": inside}] if section.is_closed else [heading, *inside]
    for number, panel in enumerate(_all(numbered), start=1):
        panel["id"] = number
    return numbered


def _heading(section: Section, top: int) -> Panel:
    return {
        "type": "row",
        "title": section.title,
        "collapsed": section.is_closed,
        "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
        "panels": [],
    }


def _line(line: Line, top: int) -> list[Panel]:
    left, placed = 0, []
    for width, panel in line.panels:
        placed.append(panel | {"gridPos": {"x": left, "y": top, "w": width, "h": line.height}})
        left += width
    assert left == COLUMNS, f"a line of {left} columns, {[panel['title'] for _, panel in line.panels]}"
    return placed


def _all(panels: Sequence[Panel]) -> Iterator[Panel]:
    for panel in panels:
        yield panel
        yield from panel.get("panels", ())
