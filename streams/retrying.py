"""Doing something again until it works, inside the agent's body: this is the back-pressure.

Law 1: only what can pass is tried again; anything else is raised to the caller, who finds the fact to blame.
Law 2: a stop signal during a retry ends the process hard: unwinding the agent would acknowledge what was not recorded
(dependencies.md 1.1).
Law 3: work for a partition that was taken away is given up quietly: its new owner does it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from msgspec import Struct

T = TypeVar("T")

log = logging.getLogger(__name__)

PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)  # the last one repeats


class AbandonedError(Exception):
    """What this work was for is not ours any more."""


class Retrying(Struct, kw_only=True):
    """How one process tries again. `waiting` counts what is being retried now."""

    is_transient: Callable[[BaseException], bool]
    give_up: Callable[[str], NoReturn]  # ends the process hard
    stop: asyncio.Event
    on_error: Callable[[BaseException], None] = lambda _: None
    waiting: int = 0

    async def until_done(
        self, what: str, act: Callable[[], Awaitable[T]], *, still_ours: Callable[[], bool] = lambda: True
    ) -> T:
        attempt = 0
        while True:
            try:
                return await act()
            except Exception as error:
                self.on_error(error)
                if not self.is_transient(error):
                    raise
                log.warning("%s failed, attempt %d, trying again: %s", what, attempt + 1, _brief(error))
            await self._pause(what, PAUSES_SECONDS[min(attempt, len(PAUSES_SECONDS) - 1)])
            attempt += 1
            if not still_ours():
                raise AbandonedError(what)

    async def _pause(self, what: str, seconds: float) -> None:
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return
        finally:
            self.waiting -= 1
        self.give_up(f"stopped while {what} could not be done: left to the next owner")


def _brief(error: BaseException) -> str:
    """One line: drivers put statements and parameters on the following ones."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
