"""Whether a process is alive (it makes progress) and ready (it can answer).

Law: an answer over HTTP proves nothing. Not alive = there is work, the database is reachable, and no position moved
for a while (architecture.md section 6); a process that waits for its database is alive.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

UNSCRAPED_SECONDS = 300.0
"""Longer than any usual interval of scrapes."""


class Health(Struct):
    """Filled by the loops of the process; read by /livez and /readyz. Times are monotonic seconds."""

    moved_at: float = 0.0  # when a position last moved, or there was nothing to do
    lag: int = 0
    is_database_reachable: bool = True
    scraped_at: float | None = None  # when /metrics was last asked for
    waiting_for: dict[str, str] = field(default_factory=dict)  # what is not ready yet -> why

    def moved(self, *, at: float) -> None:
        self.moved_at = at

    def scraped(self, *, at: float) -> None:
        self.scraped_at = at

    def wait(self, what: str, why: str) -> None:
        self.waiting_for[what] = why

    def arrived(self, what: str) -> None:
        self.waiting_for.pop(what, None)

    def stuck_for(self, *, at: float) -> float:
        """Seconds without progress although there was work and a database; 0.0 otherwise."""
        if self.lag <= 0 or not self.is_database_reachable:
            return 0.0
        return max(0.0, at - self.moved_at)


def liveness(health: Health, *, at: float, limit_seconds: float) -> tuple[bool, str]:
    stuck = health.stuck_for(at=at)
    if stuck > limit_seconds:
        return False, f"no position moved for {stuck:.0f} s with {health.lag} records waiting"
    return True, "alive"


def readiness(health: Health) -> tuple[bool, str]:
    if health.waiting_for:
        return False, "; ".join(f"{what}: {why}" for what, why in sorted(health.waiting_for.items()))
    return True, "ready"


def problems(health: Health, *, at: float, limit_seconds: float) -> tuple[str, ...]:
    """What people should know of this process, in words for the status page.

    Who never was scraped is a trial; who was and is no more has lost its Prometheus, and with it its alerts.
    """
    told = []
    is_alive, why = liveness(health, at=at, limit_seconds=limit_seconds)
    if not is_alive:
        told.append(f"this worker is stuck: {why}")
    if health.scraped_at is not None and (silent := at - health.scraped_at) > UNSCRAPED_SECONDS:
        told.append(
            f"metrics have not been scraped for {silent / 60:.0f} min: Prometheus may be away, and with it the alerts"
        )
    return tuple(told)


Probe = Callable[[], tuple[bool, str]]
