"""The children of `segmon up`: started, watched, and gone when their parent is gone, however it ends.

Law: a child that dies ends the whole tree, which is then started anew (architecture.md section 7): the embedded broker
holds everything in memory, so half a tree would be a broker that forgot.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from models.errors import UserError
from monitor.store.errors import DISK_FULL

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_STOP_SECONDS = 10.0
_TAIL_BYTES = 4000
_FULL_BYTES = 1 << 20


class ChildEndedError(Exception):
    """A child ended although nobody asked it to; the message has its last words."""


class StartError(UserError):
    """A child never came up."""

    exit_code = 4


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@asynccontextmanager
async def child(
    arguments: Sequence[str], *, log: Path, without: Collection[str] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of our own Python for as long as the block lasts. `without`: variables that it does not inherit."""
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={name: value for name, value in os.environ.items() if name not in without},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which stops the children in order
            preexec_fn=_die_with_parent,
        )
    try:
        yield process
    finally:
        await _stopped(process)


async def ended(process: asyncio.subprocess.Process, name: str, log: Path) -> None:
    """Wait for an end that nobody asked for, and raise it. What a person must mend would end each further try too."""
    code = await process.wait()
    raise mendable(code, log) or ChildEndedError(f"{name} ended with {code}: {last_words(log)}")


def mendable(code: int, log: Path) -> UserError | None:
    """What a person must mend, in the words of the child that ended with `code`: its last `error: …`."""
    if code == UserError.exit_code and shutil.disk_usage(log.parent).free < _FULL_BYTES:
        return UserError(DISK_FULL)  # its words may have found no room either
    _, found, said = _tail(log).rpartition("error: ")
    return UserError(said.strip()) if found and code == UserError.exit_code else None


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def last_words(log: Path) -> str:
    """The end of a child's log: what a person needs to see why it ended."""
    lines = _tail(log).strip().splitlines()
    return " | ".join(lines[-3:]) if lines else "it said nothing"


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
