"""Where each kind of fact is read from: API groups, versions and plural names, the preferred one first.

Calico's kinds are served as projectcalico.org/v3 (aggregated server or native CRDs) or as crd.projectcalico.org/v1,
never read from both. ReplicaSets and Jobs are read as metadata only: they are steps to a pod's top controller.
Source: deployment.md (RBAC), Kubernetes API reference, projectcalico/calico api/pkg/apis/projectcalico/v3.
"""

from __future__ import annotations

from msgspec import Struct

from models.facts import Kind

CALICO = "projectcalico.org"
CALICO_STORED = "crd.projectcalico.org"
ADMIN_POLICY = "policy.networking.k8s.io"


class Resource(Struct, frozen=True, kw_only=True):
    """One place where objects of a kind can be served. `object_kind`: as the API writes it."""

    group: str
    version: str
    plural: str
    object_kind: str
    is_metadata_only: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        root = f"/apis/{self.group}" if self.group else "/api"
        return f"{root}/{self.version}/{self.plural}"


def _one(group: str, version: str, plural: str, object_kind: str) -> tuple[Resource, ...]:
    return (Resource(group=group, version=version, plural=plural, object_kind=object_kind),)


def _metadata(group: str, plural: str, object_kind: str) -> tuple[Resource, ...]:
    return (Resource(group=group, version="v1", plural=plural, object_kind=object_kind, is_metadata_only=True),)


def _calico(kind: Kind) -> tuple[Resource, ...]:
    plural = kind.value.lower() + "s" if not kind.value.endswith("Policy") else kind.value.lower()[:-1] + "ies"
    return _one(CALICO, "v3", plural, kind.value) + _one(CALICO_STORED, "v1", plural, kind.value)


RESOURCES: dict[Kind, tuple[Resource, ...]] = {
    Kind.NAMESPACE: _one("", "v1", "namespaces", "Namespace"),
    Kind.SERVICE_ACCOUNT: _one("", "v1", "serviceaccounts", "ServiceAccount"),
    Kind.POD: _one("", "v1", "pods", "Pod"),
    Kind.NODE: _one("", "v1", "nodes", "Node"),
    Kind.SERVICE: _one("", "v1", "services", "Service"),
    Kind.ENDPOINT_SLICE: _one("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    Kind.REPLICA_SET: _metadata("apps", "replicasets", "ReplicaSet"),
    Kind.JOB: _metadata("batch", "jobs", "Job"),
    Kind.KUBERNETES_NETWORK_POLICY: _one("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    Kind.CLUSTER_NETWORK_POLICY: _one(ADMIN_POLICY, "v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy"),
    Kind.ADMIN_NETWORK_POLICY: _one(ADMIN_POLICY, "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy"),
    Kind.BASELINE_ADMIN_NETWORK_POLICY: _one(
        ADMIN_POLICY, "v1alpha1", "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy"
    ),
} | {
    kind: _calico(kind)
    for kind in (
        Kind.NETWORK_POLICY,
        Kind.GLOBAL_NETWORK_POLICY,
        Kind.STAGED_NETWORK_POLICY,
        Kind.STAGED_GLOBAL_NETWORK_POLICY,
        Kind.STAGED_KUBERNETES_NETWORK_POLICY,
        Kind.TIER,
        Kind.NETWORK_SET,
        Kind.GLOBAL_NETWORK_SET,
        Kind.HOST_ENDPOINT,
        Kind.PROFILE,
        Kind.FELIX_CONFIGURATION,
        Kind.IP_POOL,
        Kind.CLUSTER_INFORMATION,
    )
}
