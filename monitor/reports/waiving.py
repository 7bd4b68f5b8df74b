"""Waivers of a period, as they were declared then, and what they were used for.

Read off the revisions of what people declared: a waiver that was edited later does not change an older report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from msgspec import Struct, structs
from sqlalchemy import Connection

from models import wire
from models.facts import FactKey, Kind, Waiver
from monitor.reports.content import Finding, WaiverUse
from monitor.store import periods, populations
from monitor.store.periods import Scope


class Used(Struct):
    """Counted while findings pass."""

    findings: int = 0
    microseconds: int = 0  # whole, so that their sum does not hang on their order
    still_failing: int = 0


class Uses:
    """By waiver."""

    def __init__(self) -> None:
        self._used: dict[str, Used] = {}

    def add(self, finding: Finding) -> None:
        for name, seconds in finding.waived_seconds.items():
            used = self._of(name)
            used.findings += 1
            used.microseconds += round(seconds * 1_000_000)
        if finding.lapsed and finding.state == "open":
            self._of(finding.lapsed).still_failing += 1

    def merge(self, other: Uses) -> None:
        for name, theirs in other._used.items():
            used = self._of(name)
            used.findings += theirs.findings
            used.microseconds += theirs.microseconds
            used.still_failing += theirs.still_failing

    def _of(self, name: str) -> Used:
        return self._used.setdefault(name, Used())

    def of(self, name: str) -> Used:
        return self._used.get(name, Used())


def waivers(connection: Connection, scope: Scope, uses: Uses) -> list[WaiverUse]:
    """Every version that was declared at some moment of the period, by name, then time."""
    names = periods.waiver_names(connection, scope.cluster)
    keys = [FactKey(scope.cluster, Kind.WAIVER, "", name) for name in names]
    versions: dict[str, list[tuple[datetime, bytes | None]]] = {}
    for row in populations.revisions_of(connection, keys, scope.to_at):
        versions.setdefault(row.key, []).append((row.at, row.raw))
    found = [use for key in sorted(versions) for use in _declared(versions[key], scope, uses)]
    return [each for each in found if not scope.domain or each.domain in {"", scope.domain}]


def _declared(versions: list[tuple[datetime, bytes | None]], scope: Scope, uses: Uses) -> Iterable[WaiverUse]:
    ends = [*(at for at, _ in versions[1:]), None]
    for (at, raw), end in zip(versions, ends, strict=True):
        waiver = None if raw is None else wire.decode_fact(raw)
        if isinstance(waiver, Waiver) and (end is None or end > scope.from_at):
            yield _use(waiver, at, end, scope, uses)


def _use(waiver: Waiver, at: datetime, end: datetime | None, scope: Scope, uses: Uses) -> WaiverUse:
    said: Mapping[str, object] = structs.asdict(waiver)
    used = uses.of(waiver.name)
    times = {name: value.astimezone(UTC) for name, value in said.items() if isinstance(value, datetime)}
    return WaiverUse(
        **{**said, **times},  # type: ignore[arg-type]  # the same fields
        declared_at=at,
        withdrawn_at=end,
        findings=used.findings,
        seconds=used.microseconds / 1_000_000,
        still_failing=used.still_failing,
        remarks=tuple(_remarks(waiver, used, scope)),
    )


def _remarks(waiver: Waiver, used: Used, scope: Scope) -> Iterable[str]:
    if used.still_failing:
        yield f"expired or withdrawn, and {used.still_failing} of what it covered still failed at the end"
    elif waiver.expires_at <= scope.from_at:
        yield "expired before the period"
    elif waiver.expires_at < scope.to_at:
        yield "expired in the period"
    if not used.findings:
        yield "covered nothing in the period"
    if not waiver.domain and not waiver.subject:
        yield "wide: every subject of every domain"
    elif waiver.subject in {"", "*"}:
        yield "wide: every subject of the domain"
    if waiver.requester == waiver.approver:
        yield "requested and approved by the same person"
