"""What stands before a kernel LOG line: who carried it, and when it was written.

Decides the record's time, and that the kernel wrote it: a line of another program that quotes a LOG line is none.
Trusts nothing: a stamp without a year, or counted from boot, gets its date from the arguments, never from a clock.
Source: RFC 3164, RFC 5424, journald's JSON, Documentation/ABI/testing/dev-kmsg (Linux), printk's `[seconds]`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec
from msgspec import Struct

MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
KERNEL = "kernel"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ISO = r"(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
_BSD = r"(?P<bsd>(?P<month>[A-Z][a-z]{2}) [ \d]?\d \d\d:\d\d:\d\d(?:\.\d{1,9})?)"
_TAG = r"(?P<tag>[^\s:\[]+)(?:\[\d+\])?: ?"
_SYSLOG = re.compile(rf"(?:<\d{{1,3}}>)?(?:{_ISO}|{_BSD}) (?P<host>\S+) {_TAG}(?P<rest>.*)", re.DOTALL)
_RFC5424 = re.compile(
    rf"<\d{{1,3}}>1 {_ISO} \S+ (?P<tag>\S+) \S+ \S+ (?:-|\[.*?\]) ?(?:\ufeff)?(?P<rest>.*)", re.DOTALL
)
_KMSG = re.compile(r"\d+,\d+,(?P<microseconds>\d{1,15}),[^;]*;(?P<rest>[^\n]*)", re.DOTALL)
_PRINTK = re.compile(
    r"(?:<\d{1,3}>)?\[ *(?P<seconds>\d{1,9})\.(?P<micros>\d{6})\](?:\[[TC] *\d+\])? ?(?P<rest>.*)", re.DOTALL
)
_LEVEL = re.compile(r"<\d{1,3}>")


class Reference(Struct, frozen=True, kw_only=True):
    """Times that a line itself does not hold.

    received_at: when it was read: the time of a line without a stamp, and the year of a stamp without one.
    booted_at: when the kernel's clock was zero. zone: of stamps without one, so the node's own.
    """

    received_at: datetime
    booted_at: datetime | None = None
    zone: tzinfo = UTC


class Opened(Struct, frozen=True):
    """A kernel message and its time."""

    at: datetime
    message: str


class NotTheKernel(Struct, frozen=True):
    """Another program's line."""


class Closed(Struct, frozen=True):
    """A header that cannot be read."""

    reason: str


class _Journal(Struct):
    """A line of `journalctl -o json`; numbers are written as text."""

    message: str = msgspec.field(name="MESSAGE")
    transport: str = msgspec.field(name="_TRANSPORT", default=KERNEL)
    realtime: str = msgspec.field(name="__REALTIME_TIMESTAMP", default="")
    source_realtime: str = msgspec.field(name="_SOURCE_REALTIME_TIMESTAMP", default="")


_journal = msgspec.json.Decoder(_Journal)


def opened(line: str, reference: Reference) -> Opened | NotTheKernel | Closed:
    """The kernel's message in this line, whatever carried it."""
    if line.startswith("{"):
        return _from_journal(line, reference)
    if found := _RFC5424.fullmatch(line) or _SYSLOG.fullmatch(line):
        return _from_syslog(found, reference)
    if found := _KMSG.fullmatch(line):
        return _since_boot(int(found["microseconds"]), found["rest"], reference)
    if found := _PRINTK.fullmatch(line):
        return _since_boot(int(found["seconds"]) * 1_000_000 + int(found["micros"]), found["rest"], reference)
    return Opened(reference.received_at, _LEVEL.sub("", line, count=1) if line.startswith("<") else line)


def _from_syslog(found: re.Match[str], reference: Reference) -> Opened | NotTheKernel | Closed:
    if found["tag"] != KERNEL:
        return NotTheKernel()
    at = _iso(found["iso"], reference) if found["iso"] else _nearest_year(found["bsd"], reference)
    if at is None:
        return Closed("time stamp that is no time")
    printk = _PRINTK.fullmatch(found["rest"])
    return Opened(at, printk["rest"] if printk else found["rest"])


def _from_journal(line: str, reference: Reference) -> Opened | NotTheKernel | Closed:
    try:
        entry = _journal.decode(line)
        if entry.transport != KERNEL:
            return NotTheKernel()
        stamp = entry.source_realtime or entry.realtime
        at = EPOCH + timedelta(microseconds=int(stamp)) if stamp else reference.received_at
    except (msgspec.DecodeError, ValueError, OverflowError):
        return Closed("JSON that is no journal entry")
    return Opened(at, entry.message)


def _since_boot(microseconds: int, message: str, reference: Reference) -> Opened | Closed:
    if reference.booted_at is None:
        return Closed("seconds since boot, and the time of the boot is not known")
    return Opened(reference.booted_at + timedelta(microseconds=microseconds), message)


def _iso(stamp: str, reference: Reference) -> datetime | None:
    stamp = re.sub(r"[.,](\d{1,9})", lambda found: f".{found[1][:6]:0<6}", stamp)
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=reference.zone)).astimezone(UTC)


def _nearest_year(stamp: str, reference: Reference) -> datetime | None:
    """RFC 3164 has no year: the one that lies nearest to the reading, so that a New Year's log is not a year off."""
    month, day, clock = stamp.split()
    number, rest = divmod(MONTHS.find(month), len(month))
    if number < 0 or rest:
        return None
    year = reference.received_at.astimezone(reference.zone).year
    candidates = [
        at
        for each in (year - 1, year, year + 1)
        if (at := _iso(f"{each}-{number + 1:02}-{int(day):02}T{clock}", reference))
    ]
    return min(candidates, key=lambda at: abs(at - reference.received_at), default=None)
