"""What the API server and Calico's admission fill in, for objects that were never sent to them.

Law: only absent fields are set; an object of the wrong shape comes back as it was, `normalise` says what is wrong.
Source: policy_semantics.md 2.4, 4.4, 7.1, 9.5; api/pkg/defaults/networkpolicy.go; Kubernetes' API defaults.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

CALICO_GROUPS = ("projectcalico.org/", "crd.projectcalico.org/")
CLUSTER_SCOPED = frozenset(
    {
        "Namespace",
        "Node",
        "ClusterNetworkPolicy",
        "AdminNetworkPolicy",
        "BaselineAdminNetworkPolicy",
        "GlobalNetworkPolicy",
        "StagedGlobalNetworkPolicy",
        "Tier",
        "GlobalNetworkSet",
        "HostEndpoint",
        "Profile",
        "FelixConfiguration",
        "IPPool",
        "ClusterInformation",
    }
)
TIERED = frozenset({"NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"})
BUILT_IN_TIERS = {"kube-admin": (1_000, "Pass"), "kube-baseline": (10_000_000, "Pass")}
LAST_ORDER = 1_000_000


def with_defaults(obj: Json) -> Json:
    """A copy with its defaults. Namespaced objects without a namespace land in `default`."""
    kind = obj.get("kind")
    metadata = obj.get("metadata")
    if not isinstance(kind, str) or not isinstance(metadata, dict):
        return obj
    if kind not in CLUSTER_SCOPED:
        obj = {**obj, "metadata": {**metadata, "namespace": metadata.get("namespace") or "default"}}
    if kind == "Namespace":
        return _named_namespace(obj)
    spec = obj.get("spec", {})
    return obj if not isinstance(spec, dict) else _with_spec(obj, kind, spec)


def _with_spec(obj: Json, kind: str, spec: Json) -> Json:
    if str(obj.get("apiVersion", "")).startswith(CALICO_GROUPS):
        return _calico(obj, kind, spec)
    if kind == "NetworkPolicy":
        return {**obj, "spec": _with_policy_types(spec)}
    if kind == "Pod":
        named = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        return {**obj, "spec": {**spec, "serviceAccountName": named}}
    return obj


def _calico(obj: Json, kind: str, spec: Json) -> Json:
    if kind in TIERED:
        return {**obj, "spec": _tiered(spec, is_staged=kind.startswith("Staged"))}
    if kind == "StagedKubernetesNetworkPolicy":
        spec = {**spec, "stagedAction": spec.get("stagedAction") or "Set"}
        return {**obj, "spec": spec if spec["stagedAction"] == "Delete" else _with_policy_types(spec)}
    if kind == "Tier":
        return {**obj, "spec": _tier(obj["metadata"].get("name"), spec)}
    return obj


def _tiered(spec: Json, *, is_staged: bool) -> Json:
    """4.4: a staged Delete gets no types."""
    spec = {**spec, "tier": spec.get("tier") or "default"}
    if is_staged:
        spec["stagedAction"] = spec.get("stagedAction") or "Set"
    if not spec.get("types") and spec.get("stagedAction") != "Delete":
        spec["types"] = _directions(spec)
    return spec


def _directions(spec: Json) -> list[str]:
    if not spec.get("egress"):
        return ["Ingress"]
    return ["Ingress", "Egress"] if spec.get("ingress") else ["Egress"]


def _with_policy_types(spec: Json) -> Json:
    """9.5: Ingress always, Egress where there are egress rules."""
    if spec.get("policyTypes"):
        return spec
    return {**spec, "policyTypes": ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]}


def _tier(name: object, spec: Json) -> Json:
    order, action = BUILT_IN_TIERS.get(str(name), (LAST_ORDER, "Deny"))
    given = spec.get("order")
    return {
        **spec,
        "order": order if given is None else given,
        "defaultAction": spec.get("defaultAction") or action,
    }


def _named_namespace(obj: Json) -> Json:
    """2.4."""
    metadata = obj["metadata"]
    labels = metadata.get("labels")
    if not isinstance(labels, dict | None):
        return obj
    own = {"kubernetes.io/metadata.name": metadata.get("name", "")}
    return {**obj, "metadata": {**metadata, "labels": {**(labels or {}), **own}}}
