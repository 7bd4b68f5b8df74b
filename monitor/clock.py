"""The one module that reads the clock. Everything else takes its time as an argument (law 5)."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Wall-clock time, UTC-aware."""
    return datetime.now(UTC)  # noqa: TID251 - this is the module that may


def monotonic() -> float:
    """Seconds of a clock that never goes back; only differences mean anything."""
    return time.monotonic()  # noqa: TID251 - this is the module that may
