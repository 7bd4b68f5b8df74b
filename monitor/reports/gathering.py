"""From the record to a report: one consistent look, the whole period, everything that was in scope in it.

Law: no result without evidence. Time before the first evaluation, and time after the inputs were last vouched for, is
*not evaluated*. The same scope and record give the same report, whenever it is made. Domains are gathered one after
the other, so that a month of a large cluster fits in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection

from models.errors import CannotEvaluateError, UserError
from models.facts import ClusterInformation, FactKey, Kind
from monitor.compliance.catalogue import CONTROLS, digest
from monitor.reports import judging, reconciling, sharing, waiving, wording
from monitor.reports.content import Report, Result
from monitor.reports.files import Pack
from monitor.reports.telling import Sums, Telling
from monitor.store import connecting, periods, populations, queries
from monitor.store.periods import Scope

Progress = Callable[[int, int], None]
"""How many domains are done, of how many."""


def silent(_done: int, _of: int) -> None:
    """Nobody looks."""


class Making(Struct, frozen=True, kw_only=True):
    """The only things in a report that do not follow from the record."""

    at: datetime
    release: str


def gather(connection: Connection, scope: Scope, making: Making, pack: Pack, progress: Progress) -> Report:
    """All rows into the pack; returns what is said of the whole, and the manifest is written.

    UserError for a scope that cannot be; CannotEvaluateError where there is no evidence at all.
    """
    first = check(connection, scope, making.at)
    gathering = _Gathering(connection, scope, first, pack)
    gathering.rows(progress)
    return gathering.report(making)


def check(connection: Connection, scope: Scope, now: datetime) -> datetime:
    """The time of the first evidence, if the period can be reported on."""
    if scope.from_at >= scope.to_at:
        raise UserError(f"the period ends ({_time(scope.to_at)}) before it begins ({_time(scope.from_at)})")
    if scope.to_at > now + timedelta(minutes=1):
        raise UserError(
            f"the period ends in the future ({_time(scope.to_at)}, now is {_time(now)})\n"
            "       fix: end it now or earlier, or set the clock of this machine"
        )
    recorded = periods.log_time(connection, scope.cluster)
    if recorded and recorded > now + timedelta(minutes=1):
        raise UserError(
            f"the record of {scope.cluster} goes up to {_time(recorded)}, and now is {_time(now)}\n"
            "       fix: set the clock of this machine, or that of the broker"
        )
    first = periods.first_evidence(connection, scope.cluster)
    if first is None or first >= scope.to_at:
        since = f"the first is of {_time(first)}" if first else "none has been recorded yet"
        raise CannotEvaluateError(f"{scope.cluster} was not evaluated before {_time(scope.to_at)}: {since}")
    return first


def identity(scope: Scope) -> str:
    """The same scope has the same id: a second report of it is a new version of the first."""
    text = f"{scope.cluster}\x00{scope.domain}\x00{scope.from_at.isoformat()}\x00{scope.to_at.isoformat()}"
    return "R-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


class _Gathering:
    """One report being gathered."""

    def __init__(self, connection: Connection, scope: Scope, first: datetime, pack: Pack) -> None:
        self._connection = connection
        self._scope = scope
        self._first = first
        self._pack = pack
        self._telling = Telling(connection, scope, first)
        self._sums = Sums()

    def rows(self, progress: Progress) -> None:
        """All of them: changes, gaps, and domains in the order of their ids, whoever writes them."""
        count = len(self._telling.described)
        snapshot = connecting.exported(self._connection) if count >= sharing.MANY else ""
        if snapshot:
            self._shared(count, snapshot, progress)
        else:
            self._changes_and_gaps()
            with self._pack.domains():
                for number in range(count):
                    progress(number, count)
                    self._telling.domain(self._connection, self._pack, number, self._sums)
        progress(count, count)

    def _shared(self, count: int, snapshot: str, progress: Progress) -> None:
        untaken = sharing.Untaken(count)
        own = 0
        with sharing.helped(lambda: self._help(untaken, snapshot)) as helper:
            self._changes_and_gaps()
            with self._pack.domains():
                for number in untaken.from_front():
                    progress(untaken.taken, count)
                    self._telling.domain(self._connection, self._pack, number, self._sums)
                    own += 1
                self._sums.merge(helper.result())
                self._pack.join(range(own, count))

    def _changes_and_gaps(self) -> None:
        scope, counted = self._scope, self._sums.counted
        for change in self._pack.changes(periods.policy_changes(self._connection, scope)):
            counted.change(change)
        for gap in self._pack.gaps(queries.gaps(self._connection, scope.cluster, scope.from_at, scope.to_at)):
            counted.gap(gap)

    def _help(self, untaken: sharing.Untaken, snapshot: str) -> Sums:
        """In the other process: domains from the back, each into files of its own."""
        sums = Sums()
        with connecting.reading_forked(self._connection, snapshot) as connection:
            for number in untaken.from_back():
                with self._pack.part(number) as part:
                    self._telling.domain(connection, part, number, sums)
        return sums

    def report(self, making: Making) -> Report:
        scope, counted = self._scope, self._sums.counted
        comparison = self._telling.before.comparison(self._connection, self._sums.compared)
        report = Report(
            id=identity(scope),
            cluster=scope.cluster,
            domain=scope.domain,
            from_at=scope.from_at,
            to_at=scope.to_at,
            made_at=making.at,
            release=making.release,
            catalogue=digest(CONTROLS),
            calico_version=self._calico_version(),
            first_evidence_at=self._first,
            chain=periods.chain_at(self._connection, scope.cluster, scope.to_at),
            sentence=wording.sentence(scope, counted),
            results={result.value: counted.results[result] for result in Result},
            share=judging.share(counted.seconds),
            seconds=counted.seconds,
            gaps=counted.gaps,
            findings=counted.finding_counts(),
            comparison=comparison,
            population=reconciling.population(self._connection, scope),
            changes=counted.changes.count,
            evidence_gaps=counted.evidence_gaps.count,
            waivers=tuple(waiving.waivers(self._connection, scope, counted.uses)),
            limitations=wording.LIMITATIONS,
        )
        self._pack.finish(report, counted)
        return report

    def _calico_version(self) -> str:
        key = FactKey(self._scope.cluster, Kind.CLUSTER_INFORMATION, "", "default")
        fact = populations.state_of(self._connection, [key], self._scope.to_at).get(key)
        return fact.calico_version if isinstance(fact, ClusterInformation) else ""
