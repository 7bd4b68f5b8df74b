"""One API object as the API server or a YAML file gives it, to one fact.

Law 1: a pure function of the object and of the door it came through; no object makes it raise.
Law 2: what Calico would drop is a `Rejected` fact under the object's own key, with the stage and the reason.
Law 3: nothing is defaulted here: the API server did it. For files, apply `with_defaults` first.
Both groups of Calico's kinds are read; an object of crd.projectcalico.org/v1 gets the name and labels back that
Calico put into an annotation when it stored it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec.structs import replace

from models.facts import Fact, Kind, Rejected
from monitor.cluster import calico_objects as calico
from monitor.cluster import core_objects as core
from monitor.cluster import kubernetes_policies as kubernetes
from monitor.cluster import validate_policy as validate
from monitor.cluster.defaults import with_defaults
from monitor.cluster.refusals import Door, Problem, Stage, refusal
from monitor.cluster.shapes import MisshapenError, Object, opened

__all__ = ["Door", "kind_read", "normalise", "with_defaults"]

STORED_V1 = "crd.projectcalico.org/v1"


class Source(NamedTuple):
    """How one kind of object is read."""

    kind: Kind
    is_namespaced: bool
    fact: Callable[[Object], Fact]
    problems: Callable[[Object], Iterable[Problem]] | None = None


def _policy(kind: Kind, fact: Callable[[Object], Fact], *, is_namespaced: bool) -> Source:
    return Source(kind, is_namespaced, fact, lambda obj: validate.policy_problems(obj, kind.value))


_CALICO = {
    source.kind.value: source
    for source in (
        _policy(Kind.NETWORK_POLICY, calico.network_policy, is_namespaced=True),
        _policy(Kind.GLOBAL_NETWORK_POLICY, calico.global_network_policy, is_namespaced=False),
        _policy(Kind.STAGED_NETWORK_POLICY, calico.staged_network_policy, is_namespaced=True),
        _policy(Kind.STAGED_GLOBAL_NETWORK_POLICY, calico.staged_global_network_policy, is_namespaced=False),
        Source(
            Kind.STAGED_KUBERNETES_NETWORK_POLICY,
            True,
            calico.staged_kubernetes_network_policy,
            validate.staged_kubernetes_problems,
        ),
        Source(Kind.TIER, False, calico.tier, validate.tier_problems),
        Source(Kind.NETWORK_SET, True, calico.network_set, validate.network_set_problems),
        Source(Kind.GLOBAL_NETWORK_SET, False, calico.network_set, validate.network_set_problems),
        Source(Kind.HOST_ENDPOINT, False, calico.host_endpoint, validate.host_endpoint_problems),
        Source(Kind.PROFILE, False, calico.profile, validate.profile_problems),
        Source(Kind.FELIX_CONFIGURATION, False, calico.felix_configuration),
        Source(Kind.IP_POOL, False, calico.ip_pool, validate.ip_pool_problems),
        Source(Kind.CLUSTER_INFORMATION, False, calico.cluster_information),
    )
}
_KUBERNETES_POLICY = Source(Kind.KUBERNETES_NETWORK_POLICY, True, kubernetes.network_policy)

SOURCES: dict[str, dict[str, Source]] = {
    "projectcalico.org/v3": _CALICO,
    STORED_V1: _CALICO,
    "v1": {
        "Namespace": Source(Kind.NAMESPACE, False, core.namespace),
        "ServiceAccount": Source(Kind.SERVICE_ACCOUNT, True, core.service_account),
        "Pod": Source(Kind.POD, True, core.pod),
        "Node": Source(Kind.NODE, False, core.node),
        "Service": Source(Kind.SERVICE, True, core.service),
    },
    "discovery.k8s.io/v1": {"EndpointSlice": Source(Kind.ENDPOINT_SLICE, True, core.endpoint_slice)},
    "apps/v1": {"ReplicaSet": Source(Kind.REPLICA_SET, True, core.replica_set)},
    "batch/v1": {"Job": Source(Kind.JOB, True, core.job)},
    "networking.k8s.io/v1": {"NetworkPolicy": _KUBERNETES_POLICY},
    "extensions/v1beta1": {"NetworkPolicy": _KUBERNETES_POLICY},
    "policy.networking.k8s.io/v1alpha2": {
        "ClusterNetworkPolicy": Source(Kind.CLUSTER_NETWORK_POLICY, False, kubernetes.cluster_network_policy),
    },
    "policy.networking.k8s.io/v1alpha1": {
        "AdminNetworkPolicy": Source(Kind.ADMIN_NETWORK_POLICY, False, kubernetes.admin_network_policy),
        "BaselineAdminNetworkPolicy": Source(
            Kind.BASELINE_ADMIN_NETWORK_POLICY, False, kubernetes.baseline_admin_network_policy
        ),
    },
}
"""By apiVersion, then by kind."""


def kind_read(obj: Any) -> Kind | None:
    """The kind under which a fact of this object is keyed; None for what segmon does not read."""
    source = _source(obj)
    return None if source is None else source.kind


def normalise(obj: Any, *, door: Door = Door.STORE) -> Fact | None:
    """The fact of one object, Rejected where Calico drops it, None for a kind that segmon does not read.

    door: STORE for what a cluster holds; VALIDATORS or CRD for what is still to be applied to one.
    Metadata-only objects need the apiVersion and kind of the object itself, not PartialObjectMetadata.
    """
    source = _source(obj)
    if source is None:
        return None
    try:
        found = _placed(opened(obj, is_stored_v1=obj["apiVersion"] == STORED_V1), source)
        refused = refusal(source.problems(found), door) if source.problems else None
        if refused is None:
            return source.fact(found)
        name, namespace = found.metadata.name, found.metadata.namespace
    except MisshapenError as error:
        refused = Stage.TYPE.value, str(error)
        name, namespace = _text(obj, "name"), _text(obj, "namespace") if source.is_namespaced else ""
    return Rejected(object_kind=source.kind, name=name, namespace=namespace, stage=refused[0], reason=refused[1])


def _source(obj: Any) -> Source | None:
    if not isinstance(obj, dict):
        return None
    version, kind = obj.get("apiVersion"), obj.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return None
    return SOURCES.get(version, {}).get(kind)


def _placed(obj: Object, source: Source) -> Object:
    """Named, and with a namespace exactly where the kind has one."""
    meta = obj.metadata
    if not meta.name:
        raise MisshapenError("metadata.name: is empty")
    if source.is_namespaced and not meta.namespace:
        raise MisshapenError("metadata.namespace: is empty")
    if not source.is_namespaced and meta.namespace:
        return Object(replace(meta, namespace=""), obj.body)
    return obj


def _text(obj: dict[str, Any], name: str) -> str:
    """A metadata field of an object that could not be read; empty when it is no text."""
    metadata = obj.get("metadata")
    value = metadata.get(name) if isinstance(metadata, dict) else None
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""
