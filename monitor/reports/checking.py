"""`segmon report verify DIR`: every file is what the manifest says, none is missing, none was put in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

from models.errors import CannotEvaluateError, UserError
from monitor.reports.files import MANIFEST


class Manifest(Struct, frozen=True):
    report: str
    files: dict[str, str]


def check(folder: Path) -> Manifest:
    """UserError where there is no report; CannotEvaluateError names the first file that differs."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise UserError(f"no report in {folder}: {MANIFEST}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise CannotEvaluateError(f"{folder / MANIFEST} was changed: {error}") from error
    there = {path.name for path in folder.iterdir() if path.name != MANIFEST}
    for name, digest in sorted(manifest.files.items()):
        if name not in there:
            raise CannotEvaluateError(f"{folder / name} is missing")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise CannotEvaluateError(f"{folder / name} is not the file that {MANIFEST} was made for")
    if extra := sorted(there - manifest.files.keys()):
        raise CannotEvaluateError(f"{folder / extra[0]} is not in {MANIFEST}")
    return manifest
