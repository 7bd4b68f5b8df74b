"""Kubernetes' own objects become facts; what Calico makes of them: policy_semantics.md 9, 10, 15, 16.3."""

import pytest

from models import facts
from monitor.cluster.normalise import normalise, with_defaults


def pod(spec=None, status=None, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", **metadata},
        "spec": {"nodeName": "node-a", "serviceAccountName": "default", **(spec or {})},
        "status": {"phase": "Running", "podIP": "10.0.0.1", **(status or {})},
    }


def admin(kind, version, **spec):
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": "default"},
        "spec": {"priority": 7, "tier": "Admin", "subject": {"namespaces": {}}, **spec},
    }


def test_a_pod_keeps_what_a_verdict_needs():
    fact = normalise(
        pod(
            {
                "containers": [
                    {"ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]},
                    {"ports": [{"name": "odd", "containerPort": 5, "protocol": "DCCP"}]},
                ],
                "initContainers": [{"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}],
            },
            {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00:0::1"}]},
            labels={"app": "web"},
            ownerReferences=[
                {"kind": "Node", "name": "n"},
                {"kind": "ReplicaSet", "name": "web-1", "controller": True},
            ],
        )
    )

    assert fact == facts.Pod(
        name="web",
        namespace="shop",
        labels={"app": "web"},
        node="node-a",
        phase="Running",
        addresses=("10.0.0.1", "fd00::1"),
        named_ports=(
            facts.NamedPort(name="http", protocol="TCP", port=80),
            facts.NamedPort(name="dns", protocol="UDP", port=53),
        ),
        owner=facts.Owner(kind="ReplicaSet", name="web-1"),
    )


@pytest.mark.parametrize(
    ("status", "annotations", "addresses"),
    [
        ({"podIPs": [{"ip": "10.0.0.2"}]}, {}, ("10.0.0.2",)),
        ({}, {"cni.projectcalico.org/podIP": "10.0.0.9/32"}, ("10.0.0.1",)),
        (
            {"podIP": ""},
            {"cni.projectcalico.org/podIPs": "10.0.0.3/32,fd00::3/128"},
            ("10.0.0.3", "fd00::3"),
        ),
        ({"podIP": None}, {"cni.projectcalico.org/podIP": "10.0.0.4/32"}, ("10.0.0.4",)),
        ({"podIP": ""}, {"vpc.amazonaws.com/pod-ips": "10.0.0.5"}, ("10.0.0.5",)),
        ({"podIP": ""}, {}, ()),
    ],
)
def test_addresses_come_from_the_first_source_that_has_any(status, annotations, addresses):
    assert normalise(pod(status=status, annotations=annotations)).addresses == addresses


@pytest.mark.parametrize(
    ("status", "metadata", "is_finished"),
    [
        ({"phase": "Succeeded"}, {}, True),
        ({"phase": "Failed"}, {}, True),
        ({}, {"deletionTimestamp": "2026-01-02T03:04:05Z"}, False),
        ({}, {"annotations": {"cni.projectcalico.org/podIP": ""}}, False),
        (
            {},
            {"deletionTimestamp": "2026-01-02T03:04:05Z", "annotations": {"cni.projectcalico.org/podIP": ""}},
            True,
        ),
    ],
)
def test_a_pod_is_finished_when_it_ended_or_its_addresses_were_taken_away(status, metadata, is_finished):
    fact = normalise(pod(status=status, **metadata))

    assert (fact.is_finished, fact.addresses) == (is_finished, () if is_finished else ("10.0.0.1",))


def test_a_pod_whose_address_is_none_is_rejected():
    fact = normalise(pod(status={"podIP": "10.0.0.300"}))

    assert isinstance(fact, facts.Rejected)
    assert fact.reason == "status.podIPs: '10.0.0.300' is no address"


def test_a_node_knows_its_addresses_and_those_of_its_tunnels():
    fact = normalise(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": "node-a",
                "annotations": {
                    "projectcalico.org/IPv4Address": "192.0.2.1/24",
                    "projectcalico.org/IPv4VXLANTunnelAddr": "10.0.9.0",
                },
            },
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": "192.0.2.1"},
                    {"type": "Hostname", "address": "192.0.2.77"},
                ]
            },
        }
    )

    assert fact.addresses == ("192.0.2.1", "10.0.9.0")


def test_a_headless_service_has_no_cluster_address():
    fact = normalise(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"clusterIP": "None", "ports": [{"port": 5432, "nodePort": 30000, "targetPort": "pg"}]},
        }
    )

    assert fact.cluster_ips == ()
    assert fact.ports == (facts.ServicePort(port=5432, node_port=30000),)


def test_a_slice_gives_every_backend_and_ignores_readiness():
    fact = normalise(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "s", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": False}}, {"addresses": ["10.0.0.2"]}],
            "ports": [{"port": 5432}, {"name": "any", "port": None, "protocol": "UDP"}],
        }
    )

    assert (fact.service, fact.addresses) == ("db", ("10.0.0.1", "10.0.0.2"))
    assert fact.ports == (facts.EndpointPort(port=5432), facts.EndpointPort(name="any", protocol="UDP"))


