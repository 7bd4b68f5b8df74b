"""What the status page shows, as plain values; `monitor.web.status` fills them from the database."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

GLYPHS = {"pass": "✔", "fail": "✘", "warn": "!", "error": "?", "skip": "–", "waived": "~"}
WORDS = {
    "pass": "pass",
    "fail": "fail",
    "warn": "warn",
    "error": "not evaluated",
    "skip": "not applicable",
    "waived": "waived",
}


class Cell(Struct, frozen=True, kw_only=True):
    """One control in one domain now."""

    outcome: str
    reason: str = ""
    since: datetime | None = None


class DomainRow(Struct, frozen=True, kw_only=True):
    id: str
    level: str
    name: str
    owner: str
    workloads: int
    cells: dict[str, Cell]  # by control


class FindingRow(Struct, frozen=True, kw_only=True):
    id: str
    severity: str
    domain: str
    control: str
    subject: str
    sentence: str
    steps: tuple[str, ...]
    fix: str
    opened_at: datetime
    owner: str = ""
    waiver: str = ""
    is_last_known: bool = False


class TransitionRow(Struct, frozen=True, kw_only=True):
    at: datetime
    transition: str
    severity: str
    domain: str
    control: str
    subject: str
    sentence: str


class InputRow(Struct, frozen=True, kw_only=True):
    """A kind, or a log source, and how fresh it is."""

    name: str
    state: str  # fresh, stale, not_served, not_readable, opening, silent
    age_seconds: float | None
    reason: str = ""


STATES = {
    "allowed and seen": "✔",
    "allowed but never seen": "○",
    "denied": "⊘",
    "escaped": "✘",
    "cannot tell": "?",
}
"""Of a pair of domains, with its glyph. Neither allowed nor seen: `·`; not seen, and reach is not known: `?`."""


LOOKS = {
    "allowed and seen": "pass",
    "allowed but never seen": "warn",
    "denied": "skip",
    "escaped": "fail",
    "cannot tell": "error",
}
"""Colours, which only repeat what glyph and word say."""


class PairRow(Struct, frozen=True, kw_only=True):
    """What may connect from one end to another, and the paths seen by class."""

    source: str
    destination: str
    state: str
    connections: tuple[str, ...]
    seen: dict[str, int]


class Crossing(Struct, frozen=True, kw_only=True):
    """Domains of one level crossed with one another, the outside last. Pairs worst first."""

    level: str
    ends: tuple[str, ...]
    states: dict[tuple[str, str], str]
    pairs: tuple[PairRow, ...]
    more_pairs: int
    more_domains: int
    is_known: bool


class Talk(Struct, frozen=True, kw_only=True):
    """Who talks to whom. `unknown`: why nobody can tell what may connect; empty if it is known."""

    unknown: str = ""
    crossings: tuple[Crossing, ...] = ()


class ClusterView(Struct, frozen=True, kw_only=True):
    name: str
    controls: tuple[str, ...]
    domains: tuple[DomainRow, ...]
    findings: tuple[FindingRow, ...]
    transitions: tuple[TransitionRow, ...]
    inputs: tuple[InputRow, ...]
    sources: tuple[InputRow, ...]
    talk: Talk
    counted_until: datetime  # from 24 h ago; up to there all inputs were seen, but for those that are stale
    compliant_share: float | None  # of that time; None = nothing counts yet
    not_evaluated_share: float | None


class StatusView(Struct, frozen=True, kw_only=True):
    at: datetime
    version: str
    clusters: tuple[ClusterView, ...]
    problems: tuple[str, ...] = ()  # what is wrong with segmon itself, in words
    lag: int | None = None
    is_embedded: bool = False


def headline(cluster: ClusterView) -> tuple[str, str]:
    """Outcome and words for a whole cluster: the worst of its domains; unknown is never good."""
    seen = {cell.outcome for row in cluster.domains for cell in row.cells.values()}
    if "fail" in seen or "waived" in seen:
        return "fail", "not compliant"
    if "error" in seen:
        return "error", "not evaluated in part"
    if not seen & {"pass", "warn"}:
        return "error", "nothing to evaluate"
    return "pass", "compliant"


def name_of(end: str) -> str:
    """Of a domain, without its level."""
    return end.partition("/")[2] or end


def age(seconds: float | None) -> str:
    """A span in words: 41 s, 3 min, 2 h 14 min, 6 d."""
    if seconds is None:
        return "never"
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d"
