"""What reachability needs of an engine: its world as it is now."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.policy.engine import Engine
from monitor.policy.reach_classes import Backend, Snapshot
from monitor.policy.world import World

_NO_PROTOCOL = -1


def of(engine: Engine) -> Snapshot:
    world = engine.world
    return Snapshot(
        endpoints=world.subjects.endpoints,
        sets=tuple(world.subjects.sets.values()),
        tiers=world.tiers_in_order(),
        profiles=world.profiles.by_name,
        backends=lambda service: _backends(world, service),
        by_name=tuple(found.labels for found in world.domain_classes()),
        is_nftables=world.is_nftables(),
        is_pass_deny=world.chains.is_pass_deny,
    )


def _backends(world: World, service: tuple[str, str]) -> Iterator[Backend]:
    """With a port where the slice gives one; a backend without is still a source."""
    found = world.backends(service)
    yield from found.targets
    with_port = {address for address, _, _ in found.targets}
    yield from ((address, _NO_PROTOCOL, None) for address in found.addresses if address not in with_port)
