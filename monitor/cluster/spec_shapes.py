"""The shapes of what API objects hold besides their metadata; see `shapes` for how they are read.

Fields a fact does not need are not here; names and types are the API's.
"""

from __future__ import annotations

from msgspec import field

from models import facts
from monitor.cluster.shapes import Shape


class ContainerPort(Shape, frozen=True, kw_only=True):
    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"


class Container(Shape, frozen=True, kw_only=True):
    ports: tuple[ContainerPort, ...] = ()


class PodSpec(Shape, frozen=True, kw_only=True):
    node_name: str = ""
    service_account_name: str = ""
    host_network: bool = False
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class PodIP(Shape, frozen=True, kw_only=True):
    ip: str = ""


class PodStatus(Shape, frozen=True, kw_only=True):
    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: tuple[PodIP, ...] = field(default=(), name="podIPs")


class NodeAddress(Shape, frozen=True, kw_only=True):
    type: str = ""
    address: str = ""


class NodeStatus(Shape, frozen=True, kw_only=True):
    addresses: tuple[NodeAddress, ...] = ()


class ServiceSpec(Shape, frozen=True, kw_only=True):
    type: str = "ClusterIP"
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = field(default=(), name="externalIPs")
    ports: tuple[facts.ServicePort, ...] = ()


class SliceEndpoint(Shape, frozen=True, kw_only=True):
    addresses: tuple[str, ...] = ()


class Slice(Shape, frozen=True, kw_only=True):
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[facts.EndpointPort, ...] = ()


class KubernetesRule(Shape, frozen=True, kw_only=True):
    from_: tuple[facts.KubernetesPeer, ...] | None = field(default=None, name="from")
    to: tuple[facts.KubernetesPeer, ...] | None = None
    ports: tuple[facts.KubernetesPort, ...] | None = None


class KubernetesPolicySpec(Shape, frozen=True, kw_only=True):
    staged_action: str = "Set"
    pod_selector: facts.LabelSelector = field(default_factory=facts.LabelSelector)
    policy_types: tuple[str, ...] = ()
    ingress: tuple[KubernetesRule, ...] = ()
    egress: tuple[KubernetesRule, ...] = ()


class NamespacedPods(Shape, frozen=True, kw_only=True):
    namespace_selector: facts.LabelSelector = field(default_factory=facts.LabelSelector)
    pod_selector: facts.LabelSelector = field(default_factory=facts.LabelSelector)


class AdminPeer(Shape, frozen=True, kw_only=True):
    namespaces: facts.LabelSelector | None = None
    pods: NamespacedPods | None = None
    networks: tuple[str, ...] = ()


class PortNumber(Shape, frozen=True, kw_only=True):
    """`portNumber` and `portRange` of the older kinds."""

    protocol: str = "TCP"
    port: int = 0
    start: int = 0
    end: int = 0


class AdminPort(Shape, frozen=True, kw_only=True):
    port_number: PortNumber | None = None
    port_range: PortNumber | None = None
    named_port: str = ""


class Span(Shape, frozen=True, kw_only=True):
    start: int = 0
    end: int = 0


class DestinationPort(Shape, frozen=True, kw_only=True):
    number: int = 0
    range: Span | None = None


class ProtocolMatch(Shape, frozen=True, kw_only=True):
    destination_port: DestinationPort | None = None


class AdminProtocol(Shape, frozen=True, kw_only=True):
    tcp: ProtocolMatch | None = None
    udp: ProtocolMatch | None = None
    sctp: ProtocolMatch | None = None
    destination_named_port: str = ""


class AdminRule(Shape, frozen=True, kw_only=True):
    action: str
    name: str = ""
    from_: tuple[AdminPeer, ...] = field(default=(), name="from")
    to: tuple[AdminPeer, ...] = ()
    ports: tuple[AdminPort, ...] | None = None  # v1alpha1
    protocols: tuple[AdminProtocol, ...] | None = None  # v1alpha2


class AdminSpec(Shape, frozen=True, kw_only=True):
    tier: str = ""
    priority: int = 0
    subject: AdminPeer = field(default_factory=AdminPeer)
    ingress: tuple[AdminRule, ...] = ()
    egress: tuple[AdminRule, ...] = ()


class HTTPPath(Shape, frozen=True, kw_only=True):
    exact: str = ""
    prefix: str = ""


class HTTPMatch(Shape, frozen=True, kw_only=True):
    methods: tuple[str, ...] = ()
    paths: tuple[HTTPPath, ...] = ()


class RuleMetadata(Shape, frozen=True, kw_only=True):
    annotations: dict[str, str] = field(default_factory=dict)


class Rule(Shape, frozen=True, kw_only=True):
    action: str
    ip_version: int | None = None
    protocol: int | str | None = None
    not_protocol: int | str | None = None
    icmp: facts.ICMPMatch | None = None
    not_icmp: facts.ICMPMatch | None = field(default=None, name="notICMP")
    source: facts.EntityRule = field(default_factory=facts.EntityRule)
    destination: facts.EntityRule = field(default_factory=facts.EntityRule)
    http: HTTPMatch | None = None
    metadata: RuleMetadata = field(default_factory=RuleMetadata)


class CalicoPolicySpec(Shape, frozen=True, kw_only=True):
    staged_action: str = "Set"
    tier: str = "default"
    order: float | None = None
    selector: str = ""
    namespace_selector: str = ""
    service_account_selector: str = ""
    types: tuple[str, ...] = ()
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    do_not_track: bool = False
    pre_dnat: bool = field(default=False, name="preDNAT")
    apply_on_forward: bool = False
    performance_hints: tuple[str, ...] = ()


class TierSpec(Shape, frozen=True, kw_only=True):
    order: float | None = None
    default_action: str = ""


class NetworkSetSpec(Shape, frozen=True, kw_only=True):
    nets: tuple[str, ...] = ()
    allowed_egress_domains: tuple[str, ...] = ()


class HostPort(Shape, frozen=True, kw_only=True):
    name: str
    protocol: int | str
    port: int


class HostEndpointSpec(Shape, frozen=True, kw_only=True):
    node: str = ""
    interface_name: str = ""
    expected_ips: tuple[str, ...] = field(default=(), name="expectedIPs")
    profiles: tuple[str, ...] = ()
    ports: tuple[HostPort, ...] = ()


class ProfileSpec(Shape, frozen=True, kw_only=True):
    labels_to_apply: dict[str, str] = field(default_factory=dict)
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()


class FelixSpec(Shape, frozen=True, kw_only=True):
    log_prefix: str | None = None
    log_action_rate_limit: str | None = None
    log_action_rate_limit_burst: int | None = None
    interface_prefix: str | None = None
    default_endpoint_to_host_action: str | None = None
    failsafe_inbound_host_ports: tuple[facts.ProtoPort, ...] | None = None
    failsafe_outbound_host_ports: tuple[facts.ProtoPort, ...] | None = None
    bpf_enabled: bool | None = None
    nftables_mode: str | None = None
    iptables_filter_deny_action: str | None = None
    drop_action_override: str | None = None
    flow_logs_policy_evaluation_mode: str | None = None
    flow_logs_flush_interval: str | None = None


class IPPoolSpec(Shape, frozen=True, kw_only=True):
    cidr: str = ""
    disabled: bool = False
    nat_outgoing: bool = False


class ClusterInformationSpec(Shape, frozen=True, kw_only=True):
    calico_version: str = ""
    cluster_guid: str = field(default="", name="clusterGUID")
    datastore_ready: bool | None = None
