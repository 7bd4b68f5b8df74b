"""A `work` or `match` process of our own, for tests that kill one, and its child side (`python worker.py '{…}'`).

Settings go as one JSON argument: what to run, where broker and database are, how short the group's times are.
"""

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from parts.process import Part  # noqa: E402 - the paths above come first when this runs as a program

READY = "segmon test worker runs"


class Worker(Part):
    """One process. `start()` returns when it has joined nothing yet: wait for what it does in the database."""

    name = "worker"
    stop_within = 25.0

    def __init__(self, runs: str, *, bootstrap: str, database: str, prefix: str, **more: object) -> None:
        super().__init__()
        self._arguments = {"runs": runs, "bootstrap": bootstrap, "database": database, "prefix": prefix, **more}

    def command(self) -> Sequence[str]:
        return [sys.executable, str(Path(__file__)), json.dumps(self._arguments)]

    def answers(self) -> bool:
        return READY in self.log.read_text(errors="replace")


async def run(arguments: dict) -> None:
    from scenes.cluster import topics_of

    from monitor.broker.connection import Connection
    from monitor.store import Store
    from streams import wiring
    from streams.faust_apps import Group
    from streams.observing import Silent

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runs = arguments["runs"]
    parts = wiring.Parts(
        connection=Connection(bootstrap=arguments["bootstrap"]),
        store=Store.open(arguments["database"]),
        observer=Silent(),
        group=Group(
            name=f"{arguments['prefix']}{runs}",
            session_timeout_seconds=arguments.get("session_seconds", 3.0),
            rebalance_timeout_seconds=arguments.get("rebalance_seconds", 6.0),
        ),
        topics=topics_of(arguments["prefix"]),
        tick_seconds=arguments.get("tick_seconds", 1.0),
    )
    sys.stderr.write(READY + "\n")
    await {"assess": wiring.run_assess, "match": wiring.run_match}[runs](parts, stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    asyncio.run(run(json.loads(sys.argv[1])))
