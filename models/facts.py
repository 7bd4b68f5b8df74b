"""Facts: the last known state of one thing, as it travels on `segmon.facts.v1`.

Law 1: a fact is complete in itself; a newer fact under the same key replaces it, a null value means gone.
Law 2: nothing here is trusted to be valid Calico: what Calico itself would drop travels as `Rejected`.
API objects are not modelled whole: `monitor.cluster.normalise` keeps what a verdict, a control or a report needs.
Field names are the API's (Kubernetes, Calico v3) in snake case; the wire form uses the API's camelCase.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from urllib.parse import quote, unquote

from msgspec import Struct, field

from models.words import Word


class Kind(Word):
    """What a fact is about; the second part of its key."""

    NAMESPACE = "Namespace"
    SERVICE_ACCOUNT = "ServiceAccount"
    POD = "Pod"
    NODE = "Node"
    SERVICE = "Service"
    ENDPOINT_SLICE = "EndpointSlice"
    REPLICA_SET = "ReplicaSet"
    JOB = "Job"
    KUBERNETES_NETWORK_POLICY = "KubernetesNetworkPolicy"
    CLUSTER_NETWORK_POLICY = "ClusterNetworkPolicy"
    ADMIN_NETWORK_POLICY = "AdminNetworkPolicy"
    BASELINE_ADMIN_NETWORK_POLICY = "BaselineAdminNetworkPolicy"
    NETWORK_POLICY = "NetworkPolicy"
    GLOBAL_NETWORK_POLICY = "GlobalNetworkPolicy"
    STAGED_NETWORK_POLICY = "StagedNetworkPolicy"
    STAGED_GLOBAL_NETWORK_POLICY = "StagedGlobalNetworkPolicy"
    STAGED_KUBERNETES_NETWORK_POLICY = "StagedKubernetesNetworkPolicy"
    TIER = "Tier"
    NETWORK_SET = "NetworkSet"
    GLOBAL_NETWORK_SET = "GlobalNetworkSet"
    HOST_ENDPOINT = "HostEndpoint"
    PROFILE = "Profile"
    FELIX_CONFIGURATION = "FelixConfiguration"
    IP_POOL = "IPPool"
    CLUSTER_INFORMATION = "ClusterInformation"
    # ours: declared by people
    DECLARATION = "Declaration"
    DECLARED_DOMAIN = "DeclaredDomain"
    WAIVER = "Waiver"
    # ours: the stream's own marks
    EPOCH = "Epoch"
    TICK = "Tick"
    SYNC = "Sync"
    HEARTBEAT = "Heartbeat"
    REPAIR = "Repair"
    # ours: what match found, on its way back
    OBSERVED_PATH = "ObservedPath"
    SOURCES_HEARD = "SourcesHeard"


_KINDS = {kind.value: kind for kind in Kind}
"""As `Kind` finds them, at a third of its price: each record of a log has a key."""

API_KINDS: frozenset[Kind] = frozenset(
    kind for kind in Kind if list(Kind).index(kind) <= list(Kind).index(Kind.CLUSTER_INFORMATION)
)
"""Kinds read from the API server: they have a sync state, freshness and revisions."""

MARK_KINDS: frozenset[Kind] = frozenset({Kind.EPOCH, Kind.TICK, Kind.SYNC, Kind.HEARTBEAT, Kind.REPAIR})
"""Kinds that only order and vouch for the others: they write no revision."""

CHANGE_KINDS: frozenset[Kind] = frozenset(
    list(Kind)[list(Kind).index(Kind.KUBERNETES_NETWORK_POLICY) : list(Kind).index(Kind.WAIVER) + 1]
) - {Kind.CLUSTER_INFORMATION}
"""Kinds whose change is a change of policy: policies, tiers, sets, profiles, and what people declare."""

STALE_AFTER = timedelta(seconds=180)
"""What was not vouched for this long is not known any more (docs/architecture.md, Numbers)."""


_SAFE = ":@+=,~ *|"
_PLAIN = rf"[\w.\-{re.escape(_SAFE)}]*"
_is_plain_key = re.compile(rf"{_PLAIN}(?:/{_PLAIN}){{3}}", re.ASCII).fullmatch
"""Whether no part has to be encoded, as of nearly all keys."""


class FactKey(Struct, frozen=True, order=True, gc=False):
    """Identity of a fact. `namespace` is empty for what has none."""

    cluster: str
    kind: Kind
    namespace: str
    name: str

    def text(self) -> str:
        """`cluster/kind/namespace/name`, each part percent-encoded where it holds a slash."""
        written = f"{self.cluster}/{self.kind}/{self.namespace}/{self.name}"
        if _is_plain_key(written):
            return written
        return "/".join([quote(part, safe=_SAFE) for part in (self.cluster, self.kind, self.namespace, self.name)])

    @classmethod
    def from_text(cls, text: str) -> FactKey:
        """The inverse of `text`. ValueError names what is wrong."""
        parts = text.split("/")
        if "%" in text:
            parts = [unquote(part) for part in parts]
        if len(parts) != 4:
            raise ValueError(f"a fact key has 4 parts, not {len(parts)}: {text!r}")
        # a cluster holds a hundred thousand keys, and has one name and few namespaces
        return cls(sys.intern(parts[0]), _KINDS.get(parts[1]) or Kind(parts[1]), sys.intern(parts[2]), parts[3])


class _Wire(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """Common wire settings of nested values: camelCase names, defaults left out, unknown fields ignored."""


class _Fact(_Wire, frozen=True, kw_only=True, tag_field="kind"):
    """Common settings of the tagged union."""


class _Object(_Fact, frozen=True, kw_only=True):
    """An API object: what every one of them has."""

    name: str
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    created_at: datetime | None = None


# --- Kubernetes --------------------------------------------------------------------------------------------------


class Namespace(_Object, frozen=True, kw_only=True, tag="Namespace"):
    annotations: dict[str, str] = field(default_factory=dict)  # only those that segmon reads


class ServiceAccount(_Object, frozen=True, kw_only=True, tag="ServiceAccount"):
    pass


class Owner(_Wire, frozen=True, kw_only=True):
    """The controlling owner reference of an object."""

    kind: str
    name: str


class NamedPort(_Wire, frozen=True, kw_only=True):
    name: str
    protocol: str  # TCP, UDP, SCTP as the API writes it
    port: int


class Pod(_Object, frozen=True, kw_only=True, tag="Pod"):
    """A pod. `addresses` in the order of policy_semantics.md 15.3; empty while it has none."""

    service_account: str = "default"
    node: str = ""
    addresses: tuple[str, ...] = ()
    host_network: bool = False
    phase: str = ""
    is_terminating: bool = False
    is_finished: bool = False  # 15.2: no longer an endpoint, its addresses are free
    named_ports: tuple[NamedPort, ...] = ()
    owner: Owner | None = None  # as written on the pod; the top controller is resolved in monitor.state
    generate_name: str = ""
    annotations: dict[str, str] = field(default_factory=dict)  # only those that segmon reads


class Node(_Object, frozen=True, kw_only=True, tag="Node"):
    addresses: tuple[str, ...] = ()  # internal and external addresses, tunnel addresses from Calico's annotations


class ServicePort(_Wire, frozen=True, kw_only=True):
    name: str = ""
    protocol: str = "TCP"
    port: int = 0
    node_port: int = 0


class Service(_Object, frozen=True, kw_only=True, tag="Service"):
    type: str = "ClusterIP"
    cluster_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()


class EndpointPort(_Wire, frozen=True, kw_only=True):
    name: str = ""
    protocol: str = "TCP"
    port: int | None = None


class EndpointSlice(_Object, frozen=True, kw_only=True, tag="EndpointSlice"):
    service: str = ""  # label kubernetes.io/service-name
    addresses: tuple[str, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Controller(_Object, frozen=True, kw_only=True, tag="Controller"):
    """ReplicaSet or Job, metadata only: a step from a pod to its top controller."""

    controller_kind: Literal["ReplicaSet", "Job"]
    owner: Owner | None = None


class LabelRequirement(_Wire, frozen=True, kw_only=True):
    key: str
    operator: str  # In, NotIn, Exists, DoesNotExist
    values: tuple[str, ...] = ()


class LabelSelector(_Wire, frozen=True, kw_only=True):
    """Kubernetes' label selector; both parts empty selects everything."""

    match_labels: dict[str, str] = field(default_factory=dict)
    match_expressions: tuple[LabelRequirement, ...] = ()


