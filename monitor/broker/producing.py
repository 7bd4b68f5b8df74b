"""The one way anything is written to Kafka: idempotent, acknowledged by all replicas, awaited.

Law 1: `send` returns when the broker has acknowledged; what is not acknowledged raises and may have been written.
Law 2: after a failure the client below is thrown away: an idempotent producer that gave up on a batch may refuse
every later one as out of sequence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from monitor.broker.connection import COMPRESSION, BrokerUnavailableError, Connection, client_options
from monitor.broker.messages import Message, Sent, partition_for

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # the largest topic setting (models.topics.DEAD)
CLOSE_SECONDS = 5.0


class MessageTooLargeError(Exception):
    """A message that can never be sent; the others can."""


class Producer:
    """An async context manager; safe for many tasks of one event loop."""

    def __init__(self, connection: Connection, *, request_timeout_seconds: float = 15.0) -> None:
        self._connection = connection
        self._timeout_seconds = request_timeout_seconds
        self._client: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._drop(self._client)

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; on a broker that creates topics by mention, this creates it."""
        client = await self._opened()
        try:
            found = await client.partitions_for(topic)
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailableError(f"metadata of {topic}: {error!r}") from error
        if not found:
            raise BrokerUnavailableError(f"topic {topic} has no partitions yet")
        return len(found)

    async def send(self, message: Message) -> Sent:
        return (await self.send_all([message]))[0]

    async def send_all(self, messages: Sequence[Message]) -> list[Sent]:
        """Send in order, then await every acknowledgement. Raises BrokerUnavailableError if one is missing."""
        counts = {topic: await self.partitions(topic) for topic in {message.topic for message in messages}}
        placed = [(message, partition_for(message, counts[message.topic])) for message in messages]
        return await self._send(placed)

    async def send_to(self, partition: int, message: Message) -> Sent:
        """Send into a partition that is known, whatever the message's place says (marks of a partition)."""
        return (await self._send([(message, partition)]))[0]

    async def _send(self, placed: Sequence[tuple[Message, int]]) -> list[Sent]:
        client = await self._opened()
        try:
            waiting = [await self._handed(client, message, partition) for message, partition in placed]
            done = [await future for future in waiting]
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise MessageTooLargeError(str(error)) from error
        except (KafkaError, TimeoutError) as error:
            await self._drop(client)
            raise BrokerUnavailableError(f"not acknowledged: {error!r}") from error
        return [Sent(metadata.partition, metadata.offset, metadata.timestamp) for metadata in done]

    async def _handed(self, client: AIOKafkaProducer, message: Message, partition: int) -> asyncio.Future[Any]:
        # A null value under an empty batch is fine for Kafka; aiokafka only refuses key and value both None.
        future: asyncio.Future[Any] = await client.send(
            message.topic,
            key=message.key,
            value=message.value,
            partition=partition,
            headers=list(message.headers),
            timestamp_ms=message.timestamp_ms,
        )
        # A failure is raised to us by the first await; the others must not be reported as never retrieved.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    async def _opened(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._client is None:
                client = AIOKafkaProducer(
                    **client_options(self._connection),
                    acks="all",
                    enable_idempotence=True,
                    compression_type=COMPRESSION,
                    max_request_size=MAX_MESSAGE_BYTES,
                    request_timeout_ms=int(self._timeout_seconds * 1000),
                    metadata_max_age_ms=15_000,
                )
                try:
                    await client.start()
                except (KafkaError, OSError) as error:
                    await client.stop()
                    raise BrokerUnavailableError(f"{self._connection.bootstrap}: {error!r}") from error
                self._client = client
            return self._client

    async def _drop(self, client: AIOKafkaProducer | None) -> None:
        if self._client is client:
            self._client = None
        if client is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.stop()
        except (KafkaError, TimeoutError):
            pass  # it was thrown away because it did not work
