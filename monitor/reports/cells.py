"""Values as cells of a CSV file (RFC 4180), none of which a spreadsheet takes for a formula.

A cell is made once, however many rows it stands in, and a row is its cells joined: the csv module looks at every
character of every row again, which for a million rows took longer than reading them from the database (decision 0085).
A test holds what is written against the csv module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from types import NoneType
from typing import Any

import msgspec

_RISKY = frozenset("=+-@\t\r\n")


@lru_cache(maxsize=4096)  # most stand in many rows
def text(value: str) -> str:
    """One that a spreadsheet would take for a formula starts with an apostrophe instead."""
    if not value:
        return ""
    if value[0] in _RISKY:
        value = f"'{value}"
    if "," in value or '"' in value or "\n" in value or "\r" in value:
        return '"' + value.replace('"', '""') + '"'
    return value


def lines(values: Iterable[str]) -> str:
    """A list, one item a line."""
    return text("\n".join(values))


def time(at: datetime) -> str:
    """As JSON has it: ISO 8601, UTC."""
    told: str = msgspec.to_builtins(at)
    return told


def number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


_CELLS: dict[type, Callable[[Any], str]] = {
    str: text,
    NoneType: lambda _: "",
    datetime: time,
    float: number,
    int: str,
    tuple: lines,
    list: lines,
}


def row(values: Iterable[Any]) -> bytes:
    """A whole row, of values."""
    return joined([_CELLS[type(value)](value) for value in values])


def joined(cells: Iterable[str]) -> bytes:
    """A whole row, of cells."""
    return (",".join(cells) + "\r\n").encode()
