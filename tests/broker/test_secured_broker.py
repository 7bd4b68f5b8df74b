"""Every client of ours, Faust's included, reaches a broker that asks for TLS and a password."""

import asyncio

import pytest
from msgspec import structs
from parts.kafka import SecureKafka

from models.facts import Tick, key_of
from models.topics import TopicSpec
from monitor import settings
from monitor.broker import connection as connections
from monitor.broker import topics
from monitor.broker.connection import BrokerUnavailableError, Connection
from monitor.broker.messages import fact_message
from monitor.broker.producing import Producer
from monitor.broker.reading import PartitionReader
from streams import faust_apps

SPEC = TopicSpec(name="facts", partitions=1)


@pytest.fixture(scope="module")
def secured():
    with SecureKafka() as broker:
        yield broker


@pytest.fixture
def connection(secured):
    return Connection(
        bootstrap=secured.bootstrap,
        security="sasl_ssl",
        sasl_mechanism="PLAIN",
        username=secured.username,
        password=secured.password,
        ca_file=str(secured.ca_file),
    )


async def tick(connection):
    mark = Tick(partition=0)
    async with Producer(connection, request_timeout_seconds=5) as producer:
        return await producer.send(fact_message(SPEC.name, "", key_of("", mark), mark, source="test"))


async def test_topics_are_made_written_and_read(connection):
    await topics.ensure(connection, [SPEC], topics.Replication())
    sent = await tick(connection)
    async with PartitionReader(connection, SPEC.name, 0) as reader:
        reader.seek(sent.offset)
        [record] = await reader.read(timeout_seconds=10)

    assert record.offset == sent.offset


async def test_a_faust_agent_gets_what_was_written(connection):
    await topics.ensure(connection, [SPEC], topics.Replication())
    app = faust_apps.make(connection, faust_apps.Group(name="secured", session_timeout_seconds=3))
    arrived = asyncio.Event()

    @app.agent(faust_apps.topic_of(app, SPEC.name), name="secured", concurrency=1)
    async def reading(stream):
        async for _ in stream.take_events(10, within=0.05):
            arrived.set()

    app.finalize()
    await app.start()
    await tick(connection)
    async with asyncio.timeout(20):
        await arrived.wait()
    await app.stop()

    assert arrived.is_set()


async def test_a_wrong_password_is_refused(connection):
    with pytest.raises(BrokerUnavailableError):
        await tick(structs.replace(connection, password="wrong"))


def test_the_password_is_not_shown(connection):
    assert connection.password not in repr(connection)


def test_settings_name_what_is_missing(tmp_path):
    with pytest.raises(settings.SettingsError, match=r"set kafka\.username"):
        connections.from_settings(settings.Kafka(security="sasl_plaintext"))
    with pytest.raises(settings.SettingsError, match=r"kafka\.ca_file"):
        connections.from_settings(settings.Kafka(security="ssl", ca_file=tmp_path / "absent.pem"))
