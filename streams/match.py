"""The agent on flow batches. Thin: it delivers; `matching` decides, `sighting` counts, the store dedupes.

Law 1: the body never raises; a batch that cannot be used becomes a dead letter, a database that is away holds it up.
Law 2: flows have an app, a group and a process of their own, so that a flood of them never delays posture.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import faust

from monitor.broker.connection import Connection
from streams import faust_apps
from streams.faust_apps import Group
from streams.matching import Matcher

log = logging.getLogger(__name__)


def create_match_app(connection: Connection, topic_name: str, group: Group, matcher: Matcher) -> faust.App:
    """The app with its one agent, finalized, not started."""
    app = faust_apps.make(connection, group)
    topic = faust_apps.topic_of(app, topic_name)

    @app.agent(topic, name="match", concurrency=1)
    async def match(stream: Any) -> None:
        async with contextlib.aclosing(faust_apps.batches(stream)) as batches:
            async for events in batches:
                try:
                    await matcher.take([faust_apps.record_of(event) for event in events])
                except Exception:
                    log.exception("match cannot go on")
                    matcher.give_up("match cannot go on: what it was given is left to the next owner")

    faust_apps.on_partitions(app.on_partitions_assigned, matcher.assign)
    app.finalize()
    return app
