"""Facts become findings on real Kafka and PostgreSQL: once, whoever dies or joins meanwhile."""

from scenes.cluster import default_deny, namespace, pod

from models import tables

SHOP = (namespace("shop"), pod("shop", "web", "10.0.0.1"), namespace("bank"), pod("bank", "db", "10.0.0.2"))
OPEN = ("default-deny-ingress", "shop/Pod/web")


async def test_a_policy_that_goes_opens_findings_and_one_that_comes_resolves_them(world):
    async with world.scene() as scene, world.running():
        await scene.list_all(*SHOP, default_deny("bank"))
        await world.until(lambda: OPEN in world.findings(), "the open namespace is found")
        await scene.publish(default_deny("shop"))
        await world.until(lambda: not world.findings(), "it is resolved")
        await scene.remove(default_deny("shop"))
        await world.until(lambda: OPEN in world.findings(), "it is found again")

        await world.check()


async def test_a_policy_that_goes_is_recorded_with_what_it_opened_until_it_is_back(world):
    """Without ticks: one that came with the change would be the time of the record."""
    opened = ["bank -> bank all", "bank -> outside all", "outside -> bank all"]
    two = (*SHOP, pod("bank", "db-2", "10.0.0.3"), default_deny("shop"), default_deny("bank"))
    async with world.scene() as scene, world.running(tick_seconds=600):
        await scene.list_all(*two)
        await world.until(world.statuses, "the cluster is judged")
        walled = world.reach()
        await scene.remove(default_deny("bank"))
        await world.until(world.findings, "the open namespace is found")
        open_pairs = world.reach()
        await scene.publish(default_deny("bank"))
        await world.until(lambda: not world.findings(), "it is resolved")
        changes = world.rows(tables.policy_change)[-2:]
        spans = world.rows(tables.domain_reach)

        assert (walled, world.reach()) == ({}, {})
        assert list(open_pairs.values()) == [["all"]] * len(opened)
        assert [(row["change"], row["widened"], row["closed"]) for row in changes] == [
            ("deleted", opened, []),
            ("created", [], opened),
        ]
        assert {(row["from_at"], row["to_at"]) for row in spans} == {tuple(row["at"] for row in changes)}
        await world.check()


async def test_nothing_is_judged_before_the_first_listing_has_ended(world):
    async with world.scene() as scene, world.running():
        await scene.publish(*SHOP)
        await world.caught_up()
        before = world.statuses()
        await scene.list_all(*SHOP)
        await world.until(world.findings, "the open namespaces are found")

        assert before == {}


async def test_clusters_of_one_partition_do_not_mix(world):
    same = next(f"c{n}" for n in range(100) if world.place(f"c{n}") == world.place("east"))
    async with world.scene() as east, world.scene(same) as other, world.running():
        await east.list_all(*SHOP)
        await other.list_all(*SHOP, default_deny("shop"), default_deny("bank"))
        await world.until(world.findings, "the first cluster has findings")
        await world.until(lambda: world.statuses(same), "the second one is judged")

        await world.check("east")
        await world.check(same)
        assert world.findings(same) == set()
