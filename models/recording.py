"""What one transaction records, and what came of it. Shapes shared by the agents, the core and the store."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from models.compliance import Evaluation, Revision, Vouched
from models.facts import FactKey, FlowClass
from models.topics import Position


class Span(Struct, frozen=True, kw_only=True):
    """Time that nobody evaluated, in log time."""

    from_at: datetime
    to_at: datetime
    reason: str


class WaiverRow(Struct, frozen=True, kw_only=True):
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


class PolicyEffect(Struct, frozen=True, kw_only=True):
    """What one change of a policy did to what may connect, in words ("shop -> payments tcp/5432")."""

    key: FactKey
    position: Position
    widened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


class Reach(Struct, frozen=True, kw_only=True):
    """What may connect from one domain to another, in words. Empty: nothing any more."""

    source: str
    destination: str
    connections: tuple[str, ...]


class ReachUpdate(Struct, frozen=True, kw_only=True):
    """What may connect between domains, as far as it changed; a pair that has no row may not connect.

    `unknown`: why nobody can tell at the moment; what was known last stays, and counts for nothing meanwhile.
    """

    pairs: tuple[Reach, ...] = ()
    is_whole: bool = False  # these are all pairs: whatever else is open in SQL has ended
    unknown: str = ""
    needs: tuple[str, ...] = ()  # inputs that it rests on


class Recording(Struct, frozen=True, kw_only=True):
    """One slice of facts of one cluster, folded and (if live) judged. `expected` = where SQL must stand: the fence."""

    partition: int
    cluster: str
    expected: Position | None
    position: Position
    at: datetime  # log time at the end of the slice
    revisions: tuple[Revision, ...] = ()
    evaluation: Evaluation | None = None
    vouched: tuple[Vouched, ...] = ()
    not_evaluated: tuple[Span, ...] = ()
    waivers: tuple[WaiverRow, ...] | None = None  # None = unchanged
    effects: tuple[PolicyEffect, ...] = ()
    reach: ReachUpdate | None = None  # None = unchanged


TRANSITIONS = ("opened", "changed", "resolved", "reopened", "waived", "unwaived")


class Transition(Struct, frozen=True, kw_only=True):
    """A finding's move. `transition`: opened, changed, resolved, reopened, waived, unwaived."""

    finding_id: str
    cluster: str
    domain: str
    control: str
    subject: str
    severity: str
    transition: str
    at: datetime
    sentence: str = ""
    reason: str = ""  # of a resolution: fixed or gone; of a waiver: its name


class Recorded(Struct, frozen=True, kw_only=True):
    """`was_ours`: this very recording had been committed before, only its answer was lost."""

    transitions: tuple[Transition, ...] = ()
    was_ours: bool = False


# --- flows -------------------------------------------------------------------------------------------------------


class SeenPath(Struct, frozen=True, kw_only=True):
    """A path seen in one batch: its identity and class, and how often."""

    path_id: str
    source: str
    destination: str
    source_domains: tuple[str, ...]
    destination_domains: tuple[str, ...]
    protocol: str
    port: int | None
    flow_class: FlowClass
    basis: str
    cause: str
    first_at: datetime
    last_at: datetime
    count: int


class WindowCount(Struct, frozen=True, kw_only=True):
    """Records of one path identity and class inside one window of time."""

    window_at: datetime
    path_id: str
    flow_class: FlowClass
    count: int


class FlowRecording(Struct, frozen=True, kw_only=True):
    """One flow batch, judged. `[start, end)` of `generation` is counted once, whatever comes twice."""

    partition: int
    cluster: str
    node: str
    source: str
    generation: str
    start: int
    end: int
    predecessor: str = ""
    predecessor_end: int = 0
    at: datetime  # the batch's append time
    paths: tuple[SeenPath, ...] = ()
    windows: tuple[WindowCount, ...] = ()
    records: int = 0
    indeterminate: int = 0
    unparsed: int = 0
    lost: int = 0


class FlowsRecorded(Struct, frozen=True, kw_only=True):
    """`counted` False: the whole span had been counted before."""

    counted: bool
    changed_paths: int = 0
    gap: bool = False


class OutboxRow(Struct, frozen=True, kw_only=True):
    """A path to be published as a fact: `version` is what is cleared after the acknowledgement."""

    path: SeenPath
    since: datetime
    version: int
    is_gone: bool = False
