"""Creating the topics with their settings, and saying what is wrong with those that are there.

Decides nothing about the topics themselves: `models.topics` does. Never changes or deletes one: a topic with other
partitions or settings is a problem with its fix named, because the facts' place depends on the number of partitions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from msgspec import Struct, structs

from models import topics
from models.topics import TopicSpec
from monitor.broker.connection import BrokerError, BrokerUnavailableError, Connection, client_options

NO_ERROR = 0
VISIBLE_SECONDS = 15.0


class Topics(Struct, frozen=True, kw_only=True):
    """The topics of one installation. Several share a broker by a prefix (the tests do)."""

    facts: TopicSpec = topics.FACTS
    flows: TopicSpec = topics.FLOWS
    rawlogs: TopicSpec = topics.RAWLOGS
    dead: TopicSpec = topics.DEAD

    @property
    def all(self) -> tuple[TopicSpec, ...]:
        return (self.facts, self.flows, self.rawlogs, self.dead)

    def prefixed(self, prefix: str) -> Topics:
        return Topics(
            facts=structs.replace(self.facts, name=prefix + self.facts.name),
            flows=structs.replace(self.flows, name=prefix + self.flows.name),
            rawlogs=structs.replace(self.rawlogs, name=prefix + self.rawlogs.name),
            dead=structs.replace(self.dead, name=prefix + self.dead.name),
        )


class Problem(Struct, frozen=True, kw_only=True):
    """What is wrong with one topic, and what mends it."""

    topic: str
    what: str
    fix: str

    def text(self) -> str:
        return f"topic {self.topic}: {self.what}; {self.fix}"


class Replication(Struct, frozen=True, kw_only=True):
    factor: int = 1
    min_insync: int = 1


async def ensure(
    connection: Connection, specs: Sequence[TopicSpec], replication: Replication
) -> tuple[list[str], list[Problem]]:
    """Create what is missing. Returns the names created, and the problems of those that were there before."""
    async with _admin(connection) as admin:
        there = await _partition_counts(admin, specs)
        missing = [spec for spec in specs if spec.name not in there]
        created = await _create(admin, missing, replication) if missing else []
        await _visible(admin, missing)
    return created, await problems(connection, [spec for spec in specs if spec.name not in created])


async def problems(connection: Connection, specs: Sequence[TopicSpec]) -> list[Problem]:
    """Topics that are missing, have other partitions or other settings than `models.topics` says."""
    async with _admin(connection) as admin:
        counts = await _partition_counts(admin, specs)
        found = [problem for spec in specs if (problem := _partition_problem(spec, counts.get(spec.name)))]
        for spec in specs:
            if spec.name in counts:
                found += _setting_problems(spec, await _settings(admin, spec.name))
    return found


def _partition_problem(spec: TopicSpec, count: int | None) -> Problem | None:
    if count is None:
        return Problem(topic=spec.name, what="does not exist", fix="run `segmon topics create`")
    if count == spec.partitions:
        return None
    return Problem(
        topic=spec.name,
        what=f"has {count} partitions, not {spec.partitions}",
        fix="a cluster's place depends on the number: delete the topic and run `segmon topics create`",
    )


def _setting_problems(spec: TopicSpec, actual: dict[str, str]) -> list[Problem]:
    return [
        Problem(
            topic=spec.name,
            what=f"setting {name} is {actual.get(name)!r}, not {wanted!r}",
            fix=f"run `kafka-configs.sh --alter --entity-type topics --entity-name {spec.name} "
            f"--add-config {name}={wanted}`",
        )
        for name, wanted in spec.settings.items()
        if actual.get(name) != wanted
    ]


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication: Replication) -> list[str]:
    wanted = [
        NewTopic(
            spec.name,
            num_partitions=spec.partitions,
            replication_factor=replication.factor,
            topic_configs=spec.settings | {"min.insync.replicas": str(replication.min_insync)},
        )
        for spec in specs
    ]
    answer = await admin.create_topics(wanted)
    created = []
    for name, code, *message in answer.topic_errors:
        if code == NO_ERROR:
            created.append(name)
        elif for_code(code) is not TopicAlreadyExistsError:  # another `topics create` was faster
            words = message[0] if message and message[0] else for_code(code).__name__
            raise BrokerError(
                f"topic {name} could not be created: {words}; see kafka.replication_factor "
                f"(now {replication.factor}) and the broker's permissions"
            )
    return created


async def _visible(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    """Wait until the broker's metadata know what it has just created: they follow a moment later."""
    async with asyncio.timeout(VISIBLE_SECONDS):
        while len(await _partition_counts(admin, specs)) < len(specs):
            await asyncio.sleep(0.1)


async def _partition_counts(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> dict[str, int]:
    described = await admin.describe_topics([spec.name for spec in specs])
    return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == NO_ERROR}


async def _settings(admin: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    [(_code, _message, _type, _name, entries)] = answer.resources
    return {entry[0]: entry[1] for entry in entries}


@asynccontextmanager
async def _admin(connection: Connection) -> AsyncIterator[AIOKafkaAdminClient]:
    options: dict[str, Any] = client_options(connection) | {"request_timeout_ms": 15_000}
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailableError(f"{connection.bootstrap}: {error!r}") from error
    finally:
        await admin.close()
