"""One kind, listed and watched, through everything an API server and the proxies before it may do."""

import pytest
from cluster.faulty_api import (
    FaultyApi,
    VirtualTime,
    bookmark,
    event,
    listing,
    namespace,
    page,
    reflecting,
    reset,
    status,
    until,
    watching,
)

from monitor.cluster.reflector import Timing
from monitor.cluster.transport import Failure

HOUR = 3600.0
MOST_PER_HOUR = 6 + HOUR / 5  # Timing: the burst, and one request in five seconds
HTML = "<html><h1>502 Bad Gateway</h1></html>\n" * 50
EXPIRED = event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
PATIENT = Timing(settled=0.05)

LISTS = {
    "500 without a body": page(500),
    "200 without a body": page(200, content_type="application/json"),
    "an HTML page": page(502, HTML),
    "an HTML page that says 200": page(200, HTML),
    "429": status(429),
    "410": status(410),
    "403": status(403),
    "404": status(404),
    "401": status(401),
    "a cut connection": reset,
    "a list without resource version": page(200, '{"metadata": {}, "items": []}', "application/json"),
    "resource version 0": listing(version=0),
    "JSON that is no object": page(200, "[]", "application/json"),
    "items that are no objects": listing("garbage"),
    "a next page that is the same page": listing(following="again"),
}
WATCHES = {
    "500 without a body": page(500),
    "200 without a body": page(200, content_type="application/json"),
    "an HTML page": page(502, HTML),
    "an HTML page that says 200": page(200, HTML),
    "429": status(429),
    "410": status(410),
    "410 in the stream": watching(EXPIRED),
    "500 in the stream": watching(event("ERROR", {"kind": "Status", "code": 500})),
    "garbage lines": watching(b"garbage\n", b"more\n"),
    "an unknown event": watching(event("RENAMED", namespace("a"))),
    "an event without a version": watching(event("ADDED", {"metadata": {"name": "a"}})),
    "a version that goes back": watching(event("ADDED", namespace("a", 3))),
    "an error that is no object": watching(b'{"type": "ERROR"}\n'),
    "closed at once": watching(stays_open=False),
    "closed in the middle of an event": watching(b'{"type": "ADD', stays_open=False),
    "one event, then closed": watching(bookmark(10), stays_open=False),
    "a cut connection": reset,
    "silence": watching(),
}


@pytest.mark.parametrize("fault", LISTS)
async def test_a_list_that_fails_is_asked_for_at_a_bounded_rate_and_read_when_it_works_again(fault, tmp_path):
    time = VirtualTime()
    async with FaultyApi().serving() as server:
        server.lists = [LISTS[fault]]
        async with reflecting(server, tmp_path, time) as notes:
            await until(lambda: time.now > HOUR, within=30)
            asked = len(server.requests)
            server.lists = [listing(namespace("shop"))]
            await until(lambda: notes.listings)

    assert asked <= MOST_PER_HOUR * time.now / HOUR
    assert asked > 2
    assert notes.failures
    assert notes.state == {"shop": {}}


@pytest.mark.parametrize("fault", WATCHES)
async def test_a_watch_that_fails_is_opened_at_a_bounded_rate_and_followed_when_it_works_again(fault, tmp_path):
    time = VirtualTime()
    async with FaultyApi().serving() as server:
        server.watches = [WATCHES[fault]]
        async with reflecting(server, tmp_path, time) as notes:
            await until(lambda: time.now > HOUR / 10, within=30)
            asked = len(server.requests)
            server.watches = [watching(event("ADDED", namespace("late", 20)))]
            await until(lambda: "late" in notes.state)

    assert asked <= MOST_PER_HOUR * time.now / HOUR + 6
    assert asked > 3
    assert all(request.query["resourceVersion"] not in {"", "0"} for request in server.asked_watches)


async def test_pages_are_joined_and_told_as_one_listing(tmp_path):
    async with FaultyApi().serving() as server:
        server.lists = [listing(namespace("a"), following="2"), listing(namespace("b"), version=11)]
        async with reflecting(server, tmp_path, VirtualTime()) as notes:
            await until(lambda: server.asked_watches)

    assert notes.state == {"a": {}, "b": {}}
    assert notes.listings == 1
    assert [request.query.get("continue") for request in server.asked_lists] == [None, "2"]
    assert server.asked_watches[0].query["resourceVersion"] == "10"


