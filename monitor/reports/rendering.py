"""Report -> HTML: one file that asks nothing of anybody, prints on A4, and escapes whatever a cluster may contain.

The first page is for somebody who has a minute: one sentence, a strip per control, three numbers, what changed, how
the population was reconciled, what the method cannot see, and how to verify it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from monitor.reports import strips, wording
from monitor.reports.content import ControlSection, DomainSection, Met, Report, Result, Span
from monitor.reports.counting import LISTED, Counted
from monitor.reports.strips import Drawn

T = TypeVar("T")

GAPS = 5
"""Gaps of one control that the HTML shows, the longest; statuses.csv has all."""

READABLE = 20
"""Domains of a report of which people read every control's gaps; of more it shows the longest of each domain."""

GAPS_OF_DOMAIN = 10

_GLYPHS = {
    Result.MET: "✔",
    Result.WAIVED: "w",
    Result.PARTIALLY: "!",
    Result.NOT_MET: "✘",
    Result.NOT_EVALUATED: "?",
    Result.NOT_APPLICABLE: "–",
}


def _shown(value: Any) -> Any:
    """Control and direction marks that a cluster may put into a name are shown, not obeyed."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in value)


def _time(at: datetime | None) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _strip(pieces: bytes, label: str) -> Markup:
    """Styles and paths are our own words and numbers."""
    drawn = "".join(f'<path class="{style}" d="{path}"/>' for style, path in strips.paths(pieces))
    box = f"0 0 {strips.PIECES} {strips.HEIGHT}"
    frame = Markup('<svg class="strip" viewBox="{}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>')
    return frame.format(box, _shown(label), Markup(drawn))  # noqa: S704 - see above


def _told(seconds: dict[str, float]) -> str:
    """A strip in words."""
    parts = [f"{wording.duration(value)} {name}" for name, value in seconds.items() if value]
    return ", ".join(parts) or "never in scope"


def _class(word: str) -> str:
    return word.replace(", ", "-").replace(" ", "-")


_environment = Environment(
    loader=PackageLoader("monitor.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_shown,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(
    met=Met,
    results=Result,
    glyphs=_GLYPHS,
    gaps_shown=GAPS,
    listed=LISTED,
    styles=strips.STYLES,
    height=strips.HEIGHT,
    strip=_strip,
    told=_told,
    number_of=wording.number_of,
    period=wording.period,
)
_environment.filters.update(
    time=_time, duration=wording.duration, percent=wording.percent, style=_class, digest=lambda text: (text or "–")[:12]
)


def frame(report: Report, counted: Counted, json_digest: str) -> tuple[str, str]:
    """What stands before the pages of the domains, and behind them."""
    about = {"report": report, "counted": counted, "json_digest": json_digest}
    return tuple(_environment.get_template(name).render(about) for name in ("head.html", "tail.html"))  # type: ignore[return-value]


def domain(section: DomainSection, drawn: Drawn, number: int, of: int) -> str:
    """The page of one domain `of` so many."""
    return _environment.get_template("domain.html").render(
        domain=section,
        number=number,
        drawn=drawn,
        breached=_longest(section) if of <= READABLE else _longest_of_all(section),
        unseen=_unseen(section),
    )


class Unseen(Struct, frozen=True, kw_only=True):
    """A stretch that was not evaluated for one reason, and the controls that it concerns."""

    span: Span
    controls: str


class Breached(Struct, frozen=True, kw_only=True):
    """A control, its gaps that are shown, in the order of time, and how many more it has."""

    control: ControlSection
    spans: list[Span]
    more: int


def _longest(section: DomainSection) -> list[Breached]:
    """The longest of each control."""
    every = [(each, [span for span in each.spans if span.is_breach]) for each in section.controls if each.gaps]
    shown = [(each, _foremost(spans, _length, lambda span: span.from_at)) for each, spans in every]
    return [Breached(control=each, spans=spans, more=more) for each, (spans, more) in shown]


def _longest_of_all(section: DomainSection) -> list[Breached]:
    """The longest of the domain, under their controls."""
    every = ((span, number) for number, each in enumerate(section.controls) for span in each.spans if span.is_breach)
    foremost = nsmallest(GAPS_OF_DOMAIN, every, key=lambda found: (*_length(found[0]), found[1]))
    shown: dict[int, list[Span]] = {}
    for span, number in foremost:
        shown.setdefault(number, []).append(span)
    return [
        Breached(control=control, spans=sorted(spans, key=lambda span: span.from_at), more=control.gaps - len(spans))
        for control, spans in ((section.controls[number], spans) for number, spans in sorted(shown.items()))
    ]


def _length(span: Span) -> tuple[float, datetime]:
    return (-span.seconds, span.from_at)


def _unseen(section: DomainSection) -> tuple[list[Unseen], int]:
    """The longest stretches that were not evaluated; those that are the same for several controls are one."""
    stretches: dict[Span, list[str]] = {}
    for control in section.controls:
        for span in control.spans:
            if span.met is Met.NOT_EVALUATED:
                stretches.setdefault(span, []).append(control.control)
    every = [
        Unseen(span=span, controls="all" if len(names) == len(section.controls) else ", ".join(names))
        for span, names in stretches.items()
    ]
    return _foremost(
        every,
        lambda each: (-each.span.seconds, each.span.from_at, each.controls),
        lambda each: (each.span.from_at, each.controls),
    )


def _foremost(rows: Sequence[T], rank: Callable[[T], Any], order: Callable[[T], Any]) -> tuple[list[T], int]:
    return sorted(sorted(rows, key=rank)[:GAPS], key=order), max(0, len(rows) - GAPS)
