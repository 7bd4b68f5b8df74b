"""A growing log file, followed by name over rotation (rename or copy-and-truncate).

A generation is the inode and a fingerprint of the first line: an inode is used again for another file sooner or later,
and a truncated file keeps it. A file without a complete first line has no generation of its own yet and is not read.
After a restart the rest of a rotated file is read under its new name, if it is still there uncompressed; if not, the
new file's first piece tells how long the former one was when last looked at, and match records the gap.
Known limit: a truncated file whose first line equals the former one, byte for byte, is not told apart from it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from io import FileIO
from pathlib import Path

from msgspec import Struct

from models.errors import UserError
from monitor.collect.sources import NOT_BEGUN, Line, Piece, Place

PIECE_BYTES = 64 * 1024  # some hundred LOG lines: one message
LINE_BYTES = 8 * 1024  # printk cuts at 1 KiB; what is longer is no LOG line, and is cut here
FINGERPRINT_BYTES = 1024
COMPRESSED = {".gz", ".xz", ".zst", ".bz2"}


class FileSourceError(UserError):
    """A log file that cannot be read; the message names it and the fix."""


class _Open(Struct, kw_only=True):
    """A file being read. `position` is behind the last line that was given."""

    file: FileIO
    generation: str
    fingerprint: str
    position: int = 0
    predecessor: str = ""
    predecessor_end: int = 0

    @property
    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    @property
    def changed_at(self) -> int:
        return os.fstat(self.file.fileno()).st_mtime_ns

    @property
    def was_truncated(self) -> bool:
        """Shorter than what was read, or begun anew and grown past it."""
        return self.size < self.position or _fingerprint(self.file) != self.fingerprint

    def place(self) -> Place:
        return Place(generation=self.generation, position=self.position, length=self.size)


class FileSource:
    """Follows `path` from `place` on (None = from its beginning)."""

    def __init__(self, path: Path, *, name: str, place: Place | None) -> None:
        self.name = name
        self._path = path
        self._resume = place if place and place.generation != NOT_BEGUN else None
        self._open: _Open | None = None

    def read(self) -> Piece | None:
        if self._open is None:
            self._open = self._first()
        if self._open is None:
            return None
        if not self._open.was_truncated and (piece := _piece(self._open)):
            return piece
        return self._follow(self._open)

    def place(self) -> Place | None:
        """A file that is there and has no complete line yet is heard all the same; one that is not there is not."""
        if self._open is not None:
            return self._open.place()
        if not self._path.exists():
            return None
        return self._resume or Place(generation=NOT_BEGUN, position=0)

    def close(self) -> None:
        if self._open is not None:
            self._open.file.close()
            self._open = None

    def _first(self) -> _Open | None:
        """Where to begin: in the generation of the place to resume from, under whatever name it has now."""
        current, place = self._current(), self._resume
        if place is None or current is None:
            return current
        if current.generation == place.generation:
            current.position = place.position
            return current
        if rotated := self._rotated(place):
            current.file.close()
            return rotated
        # Of the former generation `length` bytes were seen; what match has not recorded of them is a gap.
        current.predecessor, current.predecessor_end = place.generation, place.length
        return current

    def _follow(self, old: _Open) -> Piece | None:
        """Nothing more in the open file: go over to the one that was written after it, if there is one."""
        new = (self._rotated(old.place()) if old.was_truncated else None) or self._successor(old)
        if new is None:
            return None
        # The writer may have added lines between our last read and the rename that we see now.
        if not old.was_truncated and (rest := _piece(old)):
            new.file.close()
            return rest
        if new.generation != old.generation:
            new.predecessor, new.predecessor_end = old.generation, old.position
        old.file.close()
        self._open = new
        return _piece(new)

    def _current(self) -> _Open | None:
        """The file that has the name now; None between a rename and the new file."""
        try:
            return _opened(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileSourceError(f"cannot read log file {self._path}: {error.strerror}") from error

    def _rotated(self, place: Place) -> _Open | None:
        """The former file, renamed or copied (another inode, the same first line), with what was not yet read of it."""
        fingerprint = place.generation.rpartition("-")[2]
        for found in self._siblings():
            if found.fingerprint == fingerprint and found.size >= place.position:
                found.generation, found.position = place.generation, place.position
                return found
            found.file.close()
        return None

    def _successor(self, old: _Open) -> _Open | None:
        """The next newer file: more than one rotation may have passed while nobody read."""
        found = [*self._siblings(), *filter(None, [self._current()])]
        newer = [each for each in found if each.fingerprint != old.fingerprint and each.changed_at >= old.changed_at]
        if old.was_truncated:
            newer = [each for each in newer if each.generation.startswith(f"{_inode(old.file)}-")]
        chosen = min(newer, key=lambda each: each.changed_at, default=None)
        for each in found:
            if each is not chosen:
                each.file.close()
        return chosen

    def _siblings(self) -> Iterator[_Open]:
        """Rotated files in the same folder (kern.log.1, kern.log-20260801)."""
        for path in sorted(self._path.parent.glob(f"{self._path.name}[.-]*")):
            if path.suffix in COMPRESSED:
                continue
            try:
                found = _opened(path)
            except OSError:
                continue  # removed or made unreadable since it was listed
            if found:
                yield found


def _opened(path: Path) -> _Open | None:
    file = FileIO(path, "rb")
    fingerprint = _fingerprint(file)
    if not fingerprint:
        file.close()
        return None
    return _Open(file=file, generation=f"{_inode(file)}-{fingerprint}", fingerprint=fingerprint)


def _inode(file: FileIO) -> str:
    return f"{os.fstat(file.fileno()).st_ino:x}"


def _fingerprint(file: FileIO) -> str:
    """Of the first line; empty while there is none."""
    head = os.pread(file.fileno(), FINGERPRINT_BYTES, 0)
    first, newline, _ = head.partition(b"\n")
    if not newline and len(head) < FINGERPRINT_BYTES:
        return ""
    return sha256(first).hexdigest()[:16]


def _piece(current: _Open) -> Piece | None:
    """The next whole lines; moves the position."""
    data = os.pread(current.file.fileno(), PIECE_BYTES, current.position)
    start = current.position
    lines = tuple(_lines(data, start))
    if not lines:
        return None
    current.position = lines[-1].end
    piece = Piece(
        generation=current.generation,
        start=start,
        end=current.position,
        length=current.size,
        lines=lines,
        predecessor=current.predecessor,
        predecessor_end=current.predecessor_end,
    )
    current.predecessor, current.predecessor_end = "", 0
    return piece


def _lines(data: bytes, start: int) -> Iterator[Line]:
    """Whole lines; a line without an end is given in cuts once it is too long to be one."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at, at + LINE_BYTES)
        if end >= 0:
            yield Line(start + end + 1, data[at:end])
            at = end + 1
        elif len(data) - at >= LINE_BYTES:
            at += LINE_BYTES
            yield Line(start + at, data[at - LINE_BYTES : at])
        else:
            return
