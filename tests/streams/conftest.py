"""A world for each test: topics and database of its own on the session's broker and PostgreSQL."""

from itertools import count

import pytest
from scenes.world import World

from monitor.store import Store


@pytest.fixture
async def world(kafka, database, topic_prefix):
    made = World(kafka.bootstrap, database, topic_prefix)
    await made.begin()
    yield made
    made.store.close()


@pytest.fixture
async def light_world(kafka, tmp_path, topic_prefix):
    """The same on a SQLite file."""
    made = World(kafka.bootstrap, f"sqlite:///{tmp_path / 'segmon.db'}", topic_prefix)
    await made.begin()
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """The folder of an empty record at this release's revision, `empty.db`, and numbers for its copies."""
    folder = tmp_path_factory.mktemp("record")
    store = Store.open(f"sqlite:///{folder}/empty.db")
    store.upgrade()
    store.close()
    return folder, count()
