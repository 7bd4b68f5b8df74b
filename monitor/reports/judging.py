"""From status intervals to what a control counts as over a period: time-weighted, nothing unevaluated is ever met."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import fsum

from msgspec import Struct

from monitor.reports.content import ControlSection, Met, Result, Span, Worst
from monitor.store.periods import DomainSpan
from monitor.store.queries import StatusRow

BEFORE_EVIDENCE = "before the first evaluation of this cluster"
NO_STATUS = "no evaluation of this control was recorded"

_MET = {"pass": Met.MET, "warn": Met.MET, "fail": Met.NOT_MET, "skip": Met.NOT_APPLICABLE}


class Existence(Struct, frozen=True):
    """When a domain was there, within the period. `unseen_until`: evidence of the cluster began only then, and it was
    there from the beginning for all that is known.
    """

    spans: tuple[tuple[datetime, datetime], ...]
    unseen_until: datetime | None


def existence(
    described: Iterable[DomainSpan], period: tuple[datetime, datetime], seen_first: tuple[datetime, datetime]
) -> Existence:
    """`seen_first`: the first evidence, and until when what is seen for the first time may have been there before."""
    begin, end = period
    spans: list[tuple[datetime, datetime]] = []
    for each in described:
        start, stop = max(each.from_at, begin), min(each.to_at or end, end)
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], stop)
        elif start < stop:
            spans.append((start, stop))
    first, looked_until = seen_first
    is_older = bool(spans) and begin < spans[0][0] <= looked_until
    return Existence(spans=tuple(spans), unseen_until=max(first, spans[0][0]) if is_older else None)


def section(control: str, title: str, rows: Sequence[StatusRow], being: Existence, begin: datetime) -> ControlSection:
    every = spans(rows, being, begin)
    seconds = totals(every)
    breaches = [span.seconds for span in every if span.is_breach]
    return ControlSection(
        control=control,
        title=title,
        result=result(every),
        seconds=seconds,
        share=share(seconds),
        gaps=len(breaches),
        longest_gap_seconds=max(breaches, default=0.0),
        worst=worst(rows, begin),
        spans=tuple(every),
    )


def spans(rows: Sequence[StatusRow], being: Existence, begin: datetime) -> list[Span]:
    """What each stretch counts as; neighbours that say the same are one. Time without a status is not evaluated.

    `rows` are closed, in order, and end within the period.
    """
    found: list[Span] = []
    if being.unseen_until is not None:
        found.append(Span(met=Met.NOT_EVALUATED, from_at=begin, to_at=being.unseen_until, reason=BEFORE_EVIDENCE))
    kind, reason, since, until = Met.NOT_EVALUATED, "", begin, begin  # what goes on
    for next_kind, next_reason, start, stop in _stretches(rows, being):
        if next_kind is kind and start == until and next_reason == reason:
            until = stop
            continue
        if since < until:
            found.append(Span(met=kind, from_at=since, to_at=until, reason=reason))
        kind, reason, since, until = next_kind, next_reason, start, stop
    if since < until:
        found.append(Span(met=kind, from_at=since, to_at=until, reason=reason))
    return found


def _stretches(rows: Sequence[StatusRow], being: Existence) -> Iterator[tuple[Met, str, datetime, datetime]]:
    """What it counts as, why, from when, until when: one for each status, and for the time between them."""
    at = 0
    for start, stop in being.spans:
        seen = start
        while at < len(rows) and (row := rows[at]).from_at < stop:
            closes = row.to_at or stop
            if closes > seen:
                if row.from_at > seen:
                    yield Met.NOT_EVALUATED, NO_STATUS, seen, row.from_at
                    seen = row.from_at
                yield met(row), _reason(row), seen, min(closes, stop)
                seen = min(closes, stop)
            if closes > stop:
                break  # it goes on where the domain does
            at += 1
        if seen < stop:
            yield Met.NOT_EVALUATED, NO_STATUS, seen, stop


def met(row: StatusRow) -> Met:
    if row.waived and row.outcome == "fail" and row.waived >= row.counts.get("fail", 0) > 0:
        return Met.WAIVED
    return _MET.get(row.outcome, Met.NOT_EVALUATED)


def _reason(row: StatusRow) -> str:
    """Kept where it explains something: a fail without words is explained by its findings."""
    return row.reason if row.reason and row.outcome in {"fail", "error", "skip"} else ""


def worst(rows: Iterable[StatusRow], begin: datetime) -> Worst | None:
    """None: nothing failed."""
    found: Worst | None = None
    for row in rows:
        failing = row.counts.get("fail", 0)
        if row.outcome == "fail" and failing > (found.failing if found else 0):
            found = Worst(at=max(row.from_at, begin), failing=failing, of=sum(row.counts.values()))
    return found


def totals(all_spans: Iterable[Span]) -> dict[str, float]:
    """Seconds by what they count as, every kind named."""
    lasted = dict.fromkeys(nothing(), timedelta())
    for span in all_spans:
        lasted[span.met.value] += span.to_at - span.from_at
    return {name: each.total_seconds() for name, each in lasted.items()}


def nothing() -> dict[str, float]:
    return dict.fromkeys((each.value for each in Met), 0.0)


def add(total: dict[str, float], seconds: Mapping[str, float]) -> None:
    for name, value in seconds.items():
        total[name] = round(total[name] + value, 6)


def total(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of many, in whatever order they come: a sum of years of seconds is rounded once, not at every step."""
    return {name: round(fsum(seconds[name] for seconds in every), 6) for name in nothing()}


def share(seconds: Mapping[str, float]) -> float | None:
    """Of the time that counts, unevaluated time included. Not applicable leaves the denominator; 0 gives no number."""
    counts = sum(value for name, value in seconds.items() if name != Met.NOT_APPLICABLE.value)
    return seconds[Met.MET.value] / counts if counts else None


def result(all_spans: Sequence[Span]) -> Result:
    kinds = {span.met for span in all_spans} - {Met.NOT_APPLICABLE}
    if not kinds:
        return Result.NOT_APPLICABLE if all_spans else Result.NOT_EVALUATED
    if kinds == {Met.MET}:
        return Result.MET
    if Met.WAIVED in kinds and kinds <= {Met.MET, Met.WAIVED}:
        return Result.WAIVED
    if Met.MET in kinds:
        return Result.PARTIALLY
    return Result.NOT_MET if kinds & {Met.NOT_MET, Met.WAIVED} else Result.NOT_EVALUATED
