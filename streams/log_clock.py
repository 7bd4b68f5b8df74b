"""What time it is by the broker's clock, without reading one: the log tells, and monotonic seconds carry it on.

Law: `now` is never ahead of the broker's clock. A record's time was reached when we saw the record, so every record and
every acknowledgement gives a lower bound, and the greatest of them is the answer (architecture.md section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


class LogClock:
    """One per process. `monotonic` is the clock it is carried on by."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._ahead_seconds: float | None = None  # of the broker's clock over the monotonic one

    def saw(self, timestamp_ms: int) -> None:
        """A record, or an acknowledgement, with this time was seen just now."""
        ahead = timestamp_ms / 1000 - self._monotonic()
        if self._ahead_seconds is None or ahead > self._ahead_seconds:
            self._ahead_seconds = ahead

    def now(self) -> datetime | None:
        """None before anything was seen."""
        if self._ahead_seconds is None:
            return None
        return datetime.fromtimestamp(self._monotonic() + self._ahead_seconds, UTC)
