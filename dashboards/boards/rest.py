"""What no panel was laid out for: every other metric family and reporting view, shown plainly.

So a family or a view that is added to the nouns is on a board before anybody makes a panel for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dashboards.boards.board import COLUMNS, Line, Section
from dashboards.boards.panels import About, Panel, lines, table
from dashboards.queries.asking import Numbers, Rows, condition, over_time, owned, selector
from models.metrics import METRICS, MetricSpec
from models.reporting import VIEWS, ViewSpec

TIME = "_timestamp_seconds"
UNITS = {TIME: "dateTimeAsIso", "_seconds": "s", "_ratio": "percentunit", "_bytes": "bytes"}
HEIGHT, WIDTH = 8, 12


def sections(
    asked: str, families: Sequence[MetricSpec] = METRICS, views: Sequence[ViewSpec] = VIEWS
) -> tuple[Section, ...]:
    """Closed sections for the end of a board. `asked`: the text of all questions that the boards ask already."""
    others = [_family(spec) for spec in families if not re.search(rf"\b{spec.name}(_bucket|_sum|_count)?\b", asked)]
    unseen = [_view(spec) for spec in views if not re.search(rf"\breporting\.{spec.name}\b", asked)]
    made = (("Other metrics", others), ("Other views of the record", unseen))
    return tuple(Section(title, _in_pairs(panels), is_closed=True) for title, panels in made if panels)


def _in_pairs(panels: Sequence[Panel]) -> tuple[Line, ...]:
    pairs = [panels[at : at + 2] for at in range(0, len(panels), 2)]
    return tuple(Line(HEIGHT, tuple((COLUMNS // len(pair), panel) for panel in pair)) for pair in pairs)


def _family(spec: MetricSpec) -> Panel:
    unit = next((unit for suffix, unit in UNITS.items() if spec.name.endswith(suffix)), "short")
    about = About(title=spec.name, description=spec.help, unit=unit, empty="nothing was told in the time shown")
    return lines(about, _question(spec))


def _question(spec: MetricSpec) -> Numbers:
    legend = " · ".join(f"{{{{{label}}}}}" for label in spec.labels)
    if spec.type == "gauge":
        milliseconds = "1000 * " if spec.name.endswith(TIME) else ""
        return over_time(milliseconds + owned(selector(spec.name, spec.labels)), legend)
    by = f" by ({', '.join(spec.labels)})" if spec.labels else ""
    if spec.type == "counter":
        return over_time(f"sum{by} (increase({selector(spec.name, spec.labels)}[$__rate_interval]))", legend)
    grouped = ", ".join(("le", *spec.labels))
    rate = f"sum by ({grouped}) (rate({selector(f'{spec.name}_bucket', spec.labels)}[$__rate_interval]))"
    return over_time(f"histogram_quantile(0.95, {rate})", f"{legend} 95 %")


def _view(spec: ViewSpec) -> Panel:
    about = About(title=spec.name, description=spec.help, unit="short", empty="no row in the time shown")
    conditions = (condition(spec.columns), f"$__timeFilter({spec.at})" if spec.at else "")
    where = " AND ".join(each for each in conditions if each)
    columns = ", ".join(f'"{column}"' for column in spec.columns)
    sql = f"SELECT {columns}\nFROM reporting.{spec.name}\n" + (f"WHERE {where}\n" if where else "")
    return table(about, Rows(sql=f"{sql}ORDER BY {spec.at or 1} DESC LIMIT 500", columns=spec.columns))
