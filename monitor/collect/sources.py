"""What a log source gives: pieces of itself with the place they lie at.

Law 1: a place is (generation, position): a source that starts over (rotation, boot) gets a new generation, so a place
is never used twice for different lines.
Law 2: a piece is whole lines; the next piece begins where it ended, so a hole in the places is a hole in the evidence.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Place(Struct, frozen=True, kw_only=True):
    """Up to where a source was delivered. `length` = how long its generation was when last looked at."""

    generation: str
    position: int
    length: int = 0


class Line(Struct, frozen=True):
    """One line without its end. `end` = the position behind it."""

    end: int
    text: bytes


class Piece(Struct, frozen=True, kw_only=True):
    """Lines of `[start, end)`. `predecessor` is set on the first piece of a generation that follows another."""

    generation: str
    start: int
    end: int
    length: int
    lines: tuple[Line, ...] = ()
    predecessor: str = ""
    predecessor_end: int = 0
    lost: int = 0  # records the source itself says it dropped before this piece


NOT_BEGUN = "empty"
"""The generation of a source that has no line yet."""


class Source(Protocol):
    """One place where flow records come from. `read` does not wait: None = nothing new now."""

    name: str

    def read(self) -> Piece | None: ...

    def place(self) -> Place | None:
        """Where the next line will lie, though there may be none for long; None: there is nothing to read from."""

    def close(self) -> None: ...
