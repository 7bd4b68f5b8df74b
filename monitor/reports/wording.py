"""A report in words: its one sentence, durations, and what the method cannot see."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.reports.content import DomainSection, Met, Result
from monitor.store.periods import Scope

_LIMITATIONS = """
Reachability is computed from the policies as Calico enforces them on addresses, protocols and ports; what a connection
carries, and rules on HTTP methods or paths, are not judged.

A control counts only for time in which its inputs were seen fresh and somebody evaluated them. All other time is shown
as not evaluated and is never counted as met.

Traffic evidence comes from log lines: what is not logged, was rate-limited or was lost is not seen; known losses are
listed as gaps in the evidence.

A log line carries no verdict of its own: where traffic is called permitted or escaped, the policies of that moment
decided, unless the record came with an observed verdict.

Members of a domain outside the cluster are known by address only.

This report gives evidence toward requirements. It does not state that an organisation complies.
"""
LIMITATIONS: tuple[str, ...] = tuple(" ".join(each.split()) for each in _LIMITATIONS.strip().split("\n\n"))


def duration(seconds: float) -> str:
    """The two largest parts: 2 h 14 min, 3 d 1 h, 42 s."""
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


def sentence(scope: Scope, domains: Sequence[DomainSection]) -> str:
    """The whole report in one: how many were met throughout, what was not, and what nobody evaluated."""
    controls = [control for domain in domains for control in domain.controls if control.result != Result.NOT_APPLICABLE]
    if not controls:
        return "Nothing was in scope that a control applies to: there is nothing to evaluate."
    met = sum(control.result is Result.MET for control in controls)
    breaches = [span for control in controls for span in control.breaches]
    holes = sum(control.seconds[Met.NOT_EVALUATED.value] for control in controls)
    who = scope.domain or f"the {_counted(len(domains), 'domain')} of {scope.cluster}"
    period = f"From {scope.from_at:%Y-%m-%d %H:%M} to {scope.to_at:%Y-%m-%d %H:%M} UTC"
    parts = [f"{period}, {who} met {met} of {len(controls)} controls at all times"]
    if breaches:
        lasted = duration(sum(span.seconds for span in breaches))
        failing = sum(bool(control.breaches) for control in controls)
        parts.append(f"{failing} {_were(failing)} not met for {lasted} together, in {_counted(len(breaches), 'gap')}")
    unseen = f"{duration(holes)} of control time was not evaluated" if holes else "nothing was left unevaluated"
    return "; ".join([*parts, unseen]) + "."


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
