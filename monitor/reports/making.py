"""A report made: gathered into a folder beside its place, moved there when it is whole, entered in the record."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct
from sqlalchemy.exc import DBAPIError

from models.errors import UserError
from monitor.reports import files, gathering
from monitor.reports.content import Met, Report
from monitor.reports.files import Pack
from monitor.reports.gathering import Making, Progress, silent
from monitor.reports.scheduling import Schedule
from monitor.store import Store
from monitor.store.errors import StoreError, is_transient
from monitor.store.periods import Scope
from monitor.store.reports import Claim, Made

SWEPT_AFTER = 100_000
"""New objects until the collector of cycles looks: without it a large report takes a third more memory."""


class Order(Struct, frozen=True, kw_only=True):
    """What was asked for. `schedule` None = by hand: always made, as a further version."""

    scope: Scope
    out: Path
    schedule: Schedule | None = None


class Done(Struct, frozen=True):
    place: Path  # its folder
    is_evaluated: bool  # False: nothing was, at no moment of the period


def make(store: Store, order: Order, making: Making, progress: Progress = silent) -> Done | None:
    """None: a scheduled one that somebody else makes or has made."""
    if order.schedule is None:
        return _claimed(store, order, making, progress)
    with store.alone_with_report(gathering.identity(order.scope)) as alone:
        return _claimed(store, order, making, progress) if alone else None


def _claimed(store: Store, order: Order, making: Making, progress: Progress) -> Done | None:
    number = store.claim_report(_claim(order, making))
    if number is None:
        return None
    try:
        with _placed(order.out, number) as folder:
            report = into(folder, store, order.scope, making, progress)
            manifest = (folder / files.MANIFEST).read_bytes()
        store.finish_report(number, _made(report, manifest, order.out / number))
    except BaseException as error:
        _abandon(store, number, order.out / number)
        if isinstance(error, DBAPIError) and is_transient(error):
            raise StoreError("the database went away while the report was made\n       fix: run it again") from error
        raise
    judged = (Met.MET, Met.NOT_MET, Met.WAIVED, Met.NOT_APPLICABLE)
    return Done(order.out / number, is_evaluated=any(report.seconds[each.value] for each in judged))


def _abandon(store: Store, number: str, place: Path) -> None:
    """So that somebody else may make it at once. A number whose folder is there is not given again."""
    if not place.exists():
        with suppress(DBAPIError):  # the next one takes it over
            store.abandon_report(number)


def _claim(order: Order, making: Making) -> Claim:
    scope = order.scope
    return Claim(
        report=gathering.identity(scope),
        cluster=scope.cluster,
        domain=scope.domain,
        schedule=order.schedule.value if order.schedule else "",
        from_at=scope.from_at,
        to_at=scope.to_at,
        at=making.at,
        release=making.release,
    )


def into(folder: Path, store: Store, scope: Scope, making: Making, progress: Progress) -> Report:
    """All files, in one consistent look."""
    with store.look() as connection, Pack(folder) as pack, _seldom_swept():
        return gathering.gather(connection, scope, making, pack, progress)


def _made(report: Report, manifest: bytes, place: Path) -> Made:
    return Made(
        manifest=hashlib.sha256(manifest).hexdigest(),
        chain_seq=report.chain.seq,
        chain_hash=report.chain.hash,
        place=str(place),
    )


@contextmanager
def _seldom_swept() -> Iterator[None]:
    """Rows by the million are let go as they pass; the cycles beside them, of templates and statements, can wait."""
    usual = gc.get_threshold()
    gc.set_threshold(SWEPT_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@contextmanager
def _placed(out: Path, number: str) -> Iterator[Path]:
    """A folder that becomes the report's when the block ends well, and is removed otherwise."""
    place = out / number
    try:
        out.mkdir(parents=True, exist_ok=True)
        if place.exists():
            raise UserError(f"{place} is there already\n       fix: move it away, or give another --out")
        beside = Path(tempfile.mkdtemp(prefix=f".{number}-", dir=out))
        try:
            yield beside
            beside.chmod(0o755)
            os.rename(beside, place)  # noqa: PTH104 - Path.rename says no more
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write the report to {out}: {error.strerror or error}\n"
            "       fix: let --out be a folder that can be written to, on a disk with room"
        ) from error
