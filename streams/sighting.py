"""What of a flow batch is still to be counted, what is counted together, and what was counted. Pure.

Law 1: a record lies below the counted place or not, never half: each knows the place behind itself.
Law 2: counted together is counted as one after the other: only what goes on in the same source, and each path in one
class. Batches are still judged each by itself, as what repeats is left out within one (monitor.flows.windows).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from msgspec import structs

from models.facts import FlowClass
from models.flows import FlowBatch
from models.recording import FlowRecording, SeenPath, WindowCount

MOST_TOGETHER = 500
"""Records that are counted in one transaction, unless one batch has more."""


def uncounted(batch: FlowBatch, counted_to: int | None) -> FlowBatch:
    """The batch from the counted place on. A batch that lies wholly below stays as it is: the store says so."""
    if counted_to is None or not batch.start < counted_to < batch.end:
        return batch
    return structs.replace(
        batch,
        start=counted_to,
        records=tuple(record for record in batch.records if record.position > counted_to),
        unparsed=0,  # where in the batch they lay is not known: counted with the part that was counted
        lost=0,
    )


def joins(batch: FlowBatch, last: FlowBatch) -> bool:
    """Whether it goes on where that one, of the same source, ends."""
    is_same = (batch.node, batch.source, batch.generation) == (last.node, last.source, last.generation)
    return is_same and batch.start == last.end and not batch.predecessor


def together(recordings: Sequence[FlowRecording]) -> list[FlowRecording]:
    """Recordings of batches that join, in order, as few; another begins where a path changes class."""
    found: list[FlowRecording] = []
    parts: list[FlowRecording] = []
    classes: dict[str, FlowClass] = {}
    for each in recordings:
        own = {path.path_id: path.flow_class for path in each.paths}
        if any(classes.get(path, own[path]) != own[path] for path in own):
            found.append(_one_of(parts))
            parts, classes = [], {}
        parts.append(each)
        classes |= own
    return [*found, _one_of(parts)]


def _one_of(parts: Sequence[FlowRecording]) -> FlowRecording:
    if len(parts) == 1:
        return parts[0]
    paths: dict[str, SeenPath] = {}
    windows: Counter[tuple[datetime, str, FlowClass]] = Counter()
    for part in parts:
        for path in part.paths:
            paths[path.path_id] = _seen(paths.get(path.path_id), path)
        for window in part.windows:
            windows[window.window_at, window.path_id, window.flow_class] += window.count
    return structs.replace(
        parts[0],
        end=parts[-1].end,
        at=max(part.at for part in parts),
        paths=tuple(paths[path_id] for path_id in sorted(paths)),
        windows=tuple(
            WindowCount(window_at=at, path_id=path_id, flow_class=flow_class, count=count)
            for (at, path_id, flow_class), count in sorted(windows.items())
        ),
        records=sum(part.records for part in parts),
        indeterminate=sum(part.indeterminate for part in parts),
        unparsed=sum(part.unparsed for part in parts),
        lost=sum(part.lost for part in parts),
    )


def _seen(old: SeenPath | None, new: SeenPath) -> SeenPath:
    if old is None:
        return new
    newest = new if new.last_at >= old.last_at else old
    first_at = min(old.first_at, new.first_at)
    return structs.replace(newest, first_at=first_at, count=old.count + new.count)


def by_class(recording: FlowRecording) -> dict[str, int]:
    """Records counted in each class; repetitions are in none."""
    counts: Counter[str] = Counter()
    for window in recording.windows:
        counts[window.flow_class.value] += window.count
    return counts
