"""The custom resource definitions of Calico's kinds and of the cluster-wide policies, with open schemas.

Open on purpose: what Calico itself would refuse must be able to reach us, as it does from an older or careless cluster.
Scope and plural names are Calico's (projectcalico/calico, api/pkg/apis/projectcalico/v3) and SIG network-policy-api's.
"""

from typing import Any

CALICO_V3 = "projectcalico.org/v3"
CALICO_V1 = "crd.projectcalico.org/v1"
CLUSTER_POLICY = "policy.networking.k8s.io/v1alpha2"
ADMIN_POLICY = "policy.networking.k8s.io/v1alpha1"

NAMESPACED = {
    "NetworkPolicy": "networkpolicies",
    "StagedNetworkPolicy": "stagednetworkpolicies",
    "StagedKubernetesNetworkPolicy": "stagedkubernetesnetworkpolicies",
    "NetworkSet": "networksets",
}
CLUSTER_WIDE = {
    "GlobalNetworkPolicy": "globalnetworkpolicies",
    "StagedGlobalNetworkPolicy": "stagedglobalnetworkpolicies",
    "Tier": "tiers",
    "GlobalNetworkSet": "globalnetworksets",
    "HostEndpoint": "hostendpoints",
    "Profile": "profiles",
    "FelixConfiguration": "felixconfigurations",
    "IPPool": "ippools",
    "ClusterInformation": "clusterinformations",
}
KINDS = {
    CALICO_V3: NAMESPACED | CLUSTER_WIDE,
    CALICO_V1: NAMESPACED | CLUSTER_WIDE,
    CLUSTER_POLICY: {"ClusterNetworkPolicy": "clusternetworkpolicies"},
    ADMIN_POLICY: {
        "AdminNetworkPolicy": "adminnetworkpolicies",
        "BaselineAdminNetworkPolicy": "baselineadminnetworkpolicies",
    },
}


def definitions(group_version: str, *, served: bool) -> list[dict[str, Any]]:
    found = [_definition(group_version, kind, plural) for kind, plural in KINDS[group_version].items()]
    for definition in found:
        definition["spec"]["versions"][0]["served"] = served
    return found


def _definition(group_version: str, kind: str, plural: str) -> dict[str, Any]:
    group, _, version = group_version.partition("/")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    if group.endswith(".k8s.io"):
        served["subresources"] = {"status": {}}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # the API server asks for this wherever a group ends in .k8s.io
            "annotations": {"api-approved.kubernetes.io": "unapproved, installed for tests"},
        },
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced" if kind in NAMESPACED else "Cluster",
            "versions": [served],
        },
    }
