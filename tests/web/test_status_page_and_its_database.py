"""The status page while its database goes away and comes back: it answers, and says what it cannot know."""

from parts.postgres import PostgresServer
from store.recordings import at, failing, recording, seen

from monitor.store import Store
from monitor.web import page
from monitor.web.status import StatusPage


def test_a_database_that_is_away_is_told_and_nothing_of_before_is_shown_as_if_it_were_current():
    with PostgresServer() as postgres:
        store = Store.open(postgres.create_database())
        store.upgrade()
        store.record(recording(1, failing(), vouched=(seen(1),)))
        status = StatusPage(store, version="0", now=lambda: at(5))
        before = page.render(status.view())
        postgres.stop()
        away = page.render(status.view())
        postgres.start()
        back = page.render(status.view())
        store.close()

    assert "shop/Deployment/web" in before
    assert "the database cannot be read" in away
    assert "shop/Deployment/web" not in away
    assert "cannot be read" not in back
    assert "shop/Deployment/web" in back
