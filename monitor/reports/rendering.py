"""Report -> HTML: one file that asks nothing of anybody, prints on A4, and escapes whatever a cluster may contain."""

from __future__ import annotations

from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from monitor.reports import wording
from monitor.reports.content import ControlSection, Met, Report

LISTED = 200
"""Rows that the HTML shows of one list; the CSV beside it has all."""

STRIP = 1000.0
_STYLE = {
    Met.MET: "met",
    Met.NOT_MET: "not-met",
    Met.WAIVED: "waived",
    Met.NOT_EVALUATED: "not-evaluated",
    Met.NOT_APPLICABLE: "not-applicable",
}
_GLYPHS = {
    "met": "✔",
    "partially met": "!",
    "not met": "✘",
    "not evaluated": "?",
    "not applicable": "–",
}

_environment = Environment(
    loader=PackageLoader("monitor.reports"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Bar(Struct, frozen=True):
    """A piece of a strip, in thousandths of the period."""

    style: str
    x: str
    width: str
    title: str


def html(report: Report) -> str:
    return _environment.get_template("report.html").render(
        report=report,
        bars=lambda control: _bars(report, control),
        duration=wording.duration,
        percent=wording.percent,
        glyphs=_GLYPHS,
        styles={met.value: style for met, style in _STYLE.items()},
        time=_time,
        listed=LISTED,
        breaches=_breaches(report),
    )


def _bars(report: Report, control: ControlSection) -> list[Bar]:
    whole = (report.to_at - report.from_at).total_seconds()
    return [
        Bar(
            style=_STYLE[span.met],
            x=f"{(span.from_at - report.from_at).total_seconds() / whole * STRIP:.2f}",
            width=f"{max(span.seconds / whole * STRIP, 1.0):.2f}",
            title=f"{span.met.value}, {_time(span.from_at)} to {_time(span.to_at)}",
        )
        for span in control.spans
    ]


def _breaches(report: Report) -> int:
    return sum(len(control.breaches) for domain in report.domains for control in domain.controls)


def _time(at: datetime | None) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
