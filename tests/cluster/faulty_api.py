"""An API server that answers as it is told: for faults that a real one cannot be made to show.

Time does not pass in these tests: `VirtualTime` lets every pause end at once and adds up what it would have taken.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from aiohttp import web

from models import facts, wire
from models.facts import FactKey
from monitor.cluster.normalise import normalise
from monitor.cluster.pacing import Bucket, Pace
from monitor.cluster.reflector import Reaching, Reflector, Timing
from monitor.cluster.resources import RESOURCES
from monitor.cluster.transport import Access, Api, Failure

JSON = "application/json"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUICK = Timing(settled=0.05, silence=0.05, silence_without_bookmarks=0.05)


class VirtualTime:
    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)

    def pace(self) -> Pace:
        return Pace(monotonic=lambda: self.now, sleep=self.sleep, chance=Random(7))


class FaultyApi:
    """`lists` and `watches` hold what is said next; the last one is said for ever."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.lists: list[Answer] = [listing()]
        self.watches: list[Answer] = [watching()]
        self.url = ""
        self.open_until = asyncio.Event()

    @property
    def asked_lists(self) -> list[web.Request]:
        return [request for request in self.requests if "watch" not in request.query]

    @property
    def asked_watches(self) -> list[web.Request]:
        return [request for request in self.requests if "watch" in request.query]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        answers = self.watches if "watch" in request.query else self.lists
        return await (answers.pop(0) if len(answers) > 1 else answers[0])(request)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FaultyApi"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


def kubeconfig(folder: Path, url: str) -> Access:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return Access(file)


class Notes:
    """A sink that writes down what it is told."""

    def __init__(self) -> None:
        self.state: dict[str, dict[str, str]] = {}  # name -> labels
        self.listings = 0
        self.vouched = 0
        self.failures: list[tuple[Failure, str]] = []
        self.told = asyncio.Condition()

    def listed(self, found: dict[FactKey, bytes]) -> None:
        self.listings += 1
        self.state = {key.name: _labels(value) for key, value in found.items()}

    def changed(self, key: FactKey, value: bytes | None) -> None:
        if value is None:
            self.state.pop(key.name, None)
        else:
            self.state[key.name] = _labels(value)

    def seen(self) -> None:
        self.vouched += 1

    def failed(self, failure: Failure, message: str) -> None:
        self.failures.append((failure, message))


def _labels(value: bytes) -> dict[str, str]:
    fact = wire.decode_fact(value)
    assert isinstance(fact, facts.Namespace)
    return fact.labels


def reading(obj):
    fact = normalise(obj)
    assert fact is not None
    return facts.key_of("c", fact), wire.encode_fact(fact)


@asynccontextmanager
async def reflecting(server: FaultyApi, folder: Path, time: VirtualTime, timing: Timing = QUICK):
    """A reflector of namespaces at work; leaves it cancelled."""
    notes = Notes()
    pace = time.pace()
    async with Api(kubeconfig(folder, server.url)) as api:
        reaching = Reaching(api=api, pace=pace, requests=Bucket(pace, burst=100, seconds_each=0.05), timing=timing)
        [namespaces] = RESOURCES[facts.Kind.NAMESPACE]
        task = asyncio.create_task(Reflector(reaching, namespaces, reading, notes).run())
        try:
            yield notes
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled() and task.exception():
            raise task.exception()


async def until(holds: Callable[[], object], *, within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.002)


# What it can say


def namespace(name: str, version: int = 1, **labels: str):
    return {"metadata": {"name": name, "resourceVersion": str(version), "labels": labels}}


def listing(*items, version: int = 10, following: str = "") -> Answer:
    async def say(request: web.Request) -> web.Response:
        metadata = {"resourceVersion": str(version)} | ({"continue": following} if following else {})
        body = {"kind": "NamespaceList", "apiVersion": "v1", "metadata": metadata, "items": list(items)}
        return web.json_response(body)

    return say


def event(kind: str, item) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"kind": "Namespace", "metadata": {"resourceVersion": str(version)}})


def watching(*lines: bytes, stays_open: bool = True) -> Answer:
    async def say(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON})
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        if stays_open:
            await asyncio.sleep(30)
        return response

    return say


def page(status: int, text: str = "", content_type: str = "text/html", **headers: str) -> Answer:
    async def say(request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, content_type=content_type, headers=named)

    return say


def status(code: int, message: str = "because", **headers: str) -> Answer:
    return page(code, json.dumps({"kind": "Status", "code": code, "message": message}), JSON, **headers)


async def reset(request: web.Request) -> web.StreamResponse:
    """The connection is cut without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
