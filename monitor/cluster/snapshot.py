"""What an API server holds now, read once: for `segmon explain --kubeconfig` and the like.

Law: a kind that could not be read is named, so that no answer is given as if there were nothing of it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from msgspec import Struct

from models import wire
from models.errors import CannotEvaluateError
from models.facts import API_KINDS, Fact, FactKey, Kind, key_of
from monitor.cluster.api_source import REQUESTS_BURST, SECONDS_PER_REQUEST, fact_of
from monitor.cluster.discovery import Unclear, answer, discover
from monitor.cluster.pacing import Backoff, Bucket, Pace
from monitor.cluster.reflector import Reaching, listing
from monitor.cluster.resources import Resource
from monitor.cluster.transport import Access, Api, ApiFailedError, Failure, Object

ATTEMPTS = 3
LISTING_SECONDS = 120.0
_PASSING = frozenset({Failure.UNREACHABLE, Failure.THROTTLED, Failure.SERVER_ERROR, Failure.EXPIRED})


class Snapshot(Struct, frozen=True, kw_only=True):
    """`unreadable`: kinds that are there, or may be, and could not be read, with the reason."""

    facts: dict[FactKey, Fact]
    unreadable: dict[Kind, str]
    url: str


async def read(kubeconfig: Path | None, context: str = "", *, cluster: str) -> Snapshot:
    """UserError for credentials that cannot be used, CannotEvaluateError if the server does not answer."""
    pace = Pace(chance=Random())  # noqa: S311 - spreads retries
    async with Api(Access(kubeconfig, context)) as api:
        requests = Bucket(pace, burst=REQUESTS_BURST, seconds_each=SECONDS_PER_REQUEST)
        try:
            found = await discover(api)
        except ApiFailedError as error:
            raise CannotEvaluateError(f"{api.url} cannot be read: {error}\n       fix: see `segmon doctor`") from error
        reading = _Reading(Reaching(api=api, pace=pace, requests=requests), cluster)
        async with asyncio.TaskGroup() as tasks:
            for kind in API_KINDS:
                match answer(kind, found):
                    case Unclear(reason=reason):
                        reading.unreadable[kind] = reason
                    case Resource() as resource:
                        tasks.create_task(reading.read(kind, resource))
                    case _:
                        pass
        return Snapshot(facts=reading.facts, unreadable=reading.unreadable, url=api.url)


class _Reading:
    """The kinds of one snapshot, side by side."""

    def __init__(self, reaching: Reaching, cluster: str) -> None:
        self.facts: dict[FactKey, Fact] = {}
        self.unreadable: dict[Kind, str] = {}
        self._reaching = reaching
        self._cluster = cluster

    async def read(self, kind: Kind, resource: Resource) -> None:
        backoff = Backoff(self._reaching.pace)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(LISTING_SECONDS):
                    _, raw = await listing(self._reaching, resource, self._fact, in_pages=attempt == 1)
            except (ApiFailedError, TimeoutError) as error:
                self.unreadable[kind] = str(error) or f"not listed within {LISTING_SECONDS:g} s"
                if not isinstance(error, ApiFailedError) or error.failure not in _PASSING or attempt == ATTEMPTS:
                    return
                await backoff.pause(at_least=error.retry_after_seconds)
            else:
                self.unreadable.pop(kind, None)
                self.facts |= {key: _decoded(value) for key, value in raw.items()}
                return

    def _fact(self, item: Object) -> tuple[FactKey, bytes]:
        fact = fact_of(item)
        return key_of(self._cluster, fact), wire.encode_fact(fact)


def _decoded(value: bytes) -> Fact:
    fact = wire.decode_fact(value)
    assert not isinstance(fact, wire.Unreadable)
    return fact
