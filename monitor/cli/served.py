"""What a part tells `segmon up` of its addresses: a file that is there when they answer."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct


class Served(Struct, frozen=True, kw_only=True):
    """Where a process really listens: with port 0 only it knows. `page` is empty where there is none."""

    metrics: str
    page: str = ""

    def write(self, file: Path) -> None:
        """All at once: who waits for the file reads no half of it."""
        partial = file.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(self))
        partial.replace(file)

    @classmethod
    def read(cls, file: Path) -> Served:
        return msgspec.json.decode(file.read_bytes(), type=cls)
