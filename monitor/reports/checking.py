"""`segmon report verify DIR`: every file is what the manifest says, none is missing, none was put in.

Whoever can write the folder can write another manifest too. So the manifest itself is held against the record, whose
hash chain covers its digest; without the record its digest is told, to be compared with what was handed out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

from models.errors import CannotEvaluateError, UserError
from monitor.reports.files import MANIFEST
from monitor.store import Store
from monitor.store.periods import ChainPlace

_BLOCK = 1 << 20


class Manifest(Struct, frozen=True):
    report: str
    cluster: str
    chain: ChainPlace
    files: dict[str, str]


class Checked(Struct, frozen=True):
    manifest: Manifest
    digest: str  # of the manifest


def check(folder: Path) -> Checked:
    """UserError where there is no report; CannotEvaluateError names the first file that differs."""
    checked = _manifest(folder)
    there = {path.name for path in folder.iterdir() if path.name != MANIFEST}
    for name, digest in sorted(checked.manifest.files.items()):
        if name not in there:
            raise CannotEvaluateError(f"{folder / name} is missing")
        if _digest(folder / name) != digest:
            raise CannotEvaluateError(f"{folder / name} is not the file that {MANIFEST} was made for")
    if extra := sorted(there - checked.manifest.files.keys()):
        raise CannotEvaluateError(f"{folder / extra[0]} is not in {MANIFEST}")
    return checked


def check_record(store: Store, checked: Checked, folder: Path) -> str:
    """Hold the manifest against the record; returns the number under which it stands there."""
    manifest = checked.manifest
    number = store.report_with(manifest.cluster, checked.digest)
    if number is None:
        raise CannotEvaluateError(
            f"{folder / MANIFEST} is not the manifest of any report in the record of {manifest.cluster}\n"
            "       fix: it was changed, or made from another database: see segmon report list"
        )
    place = manifest.chain
    if place.seq and store.chain_hash(manifest.cluster, place.seq) != place.hash:
        raise CannotEvaluateError(
            f"the chain of {manifest.cluster} is no longer the one of the report: row {place.seq} has another hash\n"
            "       fix: the record was rewritten since; restore it, and see segmon verify"
        )
    return number


def _manifest(folder: Path) -> Checked:
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise UserError(
            f"no report in {folder}: {MANIFEST}: {error.strerror}\n"
            "       fix: name the folder of one report, as `segmon report list` has it"
        ) from error
    try:
        return Checked(msgspec.json.decode(content, type=Manifest), hashlib.sha256(content).hexdigest())
    except msgspec.DecodeError as error:
        raise CannotEvaluateError(f"{folder / MANIFEST} was changed: {error}") from error


def _digest(place: Path) -> str:
    """In blocks: a report of a large cluster has large files."""
    found = hashlib.sha256()
    try:
        with place.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    except OSError as error:
        raise CannotEvaluateError(f"{place} cannot be read: {error.strerror}") from error
    return found.hexdigest()
