"""What of a flow batch is still to be counted, and what was counted of it. Pure.

Law: a record lies below the counted place or not, never half: each knows the place behind itself.
"""

from __future__ import annotations

from collections import Counter

from msgspec import structs

from models.flows import FlowBatch
from models.recording import FlowRecording


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


def by_class(recording: FlowRecording) -> dict[str, int]:
    """Records counted in each class; repetitions are in none."""
    counts: Counter[str] = Counter()
    for window in recording.windows:
        counts[window.flow_class.value] += window.count
    return counts
