"""What a report says: plain values, the one source of its HTML, CSV and JSON."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from monitor.store.periods import ChainPlace, DomainSpan
from monitor.store.populations import Count


class Met(StrEnum):
    """What a stretch of time counts as (controls.md section 2: waived time is not compliant, and shown apart)."""

    MET = "met"
    NOT_MET = "not met"
    WAIVED = "not met, waived"
    NOT_EVALUATED = "not evaluated"
    NOT_APPLICABLE = "not applicable"


class Result(StrEnum):
    """One control of one domain over the whole period."""

    MET = "met"
    WAIVED = "met by waiver"  # where it was not met, a waiver accepted it; it is not counted as met
    PARTIALLY = "partially met"
    NOT_MET = "not met"
    NOT_EVALUATED = "not evaluated"
    NOT_APPLICABLE = "not applicable"


class Span(Struct, frozen=True, kw_only=True):
    """A stretch of time, from included, to excluded. `reason`: why not, where it is not met or not evaluated.

    `began`, `ended`: what changed at its two ends, in words; empty where it reaches over the period's.
    """

    met: Met
    from_at: datetime
    to_at: datetime
    reason: str = ""
    began: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return (self.to_at - self.from_at).total_seconds()

    @property
    def is_breach(self) -> bool:
        return self.met is Met.NOT_MET or self.met is Met.WAIVED


class Worst(Struct, frozen=True, kw_only=True):
    """The first moment at which most subjects of a control failed."""

    at: datetime
    failing: int
    of: int


class ControlSection(Struct, frozen=True, kw_only=True):
    control: str
    title: str
    result: Result
    seconds: dict[str, float]  # by Met
    share: float | None  # of the time that counts; None = no time that counts
    gaps: int  # stretches in which it was not met, waived or not
    longest_gap_seconds: float
    worst: Worst | None
    spans: tuple[Span, ...]


class DomainSection(Struct, frozen=True, kw_only=True):
    """`described`: what it was said to be, one entry for each time that was changed."""

    id: str
    described: tuple[DomainSpan, ...]
    workloads_at_start: int
    workloads_at_end: int
    workloads_ever: int
    controls: tuple[ControlSection, ...]


class ControlMove(Struct, frozen=True, omit_defaults=True):
    """A step of a finding's history. `position`: the facts it was judged on, as `segmon verify` covers them.

    `sentence` "": it was the one of the step before.
    """

    at: datetime
    transition: str
    severity: str
    position: str
    reason: str = ""
    sentence: str = ""


class Finding(Struct, frozen=True, kw_only=True):
    """A finding that was open at some moment of the period, as it stood at its end.

    `detected_seconds`: from the last change of what decides, at most 5 s before, to its opening; None = none was seen.
    `lapsed`: the waiver that no longer covers it.
    """

    id: str
    domain: str
    control: str
    subject: str
    severity: str
    state: str  # open, waived, resolved
    sentence: str
    proof: tuple[str, ...]
    facts: tuple[str, ...]
    fix: str
    owner: str
    waiver: str
    lapsed: str
    opened_at: datetime
    resolved_at: datetime | None
    open_seconds: float  # within the period
    waived_seconds: dict[str, float]  # within the period, by waiver
    detected_seconds: float | None
    resolved_after_seconds: float | None  # from its opening, if it was resolved in the period
    was_open_at_start: bool
    reopened: int  # times, in the period
    history: tuple[ControlMove, ...]


class WaiverUse(Struct, frozen=True, kw_only=True):
    """One version of a waiver, as it was declared in the period, and what it was used for."""

    name: str
    control: str
    domain: str
    subject: str
    reason: str
    requester: str
    approver: str
    ticket: str
    compensating_control: str
    granted_at: datetime
    expires_at: datetime
    declared_at: datetime
    withdrawn_at: datetime | None
    findings: int  # that it covered at some moment of the period
    seconds: float  # of findings waived, within the period
    still_failing: int  # findings that it no longer covers, and that were open at the end
    remarks: tuple[str, ...]


class Pods(Struct, frozen=True, kw_only=True):
    """The population reconciled: pods that the API server told of, against pods that domains hold."""

    known: int
    held: int
    outside: tuple[str, ...]  # known and in no domain, with the reason; the first of them
    outside_count: int
    unknown_count: int  # held by a domain, and not known


class Population(Struct, frozen=True, kw_only=True):
    counts: tuple[Count, ...]
    at_start: Pods
    at_end: Pods


class Moved(Struct, frozen=True, kw_only=True):
    """A control of a domain whose result is another than in the period before."""

    domain: str
    control: str
    before: str
    now: str
    share_before: float | None
    share_now: float | None


class Comparison(Struct, frozen=True, kw_only=True):
    """Against the period before, off the same record. `is_evaluated` False: it has no evidence, nothing to compare."""

    from_at: datetime
    to_at: datetime
    is_evaluated: bool
    share: float | None = None
    gaps: int = 0
    worse: tuple[Moved, ...] = ()
    better: tuple[Moved, ...] = ()
    domains_new: tuple[str, ...] = ()
    domains_gone: tuple[str, ...] = ()


class Durations(Struct, frozen=True, kw_only=True):
    """Of findings of one severity: how many, and the median and the longest seconds."""

    severity: str
    opened: int
    reopened: int
    resolved: int
    median_seconds_to_resolve: float | None
    longest_seconds_to_resolve: float | None
    median_seconds_to_detect: float | None


class FindingCounts(Struct, frozen=True, kw_only=True):
    at_start: int
    opened: int
    reopened: int
    resolved: int
    at_end: int
    waived_at_end: int
    by_severity: tuple[Durations, ...]


class Report(Struct, frozen=True, kw_only=True):
    """Everything but the statement of when and by which release it was made follows from the record."""

    id: str
    cluster: str
    domain: str  # "" = all
    from_at: datetime
    to_at: datetime
    made_at: datetime
    release: str
    catalogue: str  # digest of the controls it was made with
    calico_version: str  # "" = not known
    first_evidence_at: datetime
    chain: ChainPlace
    sentence: str
    results: dict[str, int]  # controls of domains, by Result
    share: float | None
    seconds: dict[str, float]
    gaps: int
    findings: FindingCounts
    comparison: Comparison
    population: Population
    changes: int
    evidence_gaps: int
    waivers: tuple[WaiverUse, ...]
    limitations: tuple[str, ...]
