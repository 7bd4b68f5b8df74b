"""One kind of one API server, listed and then watched, for as long as the task lives.

Law 1: never a watch without a resource version, never a list without one in its answer.
Law 2: a listing is told as a whole; what is missing from it is gone.
Law 3: requests are bounded by buckets whatever the server does; a watch that is opened and closed is no success.
Law 4: silence has a limit: bookmarks come about once a minute, and where a server sends none the watch is reopened.
What it does after each failure: `_RELIST`, `_SLOWLY`. Source: dependencies.md 1.4, Kubernetes API concepts (watch).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from models.facts import FactKey
from monitor.cluster.pacing import Backoff, Bucket, Pace
from monitor.cluster.resources import Resource
from monitor.cluster.transport import JSON, Api, ApiFailedError, Failure, Lines, Object, decoded, failure_of

PAGE = 500
_METADATA = JSON + ";as={};g=meta.k8s.io;v=v1"
_RELIST = frozenset({Failure.EXPIRED, Failure.NOT_KUBERNETES, Failure.FORBIDDEN, Failure.NOT_FOUND})
_SLOWLY = frozenset({Failure.FORBIDDEN, Failure.NOT_FOUND})
_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})

Facts = dict[FactKey, bytes]
Reading = Callable[[Object], tuple[FactKey, bytes]]
"""One API object to its key and the canonical bytes of its fact."""


class KindSink(Protocol):
    """What a reflector tells. Calls return at once."""

    def listed(self, facts: Facts) -> None:
        """All there is."""

    def changed(self, key: FactKey, value: bytes | None) -> None:
        """One object; None = deleted."""

    def seen(self) -> None:
        """The server vouches that we know all up to now."""

    def failed(self, failure: Failure, message: str) -> None: ...


class Timing(Struct, frozen=True, kw_only=True):
    """Seconds."""

    shortest_watch: float = 240.0
    longest_watch: float = 480.0
    read_margin: float = 15.0  # how much longer than the asked-for watch the socket may live
    settled: float = 2.0  # a watch open for this long is a success
    silence: float = 80.0  # API servers send bookmarks every 60 to 75 s
    silence_without_bookmarks: float = 60.0
    slow_retry: float = 80.0  # the first tries are quick: a server that just started knows no roles yet
    kind_requests_each: float = 5.0  # in the long run, one list or watch per kind
    kind_requests_burst: int = 6


class Reaching(Struct, frozen=True, kw_only=True):
    """How one API server is reached by all its reflectors. `requests` bounds all of them together."""

    api: Api
    pace: Pace
    requests: Bucket
    timing: Timing = Timing()


class Reflector:
    """`run` never returns; cancel it. A new one lists anew."""

    def __init__(self, reaching: Reaching, resource: Resource, reading: Reading, sink: KindSink) -> None:
        self._reaching = reaching
        self._timing = reaching.timing
        self._resource = resource
        self._reading = reading
        self._sink = sink
        self._attempts = Bucket(
            reaching.pace, burst=self._timing.kind_requests_burst, seconds_each=self._timing.kind_requests_each
        )
        self._backoff = Backoff(reaching.pace)
        self._slow_backoff = Backoff(reaching.pace, cap_seconds=self._timing.slow_retry)
        self._version = ""  # "" = not listed yet, or to be listed again
        self._in_pages = True
        self._has_bookmarks: bool | None = None

    async def run(self) -> None:
        while True:
            try:
                await self._attempts.take()
                if self._version:
                    await self._watch()
                else:
                    await self._list()
            except ApiFailedError as error:
                if error.failure in _RELIST:
                    self._version = ""
                self._sink.failed(error.failure, str(error))
                await self._recover(error)

    async def _recover(self, error: ApiFailedError) -> None:
        if error.failure in _SLOWLY:
            await self._slow_backoff.pause(at_least=error.retry_after_seconds)
            return
        if error.failure is Failure.UNAUTHORIZED:
            await self._renewed()
        await self._backoff.pause(at_least=error.retry_after_seconds)

    async def _renewed(self) -> None:
        try:
            await self._reaching.api.renew()
        except ApiFailedError as error:
            self._sink.failed(error.failure, str(error))

    # Listing

    async def _list(self) -> None:
        """Once through all pages. If the listing expires half-way, the next one is in one piece."""
        try:
            version, facts = await listing(self._reaching, self._resource, self._reading, in_pages=self._in_pages)
        except ApiFailedError as error:
            self._in_pages = error.failure is not Failure.EXPIRED
            raise
        self._in_pages = True
        self._version = version
        self._sink.listed(facts)

    # Watching

    async def _watch(self) -> None:
        """One watch, until the server ends it or falls silent. The version stays with us for the next one."""
        pace, timing = self._reaching.pace, self._timing
        lasts = timing.shortest_watch + pace.chance.random() * (timing.longest_watch - timing.shortest_watch)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(lasts)),
        }
        await self._reaching.requests.take()
        async with self._reaching.api.stream(
            self._resource.path, query, accept=_accept(self._resource, ""), lasts_seconds=lasts + timing.read_margin
        ) as lines:
            await self._settle(lines)
            while (line := await lines.next(within_seconds=self._silence())) is not None:
                if not line:
                    self._has_bookmarks = bool(self._has_bookmarks)
                    return
                self._take(line)

    async def _settle(self, lines: Lines) -> None:
        line = await lines.next(within_seconds=self._timing.settled)
        if line is None:
            raise ApiFailedError(Failure.UNREACHABLE, f"{self._resource.path}: the watch was closed at once")
        if line:
            self._take(line)
        self._backoff.succeeded()
        self._slow_backoff.succeeded()
        self._sink.seen()

    def _silence(self) -> float:
        """A server that never sent a bookmark in a whole wait is taken for one that sends none."""
        return self._timing.silence_without_bookmarks if self._has_bookmarks is False else self._timing.silence

    def _take(self, line: bytes) -> None:
        event = decoded(line)
        kind, item = event.get("type"), event.get("object")
        if kind == "ERROR":
            self._version = ""
            raise _stream_error(item, self._resource.path)
        version = _newer(self._version, _version_of(item))
        if kind == "BOOKMARK":
            self._has_bookmarks = True
        elif kind in _CHANGES:
            key, value = _read(self._resource, self._reading, item)
            self._sink.changed(key, None if kind == "DELETED" else value)
        else:
            raise ApiFailedError(Failure.NOT_KUBERNETES, f"{self._resource.path}: an event of type {kind!r:.40}")
        self._version = version
        self._sink.seen()


async def listing(
    reaching: Reaching, resource: Resource, reading: Reading, *, in_pages: bool = True
) -> tuple[str, Facts]:
    """All objects there are, and the version of the first page: a later one could hide changes in between."""

    async def ask(query: Mapping[str, str]) -> _Page:
        await reaching.requests.take()
        return _page(await reaching.api.get(resource.path, query, accept=_accept(resource, "List")))

    version = ""
    facts: Facts = {}
    async for page in _pages(ask, in_pages=in_pages):
        version = version or page.version
        facts.update(_read(resource, reading, item) for item in page.items)
    return version, facts


def _accept(resource: Resource, suffix: str) -> str:
    return _METADATA.format(f"PartialObjectMetadata{suffix}") if resource.is_metadata_only else JSON


def _read(resource: Resource, reading: Reading, item: Any) -> tuple[FactKey, bytes]:
    """Items of a list lack their own kind; metadata-only objects name another."""
    if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
        raise ApiFailedError(Failure.NOT_KUBERNETES, f"{resource.path}: an item is no object")
    return reading({**item, "apiVersion": resource.api_version, "kind": resource.object_kind})


class _Page(Struct, frozen=True):
    version: str
    items: list[Any]
    following: str  # token of the next page, "" after the last


async def _pages(ask: Callable[[Mapping[str, str]], Awaitable[_Page]], *, in_pages: bool) -> AsyncIterator[_Page]:
    query = {"limit": str(PAGE)} if in_pages else {}
    while True:
        page = await ask(query)
        yield page
        if not page.following:
            return
        if page.following == query.get("continue"):
            raise ApiFailedError(Failure.NOT_KUBERNETES, "a list whose next page is the same page")
        query = query | {"continue": page.following}


def _page(answer: Object) -> _Page:
    metadata, items = answer.get("metadata"), answer.get("items")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if not isinstance(version, str) or version in {"", "0"} or not isinstance(items, list | None):
        raise ApiFailedError(Failure.NOT_KUBERNETES, "a list without items or resource version")
    following = metadata.get("continue") if isinstance(metadata, dict) else None
    return _Page(version, items or [], following if isinstance(following, str) else "")


def _version_of(item: Any) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if not isinstance(version, str) or version in {"", "0"}:
        raise ApiFailedError(Failure.NOT_KUBERNETES, "an event without resource version")
    return version


def _newer(known: str, version: str) -> str:
    """A version below the one we know comes from a store that was set back: what we know is not its past."""
    if known.isdecimal() and version.isdecimal() and int(version) < int(known):
        raise ApiFailedError(Failure.EXPIRED, f"resource version went back from {known} to {version}")
    return version


def _stream_error(status: Any, path: str) -> ApiFailedError:
    """An ERROR event: 410 mostly. Whatever it is, the listing begins anew."""
    code = status.get("code") if isinstance(status, dict) else None
    words = status.get("message") if isinstance(status, dict) else None
    failure = failure_of(code if isinstance(code, int) else 0)
    return ApiFailedError(failure, f"{path}: the watch ended with {code}: {words!s:.300}")
