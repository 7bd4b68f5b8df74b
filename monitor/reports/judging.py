"""From status intervals to what a control counts as over a period: time-weighted, nothing unevaluated is ever met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import structs

from monitor.reports.content import ControlSection, Met, Result, Span
from monitor.store.queries import StatusRow

BEFORE_EVIDENCE = "before the first evaluation of this cluster"

_MET = {"pass": Met.MET, "warn": Met.MET, "fail": Met.NOT_MET, "skip": Met.NOT_APPLICABLE}


def section(control: str, title: str, spans: Sequence[Span]) -> ControlSection:
    seconds = totals(spans)
    return ControlSection(
        control=control,
        title=title,
        result=result(spans),
        seconds=seconds,
        share=share(seconds),
        spans=tuple(spans),
    )


def spans(rows: Iterable[StatusRow], period: tuple[datetime, datetime], *, unseen_until: datetime | None) -> list[Span]:
    """What each stretch counts as; neighbours that say the same are one. `unseen_until`: evidence began only then."""
    begin, end = period
    found: list[Span] = []
    if unseen_until is not None and unseen_until > begin:
        before = Span(met=Met.NOT_EVALUATED, from_at=begin, to_at=min(unseen_until, end), reason=BEFORE_EVIDENCE)
        found.append(before)
    for row in rows:
        start, stop = max(row.from_at, begin), min(row.to_at or end, end)
        if start < stop:
            _append(found, Span(met=met(row), from_at=start, to_at=stop, reason=_reason(row)))
    return found


def met(row: StatusRow) -> Met:
    if row.outcome == "fail" and row.waived >= row.counts.get("fail", 0) > 0:
        return Met.WAIVED
    return _MET.get(row.outcome, Met.NOT_EVALUATED)


def _reason(row: StatusRow) -> str:
    """Kept where it explains something: a fail without words is explained by its findings."""
    return row.reason if row.outcome in {"fail", "error", "skip"} else ""


def _append(found: list[Span], span: Span) -> None:
    last = found[-1] if found else None
    if last and (last.met, last.reason, last.to_at) == (span.met, span.reason, span.from_at):
        found[-1] = structs.replace(last, to_at=span.to_at)
    else:
        found.append(span)


def totals(all_spans: Iterable[Span]) -> dict[str, float]:
    """Seconds by what they count as, every kind named."""
    seconds = dict.fromkeys((each.value for each in Met), 0.0)
    for span in all_spans:
        seconds[span.met.value] += span.seconds
    return seconds


def added(every: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total = dict.fromkeys((each.value for each in Met), 0.0)
    for seconds in every:
        for name, value in seconds.items():
            total[name] += value
    return total


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
    if Met.MET in kinds:
        return Result.PARTIALLY
    return Result.NOT_MET if kinds & {Met.NOT_MET, Met.WAIVED} else Result.NOT_EVALUATED
