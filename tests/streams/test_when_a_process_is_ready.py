"""Ready means: the group is joined and what was given to us is built. Never before, not even for a moment."""

import pytest
from scenes.cluster import default_deny, namespace, pod

from monitor.web.health import Health, readiness
from streams.observing import Silent

SHOP = (namespace("shop"), pod("shop", "web", "10.0.0.1"))


class Watcher(Silent):
    """Keeps a process's health as its metrics do, and each answer that /readyz could have given."""

    def __init__(self):
        self.health = Health()
        self.answers = []
        self.built_things = []

    def building(self, what, why):
        self.health.wait(what, why)
        self.answers.append(readiness(self.health)[0])

    def built(self, what):
        self.built_things.append(what)
        self.health.arrived(what)
        self.answers.append(readiness(self.health)[0])


@pytest.mark.parametrize("runs", ["assess", "match"])
async def test_a_process_is_not_ready_before_it_has_joined_its_group(world, runs):
    watcher = Watcher()
    async with world.running(runs, observer=watcher):
        await world.until(lambda: any(watcher.answers), "ready")

    assert watcher.answers[0] is False
    assert watcher.answers.count(True) == 1


async def test_a_worker_is_not_ready_before_every_partition_that_it_got_is_built(world):
    watcher = Watcher()
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP, default_deny("shop"))
        await world.until(world.statuses, "the cluster is judged")
    async with world.running(observer=watcher):
        await world.until(lambda: any(watcher.answers), "ready")
        partitions = {what for what in watcher.built_things if "/" in what}

    assert watcher.answers.count(True) == 1
    assert len(partitions) == world.topics.facts.partitions
