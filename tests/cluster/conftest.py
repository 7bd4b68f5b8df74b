"""A facts topic of one test and the log that lies in it."""

import pytest
from scenes.facts_log import CLUSTER, Log

from models.topics import partition_of
from monitor.broker import epochs, topics
from monitor.broker.connection import Connection
from monitor.broker.producing import Producer


@pytest.fixture
async def topic(kafka, topic_prefix):
    connection = Connection(bootstrap=kafka.bootstrap)
    facts = topics.Topics().prefixed(topic_prefix).facts
    await topics.ensure(connection, [facts], topics.Replication())

    async def one():
        return 1

    async with Producer(connection) as producer:
        await epochs.begin(connection, producer, facts.name, one)
    return facts.name


@pytest.fixture
async def log(kafka, topic):
    async with Log(Connection(bootstrap=kafka.bootstrap), topic, partition_of(CLUSTER, 24)) as opened:
        yield opened