def test_a_kubernetes_policy_without_types_is_about_ingress():
    fact = normalise(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "p", "namespace": "shop"},
            "spec": {
                "podSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]},
                "ingress": [
                    {
                        "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}, {"podSelector": {}}],
                        "ports": [{"port": "80"}, {"port": "http", "protocol": "UDP"}, {}],
                    },
                    {},
                ],
                "egress": [{"to": []}],
            },
        }
    )

    assert fact.policy_types == ("Ingress",)
    assert fact.pod_selector.match_expressions[0] == facts.LabelRequirement(key="a", operator="NotIn", values=("b",))
    assert fact.ingress[0] == facts.KubernetesRule(
        peers=(
            facts.KubernetesPeer(ip_block=facts.IPBlock(cidr="10.0.0.0/8", except_=("10.1.0.0/16",))),
            facts.KubernetesPeer(pod_selector=facts.LabelSelector()),
        ),
        ports=(
            facts.KubernetesPort(port=80),
            facts.KubernetesPort(port="http", protocol="UDP"),
            facts.KubernetesPort(),
        ),
    )
    assert fact.ingress[1] == facts.KubernetesRule()
    assert fact.egress == (facts.KubernetesRule(peers=()),)


def test_a_cluster_network_policy_keeps_order_and_names_what_calico_cannot_convert():
    fact = normalise(
        admin(
            "ClusterNetworkPolicy",
            "v1alpha2",
            egress=[
                {
                    "name": "r",
                    "action": "Accept",
                    "to": [{"networks": ["10.0.0.0/8"]}, {"nodes": {}}, {"networks": ["nowhere"]}],
                    "protocols": [
                        {"tcp": {"destinationPort": {"number": 80}}},
                        {"udp": {"destinationPort": {"range": {"start": 1, "end": 9}}}},
                        {"sctp": {}},
                        {"destinationNamedPort": "http"},
                    ],
                },
                {"action": "Allow", "to": [{"namespaces": {}}]},
                {
                    "action": "Deny",
                    "to": [{"pods": {"podSelector": {"matchLabels": {"a": "b"}}}}],
                    "protocols": [{"tcp": {"destinationPort": {"range": {"start": 9, "end": 1}}}}],
                },
            ],
        )
    )
    first, second, third = fact.egress

    assert (fact.tier, fact.priority, fact.subject) == ("Admin", 7, facts.AdminPeer(namespaces=facts.LabelSelector()))
    assert first.peers == (
        facts.AdminPeer(networks=("10.0.0.0/8",)),
        facts.AdminPeer(unsupported="none of namespaces, pods and networks is set"),
        facts.AdminPeer(unsupported="'nowhere' is no CIDR"),
    )
    assert first.ports == (
        facts.AdminPort(protocol="TCP", port=80),
        facts.AdminPort(protocol="UDP", port=1, end_port=9),
        facts.AdminPort(protocol="SCTP"),
        facts.AdminPort(named_port="http"),
    )
    assert (first.name, first.action, first.unsupported) == ("r", "Accept", "")
    assert second.unsupported == "action 'Allow' is not one of Accept, Deny, Pass"
    assert third.unsupported == "the port range 9-1 ends before it begins"
    assert third.peers[0].pods_namespace_selector == facts.LabelSelector()


def test_the_older_admin_kinds_have_their_own_ports_and_tiers():
    ports = [
        {"portNumber": {"protocol": "UDP", "port": 53}},
        {"portRange": {"start": 1, "end": 9}},
        {"namedPort": "http"},
    ]
    rule = {"action": "Allow", "from": [{"namespaces": {}}], "ports": ports}

    upper = normalise(admin("AdminNetworkPolicy", "v1alpha1", ingress=[rule]))
    lower = normalise(admin("BaselineAdminNetworkPolicy", "v1alpha1", ingress=[{**rule, "action": "Pass"}]))

    assert (upper.tier, upper.priority, lower.tier, lower.priority) == ("Admin", 7, "Baseline", 1000)
    assert upper.ingress[0].ports == (
        facts.AdminPort(protocol="UDP", port=53),
        facts.AdminPort(protocol="TCP", port=1, end_port=9),
        facts.AdminPort(named_port="http"),
    )
    assert (upper.ingress[0].unsupported, lower.ingress[0].unsupported) == (
        "",
        "action 'Pass' is not one of Allow, Deny",
    )


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (admin("ClusterNetworkPolicy", "v1alpha2", tier="Middle"), "spec.tier: "),
        (admin("ClusterNetworkPolicy", "v1alpha2", subject={}), "spec.subject: "),
        (
            {**admin("BaselineAdminNetworkPolicy", "v1alpha1"), "metadata": {"name": "other"}},
            "metadata.name: the only",
        ),
    ],
)
def test_an_admin_policy_that_calico_skips_is_rejected(obj, reason):
    fact = normalise(obj)

    assert isinstance(fact, facts.Rejected)
    assert fact.reason.startswith(reason)


@pytest.mark.parametrize(
    "obj",
    [
        {},
        {"kind": "Pod"},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}},
        {"apiVersion": "v2", "kind": "Pod", "metadata": {"name": "s"}},
        {"apiVersion": ["v1"], "kind": "Pod"},
        "text",
        None,
    ],
)
def test_what_segmon_does_not_read_is_no_fact(obj):
    assert normalise(obj) is None


def test_defaults_are_those_of_the_api_server():
    namespace = with_defaults({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    bare = with_defaults({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {}})
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p"},
        "spec": {"egress": [{}]},
    }

    assert normalise(namespace).labels == {"kubernetes.io/metadata.name": "shop"}
    assert (normalise(bare).namespace, normalise(bare).service_account) == ("default", "default")
    assert normalise(with_defaults(policy)).policy_types == ("Ingress", "Egress")
    assert policy["metadata"] == {"name": "p"}
