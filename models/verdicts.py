"""A verdict is its trace: what was met, in order; allow or deny is read off its end.

Source of the trace's form: Calico's flow-log policy strings (policy_semantics.md 19.2).
None of these can be part of a cycle, and there are hundreds of thousands: the collector is told to pass them by.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from models.words import Word


class Direction(Word):
    INGRESS = "ingress"
    EGRESS = "egress"


class Decision(StrEnum):
    """What a trace ends in. UNKNOWN: the inputs do not settle it; the verdict names what is missing."""

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"


class Hit(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One thing met on the way. `rule` -1 = end of tier, attributed to the tier's first policy (8.5)."""

    tier: str  # __PROFILE__ for profiles
    kind: str  # a policy Kind, or "Profile"
    namespace: str = ""
    name: str = ""
    action: str  # allow, deny, pass
    rule: int
    is_staged: bool = False


class LogHit(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A Log rule met on the way, at its first match."""

    tier: str
    kind: str
    namespace: str = ""
    name: str = ""
    rule: int


class Verdict(Struct, frozen=True, kw_only=True, gc=False):
    """One direction at one endpoint. An endpoint whose profiles decide nothing is denied with an empty end."""

    decision: Decision
    trace: tuple[Hit, ...] = ()
    logs: tuple[LogHit, ...] = ()
    unknown_because: tuple[str, ...] = ()  # which missing inputs keep it from being settled


class Connection(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, cache_hash=True):
    """The first packet of a connection. None = not known (20.4), which may leave a verdict UNKNOWN."""

    source_address: str
    destination_address: str
    protocol: int  # IANA number
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


class FlowVerdict(Struct, frozen=True, kw_only=True, gc=False):
    """Both sides of a connection, enforced and pending. A side that is no endpoint is None and imposes nothing."""

    egress: Verdict | None = None
    ingress: Verdict | None = None
    egress_pending: Verdict | None = None
    ingress_pending: Verdict | None = None

    @property
    def decision(self) -> Decision:
        return _joined(self.egress, self.ingress)

    @property
    def pending(self) -> Decision:
        return _joined(self.egress_pending, self.ingress_pending)


def _joined(egress: Verdict | None, ingress: Verdict | None) -> Decision:
    decisions = {verdict.decision for verdict in (egress, ingress) if verdict is not None}
    if Decision.DENY in decisions:
        return Decision.DENY
    return Decision.UNKNOWN if Decision.UNKNOWN in decisions else Decision.ALLOW
