"""The embedded broker drops what is oldest in silence, so the watch never runs far ahead of the record."""

from monitor.cli.embedded import Ahead


async def test_the_watch_waits_for_the_record_once_it_is_a_megabyte_ahead():
    waited = []

    async def caught_up():
        waited.append(sum(sent))

    ahead, sent = Ahead(caught_up, limit=1000), []
    for size in (400, 400, 400, 900, 200, 1, 1000):
        sent.append(size)
        await ahead.published(size)

    assert waited == [1200, 2300, 3301]
