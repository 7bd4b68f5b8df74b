"""The kernel's own log, `/dev/kmsg`: records with sequence numbers since boot.

A generation is the boot id; positions are sequence numbers. The kernel overwrites its oldest records: a reader that
comes too late gets EPIPE, and the next sequence number tells how many it lost.
Source of the format: Documentation/ABI/testing/dev-kmsg in the Linux kernel ("prefix,seq,usec,flags;text").
"""

from __future__ import annotations

import os
from pathlib import Path

from monitor.collect.files import FileSourceError
from monitor.collect.sources import Line, Piece, Place

DEVICE = Path("/dev/kmsg")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
RECORD_BYTES = 8192  # the kernel refuses (EINVAL) a smaller buffer than the record
PIECE_RECORDS = 500


class KmsgSource:
    """Follows the kernel log from `place` on (None, or of another boot: from the oldest record there is)."""

    def __init__(self, *, name: str, place: Place | None, device: Path = DEVICE) -> None:
        self.name = name
        self._generation = BOOT_ID.read_text().strip()
        self._predecessor = place if place and place.generation != self._generation else None
        # None: nothing says where we stand, so nothing can be missing before the first record.
        self._next = place.position if place and place.generation == self._generation else None
        try:
            self._file = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise FileSourceError(
                f"cannot read {device}: {error.strerror}; run as root or with CAP_SYSLOG, or collect from a file"
            ) from error

    def read(self) -> Piece | None:
        lines: list[Line] = []
        start, lost = self._next, 0
        while len(lines) < PIECE_RECORDS and (record := self._record()):
            number, line = record
            if self._next is not None and number < self._next:
                continue  # delivered before the restart
            lost += number - self._next if self._next is not None else 0
            start = number if start is None else start
            self._next = number + 1
            lines.append(line)
        if not lines or start is None or self._next is None:
            return None
        predecessor, self._predecessor = self._predecessor, None
        return Piece(
            generation=self._generation,
            start=start,
            end=self._next,
            length=self._next,
            lines=tuple(lines),
            predecessor=predecessor.generation if predecessor else "",
            predecessor_end=predecessor.length if predecessor else 0,
            lost=lost,
        )

    def place(self) -> Place | None:
        return None if self._next is None else Place(generation=self._generation, position=self._next)

    def close(self) -> None:
        os.close(self._file)

    def _record(self) -> tuple[int, Line] | None:
        while True:
            try:
                raw = os.read(self._file, RECORD_BYTES)
            except BlockingIOError:
                return None
            except BrokenPipeError:
                continue  # overwritten: the next number says how many
            return _numbered(raw) if raw else None


def _numbered(raw: bytes) -> tuple[int, Line]:
    """The sequence number and the record as one line: what follows are continuation lines, not the message."""
    number = int(raw.split(b",", 2)[1])
    return number, Line(number + 1, raw.partition(b"\n")[0])
