"""What a report says: plain values, the one source of its HTML, CSV and JSON."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from monitor.store.periods import ChainPlace, ChangeRow, DomainSpan, MemberSpan, WaiverSpan
from monitor.store.queries import GapRow


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
    PARTIALLY = "partially met"
    NOT_MET = "not met"
    NOT_EVALUATED = "not evaluated"
    NOT_APPLICABLE = "not applicable"


class Span(Struct, frozen=True, kw_only=True):
    """A stretch of time, from included, to excluded. `reason`: why not, where it is not met or not evaluated."""

    met: Met
    from_at: datetime
    to_at: datetime
    reason: str = ""

    @property
    def seconds(self) -> float:
        return (self.to_at - self.from_at).total_seconds()


class ControlSection(Struct, frozen=True, kw_only=True):
    control: str
    title: str
    result: Result
    seconds: dict[str, float]  # by Met
    share: float | None  # of the time that counts; None = no time that counts
    spans: tuple[Span, ...]

    @property
    def breaches(self) -> tuple[Span, ...]:
        return tuple(span for span in self.spans if span.met in {Met.NOT_MET, Met.WAIVED})

    @property
    def holes(self) -> tuple[Span, ...]:
        return tuple(span for span in self.spans if span.met is Met.NOT_EVALUATED)


class DomainSection(Struct, frozen=True, kw_only=True):
    """`described`: what it was said to be, one entry for each time that was changed."""

    id: str
    described: tuple[DomainSpan, ...]
    workloads_at_start: int
    workloads_at_end: int
    workloads_ever: int
    members: tuple[MemberSpan, ...]
    controls: tuple[ControlSection, ...]


class Move(Struct, frozen=True, kw_only=True):
    at: datetime
    transition: str
    severity: str
    sentence: str
    reason: str = ""


class Finding(Struct, frozen=True, kw_only=True):
    """A finding that was open at some moment of the period, as it stood at its end."""

    id: str
    domain: str
    control: str
    subject: str
    severity: str
    state: str  # open, waived, resolved
    sentence: str
    proof: tuple[str, ...]
    fix: str
    owner: str
    waiver: str
    opened_at: datetime
    resolved_at: datetime | None
    open_seconds: float  # within the period
    history: tuple[Move, ...]


class Report(Struct, frozen=True, kw_only=True):
    """Everything but the statement of when and by which release it was made follows from the record."""

    id: str
    cluster: str
    domain: str  # "" = all
    from_at: datetime
    to_at: datetime
    made_at: datetime
    release: str
    first_evidence_at: datetime
    chain: ChainPlace
    sentence: str
    share: float | None
    seconds: dict[str, float]
    population_at_start: dict[str, int]
    population_at_end: dict[str, int]
    domains: tuple[DomainSection, ...]
    findings: tuple[Finding, ...]
    changes: tuple[ChangeRow, ...]
    waivers: tuple[WaiverSpan, ...]
    gaps: tuple[GapRow, ...]
    limitations: tuple[str, ...]
