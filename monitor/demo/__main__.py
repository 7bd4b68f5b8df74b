"""`python -m monitor.demo FOLDER`: the demo's files and their story, beside a `segmon watch` and a `segmon collect`.

The story is played again and again until this process is told to stop, so that whoever comes later sees it too: nobody
here knows when the others have read the folder.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from monitor import clock
from monitor.demo import story

FIRST_REST_SECONDS = 60.0
REST_SECONDS = 300.0
"""Between two plays: long enough to look at what the last one left."""


async def play(
    stage: story.Stage, steps: Sequence[story.Step], stop: asyncio.Event, *, rest: float = REST_SECONDS
) -> None:
    """Until `stop`; a step that was begun is finished."""
    pause = min(rest, FIRST_REST_SECONDS)
    while True:
        for step in steps:
            if await _stopped(stop, pause + step.pause):
                return
            pause = 0.0
            sys.stdout.write(f"{step.told}\n")
            sys.stdout.flush()
            await asyncio.to_thread(step.act, stage, clock.now())
        pause = rest


async def _stopped(stop: asyncio.Event, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await stop.wait()
    except TimeoutError:
        return False
    return True


async def main(folder: Path) -> None:
    """Set the stage, then play. A folder that has it already gets the cluster back as the story begins it."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    stage = await asyncio.to_thread(story.set_stage, folder)
    await play(stage, story.STORY, stop)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m monitor.demo FOLDER")
    asyncio.run(main(Path(sys.argv[1])))
