"""The domains of a large report, shared by two processes: one from the front, the other from the back, until they meet.

The helper is forked: it has all that was gathered so far and costs nothing to start. It sees the same record, through
the snapshot that the first one exported, and writes into files of its own, so that the report's bytes do not hang on
who took how many (decision 0087). Two, because the database is at work beside them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from monitor.store.errors import StoreError

MANY = 20
"""Domains from which a second process is worth its connection."""

_context = multiprocessing.get_context("fork")

T = TypeVar("T")


class Untaken:
    """Numbers below `count` that nobody has taken yet. Both processes ask it."""

    def __init__(self, count: int) -> None:
        self._front, self._behind = _context.RawValue("q", 0), _context.RawValue("q", count)
        self._lock = _context.Lock()
        self.count = count

    def from_front(self) -> Iterator[int]:
        while (number := self._take(self._front, 0, 1)) is not None:
            yield number

    def from_back(self) -> Iterator[int]:
        while (number := self._take(self._behind, -1, -1)) is not None:
            yield number

    @property
    def taken(self) -> int:
        return int(self._front.value + self.count - self._behind.value)

    def _take(self, end: Any, place: int, step: int) -> int | None:
        with self._lock:
            if self._front.value >= self._behind.value:
                return None
            number = int(end.value) + place
            end.value += step
            return number


class Helper(Generic[T]):
    """The other process."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._answer, theirs = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_answering, args=(work, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def result(self) -> T:
        """What its work came to, or raises what it raised."""
        try:
            found: T | BaseException = self._answer.recv()
        except EOFError:
            self._process.join()
            ended = f"the process that made a part of the report ended with {self._process.exitcode}"
            raise StoreError(f"{ended}\n       fix: run it again") from None
        if isinstance(found, BaseException):
            raise found
        return found

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def stop(self) -> None:
        self._process.kill()  # it has nothing to put in order, and a handler of the first one would be its own
        self._process.join()
        self._answer.close()


@contextmanager
def helped(work: Callable[[], T]) -> Iterator[Helper[T]]:
    """While the block lasts; whatever it raises, no process is left."""
    helper = Helper(work)
    try:
        yield helper
    finally:
        helper.stop()


def _answering(work: Callable[[], T], answer: Any) -> None:
    try:
        answer.send(work())
    except BaseException as error:  # noqa: BLE001 - told to the process that waits for it
        answer.send(error)
