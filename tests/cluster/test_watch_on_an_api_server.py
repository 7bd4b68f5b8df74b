"""The watch from the real API server into real Kafka: what is done to the cluster is what the log says."""

import asyncio
from pathlib import Path

import pytest
import yaml
from parts.kubernetes_api import ref
from scenes.facts_log import CLUSTER, LIMIT, begun, watching

from models.errors import UserError
from models.facts import Kind
from monitor.cluster.watch import run_watch
from monitor.settings import Kafka, Settings, Timing, Watch

ROLE = Path(__file__).parents[2] / "deploy" / "rbac.yaml"
SHOP, POD = f"{CLUSTER}/Namespace//shop", f"{CLUSTER}/Pod/shop/web"
POLICY, TIER = f"{CLUSTER}/KubernetesNetworkPolicy/shop/default-deny", f"{CLUSTER}/Tier//security"


def role_rules(*, without: str = ""):
    documents = yaml.safe_load_all(ROLE.read_text())
    rules = next(document["rules"] for document in documents if document["kind"] == "ClusterRole")
    narrowed = [rule | {"resources": [name for name in rule["resources"] if name != without]} for rule in rules]
    return [rule for rule in narrowed if rule["resources"]]


@pytest.fixture
def settings(kafka, cluster):
    """The cluster may be read with the role that we ship."""
    cluster.grant(*role_rules())
    return Settings(
        cluster=CLUSTER,
        kafka=Kafka(bootstrap=kafka.bootstrap),
        watch=Watch(kubeconfig=cluster.kubeconfig()),
        timing=Timing(heartbeat_seconds=1.0),
    )


def deny(namespace):
    policy = ref("networking.k8s.io/v1", "NetworkPolicy", "default-deny", namespace)
    return policy | {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}


async def do(call, *arguments):
    return await asyncio.to_thread(call, *arguments)


def label(log, kind, key, name):
    fact = log.latest(kind).get(key)
    return fact.labels.get(name) if fact else None


async def test_what_is_made_changed_and_deleted_in_the_cluster_is_so_in_the_log(settings, cluster, topic, log):
    api = cluster.admin
    await do(api.namespace, "shop", {"tenant": "a"})
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
        at_start = label(log, Kind.NAMESPACE, SHOP, "tenant")
        await do(lambda: api.run_pod("shop", "web", {"app": "web"}, ip="10.244.0.5"))
        await do(api.apply, deny("shop"))
        await do(api.apply, ref("projectcalico.org/v3", "Tier", "security") | {"spec": {"order": 10}})
        await log.until(lambda log: log.latest(Kind.TIER).get(TIER), "the tier")
        await log.until(lambda log: log.latest(Kind.KUBERNETES_NETWORK_POLICY).get(POLICY), "the policy")
        await do(api.patch, ref("v1", "Namespace", "shop"), {"metadata": {"labels": {"tenant": "b"}}})
        await log.until(lambda log: label(log, Kind.NAMESPACE, SHOP, "tenant") == "b", "the namespace's new label")
        await do(api.patch, ref("v1", "Pod", "web", "shop"), {"metadata": {"labels": {"app": "shop"}}})
        await log.until(lambda log: label(log, Kind.POD, POD, "app") == "shop", "the pod's new label")
        await do(api.delete, deny("shop"))
        await do(api.delete, ref("v1", "Pod", "web", "shop"))
        await log.until(lambda log: log.latest(Kind.KUBERNETES_NETWORK_POLICY)[POLICY] is None, "the policy's end")
        await log.until(lambda log: log.latest(Kind.POD)[POD] is None, "the pod's end")

    [heartbeat] = log.latest(Kind.HEARTBEAT).values()
    system = api.get(ref("v1", "Namespace", "kube-system"))
    assert at_start == "a"
    assert len(log.listings()) == 1
    assert heartbeat.cluster_uid == system["metadata"]["uid"]
    assert heartbeat.kubernetes_version.startswith("v1.")


async def test_what_happened_while_no_watch_ran_is_seen_at_its_start_and_nothing_else_is_told_again(
    settings, cluster, topic, log
):
    api = cluster.admin
    await do(api.namespace, "shop")
    await do(api.apply, deny("shop"))
    await do(lambda: api.run_pod("shop", "old", ip="10.244.0.6"))
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
    before = len(log.api_records())
    await do(api.delete, deny("shop"))
    await do(api.delete, ref("v1", "Pod", "old", "shop"))
    await do(lambda: api.run_pod("shop", "new", ip="10.244.0.7"))
    async with watching(settings, topic):
        await log.until(lambda log: begun(log, 2), "the second listing")

    told = [(record.key.decode().rpartition("/")[2], record.value is None) for record in log.api_records()[before:]]
    assert sorted(told) == [("default-deny", True), ("new", False), ("old", True)]


RESOURCES = {Kind.TIER: "tiers", Kind.KUBERNETES_NETWORK_POLICY: "networkpolicies"}


@pytest.mark.parametrize("kind", RESOURCES)
async def test_a_kind_that_may_not_be_read_is_told_as_such_and_the_rest_goes_on(settings, cluster, topic, log, kind):
    cluster.grant(*role_rules(without=RESOURCES[kind]))
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
        await log.until(lambda log: log.state_of(kind)[0] == "not_readable", "the kind is not readable")
        await do(cluster.admin.namespace, "shop")
        await log.until(lambda log: SHOP in log.latest(Kind.NAMESPACE), "what came later")

    state, reason = log.state_of(kind)
    assert state == "not_readable"
    assert "403" in reason
    assert RESOURCES[kind] in reason
    assert log.state_of(Kind.POD)[0] == "fresh"


async def test_a_server_that_dies_and_comes_back_is_followed_on(settings, cluster, topic, log):
    api = cluster.admin
    old, new = f"{CLUSTER}/Pod/shop/old", f"{CLUSTER}/Pod/shop/new"
    await do(api.namespace, "shop")
    await do(lambda: api.run_pod("shop", "old", ip="10.244.0.6"))
    async with watching(settings, topic):
        await log.until(begun, "the first listing")
        await do(cluster.kill)
        await do(cluster.start)
        await do(api.delete, ref("v1", "Pod", "old", "shop"))
        await do(lambda: api.run_pod("shop", "new", ip="10.244.0.7"))
        # it is told first without its status, then with it
        await log.until(lambda log: _addresses(log, new) == ("10.244.0.7",), "the new pod with its address")
        await log.until(lambda log: log.latest(Kind.POD).get(old, 0) is None, "the old pod's end")
        await log.until(lambda log: log.state_of(Kind.POD)[0] == "fresh", "pods are fresh again")


def _addresses(log, key):
    pod = log.latest(Kind.POD).get(key)
    return pod.addresses if pod else None


async def test_credentials_that_are_refused_end_the_watch_with_the_fix(settings, cluster, topic, tmp_path):
    file = tmp_path / "config"
    file.write_text(cluster.kubeconfig().read_text().replace(cluster.token("segmon"), "wrong"))
    refused = settings.model_copy(update={"watch": Watch(kubeconfig=file)})
    with pytest.raises(UserError, match="refuses the credentials"):
        async with asyncio.timeout(LIMIT):
            await run_watch(refused, asyncio.Event(), topic=topic)
