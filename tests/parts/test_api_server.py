"""The API server is Kubernetes' own: it serves Calico's kinds, watches, refuses by role, keeps its data when killed."""

import asyncio

import pytest
from kubernetes_asyncio import client, config
from parts.kubernetes_api import ApiRefused, ref
from parts.policy_crds import ADMIN_POLICY, CALICO_V1, CALICO_V3, CLUSTER_POLICY

READ = {"apiGroups": ["", "projectcalico.org"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
POLICY = ref(CALICO_V3, "GlobalNetworkPolicy", "deny") | {"spec": {"selector": "all()", "types": ["Ingress"]}}


async def test_a_client_with_the_kubeconfig_sees_a_policy_appear_in_its_watch(cluster):
    cluster.grant(READ)
    configuration = client.Configuration()
    await config.load_kube_config(str(cluster.kubeconfig()), client_configuration=configuration)
    async with client.ApiClient(configuration) as api, asyncio.timeout(30):
        path = client.CustomObjectsApi(api).list_cluster_custom_object
        plural = ("projectcalico.org", "v3", "globalnetworkpolicies")
        listed = await path(*plural)
        answer = await path(
            *plural,
            watch=True,
            resource_version=listed["metadata"]["resourceVersion"],
            _preload_content=False,
        )
        cluster.admin.apply(POLICY)
        event = await answer.content.readline()
        answer.close()

    assert b'"type":"ADDED"' in event
    assert b'"selector":"all()"' in event


def test_a_namespace_goes_with_its_pods_though_no_controller_runs(cluster):
    cluster.admin.namespace("shop", {"tenant": "a"})
    cluster.admin.run_pod("shop", "web", {"app": "web"}, ip="10.244.0.5", ips=["fd00::5"])
    status = cluster.admin.get(ref("v1", "Pod", "web", "shop"))["status"]
    cluster.admin.delete(ref("v1", "Namespace", "shop"))

    assert (status["phase"], status["podIPs"]) == ("Running", [{"ip": "10.244.0.5"}, {"ip": "fd00::5"}])
    assert "shop" not in [found["metadata"]["name"] for found in cluster.admin.list("v1", "Namespace")]
    assert cluster.admin.list("v1", "Pod") == []


def test_a_killed_server_comes_back_with_its_objects(cluster):
    cluster.admin.apply(POLICY)
    cluster.kill()
    cluster.start()

    assert cluster.admin.get(POLICY)["spec"] == POLICY["spec"]


def test_the_restricted_user_is_refused_what_it_was_not_granted(cluster):
    cluster.grant(READ)
    segmon = cluster.api("segmon")

    assert segmon.list("v1", "Pod") == []
    with pytest.raises(ApiRefused, match="cannot list resource") as refusal:
        segmon.list("networking.k8s.io/v1", "NetworkPolicy")
    assert refusal.value.status == 403


def test_it_serves_the_policy_groups_that_it_is_told_to(cluster):
    cluster.admin.apply(POLICY)
    cluster.serve(CALICO_V1, ADMIN_POLICY)

    assert cluster.admin.list(CALICO_V1, "GlobalNetworkPolicy") == []
    assert cluster.admin.list(ADMIN_POLICY, "BaselineAdminNetworkPolicy") == []
    with pytest.raises(ApiRefused, match=r"no GlobalNetworkPolicy in projectcalico\.org/v3"):
        cluster.admin.list(CALICO_V3, "GlobalNetworkPolicy")

    cluster.serve(CALICO_V3, CLUSTER_POLICY)

    assert cluster.admin.list(CALICO_V3, "GlobalNetworkPolicy") == []


def test_a_version_from_before_the_compaction_is_answered_gone(cluster):
    old = cluster.admin.request("GET", "/api/v1/namespaces")["metadata"]["resourceVersion"]
    cluster.admin.namespace("later")
    cluster.compact()
    cluster.restart()
    events = cluster.admin.request("GET", f"/api/v1/namespaces?watch=1&timeoutSeconds=1&resourceVersion={old}")

    assert (events["type"], events["object"]["code"]) == ("ERROR", 410)
