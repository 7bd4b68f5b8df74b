"""Speaking HTTP with the API server: kubernetes-asyncio's client for credentials and TLS, our own eyes on the answer.

Trusts no answer: status and content type are looked at before anything is read from it, as a proxy's error page or an
empty body comes with any status (dependencies.md 1.4). Only get, list and watch; the one POST is an access review.
Law 1: every wait has a limit. Law 2: every failure is an `ApiFailedError` of a closed set of kinds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from ssl import SSLError
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration
from msgspec import Struct

from models.errors import UserError
from monitor import clock

Object = dict[str, Any]

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0  # the API server itself ends any request but a watch after a minute
MOST_BYTES = 512 * 1024 * 1024  # of one answer; a page of 500 of the largest objects etcd takes
MOST_LINE_BYTES = 8 * 1024 * 1024  # of one watch event; etcd takes objects of 1.5 MiB
LONGEST_RETRY_AFTER_SECONDS = 300.0
RENEW_SECONDS = 30.0
JSON = "application/json"


class Failure(StrEnum):
    """Why a request gave nothing; also the `reason` label of `segmon_watch_restarts_total`."""

    UNREACHABLE = "unreachable"  # no connection, cut off, or silent
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    EXPIRED = "expired"  # 410: the version is too old
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    NOT_KUBERNETES = "not_kubernetes"  # an HTML page, an empty body, lines that are no events


_FAILURES: Mapping[int, Failure] = {
    HTTPStatus.UNAUTHORIZED: Failure.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: Failure.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Failure.NOT_FOUND,
    HTTPStatus.GONE: Failure.EXPIRED,
    HTTPStatus.TOO_MANY_REQUESTS: Failure.THROTTLED,
}


def failure_of(status: int) -> Failure:
    """What an HTTP status, or the code in a Status object, means."""
    return _FAILURES.get(status, Failure.SERVER_ERROR)


class ApiFailedError(Exception):
    """One request failed. The same one may succeed later."""

    def __init__(self, failure: Failure, message: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.failure = failure
        self.retry_after_seconds = retry_after_seconds


class Access(Struct, frozen=True):
    """Where the credentials come from: a kubeconfig file, or the pod's own service account (None)."""

    kubeconfig: Path | None = None
    context: str = ""

    def __str__(self) -> str:
        return f"kubeconfig {self.kubeconfig}" if self.kubeconfig else "the pod's service account"


class _Request(Struct, frozen=True):
    method: str
    path: str
    query: Mapping[str, str] = {}
    accept: str = JSON
    body: Object | None = None
    lasts_seconds: float | None = None  # None for an answer that ends


