"""The API source against the real Kubernetes API server: what is created, changed, deleted, forbidden and restarted."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import yaml
from cluster.faulty_api import until
from parts.kubernetes_api import ref
from parts.policy_crds import ADMIN_POLICY, CALICO_V1, CALICO_V3, CLUSTER_POLICY

from models import facts, wire
from models.errors import UserError
from models.facts import API_KINDS, FactKey, Kind
from monitor.cluster import checking, snapshot
from monitor.cluster.api_source import ApiSource, IdentityError, Watching
from monitor.cluster.pacing import Pace
from monitor.cluster.transport import Access

pytestmark = pytest.mark.apiserver

ROLE = Path(__file__).parents[2] / "deploy" / "rbac.yaml"
CALICO = "projectcalico.org/v3"


def role_rules():
    documents = yaml.safe_load_all(ROLE.read_text())
    return next(document["rules"] for document in documents if document["kind"] == "ClusterRole")


def without(kind_plural: str):
    return [
        rule | {"resources": [plural for plural in rule["resources"] if plural != kind_plural]} for rule in role_rules()
    ]


class Told:
    """What a source told of one kind."""

    def __init__(self) -> None:
        self.facts: dict[FactKey, bytes] = {}
        self.listings = 0
        self.is_served: bool | None = None
        self.refusal = ""
        self.troubles: list[str] = []
        self.seen_count = 0

    def listed(self, found, *, is_served=True) -> None:
        self.facts = dict(found)
        self.listings += 1
        self.is_served = is_served
        self.refusal = ""

    def changed(self, key, value) -> None:
        if value is None:
            self.facts.pop(key, None)
        else:
            self.facts[key] = value

    def seen(self) -> None:
        self.seen_count += 1
        self.refusal = ""

    def troubled(self, reason) -> None:
        self.troubles.append(reason)

    def unreadable(self, reason) -> None:
        self.refusal = reason

    def get(self, name: str, namespace: str = ""):
        found = [value for key, value in self.facts.items() if (key.namespace, key.name) == (namespace, name)]
        return wire.decode_fact(found[0]) if found else None


@asynccontextmanager
async def reading(cluster, *, user: str = "segmon"):
    """A source at work, and what it tells."""
    told = {kind: Told() for kind in API_KINDS}
    pace = Pace(chance=Random(3))
    async with ApiSource("c", Access(cluster.kubeconfig(user)), pace) as source:
        await source.identity()
        watching = Watching(kinds=told, has_facts=lambda kind: bool(told[kind].facts))
        task = asyncio.create_task(source.run(watching))
        try:
            yield told, source
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled() and task.exception():
            raise task.exception()


def all_told(told) -> bool:
    return all(one.is_served is not None or one.refusal for one in told.values())


async def test_every_kind_is_listed_or_known_not_to_be_served_with_the_role_we_ship(cluster):
    cluster.grant(*role_rules())
    async with reading(cluster) as (told, _):
        await until(lambda: all_told(told), within=20)

    assert {kind: one.refusal for kind, one in told.items() if one.refusal} == {}
    assert {kind for kind, one in told.items() if not one.is_served} == {
        Kind.ADMIN_NETWORK_POLICY,
        Kind.BASELINE_ADMIN_NETWORK_POLICY,
    }


async def test_changes_made_through_the_api_arrive_as_facts(cluster):
    cluster.grant(*role_rules())
    api = cluster.admin
    async with reading(cluster) as (told, _):
        await until(lambda: all_told(told), within=20)
        await asyncio.to_thread(api.namespace, "shop", {"tenant": "a"})
        await asyncio.to_thread(api.run_pod, "shop", "web", {"app": "web"}, ip="10.244.0.5")
        policy = ref(CALICO, "GlobalNetworkPolicy", "deny") | {"spec": {"selector": "all()", "types": ["Ingress"]}}
        await asyncio.to_thread(api.apply, policy)
        await until(lambda: (pod := told[Kind.POD].get("web", "shop")) and pod.addresses)
        await until(lambda: told[Kind.GLOBAL_NETWORK_POLICY].get("deny"))
        pod, deny = told[Kind.POD].get("web", "shop"), told[Kind.GLOBAL_NETWORK_POLICY].get("deny")
        labels = {"metadata": {"labels": {"tenant": "b"}}}
        await asyncio.to_thread(api.patch, ref("v1", "Namespace", "shop"), labels)
        await until(lambda: told[Kind.NAMESPACE].get("shop").labels.get("tenant") == "b")
        await asyncio.to_thread(api.delete, ref("v1", "Pod", "web", "shop"))
        await asyncio.to_thread(api.delete, ref(CALICO, "GlobalNetworkPolicy", "deny"))
        await until(lambda: not told[Kind.POD].facts and not told[Kind.GLOBAL_NETWORK_POLICY].facts)

    assert pod.addresses == ("10.244.0.5",)
    assert pod.labels["app"] == "web"
    assert deny.selector == "all()"
    assert told[Kind.POD].listings == 1


async def test_replica_sets_are_read_as_metadata_and_know_their_owner(cluster):
    cluster.grant(*role_rules())
    api = cluster.admin
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "m", "image": "none.invalid/i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    await asyncio.to_thread(api.namespace, "shop")
    deployment = await asyncio.to_thread(api.apply, ref("apps/v1", "Deployment", "web", "shop") | {"spec": spec})
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": deployment["metadata"]["uid"]}
    replica_set = ref("apps/v1", "ReplicaSet", "web-1", "shop") | {"spec": spec | {"replicas": 0}}
    replica_set["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    await asyncio.to_thread(api.apply, replica_set)
    async with reading(cluster) as (told, _):
        await until(lambda: told[Kind.REPLICA_SET].facts, within=20)
        listed = told[Kind.REPLICA_SET].get("web-1", "shop")
        await asyncio.to_thread(
            api.patch, ref("apps/v1", "ReplicaSet", "web-1", "shop"), {"metadata": {"labels": {"x": "y"}}}
        )
        await until(lambda: told[Kind.REPLICA_SET].get("web-1", "shop").labels == {"x": "y"})

    assert listed == facts.Controller(
        name="web-1",
        namespace="shop",
        uid=listed.uid,
        created_at=listed.created_at,
        controller_kind="ReplicaSet",
        owner=facts.Owner(kind="Deployment", name="web"),
    )


async def test_a_kind_that_may_not_be_read_is_named_and_the_rest_goes_on(cluster):
    cluster.grant(*without("tiers"))
    async with reading(cluster) as (told, _):
        await until(lambda: all_told(told), within=20)
        await asyncio.to_thread(cluster.admin.namespace, "shop")
        await until(lambda: told[Kind.NAMESPACE].get("shop"))

    assert "tiers" in told[Kind.TIER].refusal
    assert [kind for kind, one in told.items() if one.refusal] == [Kind.TIER]


async def test_a_server_that_is_killed_and_comes_back_is_followed_again_deletions_included(cluster):
    cluster.grant(*role_rules())
    api = cluster.admin
    await asyncio.to_thread(api.namespace, "shop")
    await asyncio.to_thread(api.run_pod, "shop", "old", ip="10.244.0.6")
    async with reading(cluster) as (told, _):
        await until(lambda: all_told(told) and told[Kind.POD].facts, within=20)
        await asyncio.to_thread(cluster.kill)
        await until(lambda: told[Kind.POD].troubles)
        await asyncio.to_thread(cluster.start)
        await asyncio.to_thread(api.delete, ref("v1", "Pod", "old", "shop"))
        await asyncio.to_thread(api.run_pod, "shop", "new", ip="10.244.0.7")
        await until(lambda: told[Kind.POD].get("new", "shop") and not told[Kind.POD].get("old", "shop"), within=40)

    assert [key.name for key in told[Kind.POD].facts] == ["new"]


async def test_a_version_that_the_server_has_forgotten_ends_in_a_new_listing(cluster):
    cluster.grant(*role_rules())
    api = cluster.admin
    await asyncio.to_thread(api.namespace, "shop")
    await asyncio.to_thread(api.namespace, "gone")
    async with reading(cluster) as (told, _):
        await until(lambda: all_told(told), within=20)
        before = told[Kind.NAMESPACE].listings
        await asyncio.to_thread(api.delete, ref("v1", "Namespace", "gone"))
        await asyncio.to_thread(cluster.compact)
        await asyncio.to_thread(cluster.restart)
        await until(lambda: not told[Kind.NAMESPACE].get("gone"), within=40)
        await until(lambda: told[Kind.NAMESPACE].get("shop"), within=40)

    assert told[Kind.NAMESPACE].listings >= before


async def test_calicos_stored_group_is_read_where_it_is_the_only_one(cluster):
    cluster.grant(*role_rules())
    await asyncio.to_thread(cluster.serve, CALICO_V1, ADMIN_POLICY)
    tier = ref("crd.projectcalico.org/v1", "Tier", "security") | {"spec": {"order": 10}}
    await asyncio.to_thread(cluster.admin.apply, tier)
    async with reading(cluster) as (told, _):
        await until(lambda: all_told(told), within=20)

    assert told[Kind.TIER].get("security").order == 10
    assert told[Kind.CLUSTER_NETWORK_POLICY].is_served is False
    assert told[Kind.ADMIN_NETWORK_POLICY].is_served is True


async def test_with_both_groups_only_v3_is_read(cluster):
    cluster.grant(*role_rules())
    await asyncio.to_thread(cluster.serve, CALICO_V3, CALICO_V1, CLUSTER_POLICY)
    for version, name in ((CALICO_V3, "new"), (CALICO_V1, "stored")):
        await asyncio.to_thread(cluster.admin.apply, ref(version, "Tier", name) | {"spec": {"order": 1}})
    async with reading(cluster) as (told, _):
        await until(lambda: all_told(told), within=20)

    assert [key.name for key in told[Kind.TIER].facts] == ["new"]


async def test_a_relist_tells_everything_again(cluster):
    cluster.grant(*role_rules())
    async with reading(cluster) as (told, source):
        await until(lambda: all_told(told), within=20)
        source.relist()
        await until(lambda: all(one.listings == 2 for one in told.values()), within=20)

    assert all(one.is_served is not None for one in told.values())


async def test_another_cluster_behind_the_same_address_is_refused(cluster):
    cluster.grant(*role_rules())
    pace = Pace(chance=Random(3))
    async with ApiSource("c", Access(cluster.kubeconfig()), pace) as source:
        await source.identity()
        source._uid = "another"
        told = {kind: Told() for kind in API_KINDS}
        with pytest.raises(IdentityError, match="name of its own"):
            async with asyncio.timeout(20):
                await source.run(Watching(kinds=told, has_facts=lambda _: False))


async def test_credentials_that_the_server_does_not_know_are_an_error_with_its_fix(cluster, tmp_path):
    file = tmp_path / "config"
    file.write_text(cluster.kubeconfig().read_text().replace(cluster.token("segmon"), "wrong"))
    async with ApiSource("c", Access(file), Pace(chance=Random(3))) as source:
        with pytest.raises(UserError, match=r"refuses the credentials of kubeconfig .*config"):
            await source.identity()


async def test_a_snapshot_holds_what_may_be_read_and_names_the_rest(cluster):
    cluster.grant(*without("pods"))
    await asyncio.to_thread(cluster.admin.namespace, "shop", {"tenant": "a"})

    taken = await snapshot.read(cluster.kubeconfig(), cluster="c")

    assert taken.facts[FactKey("c", Kind.NAMESPACE, "", "shop")].labels["tenant"] == "a"
    assert list(taken.unreadable) == [Kind.POD]
    assert "403" in taken.unreadable[Kind.POD]


async def test_doctor_finds_nothing_wrong_with_the_role_we_ship(cluster):
    cluster.grant(*role_rules())

    checks = await checking.permissions(cluster.kubeconfig())

    assert [check for check in checks if check.state != "well"] == []
    assert checks[0].found.endswith(cluster.admin.request("GET", "/version")["gitVersion"])


async def test_doctor_names_the_permission_that_is_missing_and_its_fix(cluster):
    cluster.grant(*without("hostendpoints"))

    [wrong] = [check for check in await checking.permissions(cluster.kubeconfig()) if check.state != "well"]

    assert wrong.found == "may not list or watch hostendpoints.projectcalico.org"
    assert wrong.fix == "kubectl apply -f deploy/rbac.yaml"


async def test_doctor_says_so_where_no_calico_is_served(cluster):
    cluster.grant(*role_rules())
    await asyncio.to_thread(cluster.serve, CLUSTER_POLICY)

    [wrong] = [check for check in await checking.permissions(cluster.kubeconfig()) if check.state != "well"]

    assert wrong.what == "Calico API group"


async def test_the_role_we_ship_cannot_read_secrets_or_change_anything(cluster):
    verbs = {verb for rule in role_rules() for verb in rule["verbs"]}
    resources = {plural for rule in role_rules() for plural in rule["resources"]}

    assert verbs == {"get", "list", "watch"}
    assert not resources & {"secrets", "configmaps", "*"}
