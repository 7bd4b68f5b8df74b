"""A report in words: its one sentence, durations, and what the method cannot see."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitor.reports.comparing import is_month
from monitor.reports.content import Met, Result
from monitor.reports.counting import Counted
from monitor.store.periods import Scope

_LIMITATIONS = """
Reachability is computed from the policies as Calico enforces them on addresses, protocols and ports. What a connection
carries, and rules on HTTP methods or paths, are not judged.

Time counts as met only where every input was seen fresh and somebody evaluated it. All other time is shown as not
evaluated, and is never counted as met.

Traffic evidence comes from log lines: what is not logged, was rate-limited or was lost is not seen; known losses are
listed as gaps in the evidence. A log line carries no verdict of its own: the policies of that moment stand in for it.

What lies outside the cluster is known by address only. Who made a change is not in the record, only what it was, when,
and the approval that it names.

Not part of this report: penetration tests and probes, reviews of rules, and who could change policies.

It gives evidence toward requirements, and does not state that an organisation complies.
"""
LIMITATIONS: tuple[str, ...] = tuple(" ".join(each.split()) for each in _LIMITATIONS.strip().split("\n\n"))


def duration(seconds: float | None) -> str:
    """The two largest parts: 2 h 14 min, 3 d 1 h, 42 s. Nothing but 0 is shown as 0."""
    if seconds is None:
        return "–"
    if 0 < seconds < 1:
        return "< 1 s"
    left = round(seconds)
    parts = []
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def percent(share: float | None) -> str:
    """Never rounded up to 100 %, nor down to 0."""
    if share is None:
        return "no time that counts"
    if 0.9995 < share < 1:
        return "> 99.9 %"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{share * 100:.1f} %"


def period(from_at: datetime, to_at: datetime) -> str:
    """As one says it: October 2026, or from when to when, with seconds if it is shorter than an hour."""
    if is_month(from_at, to_at):
        return f"{from_at:%B %Y}"
    form = "%Y-%m-%d %H:%M:%S" if to_at - from_at < timedelta(hours=1) else "%Y-%m-%d %H:%M"
    return f"{from_at:{form}} to {to_at:{form}} UTC"


def sentence(scope: Scope, counted: Counted) -> str:
    """The whole report in one: how many were met throughout, what was not, and what nobody evaluated."""
    results = counted.results
    every = sum(number for result, number in results.items() if result is not Result.NOT_APPLICABLE)
    if not every:
        return "Nothing was in scope that a control applies to: there is nothing to evaluate."
    begin = "In" if is_month(scope.from_at, scope.to_at) else "From"
    who = scope.domain or _domains(scope.cluster, len(counted.domains))
    when = f"{begin} {period(scope.from_at, scope.to_at)}"
    parts = [f"{when}, {who} met {results[Result.MET]} of {number_of(every, 'control')} at all times"]
    if breached := counted.seconds[Met.NOT_MET.value] + counted.seconds[Met.WAIVED.value]:
        failing = counted.breached
        gaps = number_of(counted.gaps, "gap")
        parts.append(f"{failing} {_were(failing)} not met for {duration(breached)} together, in {gaps}")
    if waived := counted.seconds[Met.WAIVED.value]:
        parts.append(f"{duration(waived)} of that was waived")
    unseen = counted.seconds[Met.NOT_EVALUATED.value]
    parts.append(f"{duration(unseen)} of control time was not evaluated" if unseen else "nothing was left unevaluated")
    return "; ".join(parts) + "."


def _domains(cluster: str, number: int) -> str:
    return f"the only domain of {cluster}" if number == 1 else f"the {number} domains of {cluster}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def number_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
