"""The broker is Apache Kafka: it serves clients, keeps what it acknowledged, and makes no topic by mention."""

import ssl

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from parts.kafka import KafkaServer, SecureKafka


async def make_topic(kafka: KafkaServer, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])
    await admin.close()


async def produce(kafka: KafkaServer, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def consume(kafka: KafkaServer, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, group_id=f"{topic}-group", auto_offset_reset="earliest"
    )
    async with consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_a_group_member_reads_what_an_idempotent_producer_wrote(kafka, topic_prefix):
    topic = topic_prefix + "facts"
    await make_topic(kafka, topic)
    await produce(kafka, topic, b"one", b"two")

    assert await consume(kafka, topic, 2) == [b"one", b"two"]


async def test_a_killed_broker_comes_back_on_its_address_with_what_it_acknowledged(kafka, topic_prefix):
    topic = topic_prefix + "facts"
    await make_topic(kafka, topic)
    await produce(kafka, topic, b"before")
    address = kafka.bootstrap
    kafka.kill()
    kafka.start()
    await produce(kafka, topic, b"after")

    assert kafka.bootstrap == address
    assert await consume(kafka, topic, 2) == [b"before", b"after"]


async def test_a_topic_that_nobody_created_does_not_exist(kafka, topic_prefix):
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, request_timeout_ms=2000) as producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(topic_prefix + "unmade", b"x")


async def test_a_secured_broker_serves_who_trusts_it_and_knows_the_password(kafka, topic_prefix):
    with SecureKafka() as own:
        account = {"sasl_plain_username": own.username, "sasl_plain_password": own.password}
        how = {
            "bootstrap_servers": own.bootstrap,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            "ssl_context": ssl.create_default_context(cafile=str(own.ca_file)),
        }
        admin = AIOKafkaAdminClient(**how, **account)
        await admin.start()
        topics = await admin.list_topics()
        await admin.close()
        stranger = AIOKafkaAdminClient(**how, **account | {"sasl_plain_password": "wrong"})

        assert topics == []
        with pytest.raises(KafkaError):
            await stranger.start()
        await stranger.close()


async def test_a_wiped_broker_is_an_empty_cluster_on_the_same_address(topic_prefix):
    with KafkaServer() as own:
        await make_topic(own, topic_prefix + "facts")
        own.stop()
        own.wipe()
        own.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=own.bootstrap)
        await admin.start()
        topics = await admin.list_topics()
        await admin.close()

        assert topics == []
