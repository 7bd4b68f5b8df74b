"""What the broker package promises, on the real Apache Kafka."""

from datetime import UTC, datetime

import pytest
from msgspec import structs

from models import wire
from models.facts import FactKey, Kind, Namespace, Repair, Tick, key_of
from models.flows import FlowBatch, FlowRecord
from models.topics import Position, TopicSpec, partition_of
from monitor.broker import dead_letters, epochs, topics
from monitor.broker.connection import BrokerUnavailableError, Connection
from monitor.broker.messages import Message, batch_message, fact_message, gone_message
from monitor.broker.producing import Producer
from monitor.broker.reading import PartitionReader, TruncatedLogError

AT = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def connection(kafka):
    return Connection(bootstrap=kafka.bootstrap)


@pytest.fixture
async def installed(connection, topic_prefix):
    """Topics of this test alone, of two partitions each so that tests stay quick."""
    named = topics.Topics().prefixed(topic_prefix)
    small = topics.Topics(
        facts=structs.replace(named.facts, partitions=2),
        flows=structs.replace(named.flows, partitions=2),
        rawlogs=structs.replace(named.rawlogs, partitions=2),
        dead=structs.replace(named.dead, partitions=2),
    )
    await topics.ensure(connection, small.all, topics.Replication())
    return small


async def one(number=1):
    return number


async def records_of(connection, topic, partition):
    async with PartitionReader(connection, topic, partition) as reader:
        bounds = await reader.bounds()
        reader.seek(bounds.beginning)
        return [record async for batch in reader.read_to(bounds.end) for record in batch]


async def test_the_topics_are_created_with_the_settings_of_the_models(connection, topic_prefix):
    wanted = topics.Topics().prefixed(topic_prefix)

    created, problems = await topics.ensure(connection, wanted.all, topics.Replication())
    again, no_problems = await topics.ensure(connection, wanted.all, topics.Replication())

    assert (len(created), problems) == (4, [])
    assert (again, no_problems) == ([], [])


async def test_a_topic_with_other_partitions_and_settings_is_named_with_its_fix(connection, topic_prefix):
    theirs = TopicSpec(name=topic_prefix + "facts", partitions=3, settings={"cleanup.policy": "delete"})
    await topics.ensure(connection, [theirs], topics.Replication())
    ours = TopicSpec(name=topic_prefix + "facts", partitions=24, settings={"cleanup.policy": "compact"})

    found = await topics.problems(connection, [ours])

    assert [problem.what for problem in found] == [
        "has 3 partitions, not 24",
        "setting cleanup.policy is 'delete', not 'compact'",
    ]
    assert "segmon topics create" in found[0].fix
    assert "kafka-configs.sh" in found[1].fix


async def test_a_missing_topic_is_a_problem(connection, topic_prefix):
    [problem] = await topics.problems(connection, [TopicSpec(name=topic_prefix + "facts", partitions=1)])

    assert "does not exist" in problem.text()


async def test_facts_of_a_cluster_share_a_partition_and_gone_carries_its_reason(connection, installed):
    topic = installed.facts.name
    key = FactKey("east", Kind.NAMESPACE, "", "shop")
    async with Producer(connection) as producer:
        sent = await producer.send_all(
            [
                fact_message(topic, "east", key, Namespace(name="shop"), source="watch"),
                gone_message(topic, key, source="watch", at=AT, reason="deleted"),
            ]
        )
    place = partition_of("east", 2)
    added, gone = await records_of(connection, topic, place)

    assert [item.partition for item in sent] == [place, place]
    assert wire.decode_fact(added.value) == Namespace(name="shop")
    assert added.header("ce_type") == "segmon.fact.v1"
    assert gone.value is None
    assert (gone.header("reason"), gone.header("ce_time")) == ("deleted", AT.isoformat())


async def test_an_acknowledgement_tells_the_brokers_time(connection, installed):
    tick = Tick(partition=0)
    async with Producer(connection) as producer:
        sent = await producer.send_to(
            0, fact_message(installed.facts.name, "", key_of("", tick), tick, source="assess")
        )
    [record] = await records_of(connection, installed.facts.name, 0)

    assert sent.timestamp_ms == record.timestamp_ms > 0


async def test_an_epoch_is_the_first_record_and_is_written_once(connection, installed):
    async with Producer(connection) as producer:
        begun = await epochs.begin(connection, producer, installed.facts.name, one)
        again = await epochs.begin(connection, producer, installed.facts.name, one)
    async with PartitionReader(connection, installed.facts.name, 1) as reader:
        number = await epochs.of(reader, installed.facts.name, 1)

    assert (begun, again, number) == ([0, 1], [], 1)


async def test_the_first_record_is_looked_at_and_read_all_the_same(connection, installed):
    tick = Tick(partition=1)
    message = fact_message(installed.facts.name, "", key_of("", tick), tick, source="assess")
    async with Producer(connection) as producer, PartitionReader(connection, installed.facts.name, 1) as reader:
        await epochs.begin(connection, producer, installed.facts.name, one)
        await producer.send_to(1, message)
        number = await epochs.of(reader, installed.facts.name, 1)
        reader.seek(0)
        from_the_beginning = [record.offset async for records in reader.read_to(2) for record in records]
        await reader.first()
        reader.seek(1)
        behind_it = [record.offset async for records in reader.read_to(2) for record in records]

    assert (number, from_the_beginning, behind_it) == (1, [0, 1], [1])


