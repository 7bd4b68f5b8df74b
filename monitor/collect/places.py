"""Where a collector remembers how far it delivered each source: its own file, or (embedded) the database's word.

Trusts nothing in the file: one that cannot be read is an error with the fix, because starting over would be a flood of
lines already counted, and going on in silence a gap nobody sees.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import msgspec

from models.errors import UserError
from monitor.collect.sources import Place


class PlacesError(UserError):
    """A checkpoint file that cannot be used."""


class Places(Protocol):
    def of(self, source: str) -> Place | None: ...

    def delivered(self, source: str, place: Place) -> None:
        """Remember a place whose lines the broker has acknowledged."""


class PlacesFile:
    """One JSON file, replaced whole, so that a crash leaves the former one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = self._loaded()

    def of(self, source: str) -> Place | None:
        return self._places.get(source)

    def delivered(self, source: str, place: Place) -> None:
        self._places[source] = place
        partial = self._path.with_name(self._path.name + ".partial")
        try:
            with partial.open("wb") as file:
                file.write(msgspec.json.encode(self._places))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            raise PlacesError(
                f"cannot write checkpoint {self._path}: {error.strerror}; see collect.checkpoint"
            ) from error

    def _loaded(self) -> dict[str, Place]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Place])
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise PlacesError(
                f"cannot read checkpoint {self._path}: {error.strerror}; see collect.checkpoint"
            ) from error
        except msgspec.DecodeError as error:
            raise PlacesError(
                f"checkpoint {self._path} is damaged ({error}); remove it to read every source from its beginning, "
                "lines already counted are not counted again"
            ) from error


class PlacesInDatabase:
    """Embedded: what match has recorded is the place. What it has not yet recorded is sent again, and counted once."""

    def __init__(self, recorded: dict[str, Place]) -> None:
        self._recorded = recorded

    def of(self, source: str) -> Place | None:
        return self._recorded.get(source)

    def delivered(self, source: str, place: Place) -> None:
        """Nothing to do: match moves the row."""
