"""The demo's story played through the tree, and the end of `--once`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor import clock
from monitor.demo import story

if TYPE_CHECKING:
    from monitor.cli.embedded import Tree
    from monitor.cli.telling import Teller

NOTICE_SECONDS = 10.0


async def play(tree: Tree, teller: Teller, stage: story.Stage, *, is_hurried: bool = False) -> None:
    """Step by step; hurried, a step follows as soon as the one before is recorded."""
    for step in story.STORY:
        if not is_hurried:
            await asyncio.sleep(step.pause)
        teller.say(step.told)
        before = tree.published_facts
        await asyncio.to_thread(step.act, stage, clock.now())
        if is_hurried:
            if step.is_about_files:
                await tree.noticed(before, NOTICE_SECONDS)
                await tree.passed()
            else:
                await tree.flows_passed()


async def evaluated(tree: Tree) -> None:
    """Everything that was there is through: facts, then the logs, then what the logs made of the facts."""
    await tree.passed()
    await tree.flows_passed()