async def test_a_partition_that_was_written_to_before_its_epoch_is_refused(connection, installed):
    tick = Tick(partition=0)
    async with Producer(connection) as producer:
        await producer.send_to(0, fact_message(installed.facts.name, "", key_of("", tick), tick, source="assess"))
    async with PartitionReader(connection, installed.facts.name, 0) as reader:
        with pytest.raises(epochs.EpochError, match="segmon topics create"):
            await epochs.of(reader, installed.facts.name, 0)


def test_an_older_epoch_or_a_shorter_log_stops_with_the_fix():
    stored = Position(2, 100)
    epochs.check("facts/0", epoch=2, end=101, stored=stored)
    epochs.check("facts/0", epoch=3, end=1, stored=stored)

    with pytest.raises(epochs.EpochError, match="old copy"):
        epochs.check("facts/0", epoch=1, end=500, stored=stored)
    with pytest.raises(TruncatedLogError, match="lost acknowledged records"):
        epochs.check("facts/0", epoch=2, end=100, stored=stored)


async def test_a_reader_follows_what_is_written_after_it_reached_the_end(connection, installed):
    async with Producer(connection) as producer, PartitionReader(connection, installed.facts.name, 0) as reader:
        reader.seek(0)
        nothing = await reader.read(timeout_seconds=0.1)
        tick = Tick(partition=0)
        await producer.send_to(0, fact_message(installed.facts.name, "", key_of("", tick), tick, source="assess"))
        [record] = await reader.read(timeout_seconds=10)

    assert nothing == []
    assert (record.offset, reader.position) == (0, 1)


async def test_a_reader_at_rest_goes_on_with_what_came_meanwhile(connection, installed):
    tick = Tick(partition=0)
    mark = fact_message(installed.facts.name, "", key_of("", tick), tick, source="assess")
    read = []
    async with Producer(connection) as producer, PartitionReader(connection, installed.facts.name, 0) as reader:
        reader.seek(0)
        for _ in range(3):
            await producer.send_to(0, mark)
            [record] = await reader.read(timeout_seconds=10)
            reader.rest()
            read.append(record.offset)

    assert read == [0, 1, 2]


async def test_a_place_behind_the_end_of_the_log_is_a_truncated_log(connection, installed):
    async with PartitionReader(connection, installed.facts.name, 0) as reader:
        reader.seek(50)
        with pytest.raises(TruncatedLogError, match="segmon topics create"):
            await reader.read(timeout_seconds=10)


async def test_an_absent_broker_is_unavailable_not_a_crash():
    with pytest.raises(BrokerUnavailableError):
        await Producer(Connection(bootstrap="127.0.0.1:9"), request_timeout_seconds=1).__aenter__()


async def test_a_dead_fact_asks_for_a_relist_and_is_not_published_again(connection, installed):
    bad = Message(topic=installed.facts.name, place="east", key=b"east/Pod/shop/web-1", value=b"{nonsense")
    async with Producer(connection) as producer:
        await producer.send(bad)
        [record] = await records_of(connection, installed.facts.name, partition_of("east", 2))
        await producer.send(dead_letters.letter(installed.dead.name, record, "not a segmon message"))
        letters = [dead async for dead in dead_letters.read(connection, installed.dead.name, 2)]
        replayed = await dead_letters.replay(producer, installed, letters)
    _, asked = await records_of(connection, installed.facts.name, partition_of("east", 2))

    assert [(dead.reason, dead.value) for dead in letters] == [("not a segmon message", b"{nonsense")]
    assert (replayed.relists, replayed.refused) == (("east",), ())
    assert wire.decode_fact(asked.value) == Repair(keys=("east/Pod/shop/web-1",))


async def test_a_dead_batch_gets_one_identity_however_often_it_died_and_is_replayed(connection, installed):
    batch = FlowBatch(
        cluster="east",
        node="n1",
        source="file:/var/log/kern.log@n1",
        generation="g1",
        start=10,
        end=90,
        records=(FlowRecord(at=AT),),
    )
    async with Producer(connection) as producer:
        sent = await producer.send(batch_message(installed.flows.name, batch))
        [record] = await records_of(connection, installed.flows.name, sent.partition)
        for _ in range(2):
            await producer.send(dead_letters.letter(installed.dead.name, record, "no such table"))
        letters = [dead async for dead in dead_letters.read(connection, installed.dead.name, 2)]
        replayed = await dead_letters.replay(producer, installed, letters)
    _, *again = await records_of(connection, installed.flows.name, sent.partition)
    places = {(b.source, b.generation, b.start, b.end) for b in (wire.decode_batch(r.value) for r in again)}

    assert replayed.batches == 2
    assert len(places) == 1
    assert {len(wire.decode_batch(r.value).records) for r in again} == {1}


async def test_an_undecodable_batch_is_refused_by_name(connection, installed):
    bad = Message(topic=installed.flows.name, place="east/n1", key=b"east/n1", value=b"\xff")
    async with Producer(connection) as producer:
        sent = await producer.send(bad)
        [record] = await records_of(connection, installed.flows.name, sent.partition)
        await producer.send(dead_letters.letter(installed.dead.name, record, "unreadable"))
        letters = [dead async for dead in dead_letters.read(connection, installed.dead.name, 2)]
        replayed = await dead_letters.replay(producer, installed, letters)

    assert replayed.batches == 0
    assert [reason.partition(":")[2] != "" for reason in replayed.refused] == [True]
