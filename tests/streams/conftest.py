"""A world for each test: topics and database of its own on the session's broker and PostgreSQL."""

import pytest
from scenes.world import World


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
