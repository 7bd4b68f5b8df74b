"""What every enumeration of words has in common that is used as a key all the time."""

from __future__ import annotations

from enum import StrEnum


class Word(StrEnum):
    """Hashed as the text that it is equal to: an enum's own hash is not made in C."""

    __hash__ = str.__hash__
