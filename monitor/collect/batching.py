"""From pieces of a source to batches of flow records; pure but for the parser it is given.

Law: batches of a source join without a hole. Lines that are no LOG lines move the place only; pieces without any record
are held back and joined to the next, so that a busy log with few LOG lines does not become a message per piece.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, structs

from models.flows import FlowBatch, FlowRecord
from monitor.collect.sources import NOT_BEGUN, Line, Piece, Place


class Parsed(Struct, frozen=True):
    """What a line is: a record, a LOG line that cannot be read (`problem`), or neither."""

    record: FlowRecord | None = None
    problem: str = ""


Parse = Callable[[Line], Parsed]


class Origin(Struct, frozen=True, kw_only=True):
    """Whose records these are."""

    cluster: str
    node: str
    source: str


class Batcher:
    """Of one source. `pending` joins what was read and not yet handed over."""

    def __init__(self, origin: Origin, parse: Parse) -> None:
        self._origin = origin
        self._parse = parse
        self._pending: FlowBatch | None = None
        self._next: tuple[str, int] | None = None  # generation and place that the next batch begins at
        self.problems: dict[str, int] = {}  # reason -> lines that look like LOG lines and could not be read

    def add(self, piece: Piece) -> list[FlowBatch]:
        """Batches to send now: a former generation's rest, and this piece's if it has records."""
        parsed = [(line.end, self._parse(line)) for line in piece.lines]
        batch = self._batch(piece, parsed)
        self._next = (piece.generation, piece.end)
        ready = []
        if self._pending and self._pending.generation != batch.generation:
            ready.append(self._pending)
            self._pending = None
        joined = _joined(self._pending, batch)
        self._pending = None if _says_something(joined) else joined
        return [*ready, joined] if self._pending is None else ready

    def heartbeat(self, place: Place | None) -> FlowBatch | None:
        """What is held back, or an empty batch at the place reached; None if there is nothing to read from.

        place: where the source says that it stands, for one of which nothing was read yet.
        """
        pending, self._pending = self._pending, None
        if pending:
            return pending
        if self._next is not None:
            return self._empty(*self._next)
        return self._empty(place.generation, place.position) if place else None

    def end(self) -> FlowBatch:
        """The last batch of a source that ends."""
        last = self.heartbeat(None) or self._empty(NOT_BEGUN, 0)
        return structs.replace(last, is_end=True)

    def _batch(self, piece: Piece, parsed: list[tuple[int, Parsed]]) -> FlowBatch:
        unparsed = [line.problem for _, line in parsed if line.problem]
        for problem in unparsed:
            self.problems[problem] = self.problems.get(problem, 0) + 1
        return FlowBatch(
            cluster=self._origin.cluster,
            node=self._origin.node,
            source=self._origin.source,
            generation=piece.generation,
            start=piece.start,
            end=piece.end,
            predecessor=piece.predecessor,
            predecessor_end=piece.predecessor_end,
            records=tuple(structs.replace(line.record, position=end) for end, line in parsed if line.record),
            unparsed=len(unparsed),
            lost=piece.lost,
        )

    def _empty(self, generation: str, at: int) -> FlowBatch:
        origin = self._origin
        return FlowBatch(
            cluster=origin.cluster, node=origin.node, source=origin.source, generation=generation, start=at, end=at
        )


def _says_something(batch: FlowBatch) -> bool:
    return bool(batch.records or batch.unparsed or batch.lost or batch.predecessor)


def _joined(held: FlowBatch | None, batch: FlowBatch) -> FlowBatch:
    """A held batch has neither records nor anything to say: only where it began counts."""
    return batch if held is None else structs.replace(batch, start=held.start)
