"""An API server as the source of every kind: discovery decides what is read, one reflector per kind reads it.

Law 1: a kind that cannot be read hinders no other. Law 2: the identity that was given at the start holds for the whole
life: another cluster behind the same address is an error, not a change of everything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol, Self

from msgspec import Struct

from models import wire
from models.errors import UserError
from models.facts import API_KINDS, Fact, FactKey, Kind, Namespace, key_of
from monitor.cluster.discovery import Discovered, Serving, Unclear, answer, discover
from monitor.cluster.normalise import normalise
from monitor.cluster.pacing import Backoff, Bucket, Pace
from monitor.cluster.reflector import Facts, Reaching, Reflector, Timing
from monitor.cluster.resources import Resource
from monitor.cluster.transport import Access, Api, ApiFailedError, Failure, Object

log = logging.getLogger(__name__)

REQUESTS_BURST = 100  # four requests for each kind at the start
SECONDS_PER_REQUEST = 0.05
DISCOVERY_SECONDS = 30.0
DISCOVERY_SOON_SECONDS = 1.5  # while a kind that is not there waits for the second answer
SYSTEM_NAMESPACE = "kube-system"
_CERTAIN = frozenset({Failure.FORBIDDEN, Failure.UNAUTHORIZED, Failure.NOT_FOUND})


class Identity(Struct, frozen=True, kw_only=True):
    """Which cluster this is, whatever it is called. `uid` is empty where we may not read it."""

    uid: str
    kubernetes_version: str = ""


class IdentityError(UserError):
    """The API server is another cluster's now."""


class KindSeen(Protocol):
    """What is told of one kind. Calls return at once."""

    def listed(self, facts: Facts, *, is_served: bool = True) -> None:
        """All there is."""

    def changed(self, key: FactKey, value: bytes | None) -> None:
        """One object; None = deleted."""

    def seen(self) -> None:
        """All up to now is known."""

    def troubled(self, reason: str) -> None:
        """One attempt failed; time may heal it."""

    def unreadable(self, reason: str) -> None:
        """It cannot be read, whatever was known before."""


class Watching(Struct, frozen=True, kw_only=True):
    """What a source needs of the watch that uses it."""

    kinds: Mapping[Kind, KindSeen]
    has_facts: Callable[[Kind], bool]  # whether the log or the source holds any of this kind
    on_restart: Callable[[Kind, str], None] = lambda _kind, _reason: None


