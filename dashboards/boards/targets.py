"""Questions as Grafana's classic model wants them: numbers to Prometheus, rows to PostgreSQL.

Both data sources are variables; a question is written in `dashboards.queries` and knows nothing of panels.
"""

from __future__ import annotations

from typing import Any

from dashboards.queries.asking import Numbers, Rows

PROMETHEUS = {"type": "prometheus", "uid": "${ds_prometheus}"}
POSTGRESQL = {"type": "grafana-postgresql-datasource", "uid": "${ds_postgres}"}
REFS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def source(question: Numbers | Rows) -> dict[str, str]:
    return PROMETHEUS if isinstance(question, Numbers) else POSTGRESQL


def target(question: Numbers | Rows, ref: str) -> dict[str, Any]:
    return _numbers(question, ref) if isinstance(question, Numbers) else _rows(question, ref)


def _numbers(question: Numbers, ref: str) -> dict[str, Any]:
    """Over the time shown, or as of its end."""
    return {
        "refId": ref,
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": question.expr,
        "legendFormat": question.legend,
        "instant": question.is_instant,
        "range": not question.is_instant,
        "format": "time_series",
    }


def _rows(question: Rows, ref: str) -> dict[str, Any]:
    return {
        "refId": ref,
        "datasource": POSTGRESQL,
        "editorMode": "code",
        "format": "table",
        "rawQuery": True,
        "rawSql": question.sql,
    }
