"""The loop of one collector: read a source, send its batches, remember the place the broker has acknowledged.

Law 1: a place is remembered only after the acknowledgement; a collector that is killed before sends again, and match
counts once.
Law 2: with Kafka away the place is held: nothing more is read than one piece, so memory is bounded by pieces.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from msgspec import Struct

from models.flows import FlowBatch
from monitor import clock
from monitor.broker.connection import BrokerUnavailableError
from monitor.broker.messages import batch_message
from monitor.broker.producing import Producer
from monitor.collect.batching import Batcher
from monitor.collect.places import Places
from monitor.collect.sources import Place, Source

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)  # the last one repeats


class Collecting(Struct, frozen=True, kw_only=True):
    """What the loops of one collector share."""

    producer: Producer
    topic: str
    places: Places
    heartbeat_seconds: float = 15.0
    ends: bool = False  # `--once`: a source ends at its present end
    on_sent: Callable[[FlowBatch], None] = lambda _: None  # counters


async def collect(source: Source, batcher: Batcher, how: Collecting, stop: asyncio.Event) -> FlowBatch | None:
    """Run until stopped. With `ends`, until the source's end: returns the last batch, which says so."""
    beaten_at = clock.monotonic()
    length = 0
    try:
        while not stop.is_set():
            piece = await asyncio.to_thread(source.read)
            if piece is not None:
                length = piece.length
                ready = batcher.add(piece)
            elif how.ends:
                last = batcher.end()
                await _deliver([last], length, how, stop)
                return last
            else:
                ready = []
                await _pause(POLL_SECONDS, stop)
            if clock.monotonic() - beaten_at >= how.heartbeat_seconds and (beat := batcher.heartbeat(source.place())):
                ready.append(beat)
                beaten_at = clock.monotonic()
            await _deliver(ready, length, how, stop)
    finally:
        source.close()
    return None


async def _deliver(batches: Sequence[FlowBatch], length: int, how: Collecting, stop: asyncio.Event) -> None:
    for batch in batches:
        if not await _sent(batch, how, stop):
            return
        how.on_sent(batch)
        place = Place(generation=batch.generation, position=batch.end, length=max(length, batch.end))
        await asyncio.to_thread(how.places.delivered, batch.source, place)


async def _sent(batch: FlowBatch, how: Collecting, stop: asyncio.Event) -> bool:
    """Send until it is acknowledged; False if stopped before."""
    attempt = 0
    while not stop.is_set():
        try:
            await how.producer.send(batch_message(how.topic, batch))
        except BrokerUnavailableError as error:
            pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
            attempt += 1
            log.warning("broker unavailable, %s held at %d: %s", batch.source, batch.start, error)
            await _pause(pause, stop)
        else:
            return True
    return False


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