async def test_a_listing_that_expires_between_pages_is_begun_anew_in_one_piece(tmp_path):
    async with FaultyApi().serving() as server:
        server.lists = [listing(namespace("a"), following="2"), status(410), listing(namespace("b"), version=12)]
        async with reflecting(server, tmp_path, VirtualTime()) as notes:
            await until(lambda: server.asked_watches)

    assert notes.state == {"b": {}}
    assert "limit" not in server.asked_lists[2].query
    assert "continue" not in server.asked_lists[2].query


async def test_what_was_deleted_while_the_version_expired_is_missing_from_the_next_listing(tmp_path):
    async with FaultyApi().serving() as server:
        server.lists = [listing(namespace("a"), namespace("b")), listing(namespace("b"), version=30)]
        server.watches = [watching(EXPIRED), watching()]
        async with reflecting(server, tmp_path, VirtualTime()) as notes:
            await until(lambda: notes.listings == 2)

    assert notes.state == {"b": {}}


async def test_events_change_and_delete_and_bookmarks_move_the_version(tmp_path):
    lines = [
        event("ADDED", namespace("a", 11, team="x")),
        event("MODIFIED", namespace("a", 12, team="y")),
        event("ADDED", namespace("b", 13)),
        event("DELETED", namespace("b", 14)),
        bookmark(90),
    ]
    async with FaultyApi().serving() as server:
        server.watches = [watching(*lines, stays_open=False), watching()]
        async with reflecting(server, tmp_path, VirtualTime()) as notes:
            await until(lambda: len(server.asked_watches) > 1)

    assert notes.state == {"a": {"team": "y"}}
    assert server.asked_watches[1].query["resourceVersion"] == "90"
    assert notes.listings == 1


async def test_an_event_that_arrives_in_pieces_is_one_event(tmp_path):
    whole = event("ADDED", namespace("a", 11)) + event("ADDED", namespace("b", 12))
    async with FaultyApi().serving() as server:
        server.watches = [watching(*(whole[i : i + 1] for i in range(len(whole))))]
        async with reflecting(server, tmp_path, VirtualTime(), PATIENT) as notes:
            await until(lambda: "b" in notes.state)

    assert notes.state == {"a": {}, "b": {}}


async def test_a_half_open_socket_is_left_and_the_watch_goes_on_from_its_version(tmp_path):
    async with FaultyApi().serving() as server:
        server.watches = [watching(bookmark(44)), watching(event("ADDED", namespace("late", 45)))]
        async with reflecting(server, tmp_path, VirtualTime()) as notes:
            await until(lambda: "late" in notes.state)

    assert server.asked_watches[1].query["resourceVersion"] == "44"
    assert notes.listings == 1


async def test_retry_after_is_waited_for(tmp_path):
    time = VirtualTime()
    async with FaultyApi().serving() as server:
        server.lists = [status(429, Retry_After="120"), listing()]
        async with reflecting(server, tmp_path, time) as notes:
            await until(lambda: notes.listings)

    assert time.now >= 120


async def test_a_forbidden_kind_is_asked_for_about_once_a_minute(tmp_path):
    time = VirtualTime()
    async with FaultyApi().serving() as server:
        server.lists = [status(403, "segmon may not list namespaces")]
        async with reflecting(server, tmp_path, time) as notes:
            await until(lambda: time.now > HOUR)

    assert 40 <= len(server.requests) <= 90
    assert notes.failures[0][0] is Failure.FORBIDDEN
    assert "segmon may not list namespaces" in notes.failures[0][1]


async def test_a_watch_is_asked_to_end_by_itself_after_four_to_eight_minutes(tmp_path):
    async with FaultyApi().serving() as server, reflecting(server, tmp_path, VirtualTime()):
        await until(lambda: len(server.asked_watches) > 5)

    lasting = {int(request.query["timeoutSeconds"]) for request in server.asked_watches}
    assert len(lasting) > 1
    assert min(lasting) >= 240
    assert max(lasting) <= 480
    assert {request.query["allowWatchBookmarks"] for request in server.asked_watches} == {"true"}


async def test_a_watch_that_closes_at_once_vouches_for_nothing(tmp_path):
    time = VirtualTime()
    async with FaultyApi().serving() as server:
        server.watches = [watching(stays_open=False)]
        async with reflecting(server, tmp_path, time) as notes:
            await until(lambda: len(notes.failures) > 5)

    assert notes.vouched == 0
