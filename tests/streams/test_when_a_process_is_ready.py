"""Ready means: the group is joined and what was given to us is built. Never before, not even for a moment."""

import pytest
from scenes.cluster import default_deny, namespace, pod

from models.facts import FactKey, Kind
from monitor import clock
from monitor.web.health import Health, readiness
from streams import owning
from streams.observing import Silent
from streams.wiring import MEMBERSHIP

SHOP = (namespace("shop"), pod("shop", "web", "10.0.0.1"))


class Watcher(Silent):
    """Keeps a process's health as its metrics do, and after each word the answer that /readyz would have given."""

    def __init__(self):
        self.health = Health()
        self.words = []  # (what, whether it is there, ready)

    def building(self, what, why):
        self.health.wait(what, why)
        self.words.append((what, False, readiness(self.health)[0]))

    def built(self, what):
        self.health.arrived(what)
        self.words.append((what, True, readiness(self.health)[0]))

    @property
    def is_ready(self):
        return bool(self.words) and self.words[-1][2]

    @property
    def built_partitions(self):
        return {what for what, is_there, _ in self.words if is_there and "/" in what}


@pytest.mark.parametrize("runs", ["assess", "match"])
async def test_a_process_is_not_ready_before_it_has_joined_its_group(world, runs):
    watcher = Watcher()
    async with world.running(runs, observer=watcher):
        await world.until(lambda: watcher.is_ready, "ready")

    joined = [place for place, (what, is_there, _) in enumerate(watcher.words) if what == MEMBERSHIP and is_there]
    assert not any(is_ready for _, _, is_ready in watcher.words[: joined[0]])


async def test_a_worker_is_not_ready_before_every_partition_that_it_got_is_built(world):
    watcher = Watcher()
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP, default_deny("shop"))
        await world.until(world.statuses, "the cluster is judged")
    async with world.running(observer=watcher):
        # While the group still counts the former worker, it may give us nothing, for which we are ready.
        await world.until(lambda: len(watcher.built_partitions) == world.topics.facts.partitions, "all are built")
        words = list(watcher.words)

    missing = set()
    for what, is_there, is_ready in words:
        missing = missing - {what} if is_there else missing | {what}
        assert is_ready == (not missing)
    assert not missing


class SlowRecording(Watcher):
    """A clock that goes ahead by a minute with the first thing that is recorded."""

    minutes = 0

    def recorded(self, recording, recorded, *, seconds):
        self.minutes = 1

    def monotonic(self):
        return clock.monotonic() + 60 * self.minutes


async def test_a_build_that_took_long_asks_the_time_again_before_it_is_ready(light_world, monkeypatch):
    """Else the last slice could be too old to be judged, and nothing would be evaluated that is called ready."""
    world, slow = light_world, SlowRecording()
    monkeypatch.setattr(owning, "clock", slow)
    async with world.scene() as scene:
        await scene.list_all(*SHOP, default_deny("shop"))
        async with world.running(observer=slow, tick_seconds=600):
            await world.until(lambda: len(slow.built_partitions) == world.topics.facts.partitions, "all are built")
            kinds = [FactKey.from_text(record.key.decode()).kind for record in await world.facts()]

    assert kinds[-3:] == [Kind.HEARTBEAT, Kind.TICK, Kind.TICK]
