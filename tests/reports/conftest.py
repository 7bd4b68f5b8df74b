import pytest
from reports.made_reports import MADE, read, scope
from store.conftest import store as store  # noqa: PLC0414 - the fixture, on both databases

from monitor.reports import making
from monitor.reports.gathering import silent


@pytest.fixture
def written(tmp_path):
    """`written(store, scope)`: the files of a report, made without entering it in the record."""
    folders = iter(tmp_path / f"made-{number}" for number in range(100))

    def write(store, wanted=None, made=MADE):
        folder = next(folders)
        folder.mkdir()
        making.into(folder, store, wanted or scope(), made, silent)
        return read(folder)

    return write
