"""The watch of a real API server into a real Apache Kafka: what is done to the cluster is what the log says."""

import asyncio

from parts.kubernetes_api import ref
from scenes.facts_log import CLUSTER, begun, watching

from models.facts import Kind
from monitor.settings import Kafka, Settings, Timing, Watch

READ = ["get", "list", "watch"]
EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": READ}


def settings(kafka, cluster):
    return Settings(
        cluster=CLUSTER,
        kafka=Kafka(bootstrap=kafka.bootstrap),
        watch=Watch(kubeconfig=cluster.kubeconfig()),
        timing=Timing(heartbeat_seconds=1.0),
    )


def deny(namespace):
    policy = ref("networking.k8s.io/v1", "NetworkPolicy", "default-deny", namespace)
    return policy | {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}


async def test_creating_relabelling_and_deleting_follow_in_the_log(kafka, cluster, topic, log):
    cluster.grant(EVERYTHING)
    api = cluster.admin
    api.namespace("shop", {"team": "a"})
    pod = f"{CLUSTER}/Pod/shop/web"
    policy = f"{CLUSTER}/KubernetesNetworkPolicy/shop/default-deny"
    async with watching(settings(kafka, cluster), topic):
        await log.until(begun, "the first listing")
        await asyncio.to_thread(api.run_pod, "shop", "web", {"app": "web"}, ip="10.244.0.5")
        await asyncio.to_thread(api.apply, deny("shop"))
        await log.until(lambda log: policy in log.latest(Kind.KUBERNETES_NETWORK_POLICY), "the policy")
        await asyncio.to_thread(api.patch, ref("v1", "Pod", "web", "shop"), {"metadata": {"labels": {"app": "shop"}}})
        await log.until(
            lambda log: (found := log.latest(Kind.POD).get(pod)) and found.labels.get("app") == "shop", "the new label"
        )
        await asyncio.to_thread(api.delete, deny("shop"))
        await log.until(lambda log: log.latest(Kind.KUBERNETES_NETWORK_POLICY)[policy] is None, "the deletion")

    [heartbeat] = log.latest(Kind.HEARTBEAT).values()
    system = api.get(ref("v1", "Namespace", "kube-system"))
    assert heartbeat.cluster_uid == system["metadata"]["uid"]
    assert heartbeat.kubernetes_version.startswith("v1.")


async def test_what_is_deleted_while_nobody_watches_is_gone_and_nothing_else_is_said_again(
    kafka,
    cluster,
    topic,
    log,
):
    cluster.grant(EVERYTHING)
    cluster.admin.namespace("shop")
    cluster.admin.apply(deny("shop"))
    async with watching(settings(kafka, cluster), topic):
        await log.until(begun, "the first listing")
    before = len(log.api_records())
    await asyncio.to_thread(cluster.admin.delete, deny("shop"))
    async with watching(settings(kafka, cluster), topic):
        await log.until(lambda log: begun(log, 2), "the second listing")

    [gone] = log.api_records()[before:]
    assert gone.key.decode() == f"{CLUSTER}/KubernetesNetworkPolicy/shop/default-deny"
    assert gone.value is None


async def test_a_kind_that_may_not_be_read_is_said_to_be_not_readable_and_the_rest_goes_on(
    kafka,
    cluster,
    topic,
    log,
):
    cluster.grant(
        {"apiGroups": [""], "resources": ["namespaces", "pods", "nodes", "services", "serviceaccounts"], "verbs": READ}
    )
    cluster.admin.namespace("shop")
    async with watching(settings(kafka, cluster), topic):
        await log.until(begun, "the first listing")
        await log.until(
            lambda log: log.state_of(Kind.KUBERNETES_NETWORK_POLICY)[0] == "not_readable", "the kind is not readable"
        )

    assert "403" in log.state_of(Kind.KUBERNETES_NETWORK_POLICY)[1]
    assert log.state_of(Kind.NAMESPACE)[0] == "fresh"
    assert f"{CLUSTER}/Namespace//shop" in log.latest(Kind.NAMESPACE)
