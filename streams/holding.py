"""Which partitions the group brings nothing of for now, and where it goes on with each.

A partition is built by a reader of its own. The group would bring the same log beside it, to be dropped, at several
times the price of that reader. So it is held until the build has ended, and goes on behind it.
Law: what lies before the place where it goes on is folded and recorded; what lies behind is brought.
"""

from __future__ import annotations


class Holding:
    """Of one process. Told by the owners of partitions, asked by the consumer, on one loop."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._places: dict[int, int] = {}  # where to go on, until that was done

    def hold(self, partition: int) -> None:
        self._held.add(partition)
        self._places.pop(partition, None)

    def go_on(self, partition: int, offset: int) -> None:
        """From this offset."""
        self._held.discard(partition)
        self._places[partition] = offset

    def holds(self, partition: int) -> bool:
        return partition in self._held

    def place(self, partition: int) -> int | None:
        """Where to go on; None: where the group is."""
        return self._places.get(partition)

    def went_on(self, partition: int, offset: int) -> None:
        """The group is there, unless it was sent elsewhere meanwhile."""
        if self._places.get(partition) == offset:
            del self._places[partition]
