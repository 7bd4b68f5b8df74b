"""Kernel LOG lines in a file, and a collector of ours that reads it."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha1

from models.flows import FlowBatch, FlowRecord
from monitor import clock
from monitor.broker.messages import batch_message
from monitor.broker.producing import Producer
from monitor.collect import collecting, parsing
from monitor.collect.batching import Batcher, Origin
from monitor.collect.collecting import Collecting
from monitor.collect.files import FileSource
from monitor.collect.places import PlacesFile


def interface(namespace, pod):
    """The host's end of a pod's link, as Calico's CNI plugin names it."""
    return "cali" + sha1(f"{namespace}.{pod}".encode()).hexdigest()[:11]


WEB, DB = interface("shop", "web"), interface("bank", "db")


def line(number, *, source="10.0.0.1", destination="10.0.0.2", port=5432, ago=0.0):
    """A SYN from shop/web to bank/db that Calico's Log rule saw; its source port makes it a connection of its own."""
    at = (clock.now() - timedelta(seconds=ago)).isoformat()
    return (
        f"{at} node-a kernel: calico-packet: IN={WEB} OUT={DB} MAC=ee:ee SRC={source} DST={destination} LEN=60 "
        f"TOS=0x00 PREC=0x00 TTL=63 ID={number % 65536} DF PROTO=TCP SPT={1024 + number % 60000} DPT={port} "
        "WINDOW=64240 RES=0x00 SYN URGP=0"
    )


def write(path, lines):
    with path.open("a") as file:
        file.writelines(each + "\n" for each in lines)


class Forgetful(PlacesFile):
    """A collector that is killed before its checkpoint: it remembers only what it knew at its start."""

    def delivered(self, source, place):
        pass


@asynccontextmanager
async def collecting_from(world, path, *, places=None, cluster="east", node="node-a", heartbeat_seconds=0.5):
    stop = asyncio.Event()
    name = f"file:{path}@{node}"
    known = places or PlacesFile(path.with_suffix(".places"))
    batcher = Batcher(Origin(cluster=cluster, node=node, source=name), parsing.log_lines(("calico-packet",)))
    async with Producer(world.connection) as producer:
        how = Collecting(
            producer=producer, topic=world.topics.flows.name, places=known, heartbeat_seconds=heartbeat_seconds
        )
        source = FileSource(path, name=name, place=known.of(name))
        task = asyncio.create_task(collecting.collect(source, batcher, how, stop))
        try:
            yield name
        finally:
            stop.set()
            await task


BACKLOG_NODES = 4
BACKLOG_PART = 2000  # messages handed over at once


async def backlog(producer, topic, messages, *, cluster="east", addresses=("10.0.0.1", "10.0.0.2")):
    """So many flow messages at once, each of one record, as if collectors were far ahead of match."""
    at = clock.now()
    for first in range(0, messages, BACKLOG_PART):
        part = [_batch(number, cluster, addresses, at) for number in range(first, min(first + BACKLOG_PART, messages))]
        await producer.send_all([batch_message(topic, each) for each in part])


def _batch(number, cluster, addresses, at):
    node = f"flood-{number % BACKLOG_NODES}"
    place = number // BACKLOG_NODES
    record = FlowRecord(
        at=at,
        source_address=addresses[0],
        destination_address=addresses[1],
        protocol="tcp",
        source_port=1024 + place % 60000,
        destination_port=5432,
        prefix="calico-packet",
        position=place + 1,
    )
    return FlowBatch(
        cluster=cluster,
        node=node,
        source=f"file:/flood@{node}",
        generation="flood",
        start=place,
        end=place + 1,
        records=(record,),
    )
