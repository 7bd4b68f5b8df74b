"""What the source says of a cluster: every fact of every kind, and how far the source can be trusted about it.

Law 1: a kind is *seen* at the last moment for which its source vouches; between two such moments it is *unbroken* only
if no listing came between them and they are no more than 90 s apart.
Law 2: what `take` hands out and the freshness beside it belong together: a heartbeat made from them after the changes
were published vouches for nothing that is not in the log.
Calls return at once and belong to one event loop. Time is monotonic seconds, given by the caller.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct, field

from models.facts import FactKey, Kind, KindFreshness
from monitor.cluster.differences import ORDER, Change

BREAK_SECONDS = 90.0
"""Between two moments that a source vouches for (bookmarks come about once a minute)."""

OPENING_SECONDS = 30.0
"""A kind that was not listed within this time is left out of the first listing, and not readable."""

MOST_PENDING = 10_000
"""Changes that wait in order; above it, and whenever the broker was away, only the latest state of each key is kept."""

State = Literal["fresh", "not_served", "not_readable", "stale", "opening"]


class Taken(Struct, frozen=True, kw_only=True):
    """What is to be published: kinds listed anew, then changes in the order in which they came."""

    listed: frozenset[Kind] = frozenset()
    changes: tuple[Change, ...] = ()


class Freshness(Struct, frozen=True, kw_only=True):
    """Of one kind. Moments are monotonic; `stretch` counts the times without a break, 0 before the first."""

    state: State
    seen_at: float
    unbroken_since: float
    stretch: int
    reason: str = ""

    def at(self, kind: Kind, now: float) -> KindFreshness:
        return KindFreshness(
            kind=kind,
            state=self.state,
            seen_age_seconds=round(max(0.0, now - self.seen_at), 3),
            unbroken_age_seconds=round(max(0.0, now - self.unbroken_since), 3),
            reason=self.reason,
            stretch=self.stretch,
        )


class KindView:
    """One kind. Its source calls `listed`, `changed`, `seen`, `troubled` and `unreadable`."""

    def __init__(self, view: View, kind: Kind) -> None:
        self.kind = kind
        self.facts: dict[FactKey, bytes] = {}
        self.is_listed = False
        self.is_served = True
        self._view = view
        self._seen_at = self._unbroken_since = view.opened_at
        self._stretch = 0
        self._trouble = ""
        self._refusal = ""

    def listed(self, facts: Mapping[FactKey, bytes], *, is_served: bool = True) -> None:
        """All there is of this kind."""
        self.facts = dict(facts)
        self.is_listed, self.is_served = True, is_served
        self.broken()
        self.seen()
        self._view.note_listed(self.kind)

    def changed(self, key: FactKey, value: bytes | None) -> None:
        """One object; None = deleted. What is equal to what is known is no change."""
        if self.facts.get(key) == value:
            return
        if value is None:
            del self.facts[key]
        else:
            self.facts[key] = value
        self._view.note_changed(key)

    def seen(self) -> None:
        """The source vouches that all up to now is known."""
        now = self._view.now()
        if now - self._seen_at > BREAK_SECONDS:
            self.broken()
        self._seen_at = now
        self._trouble = self._refusal = ""

    def broken(self) -> None:
        """Some states of this kind were never seen, or never published."""
        self._unbroken_since = self._view.now()
        self._stretch += 1

    def troubled(self, reason: str) -> None:
        """One attempt failed; what is known stays good until it is stale."""
        self._trouble = reason

    def unreadable(self, reason: str) -> None:
        """We may not or cannot read it; what is known stays, and nothing vouches for it."""
        self._refusal = reason
        self._view.note_settled()

    @property
    def is_settled(self) -> bool:
        """Whether the first listing need not wait for it."""
        return self.is_listed or bool(self._refusal)

    def freshness(self, *, stale_seconds: float) -> Freshness:
        state, reason = self._state(stale_seconds)
        return Freshness(
            state=state,
            seen_at=self._seen_at,
            unbroken_since=self._unbroken_since,
            stretch=self._stretch,
            reason=reason,
        )

    def _state(self, stale_seconds: float) -> tuple[State, str]:
        now = self._view.now()
        if self._refusal:
            return "not_readable", self._refusal
        if not self.is_listed:
            if now - self._view.opened_at < OPENING_SECONDS:
                return "opening", self._trouble
            return "not_readable", self._trouble or f"could not be listed within {OPENING_SECONDS:.0f} s"
        if now - self._seen_at > stale_seconds:
            return "stale", self._trouble or f"nothing heard for {now - self._seen_at:.0f} s"
        return ("fresh" if self.is_served else "not_served"), ""


class _Pending(Struct):
    listed: set[Kind] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)


class View:
    """All kinds. `kinds[kind]` is what a source speaks to."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.opened_at = now()
        self.kinds = {kind: KindView(self, kind) for kind in ORDER}
        self._held: frozenset[Kind] = frozenset()
        self._pending = _Pending()
        self._most_pending = MOST_PENDING
        self._news = asyncio.Event()
        self._settling = asyncio.Event()

    def open(self, held: Iterable[Kind]) -> None:
        """Listing begins now. `held`: kinds that the log holds facts of."""
        self.opened_at = self.now()
        self._held = frozenset(held)

    def reopen(self, kinds: Iterable[Kind]) -> None:
        """These are being listed anew; until then they are left alone."""
        self.opened_at = self.now()
        for kind in kinds:
            self.kinds[kind].is_listed = False

    def has_facts(self, kind: Kind) -> bool:
        """Whether anything of this kind is known, here or in the log."""
        return kind in self._held or bool(self.kinds[kind].facts)

    def wanted(self, kinds: Iterable[Kind] = ORDER) -> dict[FactKey, bytes]:
        """Every fact of these kinds, as far as they are listed."""
        return {key: value for kind in kinds for key, value in self.kinds[kind].facts.items()}

    def value(self, key: FactKey) -> bytes | None:
        return self.kinds[key.kind].facts.get(key)

    def freshness(self, *, stale_seconds: float) -> dict[Kind, Freshness]:
        return {kind: view.freshness(stale_seconds=stale_seconds) for kind, view in self.kinds.items()}

    async def settled(self) -> None:
        """Until every kind is listed, or refused, or its time is over."""
        while not all(view.is_settled for view in self.kinds.values()):
            left = self.opened_at + OPENING_SECONDS - self.now()
            if left <= 0:
                return
            self._settling.clear()
            await _set(self._settling, within_seconds=left)

    async def news(self, *, within_seconds: float) -> None:
        """Until there is something to take, or the time is over."""
        await _set(self._news, within_seconds=within_seconds)

    def take(self) -> Taken:
        """What came since the last time."""
        listed = frozenset(self._pending.listed)
        changes = tuple(change for change in self._pending.changes if change.key.kind not in listed)
        taken = Taken(listed=listed, changes=changes)
        self._pending = _Pending()
        self._news.clear()
        return taken

    def put_back(self, taken: Taken) -> None:
        """It could not be published: from now on the latest state of each key counts."""
        self._pending.listed |= taken.listed
        self._pending.changes[:0] = taken.changes
        self._squash()
        self._news.set()

    def note_listed(self, kind: Kind) -> None:
        self._pending.listed.add(kind)
        self._news.set()
        self.note_settled()

    def note_changed(self, key: FactKey) -> None:
        """What holds of this key now is to be published."""
        self._pending.changes.append(Change(key, self.value(key)))
        if len(self._pending.changes) > self._most_pending:
            self._squash()
        self._news.set()

    def _squash(self) -> None:
        """Bound what waits: one state of each key. Who loses one on the way is not unbroken."""
        latest = {change.key: change for change in self._pending.changes}
        if len(latest) < len(self._pending.changes):
            counts = Counter(change.key for change in self._pending.changes)
            for kind in {key.kind for key, count in counts.items() if count > 1}:
                self.kinds[kind].broken()
        self._pending.changes = [Change(key, self.value(key)) for key in latest]
        self._most_pending = max(MOST_PENDING, 2 * len(latest))

    def note_settled(self) -> None:
        self._settling.set()

    def wake(self) -> None:
        """Something else than facts is to be looked at."""
        self._news.set()

    def broken(self) -> None:
        """States were overwritten before they could be published."""
        for view in self.kinds.values():
            view.broken()


async def _set(event: asyncio.Event, *, within_seconds: float) -> None:
    try:
        async with asyncio.timeout(within_seconds):
            await event.wait()
    except TimeoutError:
        return
