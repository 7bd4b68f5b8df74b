"""Small clusters in few words, for tests of single rules."""

from models.facts import (
    CalicoPolicy,
    EntityRule,
    HostEndpoint,
    KubernetesNetworkPolicy,
    LabelSelector,
    Namespace,
    NetworkSet,
    Pod,
    Rule,
    ServiceAccount,
    key_of,
)
from models.verdicts import Connection
from monitor.policy import addresses, naming
from monitor.policy.engine import Engine

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
OUTSIDE = "198.51.100.9"


def keyed(*facts):
    return {key_of("c", fact): fact for fact in facts}


def namespace(name, **labels):
    return Namespace(name=name, labels={key.replace("_", "-"): value for key, value in labels.items()})


def account(path, **labels):
    space, name = path.split("/")
    return ServiceAccount(namespace=space, name=name, labels=labels)


def pod(path, *addresses, ports=(), account="default", labels=None, **more):
    space, name = path.split("/")
    return Pod(
        namespace=space,
        name=name,
        node="node-a",
        addresses=addresses,
        labels=labels or {"app": name},
        service_account=account,
        named_ports=ports,
        phase="Running",
        **more,
    )


def host(name, *addresses, interface="eth0", profiles=(), **labels):
    return HostEndpoint(
        name=name, node="node-a", interface_name=interface, expected_ips=addresses, profiles=profiles, labels=labels
    )


def network_set(name, *nets, **labels):
    return NetworkSet(name=name, nets=nets, labels=labels)


def rule(action, protocol=None, *, source=None, destination=None, **more):
    return Rule(
        action=action,
        protocol=protocol,
        source=EntityRule(**(source or {})),
        destination=EntityRule(**(destination or {})),
        **more,
    )


def global_policy(name, selector="all()", *, ingress=None, egress=None, staged=False, types=None, **more):
    """Types as given by which lists are there."""
    kind = "StagedGlobalNetworkPolicy" if staged else "GlobalNetworkPolicy"
    return _calico((ingress, egress), types, policy_kind=kind, name=name, selector=selector, **more)


def policy(path, selector="all()", *, ingress=None, egress=None, staged=False, types=None, **more):
    space, name = path.split("/")
    kind = "StagedNetworkPolicy" if staged else "NetworkPolicy"
    return _calico((ingress, egress), types, policy_kind=kind, namespace=space, name=name, selector=selector, **more)


def _calico(lists, types, **more):
    named = tuple(word for word, rules in zip(("Ingress", "Egress"), lists, strict=True) if rules is not None)
    ingress, egress = (tuple(rules or ()) for rules in lists)
    return CalicoPolicy(types=named if types is None else types, ingress=ingress, egress=egress, **more)


def kubernetes_policy(path, *, ingress=(), egress=(), types=("Ingress",), labels=None, **more):
    space, name = path.split("/")
    return KubernetesNetworkPolicy(
        namespace=space,
        name=name,
        pod_selector=LabelSelector(match_labels=labels or {}),
        policy_types=types,
        ingress=ingress,
        egress=egress,
        **more,
    )


def packet(source, destination, service="tcp/80", *, source_port=40000, **more):
    protocol, _, port = service.partition("/")
    ported = protocol in ("tcp", "udp", "sctp")
    return Connection(
        source_address=source,
        destination_address=destination,
        protocol=PROTOCOLS[protocol],
        source_port=source_port if ported else None,
        destination_port=int(port) if ported and port else None,
        **more,
    )


class Asked:
    """An engine asked in words: names of pods, or addresses for what is outside."""

    def __init__(self, *facts):
        self.engine = Engine.build(keyed(*facts))

    def judge(self, source, destination, service="tcp/80", **more):
        ends = [self._end(source), self._end(destination)]
        connection = packet(ends[0][1], ends[1][1], service, **more)
        return self.engine.judge(connection, source=ends[0][0], destination=ends[1][0])

    def allows(self, source, destination, service="tcp/80", **more):
        return self.judge(source, destination, service, **more).decision.value

    def ingress(self, source, destination, service="tcp/80", **more):
        return naming.trace_strings(
            self.judge(source, destination, service, **more).ingress.trace, is_named_by_kind=True
        )

    def pending(self, source, destination, service="tcp/80", **more):
        verdict = self.judge(source, destination, service, **more).ingress_pending
        return naming.trace_strings(verdict.trace, is_named_by_kind=True)

    def _end(self, written):
        for identity, endpoint in self.engine.endpoints.items():
            if identity.partition(":")[2] == written:
                return identity, addresses.text(endpoint.addresses[0])
        return None, written
