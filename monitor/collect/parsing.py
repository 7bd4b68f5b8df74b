"""Lines of a log to flow records, with the times that a line itself does not hold.

Trusts: this host's clock and zone, so a file must come from this host if its stamps lack a year or a zone.
"""

from __future__ import annotations

from datetime import timedelta

from models.flows import FlowRecord
from monitor import clock
from monitor.collect.batching import Parse, Parsed
from monitor.collect.sources import Line
from monitor.flows import loglines
from monitor.flows.log_headers import Reference
from monitor.flows.loglines import Malformed, NotALogLine

NOTHING = Parsed()


def log_lines(prefixes: tuple[str, ...]) -> Parse:
    """A parser of LOG lines whose prefix begins with one of these; empty = any."""

    def parse(line: Line) -> Parsed:
        match loglines.parse(line.text, _reference(), prefixes=prefixes):
            case FlowRecord() as record:
                return Parsed(record)
            case Malformed() as malformed:
                return Parsed(problem=malformed.reason)
            case NotALogLine():
                return NOTHING

    return parse


def _reference() -> Reference:
    """Now, when the kernel's clock was zero, and where this host says it is."""
    received_at = clock.now()
    return Reference(
        received_at=received_at,
        booted_at=received_at - timedelta(seconds=clock.monotonic()),
        zone=received_at.astimezone().tzinfo or Reference(received_at=received_at).zone,
    )
