import pytest

from monitor.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """An empty record at this release's revision, on both databases."""
    url = request.getfixturevalue("database") if request.param == "postgresql" else f"sqlite:///{tmp_path}/segmon.db"
    opened = Store.open(url)
    opened.upgrade()
    yield opened
    opened.close()
