"""What every command shares: settings from flags, output forms, logging."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from msgspec import Struct

from models.errors import UserError

if TYPE_CHECKING:
    from monitor.settings import Settings


DATABASE_FILE = "segmon.db"
"""Of the embedded mode, in its data folder."""


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Form(StrEnum):
    """Of an answer that is no list of rows."""

    TABLE = "table"
    JSON = "json"


class Common(Struct, frozen=True, kw_only=True):
    """The options before the command."""

    config: Path | None
    debug: bool


def loaded(ctx: typer.Context, flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings for a command. `flags`: dotted names (`kafka.bootstrap`) to values; None = not given."""
    from monitor import settings  # noqa: PLC0415 - pydantic costs start-up time that `explain` need not pay

    common: Common = ctx.obj
    nested: dict[str, Any] = {}
    for dotted, value in (flags or {}).items():
        if value is None:
            continue
        *sections, last = dotted.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return settings.load(common.config, nested)


def moment(text: str, flag: str) -> datetime:
    """A time that a person gave: UTC unless it says its zone. UserError names the flag."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{flag}: no time: {text!r}\n       fix: 2026-10-01 or 2026-10-01T08:00Z (UTC)") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def nearest(text: str, known: Iterable[str]) -> str:
    """The names that were perhaps meant, as the fix of an error; empty if none is near."""
    import difflib  # noqa: PLC0415 - only who mistyped pays for it

    near = difflib.get_close_matches(text, list(known), n=3, cutoff=0.5)
    return f"\n       fix: did you mean {' or '.join(near)}?" if near else ""


def emit(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Output) -> None:
    """Rows to stdout. JSON keeps every field of a row; table and CSV show `columns`."""
    match output:
        case Output.JSON:
            json.dump(list(rows), sys.stdout, indent=2, default=str, sort_keys=True)
            sys.stdout.write("\n")
        case Output.CSV:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([[spreadsheet_safe(row.get(column)) for column in columns] for row in rows])
        case Output.TABLE:
            sys.stdout.write(table([[_text(row.get(column)) for column in columns] for row in rows], columns))


def table(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """Aligned columns, two blanks apart; the last one may be as long as it likes."""
    heads = [column.replace("_", " ").upper() for column in columns]
    widths = [max([len(head), *(len(row[i]) for row in rows)]) for i, head in enumerate(heads)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    return "".join(line.rstrip() + "\n" for line in lines)


def _text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return printable(str(value))


def printable(text: str) -> str:
    """Control and direction marks that a cluster may put into a name do not reach the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def spreadsheet_safe(value: Any) -> str:
    """A cell that a spreadsheet would run starts with an apostrophe instead."""
    text = "" if value is None else printable(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
