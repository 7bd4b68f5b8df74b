"""Which period a schedule's report covers: the last one that is over, in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum


class Schedule(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"  # Monday to Monday
    MONTHLY = "monthly"


def last_period(schedule: Schedule, now: datetime) -> tuple[datetime, datetime]:
    """From included, to excluded."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match schedule:
        case Schedule.DAILY:
            return today - timedelta(days=1), today
        case Schedule.WEEKLY:
            monday = today - timedelta(days=today.weekday())
            return monday - timedelta(days=7), monday
        case Schedule.MONTHLY:
            first = today.replace(day=1)
            return (first - timedelta(days=1)).replace(day=1), first