class IPBlock(_Wire, frozen=True, kw_only=True):
    cidr: str
    except_: tuple[str, ...] = field(default=(), name="except")


class KubernetesPeer(_Wire, frozen=True, kw_only=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class KubernetesPort(_Wire, frozen=True, kw_only=True):
    protocol: str | None = None
    port: int | str | None = None
    end_port: int | None = None


class KubernetesRule(_Wire, frozen=True, kw_only=True):
    peers: tuple[KubernetesPeer, ...] | None = None  # `from` or `to`; None and () both mean anyone
    ports: tuple[KubernetesPort, ...] | None = None


class KubernetesNetworkPolicy(_Object, frozen=True, kw_only=True, tag="KubernetesNetworkPolicy"):
    """networking.k8s.io NetworkPolicy; with `staged_action` set, Calico's StagedKubernetesNetworkPolicy."""

    pod_selector: LabelSelector = field(default_factory=LabelSelector)
    policy_types: tuple[str, ...] = ()  # as the API would have them after defaulting (9.5, 4.4)
    ingress: tuple[KubernetesRule, ...] = ()
    egress: tuple[KubernetesRule, ...] = ()
    staged_action: str | None = None


class AdminPeer(_Wire, frozen=True, kw_only=True):
    """A peer or subject of the admin policies. `unsupported` names what Calico cannot convert (10.8)."""

    namespaces: LabelSelector | None = None
    pods_namespace_selector: LabelSelector | None = None
    pods_pod_selector: LabelSelector | None = None
    networks: tuple[str, ...] | None = None
    unsupported: str = ""


class AdminPort(_Wire, frozen=True, kw_only=True):
    """One protocol or port entry. All None but protocol: every port of it; protocol None: any (named ports only)."""

    protocol: str | None = None
    port: int | None = None
    end_port: int | None = None
    named_port: str | None = None


class AdminRule(_Wire, frozen=True, kw_only=True):
    action: str
    name: str = ""
    peers: tuple[AdminPeer, ...] = ()
    ports: tuple[AdminPort, ...] | None = None  # None: everything
    unsupported: str = ""


class AdminPolicy(_Object, frozen=True, kw_only=True, tag="AdminPolicy"):
    """ClusterNetworkPolicy (v1alpha2) or the older AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1)."""

    policy_kind: Literal["ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"]
    tier: str = ""  # Admin or Baseline as written; derived from the kind for the older ones
    priority: int = 0
    subject: AdminPeer | None = None
    ingress: tuple[AdminRule, ...] = ()
    egress: tuple[AdminRule, ...] = ()


# --- Calico ------------------------------------------------------------------------------------------------------


class ServiceMatch(_Wire, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""


class ServiceAccountMatch(_Wire, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    selector: str = ""


class EntityRule(_Wire, frozen=True, kw_only=True):
    """Source or destination of a rule, as written. Ports: a number, "a:b" or a name."""

    nets: tuple[str, ...] = ()
    not_nets: tuple[str, ...] = ()
    selector: str = ""
    not_selector: str = ""
    namespace_selector: str = ""
    ports: tuple[int | str, ...] = ()
    not_ports: tuple[int | str, ...] = ()
    service_accounts: ServiceAccountMatch | None = None
    services: ServiceMatch | None = None
    domains: tuple[str, ...] = ()


class ICMPMatch(_Wire, frozen=True, kw_only=True):
    type: int | None = None
    code: int | None = None


class HTTPMatch(_Wire, frozen=True, kw_only=True):
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()  # exact or prefix, written `exact:/x`, `prefix:/y`


class Rule(_Wire, frozen=True, kw_only=True):
    """One Calico v3 rule as written."""

    action: str
    ip_version: int | None = None
    protocol: int | str | None = None
    not_protocol: int | str | None = None
    icmp: ICMPMatch | None = None
    not_icmp: ICMPMatch | None = field(default=None, name="notICMP")
    source: EntityRule = field(default_factory=EntityRule)
    destination: EntityRule = field(default_factory=EntityRule)
    http: HTTPMatch | None = None
    annotations: dict[str, str] = field(default_factory=dict)


class CalicoPolicy(_Object, frozen=True, kw_only=True, tag="CalicoPolicy"):
    """The four Calico policy kinds. `types` as the API holds them; empty reaches Felix as both directions (4.4)."""

    policy_kind: Literal["NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"]
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
    staged_action: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)  # only those that segmon reads (approval reference)


class Tier(_Object, frozen=True, kw_only=True, tag="Tier"):
    order: float | None = None
    default_action: str = ""


class NetworkSet(_Object, frozen=True, kw_only=True, tag="NetworkSet"):
    """NetworkSet, or GlobalNetworkSet where namespace is empty."""

    nets: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


class HostEndpoint(_Object, frozen=True, kw_only=True, tag="HostEndpoint"):
    node: str = ""
    interface_name: str = ""
    expected_ips: tuple[str, ...] = field(default=(), name="expectedIPs")
    profiles: tuple[str, ...] = ()
    ports: tuple[NamedPort, ...] = ()


class Profile(_Object, frozen=True, kw_only=True, tag="Profile"):
    labels_to_apply: dict[str, str] = field(default_factory=dict)
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()


class ProtoPort(_Wire, frozen=True, kw_only=True):
    """A failsafe port: protocol, port, optional net it is limited to."""

    protocol: str
    port: int
    net: str = ""


class FelixConfiguration(_Object, frozen=True, kw_only=True, tag="FelixConfiguration"):
    """The settings that change verdicts or evidence; None where the object does not say."""

    log_prefix: str | None = None
    log_action_rate_limit: str | None = None
    log_action_rate_limit_burst: int | None = None
    interface_prefix: str | None = None
    default_endpoint_to_host_action: str | None = None
    failsafe_inbound_host_ports: tuple[ProtoPort, ...] | None = None
    failsafe_outbound_host_ports: tuple[ProtoPort, ...] | None = None
    bpf_enabled: bool | None = None
    nftables_mode: str | None = None
    iptables_filter_deny_action: str | None = None
    drop_action_override: str | None = None
    flow_logs_policy_evaluation_mode: str | None = None
    flow_logs_flush_interval: str | None = None


class IPPool(_Object, frozen=True, kw_only=True, tag="IPPool"):
    cidr: str = ""
    is_disabled: bool = False
    nat_outgoing: bool = False


class ClusterInformation(_Object, frozen=True, kw_only=True, tag="ClusterInformation"):
    calico_version: str = ""
    cluster_guid: str = field(default="", name="clusterGUID")
    datastore_ready: bool | None = None


class Rejected(_Fact, frozen=True, kw_only=True, tag="Rejected"):
    """An object that Calico itself drops, under the object's own key: it counts as absent, and is reported."""

    object_kind: Kind
    name: str
    namespace: str = ""
    stage: str  # where it is refused: schema, validator, felix
    reason: str


# --- declared by people ------------------------------------------------------------------------------------------


class SystemNamespace(_Wire, frozen=True, kw_only=True):
    name: str
    reason: str


class DeclaredTier(_Wire, frozen=True, kw_only=True):
    name: str  # * = any tier in this place
    owner: str = ""
    actions: tuple[str, ...] = ()


class Declaration(_Fact, frozen=True, kw_only=True, tag="Declaration"):
    """What domains.yaml says of the whole cluster; under name `domains.yaml`."""

    system_namespaces: tuple[SystemNamespace, ...] = ()
    frameworks: tuple[str, ...] = ()
    tiers: tuple[DeclaredTier, ...] = ()
    tenant_label: str = ""  # namespaces with the same value of this label form a tenant


class DeclaredMembers(_Wire, frozen=True, kw_only=True):
    """Both in Calico's selector language; namespace_selector without the pcns. prefix, as in a policy."""

    namespace_selector: str = ""
    selector: str = ""


class DeclaredPath(_Wire, frozen=True, kw_only=True):
    """A connection its owner intends. Exactly one of `from_domain`, `from_nets`, `to_domain`, `to_nets` is set."""

    from_domain: str = ""
    from_nets: tuple[str, ...] = ()
    to_domain: str = ""
    to_nets: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()  # tcp/8080, udp/53, tcp/1000:2000, icmp; empty = any
    reason: str = ""
    approver: str = ""
    review_by: str = ""  # ISO date


class DeclaredDomain(_Fact, frozen=True, kw_only=True, tag="DeclaredDomain"):
    """A security domain from domains.yaml; the fact's name is `<level>/<name>`."""

    level: Literal["cluster", "tenant", "namespace", "workload"]
    name: str
    members: DeclaredMembers = field(default_factory=DeclaredMembers)
    owner: str = ""
    criticality: Literal["low", "medium", "high", "critical"] = "medium"
    environment: str = ""
    labels_required: tuple[str, ...] = ()
    allow: tuple[DeclaredPath, ...] = ()


class Waiver(_Fact, frozen=True, kw_only=True, tag="Waiver"):
    """An approved, expiring acceptance of a failing finding. It never turns fail into pass."""

    name: str
    control: str
    domain: str = ""
    subject: str = ""  # a subject name, or a glob of it; empty = every subject of the domain
    reason: str
    requester: str
    approver: str
    ticket: str = ""
    compensating_control: str = ""
    granted_at: datetime
    expires_at: datetime


# --- the stream's own marks --------------------------------------------------------------------------------------


class Epoch(_Fact, frozen=True, kw_only=True, tag="Epoch"):
    """First record of a partition: the generation of the topic. Under cluster `` and name = partition number."""

    number: int
    partition: int


class Tick(_Fact, frozen=True, kw_only=True, tag="Tick"):
    """Written by the owner of a partition every 15 s; has no time of its own (the broker's append time counts)."""

    partition: int


class Sync(_Fact, frozen=True, kw_only=True, tag="Sync"):
    """Brackets a listing. `scope` is `all` or one Kind; the newest begun(all) names the one writer."""

    scope: str
    phase: Literal["begun", "done"]
    instance: str


class KindFreshness(_Wire, frozen=True, kw_only=True):
    """Ages are monotonic seconds before the heartbeat was sent, never times.

    `stretch` numbers the times without a break that one instance of the watch had; 0 = not told.
    """

    kind: Kind
    state: Literal["fresh", "not_served", "not_readable", "stale", "opening"]
    seen_age_seconds: float
    unbroken_age_seconds: float
    reason: str = ""
    stretch: int = 0


class Heartbeat(_Fact, frozen=True, kw_only=True, tag="Heartbeat"):
    """The watch's word on what it reads, every 15 s."""

    instance: str
    cluster_uid: str  # UID of kube-system
    kinds: tuple[KindFreshness, ...]
    kubernetes_version: str = ""
    gap_seconds: float = 0.0  # span the writer could not publish, since the last heartbeat


class Repair(_Fact, frozen=True, kw_only=True, tag="Repair"):
    """Asks the watch for a full relist after a key was undecodable."""

    keys: tuple[str, ...] = ()
    instance: str = ""


# --- what match found --------------------------------------------------------------------------------------------


class FlowClass(StrEnum):
    """architecture.md section 5."""

    PERMITTED = "permitted"
    ESCAPED = "escaped"
    MISDROPPED = "misdropped"
    REJECTED = "rejected"
    INDETERMINATE = "indeterminate"


class ObservedPath(_Fact, frozen=True, kw_only=True, tag="ObservedPath"):
    """A path seen in traffic and its class; no counts, no last-seen. Outside peers are address classes."""

    path_id: str  # hash of the identity below
    source: str  # namespace/Kind/name, or an address class: public, private, node, set:<name>
    destination: str
    source_domains: tuple[str, ...] = ()
    destination_domains: tuple[str, ...] = ()
    protocol: str
    port: int | None = None
    flow_class: FlowClass
    basis: Literal["computed", "observed"] = "computed"
    cause: str = ""  # the deciding policy or end of tier, in words
    since: datetime


class SilentSource(_Wire, frozen=True, kw_only=True):
    source: str
    silent_seconds: float


class SourcesHeard(_Fact, frozen=True, kw_only=True, tag="SourcesHeard"):
    """One per cluster and flows partition, on change and every 60 s. Names only silent sources."""

    partition: int
    sources: int
    silent: tuple[SilentSource, ...] = ()


Fact = (
    Namespace
    | ServiceAccount
    | Pod
    | Node
    | Service
    | EndpointSlice
    | Controller
    | KubernetesNetworkPolicy
    | AdminPolicy
    | CalicoPolicy
    | Tier
    | NetworkSet
    | HostEndpoint
    | Profile
    | FelixConfiguration
    | IPPool
    | ClusterInformation
    | Rejected
    | Declaration
    | DeclaredDomain
    | Waiver
    | Epoch
    | Tick
    | Sync
    | Heartbeat
    | Repair
    | ObservedPath
    | SourcesHeard
)
"""Everything that travels on the facts topic."""

PolicyFact = KubernetesNetworkPolicy | AdminPolicy | CalicoPolicy


def kind_of(fact: Fact) -> Kind:
    """The kind under which a fact is keyed."""
    match fact:
        case Rejected():
            return fact.object_kind
        case Controller():
            return Kind(fact.controller_kind)
        case CalicoPolicy() | AdminPolicy():
            return Kind(fact.policy_kind)
        case KubernetesNetworkPolicy():
            staged = fact.staged_action is not None
            return Kind.STAGED_KUBERNETES_NETWORK_POLICY if staged else Kind.KUBERNETES_NETWORK_POLICY
        case NetworkSet():
            return Kind.NETWORK_SET if fact.namespace else Kind.GLOBAL_NETWORK_SET
        case _:
            return Kind(type(fact).__name__)


def key_of(cluster: str, fact: Fact) -> FactKey:
    """The key under which a fact is published."""
    match fact:
        case Declaration():
            namespace, name = "", "domains.yaml"
        case DeclaredDomain():
            namespace, name = "", f"{fact.level}/{fact.name}"
        case ObservedPath():
            namespace, name = "", fact.path_id
        case SourcesHeard() | Epoch() | Tick():
            namespace, name = "", str(fact.partition)
        case Waiver():
            namespace, name = "", fact.name
        case Sync() | Heartbeat() | Repair():
            namespace, name = "", fact.scope if isinstance(fact, Sync) else "watch"
        case _:
            namespace, name = fact.namespace, fact.name
    return FactKey(cluster, kind_of(fact), namespace, name)