class ApiSource:
    """An async context manager. UserError if the credentials cannot be used or are refused."""

    def __init__(self, cluster: str, access: Access, pace: Pace, timing: Timing | None = None) -> None:
        self._cluster = cluster
        self._pace = pace
        self._api = Api(access)
        self._reaching = Reaching(
            api=self._api,
            pace=pace,
            requests=Bucket(pace, burst=REQUESTS_BURST, seconds_each=SECONDS_PER_REQUEST),
            timing=timing or Timing(),
        )
        self._uid = ""
        self._serving = {kind: Serving(kind) for kind in API_KINDS}
        self._running: dict[Kind, tuple[Resource, asyncio.Task[None]]] = {}
        self._told_absent: set[Kind] = set()
        self._discoveries_failed = 0
        self._discover_now = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.__aexit__(None, None, None)

    async def identity(self) -> Identity:
        """Asks until the server answers. UserError if it does not know our credentials."""
        backoff = Backoff(self._pace)
        while True:
            try:
                return await self._asked_identity()
            except ApiFailedError as error:
                if error.failure is Failure.UNAUTHORIZED:
                    raise UserError(
                        f"{self._api.url} refuses the credentials of {self._api.access}: {error}\n"
                        "       fix: log in again, or name a kubeconfig with valid credentials"
                    ) from error
                log.warning("the API server cannot be asked who it is: %s", error)
                await backoff.pause(at_least=error.retry_after_seconds)

    async def run(self, watching: Watching) -> None:
        """Tell of every kind until cancelled. IdentityError if the server is another cluster's now."""
        try:
            await self._run(watching)
        except BaseExceptionGroup as group:
            if (mistakes := group.subgroup(UserError)) is not None:
                raise _first(mistakes) from group
            raise

    async def _run(self, watching: Watching) -> None:
        self._running = {}
        self._told_absent = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._discover(watching)
                for kind, serving in self._serving.items():
                    self._follow(tasks, watching, kind, serving)
                await self._pause(watching)

    def relist(self) -> None:
        """Read everything anew and tell it."""
        for _, task in self._running.values():
            task.cancel()
        self._running = {}
        self._told_absent = set()
        self._discover_now.set()

    # Discovery

    async def _discover(self, watching: Watching) -> None:
        try:
            await self._reaching.requests.take()
            found: Discovered | str = await discover(self._api)
            self._discoveries_failed = 0
        except ApiFailedError as error:
            found = f"discovery: {error}"
            self._discoveries_failed += 1
            log.warning("%s", found)
            if error.failure is Failure.UNAUTHORIZED:
                await self._renew()
        at = self._pace.monotonic()
        for kind, serving in self._serving.items():
            given = Unclear(found) if isinstance(found, str) else answer(kind, found)
            serving.take(given, has_facts=watching.has_facts(kind), at=at)

    async def _renew(self) -> None:
        try:
            await self._api.renew()
        except ApiFailedError as error:
            log.warning("the credentials cannot be renewed: %s", error)

    async def _pause(self, watching: Watching) -> None:
        seconds = DISCOVERY_SECONDS
        if self._discoveries_failed:
            seconds = min(DISCOVERY_SECONDS, 2.0 ** min(self._discoveries_failed, 6) / 2)
        elif any(one.is_pending and not watching.has_facts(one.kind) for one in self._serving.values()):
            seconds = DISCOVERY_SOON_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await self._discover_now.wait()
        except TimeoutError:
            pass
        self._discover_now.clear()

    def _follow(self, tasks: asyncio.TaskGroup, watching: Watching, kind: Kind, serving: Serving) -> None:
        """One kind, as discovery now has it."""
        running = self._running.get(kind)
        if running and running[0] != serving.resource:
            running[1].cancel()
            del self._running[kind]
        if serving.resource is None:
            self._tell_unserved(watching, serving)
        elif kind not in self._running:
            self._told_absent.discard(kind)
            sink = _Sink(kind, watching, self._discover_now)
            reflector = Reflector(self._reaching, serving.resource, self._reading, sink)
            self._running[kind] = serving.resource, tasks.create_task(reflector.run())

    def _tell_unserved(self, watching: Watching, serving: Serving) -> None:
        kind, told = serving.kind, watching.kinds[serving.kind]
        if serving.is_absent and not serving.reason:
            if kind in self._told_absent:
                told.seen()
            else:
                told.listed({}, is_served=False)
                self._told_absent.add(kind)
        elif self._discoveries_failed or serving.is_absent or self._is_settled_soon(watching, serving):
            told.troubled(serving.reason)
        else:
            told.unreadable(serving.reason)

    def _is_settled_soon(self, watching: Watching, serving: Serving) -> bool:
        return serving.is_pending and not watching.has_facts(serving.kind)

    # Reading

    def _reading(self, item: Object) -> tuple[FactKey, bytes]:
        fact = fact_of(item)
        if isinstance(fact, Namespace) and fact.name == SYSTEM_NAMESPACE and self._uid not in {"", fact.uid}:
            raise IdentityError(
                f"{self._api.url} is another cluster now: kube-system had UID {self._uid}, it has {fact.uid}\n"
                "       fix: point this watch at its own cluster, or give the new one a name of its own"
            )
        return key_of(self._cluster, fact), wire.encode_fact(fact)

    async def _asked_identity(self) -> Identity:
        version = await self._api.get("/version")
        try:
            system = await self._api.get(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}")
        except ApiFailedError as error:
            if error.failure not in {Failure.FORBIDDEN, Failure.NOT_FOUND}:
                raise
            log.warning("this cluster's identity cannot be read: %s", error)
            system = {}
        metadata = system.get("metadata")
        self._uid = str(metadata.get("uid", "")) if isinstance(metadata, dict) else ""
        return Identity(uid=self._uid, kubernetes_version=str(version.get("gitVersion", "")))


def fact_of(item: Object) -> Fact:
    """The fact of an object of a kind that we read."""
    fact = normalise(item)
    if fact is None:
        raise ApiFailedError(Failure.NOT_KUBERNETES, f"an object of {item.get('apiVersion')} {item.get('kind')}")
    return fact


def _first(group: BaseExceptionGroup[UserError]) -> UserError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, UserError)
    return error


class _Sink:
    """From a reflector to the watch: a failure is trouble that may pass, or certain as of now."""

    def __init__(self, kind: Kind, watching: Watching, discover_now: asyncio.Event) -> None:
        self._kind = kind
        self._seen = watching.kinds[kind]
        self._on_restart = watching.on_restart
        self._discover_now = discover_now

    def listed(self, facts: Facts) -> None:
        self._seen.listed(facts)

    def changed(self, key: FactKey, value: bytes | None) -> None:
        self._seen.changed(key, value)

    def seen(self) -> None:
        self._seen.seen()

    def failed(self, failure: Failure, message: str) -> None:
        log.warning("%s: %s: %s", self._kind.value, failure.value, message)
        self._on_restart(self._kind, failure.value)
        if failure in _CERTAIN:
            self._seen.unreadable(message)
        else:
            self._seen.troubled(message)
        if failure is Failure.NOT_FOUND:
            self._discover_now.set()
