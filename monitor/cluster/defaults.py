"""What the API server and Calico's admission fill in, for objects that were never sent to them.

Law: only absent fields are set; an object of the wrong shape comes back as it was, `normalise` says what is wrong.
Doors differ in policy types (policy_semantics.md 4.4): Calico's Go client looks at which rules there are and leaves
StagedKubernetesNetworkPolicy alone; the admission policy of native CRDs looks at which keys there are.
Source: policy_semantics.md 2.4, 4.4, 7.1, 9.5; api/pkg/defaults/networkpolicy.go,
api/admission/networkpolicy.mutatingadmissionpolicy.yaml; Kubernetes' API defaults.
"""

from __future__ import annotations

from typing import Any

from monitor.cluster.refusals import Door

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


def with_defaults(obj: Json, *, door: Door = Door.VALIDATORS) -> Json:
    """The object with its defaults, copied as far as they change it. Namespaced objects without one land in `default`.

    door: which of the two ways policy types are defaulted in; STORE has nothing left to default there.
    """
    kind = obj.get("kind")
    metadata = obj.get("metadata")
    if not isinstance(kind, str) or not isinstance(metadata, dict):
        return obj
    if kind not in CLUSTER_SCOPED and metadata.get("namespace") in (None, ""):
        obj = {**obj, "metadata": {**metadata, "namespace": "default"}}
    if kind == "Namespace":
        return _named_namespace(obj)
    spec = obj.get("spec", {})
    return obj if not isinstance(spec, dict) else _with_spec(obj, kind, spec, door)


def _with_spec(obj: Json, kind: str, spec: Json, door: Door) -> Json:
    if str(obj.get("apiVersion", "")).startswith(CALICO_GROUPS):
        return _calico(obj, kind, spec, door)
    if kind == "NetworkPolicy":
        return obj if spec.get("policyTypes") else {**obj, "spec": _with_policy_types(spec)}
    if kind == "Pod":
        named = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        return {**obj, "spec": {**spec, "serviceAccountName": named}}
    return obj


def _calico(obj: Json, kind: str, spec: Json, door: Door) -> Json:
    if kind.startswith("Staged"):
        spec = {**spec, "stagedAction": _or(spec.get("stagedAction"), "Set")}
    if kind in TIERED:
        return {**obj, "spec": _typed({**spec, "tier": _or(spec.get("tier"), "default")}, door)}
    if kind == "StagedKubernetesNetworkPolicy":
        return {**obj, "spec": _kubernetes_typed(spec, door)}
    if kind == "Tier":
        return {**obj, "spec": _tier(obj["metadata"].get("name"), spec)}
    return obj


def _typed(spec: Json, door: Door) -> Json:
    """4.4. The Go client takes the types off a staged Delete again."""
    if door is Door.VALIDATORS and spec.get("stagedAction") == "Delete" and isinstance(spec.get("types"), list | None):
        return {name: value for name, value in spec.items() if name != "types"}
    if door is Door.STORE:
        return spec
    if door is Door.CRD:
        return spec if spec.get("types") is not None else {**spec, "types": _directions(_present(spec))}
    return spec if spec.get("types") not in (None, []) else {**spec, "types": _directions(spec)}


def _kubernetes_typed(spec: Json, door: Door) -> Json:
    """The Go client leaves an empty list out."""
    if door is not Door.CRD:
        return {name: value for name, value in spec.items() if name != "policyTypes" or value != []}
    if spec.get("policyTypes") is not None:
        return spec
    return {**spec, "policyTypes": _with_policy_types(_present(spec))["policyTypes"]}


def _present(spec: Json) -> Json:
    """With a rule list that is there, even empty, counted as rules."""
    return {**spec, **{name: [name] for name in ("ingress", "egress") if spec.get(name) is not None}}


def _directions(spec: Json) -> list[str]:
    if not spec.get("egress"):
        return ["Ingress"]
    return ["Ingress", "Egress"] if spec.get("ingress") else ["Egress"]


def _with_policy_types(spec: Json) -> Json:
    """9.5: Ingress always, Egress where there are egress rules."""
    if spec.get("policyTypes"):
        return spec
    return {**spec, "policyTypes": ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]}


def _or(given: object, default: str) -> object:
    """What is given, of whatever type, for the schema to judge: only an absent or an empty text is defaulted.

    `namespace: n` is false, and no way to write `default`.
    """
    return default if given is None or given == "" else given


def _tier(name: object, spec: Json) -> Json:
    order, action = BUILT_IN_TIERS.get(str(name), (LAST_ORDER, "Deny"))
    given = spec.get("order")
    return {
        **spec,
        "order": order if given is None else given,
        "defaultAction": action if spec.get("defaultAction") is None else spec["defaultAction"],
    }


def _named_namespace(obj: Json) -> Json:
    """2.4."""
    metadata = obj["metadata"]
    labels = metadata.get("labels")
    if not isinstance(labels, dict | None):
        return obj
    own = {"kubernetes.io/metadata.name": metadata.get("name", "")}
    return {**obj, "metadata": {**metadata, "labels": {**(labels or {}), **own}}}
