"""A scrape of one cluster with 200 domains by 40 controls: its time, its size and its series, the record in PostgreSQL.

State gauges are read from the record for each scrape. Every fourth control of a domain fails, with a finding. Measured
over HTTP as Prometheus asks, and inside as processor time. Ceiling, in the same run: the same text from gauges that are
not loaded anew.
"""

from __future__ import annotations

import asyncio
import gzip
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import aiohttp
from msgspec import structs
from parts.postgres import PostgresServer
from parts.process import stop_on_sigterm
from store.recordings import control, posture, recording, seen, subject

from benchmarks import measuring
from benchmarks.measuring import Figure
from models.compliance import Domain, Outcome
from models.facts import API_KINDS
from models.metrics import DOMAIN_LIMIT
from monitor import clock
from monitor.compliance.catalogue import CONTROLS
from monitor.store import Store
from monitor.web.exposition import Exposition
from monitor.web.gauges import Gauges
from monitor.web.health import Health
from monitor.web.server import metrics_app, serving

CONTROLS_EACH = 40
ROUNDS = 15
AIM_SERIES = 20_000
AIM_SECONDS = 1.0
"""A tenth of Prometheus's own patience with a scrape."""

MANY = [structs.replace(CONTROLS[n % len(CONTROLS)], id=f"control-{n:02}") for n in range(CONTROLS_EACH)]
OUTCOMES = (Outcome.PASS, Outcome.FAIL, Outcome.WARN, Outcome.PASS)


class Wide(Gauges):
    """As if the catalogue had forty controls."""

    severities = {each.id: each.severity for each in MANY}  # noqa: RUF012 - as in the class above


def main() -> list[Figure]:
    stop_on_sigterm()
    with PostgresServer() as postgres:
        store = Store.open(postgres.create_database())
        store.upgrade()
        store.record(recording(1, *_postures(), vouched=tuple(seen(1, name=kind.value) for kind in API_KINDS)))
        exposition = Exposition("work", version="0")
        gauges = Wide(exposition, Health(), store, now=clock.now, monotonic=clock.monotonic)
        gauges.adopted("h")
        figures = asyncio.run(_scraped(exposition))
        store.close()
    return figures


def _postures():
    for number in range(DOMAIN_LIMIT):
        name = f"namespace-{number:04}"
        results = (_result(name, number + place, each.id) for place, each in enumerate(MANY))
        yield posture(*results, domain=Domain(id=f"namespace/{name}", level="namespace", name=name, owner="team"))


def _result(namespace: str, number: int, identity: str):
    outcome = OUTCOMES[number % len(OUTCOMES)]
    return structs.replace(control(outcome, subject(outcome, name=f"{namespace}/Deployment/web")), control=identity)


async def _scraped(exposition: Exposition) -> list[Figure]:
    app = metrics_app(exposition, live=lambda: (True, ""), ready=lambda: (True, ""))
    async with serving(app, "127.0.0.1:0", setting="-") as address, aiohttp.ClientSession() as session:

        async def scrape() -> bytes:
            async with session.get(f"http://{address}/metrics") as answer:
                return await answer.read()

        text = await scrape()
        wall = await _median(scrape)
        cpu = statistics.median(measuring.seconds(exposition.text)[0] for _ in range(ROUNDS))
        exposition.refreshers.clear()
        ceiling = await _median(scrape)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    size = f"{DOMAIN_LIMIT} domains, {CONTROLS_EACH} controls"
    return [
        Figure("series of a scrape", series, "", AIM_SERIES, size),
        Figure(
            "size of a scrape", round(len(text) / 1024), "KiB", None, f"{len(gzip.compress(text)) // 1024} KiB gzip"
        ),
        Figure("a scrape", round(wall, 3), "s", AIM_SECONDS, f"median of {ROUNDS}, record read anew"),
        Figure("processor time of a scrape", round(cpu, 3), "s", None, "of our process"),
        Figure("ceiling: the text alone", round(ceiling, 3), "s", None, "nothing read"),
    ]


async def _median(act: Callable[[], Awaitable[bytes]]) -> float:
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        await act()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


if __name__ == "__main__":
    for figure in main():
        print(figure)
