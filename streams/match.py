"""The agent on flow batches. Thin: it delivers; `matching` decides, `sighting` counts, the store dedupes.

Law 1: the body never raises; a batch that cannot be used becomes a dead letter, a database that is away holds it up.
Law 2: flows have an app, a group and a process of their own, so that a flood of them never delays posture.
"""

from __future__ import annotations

from typing import Any

import faust

from monitor.broker.connection import Connection
from streams import faust_apps
from streams.faust_apps import Group
from streams.matching import Matcher

FETCH_WAIT_MS = 1000
"""On the embedded broker each fetch takes that long. A batch lies two seconds until it is judged: nothing is late."""


def create_match_app(connection: Connection, topic_name: str, group: Group, matcher: Matcher) -> faust.App:
    """The app with its one agent, finalized, not started."""
    app = faust_apps.make(connection, group, fetch_wait_ms=FETCH_WAIT_MS)
    topic = faust_apps.topic_of(app, topic_name)

    @app.agent(topic, name="match", concurrency=1)
    async def match(stream: Any) -> None:
        await faust_apps.deliver(stream, "match", matcher.take, matcher.give_up)

    faust_apps.on_partitions(app.on_partitions_assigned, matcher.assign)
    app.finalize()
    return app
