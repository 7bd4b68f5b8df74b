"""A report made: gathered, written into a folder of its own that appears whole or not at all, entered in the record."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from models.errors import UserError
from monitor.reports import files, gathering
from monitor.reports.content import Report
from monitor.reports.gathering import Making
from monitor.reports.scheduling import Schedule
from monitor.store import Store
from monitor.store.periods import Scope
from monitor.store.reports import Claim, Made


def make(store: Store, scope: Scope, making: Making, out: Path, schedule: Schedule | None = None) -> Path | None:
    """The folder of the report; None: a scheduled one that somebody else makes or has made."""
    claim = Claim(
        report=gathering.identity(scope),
        cluster=scope.cluster,
        domain=scope.domain,
        schedule=schedule.value if schedule else "",
        from_at=scope.from_at,
        to_at=scope.to_at,
        at=making.at,
        release=making.release,
    )
    number = store.claim_report(claim)
    if number is None:
        return None
    try:
        with store.look() as connection:
            report = gathering.report(connection, scope, making)
        written = files.rendered(report)
        manifest = files.manifest(report, written)
        place = _write(out, number, {**written, files.MANIFEST: manifest})
    except BaseException:
        store.abandon_report(number)
        raise
    store.finish_report(number, _made(report, manifest, place))
    return place


def _made(report: Report, manifest: bytes, place: Path) -> Made:
    return Made(
        manifest=hashlib.sha256(manifest).hexdigest(),
        chain_seq=report.chain.seq,
        chain_hash=report.chain.hash,
        place=str(place),
    )


def _write(out: Path, number: str, written: Mapping[str, bytes]) -> Path:
    """Into a folder beside its place, then moved there."""
    place = out / number
    try:
        out.mkdir(parents=True, exist_ok=True)
        if place.exists():
            raise UserError(f"{place} is there already\n       fix: move it away, or give another --out")
        beside = Path(tempfile.mkdtemp(prefix=f".{number}-", dir=out))
        try:
            for name, content in written.items():
                (beside / name).write_bytes(content)
            beside.chmod(0o755)
            os.rename(beside, place)  # noqa: PTH104 - Path.rename says no more
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    except OSError as error:
        raise UserError(f"cannot write the report to {out}: {error.strerror or error}") from error
    return place
