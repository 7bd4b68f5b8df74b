"""The collector of cycles rests while a partition is built, and does not look through afterwards what was built.

A build makes millions of objects and next to no garbage: looking through them again and again took a third of its
time, and a worker that keeps 100,000 pods would go on doing it. What is frozen is let go of when the next build begins,
so that a State that was dropped is found then.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


class Sweeping:
    """One for each process; builds may overlap."""

    def __init__(self) -> None:
        self._builds = 0

    def settle(self) -> None:
        """What is there now stays: a cluster whose listing came after the build was judged for the first time."""
        with self.at_rest():
            pass

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """While the block lasts."""
        if not self._builds:
            gc.unfreeze()
            gc.disable()
        self._builds += 1
        try:
            yield
        finally:
            self._builds -= 1
            if not self._builds:
                gc.freeze()
                gc.enable()
