"""Observed paths on their way back into the facts: from committed rows, at least once, newest state last.

Law: a drain first has the cluster's lock, then reads, sends, awaits the acknowledgements, and clears only what still
has the version it read. So a path that changed meanwhile is sent again, and no older state is sent after a newer one
(architecture.md section 5). No transaction is held over a send.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from datetime import datetime

from models.facts import FactKey, Kind, ObservedPath
from models.recording import OutboxRow
from monitor.broker.messages import Message, fact_message, gone_message
from monitor.broker.producing import Producer
from monitor.store import Store

SOURCE = "segmon/match"


async def drain(store: Store, producer: Producer, topic: str, cluster: str, *, at: datetime) -> int:
    """Publish what waits; returns how many. If somebody else drains, there is nothing to do."""
    lock: AbstractContextManager[bool] = store.draining(cluster)
    alone = await asyncio.to_thread(lock.__enter__)
    sent = 0
    try:
        while alone and (rows := await asyncio.to_thread(store.outbox, cluster)):
            await producer.send_all([_message(topic, cluster, row, at) for row in rows])
            versions = [(row.path.path_id, row.version) for row in rows]
            await asyncio.to_thread(store.clear_outbox, cluster, versions)
            sent += len(rows)
    finally:
        await asyncio.to_thread(lock.__exit__, None, None, None)
    return sent


def _message(topic: str, cluster: str, row: OutboxRow, at: datetime) -> Message:
    path = row.path
    key = FactKey(cluster, Kind.OBSERVED_PATH, "", path.path_id)
    if row.is_gone:
        return gone_message(topic, key, source=SOURCE, at=at, reason="not seen for 30 days")
    fact = ObservedPath(
        path_id=path.path_id,
        source=path.source,
        destination=path.destination,
        source_domains=path.source_domains,
        destination_domains=path.destination_domains,
        protocol=path.protocol,
        port=path.port,
        flow_class=path.flow_class,
        basis="observed" if path.basis == "observed" else "computed",
        cause=path.cause,
        since=row.since,
    )
    return fact_message(topic, cluster, key, fact, source=SOURCE)
