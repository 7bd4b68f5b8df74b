"""Which waiver a failing subject has. A waiver never turns fail into pass: the finding names it and stays."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase

from models.facts import Waiver


def active(waivers: Iterable[Waiver], at: datetime) -> list[Waiver]:
    """Granted and not expired, in the order of their names."""
    return sorted((each for each in waivers if each.granted_at <= at < each.expires_at), key=lambda each: each.name)


def waiver_of(control: str, subject: str, domains: Iterable[str], waivers: Iterable[Waiver]) -> str:
    """The name of the first active waiver that covers the subject; empty if there is none."""
    holding = set(domains)
    for each in waivers:
        is_there = not each.domain or each.domain in holding
        if each.control == control and is_there and (not each.subject or fnmatchcase(subject, each.subject)):
            return each.name
    return ""
