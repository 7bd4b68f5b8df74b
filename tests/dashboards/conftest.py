import tempfile
from pathlib import Path

import pytest
from scenes.harbour import Harbour


@pytest.fixture(scope="module")
def harbour(postgres, prometheus_program):
    """The demo's story, played through the whole pipeline; on a broker of its own: topics have the product's names."""
    from parts.kafka import KafkaServer

    database = postgres.create_database()
    with tempfile.TemporaryDirectory() as folder, KafkaServer() as kafka:
        made = Harbour(Path(folder), kafka.bootstrap, database)
        with made.filled():
            yield made
    postgres.drop_database(database)
