"""When a changed file is taken: files are written in place or moved into place, and half a file must not count.

Law 1: what has a new inode was moved into place (or is new): taken when two looks found it unchanged. What was written
in place is taken when it was left alone for a second. Law 2: a file that is gone is gone at once; under another name it
is taken in that same look, or a renaming would delete for a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

IN_PLACE_SECONDS = 1.0
POLL_SECONDS = 0.5


class Signature(Struct, frozen=True):
    """What changes with a file's content."""

    inode: int
    modified_ns: int
    size: int

    @classmethod
    def of(cls, file: Path) -> Signature:
        found = file.stat()
        return cls(found.st_ino, found.st_mtime_ns, found.st_size)


class _Candidate(Struct, frozen=True):
    signature: Signature
    since: float


class Settling:
    """Of a set of files by name."""

    def __init__(self) -> None:
        self._taken: dict[str, Signature] = {}
        self._candidates: dict[str, _Candidate] = {}
        self._is_first = True

    def look(self, found: Mapping[str, Signature], *, at: float) -> tuple[list[str], list[str]]:
        """Files to read now, and files that are gone. The first look takes everything. `at`: monotonic seconds."""
        gone = [name for name in self._taken if name not in found]
        moved = {self._taken.pop(name) for name in gone}
        ready = [name for name, signature in found.items() if signature in moved or self._is_ready(name, signature, at)]
        self._taken.update((name, found[name]) for name in ready)
        self._candidates = {name: kept for name, kept in self._candidates.items() if name in found}
        self._is_first = False
        return ready, gone

    def _is_ready(self, name: str, signature: Signature, at: float) -> bool:
        taken = self._taken.get(name)
        if self._is_first or taken == signature:
            self._candidates.pop(name, None)
            return self._is_first
        candidate = self._candidates.get(name)
        if candidate is None or candidate.signature != signature:
            self._candidates[name] = _Candidate(signature, at)
            return False
        is_in_place = taken is not None and taken.inode == signature.inode
        if is_in_place and at - candidate.since < IN_PLACE_SECONDS:
            return False
        del self._candidates[name]
        return True
