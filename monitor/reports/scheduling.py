"""Which periods a schedule's reports cover: days, weeks from Monday, months, all in UTC, where every day has 24 hours.

Periods that nobody made a report of (cron was off, the database was away) are made up for, oldest first; the first run
of a schedule begins with the last period that is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

Period = tuple[datetime, datetime]
"""From included, to excluded."""

CATCH_UP = 31
"""Missed periods of one schedule that one run makes up for; the next run goes on."""


class Schedule(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"  # Monday to Monday
    MONTHLY = "monthly"


def due(schedule: Schedule, made_until: datetime | None, now: datetime) -> list[Period]:
    """Periods that are over and have no report, oldest first. `made_until`: the end of the last one that has."""
    begin, end = last_period(schedule, now)
    if made_until is None:
        return [(begin, end)]
    found: list[Period] = []
    while made_until < end and len(found) < CATCH_UP:
        found.append((made_until, _end(schedule, made_until)))
        made_until = found[-1][1]
    return found


def last_period(schedule: Schedule, now: datetime) -> Period:
    """The last one that is over."""
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


def _end(schedule: Schedule, begin: datetime) -> datetime:
    match schedule:
        case Schedule.DAILY:
            return begin + timedelta(days=1)
        case Schedule.WEEKLY:
            return begin + timedelta(days=7)
        case Schedule.MONTHLY:
            return (begin + timedelta(days=31)).replace(day=1)
