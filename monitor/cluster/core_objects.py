"""Kubernetes' own objects as facts: namespaces, accounts, pods, nodes, services and their backends, controllers.

Trusts: shapes already read. Which pod is an endpoint, and with what addresses and named ports, follows
policy_semantics.md 15 and 16.3 (libcalico-go/lib/backend/k8s/conversion).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from models import facts
from monitor.cluster import spec_shapes as specs
from monitor.cluster.address_text import network_or_address
from monitor.cluster.shapes import Metadata, MisshapenError, Object, read

READ_ANNOTATIONS = ("segmon.io/", "cni.projectcalico.org/allowedSourcePrefixes")
"""Beginnings of the annotations that a fact keeps."""

POD_IP = "cni.projectcalico.org/podIP"
POD_IPS = "cni.projectcalico.org/podIPs"
AWS_POD_IPS = "vpc.amazonaws.com/pod-ips"
NODE_ADDRESS_ANNOTATIONS = (
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
)
FINISHED_PHASES = frozenset({"Succeeded", "Failed", "Completed"})
PORT_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})


def identity(obj: Object) -> dict[str, Any]:
    """The fields that every fact of an API object has."""
    meta = obj.metadata
    return {
        "name": meta.name,
        "namespace": meta.namespace,
        "uid": meta.uid,
        "labels": meta.labels,
        "created_at": meta.creation_timestamp,
    }


def kept_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """Those that segmon reads."""
    return {key: value for key, value in annotations.items() if key.startswith(READ_ANNOTATIONS)}


def namespace(obj: Object) -> facts.Namespace:
    return facts.Namespace(**identity(obj), annotations=kept_annotations(obj.metadata.annotations))


def service_account(obj: Object) -> facts.ServiceAccount:
    return facts.ServiceAccount(**identity(obj))


def pod(obj: Object) -> facts.Pod:
    """MisshapenError when an address cannot be read: Calico then has no endpoint for the pod either."""
    spec = obj.part("spec", specs.PodSpec)
    status = obj.part("status", specs.PodStatus)
    is_finished = _is_finished(obj.metadata, status)
    return facts.Pod(
        **identity(obj),
        service_account=spec.service_account_name,
        node=spec.node_name,
        addresses=() if is_finished else _canonical(_pod_addresses(obj.metadata, status), "status.podIPs"),
        host_network=spec.host_network,
        phase=status.phase,
        is_terminating=obj.metadata.deletion_timestamp is not None,
        is_finished=is_finished,
        named_ports=tuple(_named_ports(spec.containers + spec.init_containers)),
        owner=_owner(obj.metadata),
        generate_name=obj.metadata.generate_name,
        annotations=kept_annotations(obj.metadata.annotations),
    )


def node(obj: Object) -> facts.Node:
    status = obj.part("status", specs.NodeStatus)
    annotations = obj.metadata.annotations
    listed = [known.address for known in status.addresses if known.type in {"InternalIP", "ExternalIP"}]
    tunnels = [annotations[key] for key in NODE_ADDRESS_ANNOTATIONS if annotations.get(key)]
    return facts.Node(**identity(obj), addresses=_readable(listed + tunnels))


def service(obj: Object) -> facts.Service:
    spec = obj.part("spec", specs.ServiceSpec)
    return facts.Service(
        **identity(obj),
        type=spec.type,
        cluster_ips=_readable(spec.cluster_ips or (spec.cluster_ip,)),
        external_ips=_readable(spec.external_ips),
        ports=spec.ports,
    )


def endpoint_slice(obj: Object) -> facts.EndpointSlice:
    body = read(obj.body, specs.Slice, obj.metadata.name)
    return facts.EndpointSlice(
        **identity(obj),
        service=obj.metadata.labels.get("kubernetes.io/service-name", ""),
        addresses=_readable(text for endpoint in body.endpoints for text in endpoint.addresses),
        ports=body.ports,
    )


def replica_set(obj: Object) -> facts.Controller:
    return _controller(obj, "ReplicaSet")


def job(obj: Object) -> facts.Controller:
    return _controller(obj, "Job")


def _controller(obj: Object, kind: Literal["ReplicaSet", "Job"]) -> facts.Controller:
    return facts.Controller(**identity(obj), controller_kind=kind, owner=_owner(obj.metadata))


def _owner(meta: Metadata) -> facts.Owner | None:
    controlling = [ref for ref in meta.owner_references if ref.controller and ref.kind]
    return facts.Owner(kind=controlling[0].kind, name=controlling[0].name) if controlling else None


def _is_finished(meta: Metadata, status: specs.PodStatus) -> bool:
    """15.2: ended, or being deleted with its addresses already taken away by the CNI plugin."""
    if status.phase in FINISHED_PHASES or meta.deletion_timestamp is None:
        return status.phase in FINISHED_PHASES
    return any(meta.annotations.get(key) == "" for key in (POD_IP, AWS_POD_IPS))


def _pod_addresses(meta: Metadata, status: specs.PodStatus) -> list[str]:
    """15.3: the first source that has any."""
    if any(found := [known.ip for known in status.pod_ips]):
        return found
    if status.pod_ip:
        return [status.pod_ip]
    annotations = meta.annotations
    if not annotations:
        return []
    sources = (
        annotations.get(POD_IPS, "").split(","),
        [annotations.get(POD_IP, "")],
        annotations.get(AWS_POD_IPS, "").split(","),
    )
    return next((source for source in sources if any(source)), [])


def _canonical(texts: Iterable[str], path: str) -> tuple[str, ...]:
    """Addresses in their shortest text, a mask taken off."""
    found = []
    for text in texts:
        net = network_or_address(text)
        if net is None:
            raise MisshapenError(f"{path}: {text!r} is no address")
        found.append(str(net.network_address))
    return tuple(dict.fromkeys(found))


def _readable(texts: Iterable[str]) -> tuple[str, ...]:
    """As `_canonical`; what is no address (`None` of a headless service, a name) is left out."""
    return _canonical((text.partition("/")[0] for text in texts if network_or_address(text) is not None), "")


def _named_ports(containers: Iterable[specs.Container]) -> list[facts.NamedPort]:
    """16.3: ports that have a name; protocol default TCP, an unknown one leaves the port out."""
    return [
        facts.NamedPort(name=port.name, protocol=protocol, port=port.container_port)
        for container in containers
        for port in container.ports
        if port.name and port.container_port and (protocol := port.protocol or "TCP") in PORT_PROTOCOLS
    ]
