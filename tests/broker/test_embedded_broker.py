"""The embedded broker: reachable on loopback, gone with its parent, honest about its limits."""

import signal
import subprocess
import sys

import pytest
from parts.process import until

from models.topics import FACTS
from monitor.broker import embedded, epochs
from monitor.broker.connection import Connection
from monitor.broker.producing import Producer
from monitor.broker.reading import PartitionReader

pytest.importorskip("confluent_kafka")


@pytest.fixture
def address_file(tmp_path):
    return tmp_path / "broker.address"


@pytest.fixture
def broker(address_file):
    child = subprocess.Popen([sys.executable, *embedded.command(address_file)], stdin=subprocess.DEVNULL)
    until(address_file.exists, within=20, what="the embedded broker writes its address")
    yield child
    child.kill()
    child.wait()


async def test_it_serves_epochs_and_reads_on_loopback(broker, address_file):
    address = address_file.read_text()
    connection = Connection(bootstrap=address)

    async def seven():
        return 7

    async with Producer(connection) as producer:
        begun = await epochs.begin(connection, producer, FACTS.name, seven)
    async with PartitionReader(connection, FACTS.name, 3) as reader:
        number = await epochs.of(reader, FACTS.name, 3)

    assert address.startswith("127.0.0.1:")
    assert begun == list(range(embedded.PARTITIONS))
    assert number == 7


def test_it_takes_its_address_away_when_it_is_stopped(broker, address_file):
    broker.send_signal(signal.SIGTERM)

    assert broker.wait(timeout=10) == 0
    assert not address_file.exists()


def test_it_ends_when_its_parent_was_killed(address_file):
    arguments = [sys.executable, *embedded.command(address_file)]
    script = f"import subprocess, time; print(subprocess.Popen({arguments!r}).pid, flush=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    parent.stdout.readline()
    until(address_file.exists, within=20, what="the embedded broker writes its address")
    parent.kill()
    parent.wait()
    parent.stdout.close()

    until(lambda: not address_file.exists(), within=10, what="the broker is gone with its parent")
