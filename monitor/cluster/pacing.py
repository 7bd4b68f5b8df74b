"""How often the API server is asked, whatever goes wrong: token buckets, and pauses that grow with every failure.

Law 1: the rate of requests is bounded by the buckets alone; pauses only make it lower.
Law 2: time and chance are given (`Pace`), so that a test can let hours pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from msgspec import Struct

from monitor import clock


class Pace(Struct, frozen=True, kw_only=True):
    """What waiting is made of. `chance` spreads the requests of many watches; it decides nothing else."""

    monotonic: Callable[[], float] = clock.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Random


class Bucket:
    """At most `burst` at once and one every `seconds_each` in the long run. Waits are served in order of arrival."""

    def __init__(self, pace: Pace, *, burst: int, seconds_each: float) -> None:
        self._pace = pace
        self._slack = (burst - 1) * seconds_each
        self._seconds_each = seconds_each
        self._booked_to = pace.monotonic() - self._slack - seconds_each

    async def take(self) -> None:
        """Returns when the next request may go out."""
        now = self._pace.monotonic()
        self._booked_to = max(self._booked_to + self._seconds_each, now - self._slack)
        if self._booked_to > now:
            await self._pace.sleep(self._booked_to - now)


class Backoff:
    """Pauses after failures in a row: doubled each time, jittered by half, capped."""

    def __init__(self, pace: Pace, *, first_seconds: float = 0.5, cap_seconds: float = 30.0) -> None:
        self._pace = pace
        self._first_seconds = first_seconds
        self._cap_seconds = cap_seconds
        self._failures = 0

    def succeeded(self) -> None:
        self._failures = 0

    async def pause(self, *, at_least: float = 0.0) -> None:
        """After one more failure. `at_least`: what the server asked for (Retry-After)."""
        ceiling = min(self._cap_seconds, self._first_seconds * 2 ** min(self._failures, 16))
        self._failures += 1
        seconds = ceiling * (0.5 + self._pace.chance.random() / 2)
        await self._pace.sleep(max(seconds, at_least))
