"""`python -m monitor.demo`: files for a watch and a collect beside it, and the story over them."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from parts.process import CHECKOUT, until

from monitor.demo import __main__ as demo
from monitor.demo import story


async def test_the_story_is_played_until_it_is_told_to_stop(tmp_path, capsys):
    quick = tuple(type(step)(pause=0.01, told=step.told, act=step.act) for step in story.STORY)
    stage, stop = story.set_stage(tmp_path), asyncio.Event()
    playing = asyncio.create_task(demo.play(stage, quick, stop, rest=0.01))

    told = []
    async with asyncio.timeout(30):
        while told.count(story.STORY[-1].told) < 2:
            told += capsys.readouterr().out.splitlines()
            await asyncio.sleep(0.01)
    stop.set()
    await playing

    assert told[: len(quick)] == [step.told for step in quick]
    assert (stage.manifests / story.DELETED).exists()
    assert stage.log.read_text().count("calico-packet") > 0


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_it_sets_the_stage_and_ends_when_told(tmp_path, name):
    command = [sys.executable, "-m", "monitor.demo", str(tmp_path)]
    with subprocess.Popen(command, cwd=CHECKOUT, env={"PATH": os.environ["PATH"]}) as playing:
        until((tmp_path / "kern.log").exists, within=30, what="the stage is set")
        playing.send_signal(name)
        code = playing.wait(timeout=20)

    assert code == 0
    assert (tmp_path / "cluster" / story.DELETED).exists()