class Api:
    """An async context manager; safe for many tasks of one event loop. UserError if the credentials cannot be used."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._client: ApiClient | None = None
        self._renewing = asyncio.Lock()
        self._renewed_at = 0.0

    async def __aenter__(self) -> Self:
        self._client = await _client(self.access)
        self._renewed_at = clock.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @property
    def url(self) -> str:
        return str(self._opened().configuration.host)

    async def get(self, path: str, query: Mapping[str, str] | None = None, *, accept: str = JSON) -> Object:
        """The JSON object at this path."""
        async with self._answer(_Request("GET", path, query or {}, accept)) as response:
            return await _body(response)

    async def review(self, attributes: Mapping[str, str]) -> bool:
        """Whether we may do this (SelfSubjectAccessReview: asks, stores nothing)."""
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": dict(attributes)},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        async with self._answer(_Request("POST", path, body=body)) as response:
            answer = await _body(response)
        status = answer.get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, accept: str, lasts_seconds: float
    ) -> AsyncIterator[Lines]:
        """The lines of an answer that goes on; open when this returns. The socket may be silent that long."""
        async with self._answer(_Request("GET", path, query, accept, lasts_seconds=lasts_seconds)) as response:
            yield Lines(response)

    async def renew(self) -> None:
        """Read the credentials again, after a 401: a file was written anew, or a plugin's token has expired."""
        async with self._renewing:
            if clock.monotonic() - self._renewed_at < RENEW_SECONDS:
                return
            self._renewed_at = clock.monotonic()
            try:
                fresh = await _client(self.access)
            except UserError as error:
                raise ApiFailedError(Failure.UNAUTHORIZED, str(error)) from error
            stale, self._client = self._client, fresh
            if stale is not None:
                await stale.close()

    @asynccontextmanager
    async def _answer(self, asked: _Request) -> AsyncIterator[aiohttp.ClientResponse]:
        limit = ANSWER_SECONDS if asked.lasts_seconds is None else asked.lasts_seconds
        timeout = aiohttp.ClientTimeout(
            total=ANSWER_SECONDS if asked.lasts_seconds is None else None, sock_connect=CONNECT_SECONDS, sock_read=limit
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                response: aiohttp.ClientResponse = await self._opened().call_api(
                    asked.path,
                    asked.method,
                    query_params=list(asked.query.items()),
                    header_params={"Accept": asked.accept},
                    body=asked.body,
                    auth_settings=["BearerToken"],
                    _preload_content=False,
                    _request_timeout=timeout,
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiFailedError(Failure.UNREACHABLE, f"{asked.path}: {_words(error)}") from error
        try:
            await _check(response, asked.path)
            yield response
        finally:
            response.close()

    def _opened(self) -> ApiClient:
        if self._client is None:
            raise RuntimeError("the API client is not open: use it as an async context manager")
        return self._client


class Lines:
    """Lines of an open answer, each with its own limit of waiting."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self._ready: deque[bytes] = deque()
        self._rest = b""

    async def next(self, *, within_seconds: float) -> bytes | None:
        """The next line, b"" if none came in time, None when the server ended the answer."""
        while not self._ready:
            try:
                async with asyncio.timeout(within_seconds):
                    chunk = await self._content.readany()
            except TimeoutError:
                return b""
            except (aiohttp.ClientError, OSError) as error:
                raise ApiFailedError(Failure.UNREACHABLE, f"watch: {_words(error)}") from error
            if not chunk:
                self._end()
                return None
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._ready.extend(line for line in lines if line.strip())
            if len(self._rest) > MOST_LINE_BYTES:
                raise ApiFailedError(Failure.NOT_KUBERNETES, f"watch: a line of more than {MOST_LINE_BYTES} bytes")
        return self._ready.popleft()

    def _end(self) -> None:
        if self._rest.strip():
            raise ApiFailedError(Failure.UNREACHABLE, "watch: cut off in the middle of an event")


async def _client(access: Access) -> ApiClient:
    configuration = Configuration()
    if access.kubeconfig is None:
        _load_service_account(configuration)
    else:
        await _load_file(access.kubeconfig, access.context, configuration)
    try:
        client = ApiClient(configuration)
    except (OSError, SSLError) as error:
        raise UserError(f"{access}: its certificates cannot be used: {error}") from error
    client.user_agent = "segmon"
    return client


def _load_service_account(configuration: Configuration) -> None:
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # theirs
    except (config.ConfigException, OSError) as error:
        raise UserError(
            f"no API server: not running in a pod ({error})\n       fix: name a kubeconfig file (--kubeconfig FILE)"
        ) from error


async def _load_file(file: Path, context: str, configuration: Configuration) -> None:
    try:
        await asyncio.to_thread(file.read_bytes)
    except OSError as error:
        raise UserError(f"cannot read kubeconfig {file}: {error.strerror}") from error
    try:
        await config.load_kube_config(
            config_file=str(file),
            context=context or None,
            client_configuration=configuration,
            persist_config=False,  # read-only: also towards the user's file
        )
    except Exception as error:  # the loader raises what it likes; all of it is about the file or its plugin
        if isinstance(error, TypeError | AttributeError):  # of what the loader takes for a mapping
            raise UserError(f"{file} is no kubeconfig\n       fix: name one, as in ~/.kube/config") from error
        where = f"kubeconfig {file}" + (f", context {context!r}" if context else "")
        raise UserError(f"{where}: cannot be used: {_words(error)}") from error


async def _check(response: aiohttp.ClientResponse, path: str) -> None:
    """Raises unless this is a JSON answer of an API server that did what it was asked."""
    is_json = response.content_type == JSON
    if response.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
        if is_json:
            return
        raise ApiFailedError(Failure.NOT_KUBERNETES, f"{path}: answered with {response.content_type}, not JSON")
    failure = failure_of(response.status)
    words = await _status_words(response) if is_json else f"a page of {response.content_type}"
    raise ApiFailedError(
        failure,
        f"{path}: {response.status} {response.reason}: {words}",
        retry_after_seconds=_retry_after(response.headers.get("Retry-After", "")),
    )


async def _status_words(response: aiohttp.ClientResponse) -> str:
    try:
        message = (await _body(response)).get("message")
    except ApiFailedError:
        return "without a readable reason"
    return message[:300] if isinstance(message, str) else "without a reason"


def _retry_after(text: str) -> float:
    """Seconds; 0 where the header is absent or is a date (API servers send seconds)."""
    return min(float(text), LONGEST_RETRY_AFTER_SECONDS) if text.isdecimal() else 0.0


async def _body(response: aiohttp.ClientResponse) -> Object:
    pieces = []
    size = 0
    try:
        async for piece in response.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                raise ApiFailedError(Failure.NOT_KUBERNETES, f"an answer of more than {MOST_BYTES} bytes")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ApiFailedError(Failure.UNREACHABLE, f"answer cut off: {_words(error)}") from error
    return decoded(b"".join(pieces))


def decoded(raw: bytes) -> Object:
    """The JSON object in these bytes; ApiFailedError for anything else."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiFailedError(Failure.NOT_KUBERNETES, f"not a JSON object: {error}") from error
    if not isinstance(value, dict):
        raise ApiFailedError(Failure.NOT_KUBERNETES, "not a JSON object")
    return value


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
