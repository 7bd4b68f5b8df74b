"""The database itself: its revision, what it refuses, and that it is what `models.tables` says."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from store.recordings import failing, passing, recording

from models import tables
from monitor.store import Store, StoreError, is_transient, upgrading


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database."""
    return request.getfixturevalue("database") if request.param == "postgresql" else f"sqlite:///{tmp_path}/segmon.db"


def test_migrations_lead_to_the_tables_that_the_code_uses(store):
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, tables.metadata) == []


def test_an_empty_database_is_refused_with_the_fix(url):
    store = Store.open(url)

    with pytest.raises(StoreError, match=r"(the database is empty|there is no database).*\n.*fix: segmon db upgrade"):
        store.check_revision()
    store.close()


def test_a_database_of_a_newer_release_is_refused_with_the_fix(store):
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for attempt in (store.check_revision, store.upgrade):
        with pytest.raises(StoreError, match=r"at revision 9999.*knows up to .*\n.*upgrade segmon"):
            attempt()


def test_upgrades_at_the_same_time_wait_for_each_other(url):
    stores = [Store.open(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        found = sorted(threads.map(lambda store: store.upgrade(), stores))
    for store in stores:
        store.close()

    assert found == [("", upgrading.head())] + [(upgrading.head(), upgrading.head())] * 3


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path):
    """Each turns it into one that is read while it is written, and for that SQLite does not wait by itself."""

    def opened(url, all_there):
        store = Store.open(url)
        all_there.wait()
        store.ping()
        store.close()

    with ThreadPoolExecutor(4) as threads:
        for number in range(60):
            opening = partial(opened, f"sqlite:///{tmp_path}/{number}.db")
            list(threads.map(opening, [threading.Barrier(4)] * 4))


def test_an_unreachable_database_is_an_error_that_may_pass():
    store = Store.open("postgresql://segmon@127.0.0.1:1/segmon")

    with pytest.raises(DBAPIError) as refused:
        store.ping()
    with pytest.raises(StoreError, match=r"cannot reach the database: .*\n +fix: start it, or set database\.url"):
        store.check_revision()
    assert is_transient(refused.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "no url at all", "oracle://x"])
def test_a_url_that_cannot_be_used_is_refused_by_name(url):
    with pytest.raises(StoreError, match=r"database\.url.*\n +fix: write it as postgresql://"):
        Store.open(url)


OVERLAPPING = """
    INSERT INTO control_status (cluster, domain, control, outcome, reason, counts, waived, needs, from_at)
    SELECT cluster, domain, control, outcome, reason, counts, waived, needs, '2026-11-24 12:00:01.500000'
    FROM control_status WHERE to_at IS NOT NULL
"""


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            OVERLAPPING,
            "overlap",
        ),
        ("UPDATE control_status SET outcome = 'pass' WHERE to_at IS NOT NULL", "closed interval stays"),
        ("UPDATE control_status SET from_at = '2026-11-24 11:00:00' WHERE to_at IS NULL", "closed interval stays"),
        ("UPDATE finding_transition SET severity = 'low'", "appended, never changed"),
    ],
)
def test_the_database_refuses_to_rewrite_history(store, statement, message):
    store.record(recording(1, failing()))
    store.record(recording(2, passing()))

    with pytest.raises(DBAPIError, match=message) as refused, store._engine.begin() as connection:
        connection.execute(text(statement))

    assert not is_transient(refused.value)
