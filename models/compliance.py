"""Domains, controls, outcomes, findings: what `evaluate` concludes and the store records.

Law 1: findings are a function of current state; transitions are derived by the store against the rows it holds,
inside the recording transaction. Law 2: `error` is "not evaluated": it opens no finding and resolves none.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct, field

from models.facts import FactKey, Kind
from models.topics import Position
from models.words import Word


class Outcome(Word):
    PASS = "pass"  # noqa: S105 - an outcome, no password
    FAIL = "fail"
    WARN = "warn"
    ERROR = "error"  # could not be evaluated
    SKIP = "skip"  # not applicable, with why


ROLL_UP: tuple[Outcome, ...] = (Outcome.FAIL, Outcome.ERROR, Outcome.WARN, Outcome.PASS, Outcome.SKIP)
"""Worst first (controls.md section 2)."""


class Severity(StrEnum):
    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Input(StrEnum):
    """What a control needs beside API kinds."""

    FLOWS = "flows"


class Control(Struct, frozen=True, kw_only=True):
    """A catalogue entry. `needs` = inputs that must be fresh; else the outcome is `error`."""

    id: str
    title: str
    statement: str
    severity: Severity
    remediation: str
    is_endpoint_scoped: bool  # findings are about workloads; else about the domain
    needs: tuple[Kind | Input, ...] = ()
    requirements: tuple[str, ...] = ()


class Domain(Struct, frozen=True, kw_only=True, order=True):
    """`id` is `<level>/<name>`; the cluster's is `cluster/<cluster name>`."""

    id: str
    level: str
    name: str
    owner: str = ""
    criticality: str = "medium"
    environment: str = ""


class Member(Struct, frozen=True, kw_only=True, order=True):
    """A workload in scope: `namespace/Kind/name` and its live pods (`namespace/name`), or `host/<name>`."""

    subject: str
    pods: tuple[str, ...] = ()


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The proof of one result: a trace in words, one line a step, and the facts it rests on."""

    steps: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()  # FactKey.text() of what it rests on


class SubjectResult(Struct, frozen=True, kw_only=True):
    """One control for one subject. Only fail and warn carry a sentence and a fix."""

    subject: str
    outcome: Outcome
    severity: Severity = Severity.INFO
    sentence: str = ""  # what is wrong
    reason: str = ""  # why error or skip
    fix: str = ""  # the smallest change that would fix it
    evidence: Evidence = Evidence()  # one for all that have none
    waiver: str = ""  # name of the active waiver: stays fail


class ControlResult(Struct, frozen=True, kw_only=True):
    """One control for one domain: the roll-up over its subjects, and the subjects whose findings belong here.

    `counts` covers every subject of the domain; `subjects` only those for which it is the smallest domain
    (endpoint-scoped), so that no finding is recorded twice; and of them only those that the evaluation's `changed`
    names. A domain-scoped control has one subject, the domain's id.
    """

    control: str
    outcome: Outcome
    reason: str = ""
    counts: dict[str, int] = field(default_factory=dict)  # outcome -> subjects
    waived: int = 0
    subjects: tuple[SubjectResult, ...] = ()
    needs: tuple[str, ...] = ()  # inputs (kinds, "flows") whose vouched time caps this status


class DomainPosture(Struct, frozen=True, kw_only=True):
    """`members`: of those that the evaluation's `changed` names. `results`: those that say something else than before,
    that are about a subject that `changed` names, or that could not be evaluated.
    """

    domain: Domain
    members: tuple[Member, ...] = ()
    results: tuple[ControlResult, ...] = ()


class Changed(Struct, frozen=True, kw_only=True):
    """What may be other than at the evaluation before. What is not listed of it is gone."""

    subjects: frozenset[str] = frozenset()  # in a result, or in the domain that it belongs to
    members: frozenset[str] = frozenset()  # in their pods, or in the domains that hold them; subjects too
    domains: frozenset[str] = frozenset()  # new, or described otherwise


class Evaluation(Struct, frozen=True, kw_only=True):
    """What was concluded of one cluster at one position. Domains not in `postures` nor `gone` are unchanged.

    `changed`: None = anything. What it does not name is as it was: whoever records this must stand where the evaluation
    before was recorded.
    """

    cluster: str
    position: Position
    at: datetime  # log time
    postures: tuple[DomainPosture, ...] = ()
    gone: tuple[str, ...] = ()  # ids of domains that no longer exist
    changed: Changed | None = None


class Vouched(Struct, frozen=True, kw_only=True):
    """An input was seen without a break from `unbroken_since` until `seen_at` (log times). None = never."""

    input: str  # a Kind or "flows"
    seen_at: datetime | None
    unbroken_since: datetime | None
    state: str = "fresh"  # fresh, stale, not_served, not_readable, opening
    reason: str = ""


class Revision(Struct, frozen=True, kw_only=True):
    """One state of one fact, as folded. `raw` None = gone."""

    key: FactKey
    position: Position
    at: datetime
    raw: bytes | None
    reason: str = ""  # of a gone, or why raw is unreadable
    is_synthetic: bool = False


def finding_id(cluster: str, control: str, subject: str, domain: str = "") -> str:
    """Identity of a finding: endpoint-scoped ones leave `domain` empty (controls.md section 2)."""
    return sha256(f"{cluster}\x00{domain}\x00{control}\x00{subject}".encode()).hexdigest()[:24]
