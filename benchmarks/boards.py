"""Every SQL question of the Grafana boards, on a recorded month: 200 domains × 40 controls, a million transitions.

Macros and variables are expanded as Grafana does, with all values chosen, over the time that the board opens with. A
question's time is the fastest of three, as Grafana waits for it. The plan says which tables of more than 50,000 rows it
reads from end to end.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import sqlalchemy as sa
from scenes import grafana

from benchmarks import recorded_month
from benchmarks.measuring import ROOT, Figure

AIM_MS = 300.0
LARGE = 50_000  # rows
TIMES = 3
UNITS = {"m": 60, "h": 3600, "d": 86_400}


def main() -> list[Figure]:
    with recorded_month.recorded() as month:
        return measured(month)


def measured(month: recorded_month.Month) -> list[Figure]:
    engine = sa.create_engine(month.url)
    large = _large_tables(engine)
    figures = []
    for file in sorted((ROOT / "dashboards" / "grafana" / "boards").glob("*.json")):
        board = json.loads(file.read_text())
        found = []
        for name, text, scope in _asked(engine, board, month.end):
            asked = grafana.sql(text, scope)
            found.append((_fastest(engine, asked), name, _read_whole(engine, asked, large)))
        slowest = max(found)
        whole = sorted({table for _, _, tables in found for table in tables})
        note = f"{slowest[1]}; of {len(found)} questions" + (f"; reads whole: {', '.join(whole)}" if whole else "")
        figures.append(Figure(f"slowest question of {file.stem}", slowest[0], "ms", AIM_MS, note))
    engine.dispose()
    return figures


def _asked(engine: sa.Engine, board: dict[str, Any], end: datetime) -> Iterator[tuple[str, str, grafana.Scope]]:
    """Name, text and scope of each question: of panels, annotations and variables."""
    [number, unit] = re.fullmatch(r"now-(\d+)([mhd])", board["time"]["from"]).groups()
    start = end - timedelta(seconds=int(number) * UNITS[unit])
    scope = grafana.Scope(
        start=start, end=end, chosen=grafana.values_of(engine, board, start, end), interval_seconds=60
    )
    for panel, target in grafana.questions(board):
        if "rawSql" in target:
            yield panel["title"], target["rawSql"], scope
    for each in board["annotations"]["list"]:
        if "rawSql" in each.get("target", {}):
            yield f"annotation {each['name']}", each["target"]["rawSql"], scope
    for each in board["templating"]["list"]:
        if each["type"] == "query":
            yield f"variable {each['name']}", each["query"], scope


def _fastest(engine: sa.Engine, asked: str) -> float:
    """Milliseconds, rows fetched."""
    taken = []
    with engine.connect() as connection:
        for _ in range(TIMES):
            begun = time.perf_counter()
            connection.exec_driver_sql(asked).all()
            taken.append((time.perf_counter() - begun) * 1000)
    return min(taken)


def _large_tables(engine: sa.Engine) -> set[str]:
    statement = sa.text("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > :large")
    with engine.connect() as connection:
        return set(connection.execute(statement, {"large": LARGE}).scalars())


def _read_whole(engine: sa.Engine, asked: str, large: set[str]) -> list[str]:
    """Large tables that the plan scans from end to end."""
    with engine.connect() as connection:
        [plan] = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {asked}").scalar_one()
    return sorted({node["Relation Name"] for node in _nodes(plan["Plan"]) if node["Node Type"] == "Seq Scan"} & large)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from _nodes(each)


if __name__ == "__main__":
    for figure in main():
        print(figure)
