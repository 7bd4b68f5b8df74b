"""What the stream says of itself: listings begun and done, who writes, how fresh each kind is, which sources are heard.

Law 1: all times are log times; a heartbeat's ages count back from its own, which is as late as its way into the log was
long. Whether a kind was unbroken between two heartbeats is therefore read off the stretch they name, where both do.
Law 2: the latest begun(all) names the one writer; sync marks and heartbeats of any other do not count.
Law 3: what is not known to be fresh is not fresh. A kind that is open, unread, silent or of another cluster says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from msgspec import Struct, structs

from models.compliance import Input, Vouched
from models.facts import API_KINDS, STALE_AFTER, FactKey, Heartbeat, Kind, KindFreshness, Repair, SourcesHeard, Sync

ALL = "all"
OPEN_AT_MOST = timedelta(seconds=60)
USABLE = frozenset({"fresh", "not_served"})
"""States of an input that may be judged by."""

WATCHED = tuple(sorted(API_KINDS))

DECLARED = (Kind.DECLARATION, Kind.DECLARED_DOMAIN, Kind.WAIVER)
"""What people declare: where the watch says nothing of it, nothing is declared."""


class _Word(Struct, frozen=True):
    """What the watch last said of a kind, and of when: `seen_at` the latest, `unbroken_since` the earliest."""

    said: KindFreshness
    instance: str
    seen_at: datetime
    unbroken_since: datetime

    @property
    def stretch(self) -> tuple[str, int] | None:
        """None: of an earlier release, or before the first listing."""
        return (self.instance, self.said.stretch) if self.said.stretch else None


class _Heard(Struct):
    fact: SourcesHeard
    at: datetime
    unbroken_since: datetime


class Marks:
    """Of one cluster."""

    def __init__(self) -> None:
        self.has_synced = False  # a full listing has ended
        self._writer = ""
        self._open: dict[Kind, datetime] = {}
        self._words: dict[Kind, _Word] | None = None  # of the last heartbeat
        self._identity = ""
        self._refused = ""
        self._heard: dict[int, _Heard] = {}
        self._lost_keys = 0
        self._is_repairing = False  # a Repair was asked for after the last lost key
        self._is_relisting = False  # and a full listing has begun after that

    # Folding

    def sync(self, mark: Sync, at: datetime) -> None:
        if mark.phase == "begun":
            self._begun(mark, at)
        elif mark.instance == self._writer or not self._writer:
            self._done(mark)

    def _begun(self, mark: Sync, at: datetime) -> None:
        if mark.scope == ALL:
            self._writer = mark.instance
            self._open = dict.fromkeys(WATCHED, at)
            self._is_relisting = self._is_repairing
        elif mark.instance == self._writer:
            self._open[Kind(mark.scope)] = at

    def _done(self, mark: Sync) -> None:
        if mark.scope != ALL:
            self._open.pop(Kind(mark.scope), None)
            return
        self._writer = mark.instance  # the log may have been compacted down to this mark
        self._open = {}
        self.has_synced = True
        if self._is_relisting:
            self._lost_keys, self._is_repairing, self._is_relisting = 0, False, False

    def heartbeat(self, mark: Heartbeat | None, at: datetime) -> None:
        if mark is None:
            self._words = None
            return
        if self._writer and mark.instance != self._writer:
            return
        self._identity = self._identity or mark.cluster_uid
        if mark.cluster_uid != self._identity:
            self._refused = (
                f"facts of another cluster ({mark.cluster_uid}) came under this name, which is that of {self._identity}"
            )
            return
        self._refused = ""
        before = self._words or {}
        self._words = {said.kind: _word(said, mark.instance, at, before.get(said.kind)) for said in mark.kinds}

    def sources(self, key: FactKey, mark: SourcesHeard | None, at: datetime) -> None:
        partition = int(key.name)
        if mark is None:
            self._heard.pop(partition, None)
            return
        old = self._heard.get(partition)
        goes_on = old is not None and at - old.at <= STALE_AFTER and not old.fact.silent
        self._heard[partition] = _Heard(mark, at, old.unbroken_since if old and goes_on else at)

    def lost_key(self) -> None:
        """A record came whose key cannot be read: it may have been of anything."""
        self._lost_keys += 1
        self._is_repairing = self._is_relisting = False

    def repair(self, mark: Repair | None) -> None:
        self._is_repairing = self._lost_keys > 0 and mark is not None

    # Asking

    def blocked(self, at: datetime) -> str:
        """Why the cluster must not be judged now; empty if it may be."""
        if not self.has_synced:
            return "its first listing has not ended"
        opening = [kind for kind, since in self._open.items() if at - since <= OPEN_AT_MOST]
        return f"{len(opening)} kinds are being listed" if opening else ""

    def inputs(self, at: datetime, unread: Mapping[FactKey, str], nodes: frozenset[str]) -> dict[str, Vouched]:
        """Every input and how fresh it is. `nodes`: those that exist; the log of one that is gone is not missed."""
        found = {kind.value: self._kind(kind, at) for kind in WATCHED}
        found[Input.FLOWS.value] = self._flows(at, nodes)
        found |= {kind.value: self._declared(kind, at) for kind in DECLARED}
        for name, reason in self._unreadable(unread):
            found[name] = Vouched(input=name, seen_at=None, unbroken_since=None, state="not_readable", reason=reason)
        return found

    def silent_sources(self, nodes: frozenset[str]) -> list[str]:
        return sorted(
            each.source
            for heard in self._heard.values()
            for each in heard.fact.silent
            if not nodes or "@" not in each.source or each.source.rpartition("@")[2] in nodes
        )

    def _unreadable(self, unread: Mapping[FactKey, str]) -> Iterator[tuple[str, str]]:
        """Kinds of which a fact cannot be read, and all of them while a key cannot."""
        if self._lost_keys:
            reason = f"{self._lost_keys} facts came whose key cannot be read: run `segmon dead replay`"
            yield from ((name, reason) for name in (*(kind.value for kind in WATCHED), Input.FLOWS.value))
        if self._refused:
            yield from ((kind.value, self._refused) for kind in WATCHED)
        for key in sorted(unread, reverse=True):  # the first one of a kind is said last and stays
            is_of_flows = key.kind in {Kind.OBSERVED_PATH, Kind.SOURCES_HEARD}
            name = Input.FLOWS.value if is_of_flows else key.kind.value
            yield name, f"{key.text()} cannot be read: {unread[key]}"

    def _kind(self, kind: Kind, at: datetime) -> Vouched:
        opened_at = self._open.get(kind)
        if self._words is None:
            return _never(kind.value, "the watch has not been heard")
        if (word := self._words.get(kind)) is None:
            return _never(kind.value, "the watch does not read it")
        state, reason = _state(word, at)
        if opened_at is not None:
            state, reason = "opening", f"its listing, begun at {opened_at:%H:%M:%S}, has not ended"
        return Vouched(
            input=kind.value, seen_at=word.seen_at, unbroken_since=word.unbroken_since, state=state, reason=reason
        )

    def _declared(self, kind: Kind, at: datetime) -> Vouched:
        if kind not in (self._words or {}):
            return Vouched(input=kind.value, seen_at=None, unbroken_since=None)
        return self._kind(kind, at)

    def _flows(self, at: datetime, nodes: frozenset[str]) -> Vouched:
        name = Input.FLOWS.value
        if not self._heard:
            return _never(name, "no log source has been heard")
        seen_at = min(heard.at for heard in self._heard.values())
        state, reason = "fresh", ""
        if at - seen_at > STALE_AFTER:
            state, reason = "stale", f"nothing was heard of log sources since {seen_at:%H:%M:%S}"
        elif silent := self.silent_sources(nodes):
            state, reason = "stale", f"silent log sources: {', '.join(silent)}"
        unbroken_since = max(heard.unbroken_since for heard in self._heard.values())
        return Vouched(input=name, seen_at=seen_at, unbroken_since=unbroken_since, state=state, reason=reason)


def _never(name: str, reason: str) -> Vouched:
    return Vouched(input=name, seen_at=None, unbroken_since=None, state="not_readable", reason=reason)


def _word(said: KindFreshness, instance: str, at: datetime, before: _Word | None) -> _Word:
    """Ages give times that are late by the heartbeat's way into the log. One stretch goes on whatever they say, and
    another begins behind what was seen of the one before, however short the break was.
    """
    seen_at, since = (at - timedelta(seconds=age) for age in (said.seen_age_seconds, said.unbroken_age_seconds))
    word = _Word(said, instance, max(seen_at, before.seen_at) if before else seen_at, since)
    if before is None or before.stretch is None or word.stretch is None:
        return word
    if word.stretch == before.stretch:
        return structs.replace(word, unbroken_since=min(since, before.unbroken_since))
    return structs.replace(word, unbroken_since=max(since, before.seen_at + timedelta.resolution))


def _state(word: _Word, at: datetime) -> tuple[str, str]:
    said = word.said
    if said.state in USABLE and at - word.seen_at > STALE_AFTER:
        return "stale", f"not seen since {word.seen_at:%H:%M:%S}"
    return said.state, said.reason or ("" if said.state in USABLE else f"the watch says {said.state}")
