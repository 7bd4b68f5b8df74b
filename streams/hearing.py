"""Which log sources of one cluster and flows partition are heard, and which have gone silent; pure.

Law 1: a source is known from its first batch on; it is silent when nothing of it, not even a heartbeat, came for three
heartbeats. A source that said it ends is not missed.
Law 2: a source that was silent for 30 days is forgotten; when none is left, what was said is taken back.
Law 3: what is published changes only when a source comes, goes silent or is heard again: it re-enters the facts, where
every change is judged.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from models.facts import SilentSource, SourcesHeard

SILENT_AFTER = timedelta(seconds=45)  # three heartbeats of collect
SAID_AGAIN_AFTER = timedelta(seconds=60)
FORGOTTEN_AFTER = timedelta(days=30)  # as paths that are not seen any more


class Hearing:
    """Of one cluster in one flows partition. Times are those of the log."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._heard_at: dict[str, datetime] = {}
        self._ended: set[str] = set()
        self._said: SourcesHeard | None = None
        self._said_at: datetime | None = None

    def heard(self, source: str, *, at: datetime, ends: bool) -> None:
        """A batch or heartbeat came; `ends`: it said that it is the last."""
        self.remember(source, at=at)
        if ends:
            self._ended.add(source)
        else:
            self._ended.discard(source)

    def remember(self, source: str, *, at: datetime) -> None:
        """It was heard then."""
        self._heard_at[source] = max(at, self._heard_at.get(source, at))

    def forget(self, *, now: datetime) -> bool:
        """Let go of what was silent for too long. Whether nothing is left of which anything could be said."""
        self._heard_at = {name: at for name, at in self._heard_at.items() if now - at <= FORGOTTEN_AFTER}
        self._ended &= self._heard_at.keys()
        return not self._heard_at

    def to_say(self, *, now: datetime) -> SourcesHeard | None:
        """What to publish now, None if it was said and is not due."""
        silent = tuple(
            SilentSource(source=source, silent_seconds=round((now - heard_at).total_seconds()))
            for source, heard_at in sorted(self._heard_at.items())
            if source not in self._ended and now - heard_at > SILENT_AFTER
        )
        word = SourcesHeard(partition=self._partition, sources=len(self._heard_at), silent=silent)
        due = self._said_at is None or now - self._said_at >= SAID_AGAIN_AFTER
        if not self._heard_at or not (due or self._differs(word)):
            return None
        return word

    def said(self, word: SourcesHeard, *, at: datetime) -> None:
        """It was acknowledged."""
        self._said, self._said_at = word, at

    def _differs(self, word: SourcesHeard) -> bool:
        """Whether it says something else, the growing length of a silence apart."""
        former = self._said
        return (
            former is None
            or former.sources != word.sources
            or {each.source for each in former.silent} != {each.source for each in word.silent}
        )
