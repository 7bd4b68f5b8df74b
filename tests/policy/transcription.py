"""What Calico does with a packet, transcribed rule by rule from policy_semantics.md; the newest version only.

Slow and literal: no index, no compiled form, nothing shared with the product but the facts and the verdict's words.
Section numbers stand at each step. A clause that inputs leave open is None, and the verdict then is the set of all
outcomes that are possible (20.1).
"""

import math
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from policy.selector_transcription import WrongTextError, holds

from models import facts
from models.verdicts import Decision, Hit, LogHit

NAMESPACE = "projectcalico.org/namespace"
ACCOUNT = "projectcalico.org/serviceaccount"
ORCHESTRATOR = "projectcalico.org/orchestrator"
NAMES = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}
BUILT_IN = {"default": (1_000_000.0, "Deny"), "kube-admin": (1_000.0, "Pass"), "kube-baseline": (10_000_000.0, "Pass")}
DENY_ALL = facts.Rule(action="Deny")


@dataclass(frozen=True)
class Thing:
    """An endpoint or a network set: what an address can belong to."""

    id: str
    labels: dict
    nets: tuple
    ports: tuple = ()  # (name, protocol, number)
    profiles: tuple = ()
    is_by_name: bool = False  # a set with domain names: DNS decides who else is in it

    def has(self, address):
        return any(net.version == address.version and address in net for net in self.nets)


@dataclass(frozen=True)
class Policy:
    """Any of the policy kinds, after conversion."""

    kind: str
    namespace: str
    name: str
    tier: str
    order: float
    selects: object  # labels -> bool
    types: frozenset
    rules: dict  # direction -> list of facts.Rule
    is_staged: bool = False
    is_special: bool = False  # doNotTrack or preDNAT

    def tie(self):
        """7.6."""
        kind = "KubernetesClusterNetworkPolicy" if self.kind == "ClusterNetworkPolicy" else self.kind
        return f"{self.name}/{self.namespace}/{kind}"


@dataclass(frozen=True)
class Outcome:
    decision: Decision
    trace: tuple = ()
    logs: tuple = ()


# --- section 2: labels; 15: endpoints; 16: sets ------------------------------------------------------------------


class Cluster:
    def __init__(self, found):
        self.facts = [fact for fact in found.values() if not isinstance(fact, facts.Rejected)]
        self.profiles = dict(self.all_profiles())
        self.endpoints = {thing.id: thing for thing in self.all_endpoints()}
        self.things = [*self.endpoints.values(), *self.all_sets()]
        self.policies = [policy for fact in self.facts for policy in converted(fact)]

    def of(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def all_profiles(self):
        """2.3, 12.1: name -> (labels handed down, ingress rules, egress rules)."""
        allow = (facts.Rule(action="Allow"),)
        yield "projectcalico-default-allow", ({}, allow, allow)
        for fact in self.of(facts.Profile):
            yield fact.name, (fact.labels_to_apply, fact.ingress, fact.egress)
        for fact in self.of(facts.Namespace):
            labels = {f"pcns.{key}": value for key, value in fact.labels.items()}
            yield f"kns.{fact.name}", ({**labels, "pcns.projectcalico.org/name": fact.name}, allow, allow)
        for fact in self.of(facts.ServiceAccount):
            labels = {f"pcsa.{key}": value for key, value in fact.labels.items()}
            yield f"ksa.{fact.namespace}.{fact.name}", ({**labels, "pcsa.projectcalico.org/name": fact.name}, (), ())

    def labels(self, own, profiles):
        """2.5: own labels win, then the first profile that has the key."""
        handed_down = [self.profiles[name][0] for name in reversed(profiles) if name in self.profiles]
        return {key: value for labels in (*handed_down, own) for key, value in labels.items()}

    def all_endpoints(self):
        for pod in self.of(facts.Pod):
            if not pod.host_network and pod.node and pod.addresses and not pod.is_finished:
                yield self.pod(pod)
        for host in self.of(facts.HostEndpoint):
            yield Thing(
                id=f"host:{host.name}",
                labels=self.labels(host.labels, host.profiles),
                nets=networks(host.expected_ips),
                ports=tuple((port.name, NAMES[port.protocol], port.port) for port in host.ports),
                profiles=host.profiles,
            )

    def pod(self, pod):
        own = {key: value for key, value in pod.labels.items() if not key.startswith(("pcns.", "pcsa."))}
        own |= {NAMESPACE: pod.namespace, ORCHESTRATOR: "k8s"}
        profiles = (f"kns.{pod.namespace}",)
        if pod.service_account:
            own[ACCOUNT] = pod.service_account
            profiles += (f"ksa.{pod.namespace}.{pod.service_account}",)
        return Thing(
            id=f"pod:{pod.namespace}/{pod.name}",
            labels=self.labels(own, profiles),
            nets=networks(pod.addresses),
            ports=tuple((port.name, NAMES[port.protocol], port.port) for port in pod.named_ports),
            profiles=profiles,
        )

    def all_sets(self):
        """2.7."""
        for fact in self.of(facts.NetworkSet):
            own = {**fact.labels, NAMESPACE: fact.namespace} if fact.namespace else fact.labels
            profiles = (f"kns.{fact.namespace}",) if fact.namespace else ()
            yield Thing(
                id=f"set:{fact.namespace}/{fact.name}",
                labels=self.labels(own, profiles),
                nets=networks(fact.nets),
                is_by_name=bool(fact.domains),
            )

    def owners(self, address):
        return [thing for thing in self.things if thing.has(address)]

    def backends(self, service, namespace):
        """5.7: (address, protocol, port) of the slices; port None where a slice names none."""
        for fact in self.of(facts.EndpointSlice):
            if fact.service == service and fact.namespace == namespace:
                for address in fact.addresses:
                    yield ip_address(address), None, None
                    for port in fact.ports:
                        if port.port is not None:
                            yield ip_address(address), NAMES[port.protocol or "TCP"], port.port

    def tier_rank(self, name):
        """7.1, 7.2, 7.4."""
        tiers = dict(BUILT_IN)
        for fact in self.of(facts.Tier):
            order = 1_000_000.0 if fact.order is None else fact.order
            tiers[fact.name] = (order, "Pass" if fact.default_action == "Pass" else "Deny")
        if name not in tiers:
            return (math.inf, 1, name), "Deny"
        return (tiers[name][0], 0, name), tiers[name][1]


def networks(texts):
    """3.5: what does not parse is skipped."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue
    return tuple(found)


# --- sections 4, 9, 10: policies ---------------------------------------------------------------------------------


def converted(fact):
    if isinstance(fact, facts.CalicoPolicy) and fact.staged_action != "Delete":
        yield calico_policy(fact)
    if isinstance(fact, facts.KubernetesNetworkPolicy) and fact.staged_action != "Delete":
        yield kubernetes_policy(fact)
    if isinstance(fact, facts.AdminPolicy) and fact.policy_kind == "ClusterNetworkPolicy":
        yield cluster_policy(fact)


def calico_policy(fact):
    return Policy(
        kind=fact.policy_kind,
        namespace=fact.namespace,
        name=fact.name,
        tier=fact.tier or "default",
        order=math.inf if fact.order is None else fact.order,
        selects=lambda labels: selects(fact, labels),
        types=frozenset(name.lower() for name in fact.types) or frozenset({"ingress", "egress"}),
        rules={"ingress": fact.ingress, "egress": fact.egress},
        is_staged=fact.policy_kind.startswith("Staged"),
        is_special=fact.do_not_track or fact.pre_dnat,
    )


def selects(fact, labels):
    """4.1 and 4.2. In a global policy each scope in turn rewrites the all() that stand before and in it."""
    if fact.namespace:
        accounts = scoped(fact.service_account_selector, labels, "pcsa.", everything=True)
        return labels.get(NAMESPACE) == fact.namespace and accounts and holds(fact.selector, labels)
    pods_only, accounts_only = NAMESPACE in labels, ACCOUNT in labels
    everything = True
    if fact.namespace_selector:
        everything = pods_only
    elif fact.service_account_selector:
        everything = accounts_only
    return (
        scoped(fact.namespace_selector, labels, "pcns.", everything=pods_only)
        and scoped(fact.service_account_selector, labels, "pcsa.", everything=accounts_only)
        and holds(fact.selector, labels, everything=everything)
    )


def scoped(text, labels, prefix, *, everything):
    """A scope that is not given, or that does not parse, is none (3.5)."""
    if not text:
        return True
    try:
        return holds(text, labels, prefix=prefix, everything=everything)
    except WrongTextError:
        return True


def label_selector(selector, *, is_namespace):
    """9.4, as text."""
    terms = [] if is_namespace else [f"{ORCHESTRATOR} == 'k8s'"]
    if selector is None:
        return " && ".join(terms)
    if is_namespace and not selector.match_labels and not selector.match_expressions:
        return "all()"
    terms += [f"{key} == '{value}'" for key, value in sorted(selector.match_labels.items())]
    for expression in selector.match_expressions:
        members = "{ " + ", ".join(f"'{value}'" for value in expression.values) + " }"
        terms.append(
            {
                "In": f"{expression.key} in {members}",
                "NotIn": f"{expression.key} not in {members}",
                "Exists": f"has({expression.key})",
                "DoesNotExist": f"! has({expression.key})",
            }[expression.operator]
        )
    return " && ".join(terms)


def kubernetes_policy(fact):
    """9.1-9.5."""
    selector = label_selector(fact.pod_selector, is_namespace=False)
    is_staged = fact.staged_action is not None
    types = frozenset(name.lower() for name in fact.policy_types) & {"ingress", "egress"} or frozenset({"ingress"})
    return Policy(
        kind="StagedKubernetesNetworkPolicy" if is_staged else "KubernetesNetworkPolicy",
        namespace=fact.namespace,
        name=fact.name,
        tier="default",
        order=1000.0,
        selects=lambda labels: labels.get(NAMESPACE) == fact.namespace and holds(selector, labels),
        types=types,
        rules={
            "ingress": [rule for api in fact.ingress for rule in kubernetes_rules(api, "source")],
            "egress": [rule for api in fact.egress for rule in kubernetes_rules(api, "destination")],
        },
        is_staged=is_staged,
    )


def kubernetes_rules(api, side):
    """9.6, 9.7, 9.10."""
    by_protocol = {}
    for port in api.ports or ():
        protocol = port.protocol or "TCP"
        if port.port is None:
            by_protocol[protocol] = None
            continue
        text = str(port.port) if port.end_port is None else f"{port.port}:{port.end_port}"
        if port.end_port is not None and (isinstance(port.port, str) or port.end_port < port.port):
            return
        if by_protocol.get(protocol, ()) is not None:
            by_protocol[protocol] = (*by_protocol.get(protocol, ()), text)
    for protocol in sorted(by_protocol) or [None]:
        for peer in api.peers or (None,):
            entity = facts.EntityRule() if peer is None else kubernetes_peer(peer)
            ports = by_protocol.get(protocol) or ()
            yield rule_of("Allow", protocol, side, entity, ports)


def rule_of(action, protocol, side, entity, ports):
    if side == "destination":
        return facts.Rule(action=action, protocol=protocol, destination=replace_ports(entity, ports))
    return facts.Rule(
        action=action, protocol=protocol, source=entity, destination=replace_ports(facts.EntityRule(), ports)
    )


def replace_ports(entity, ports):
    return facts.EntityRule(
        nets=entity.nets,
        not_nets=entity.not_nets,
        selector=entity.selector,
        namespace_selector=entity.namespace_selector,
        ports=tuple(ports),
    )


def kubernetes_peer(peer):
    """9.8, 9.9."""
    if peer.ip_block is not None:
        return facts.EntityRule(nets=(peer.ip_block.cidr,), not_nets=peer.ip_block.except_)
    return facts.EntityRule(
        selector=label_selector(peer.pod_selector, is_namespace=False),
        namespace_selector=""
        if peer.namespace_selector is None
        else label_selector(peer.namespace_selector, is_namespace=True),
    )


def cluster_policy(fact):
    """10.2-10.6. Subject: namespaces or pods, always with the orchestrator."""
    subject = fact.subject
    is_pods = subject.pods_pod_selector is not None
    namespaces = subject.pods_namespace_selector if is_pods else subject.namespaces
    pods = label_selector(subject.pods_pod_selector if is_pods else None, is_namespace=False)
    spaces = label_selector(namespaces, is_namespace=True)
    rules = {
        "ingress": [rule for api in fact.ingress for rule in admin_rules(api, "source")],
        "egress": [rule for api in fact.egress for rule in admin_rules(api, "destination")],
    }
    return Policy(
        kind="ClusterNetworkPolicy",
        namespace="",
        name=fact.name,
        tier="kube-admin" if fact.tier == "Admin" else "kube-baseline",
        order=float(fact.priority),
        selects=lambda labels: (
            holds(spaces, labels, prefix="pcns.", everything=NAMESPACE in labels) and holds(pods, labels)
        ),
        types=frozenset(direction for direction, own in rules.items() if own) or frozenset({"ingress", "egress"}),
        rules=rules,
    )


def admin_rules(api, side):
    """10.8: what cannot be converted denies everything, or goes away if it would have allowed."""
    if api.unsupported or any(peer.unsupported for peer in api.peers):
        return [DENY_ALL] if api.action in ("Deny", "Pass") else []
    action = "Allow" if api.action == "Accept" else api.action
    by_protocol = {}
    for port in api.ports or (facts.AdminPort(),):
        if port == facts.AdminPort():
            by_protocol = {"": None}
            break
        protocol = port.protocol or ""
        if port.port is None and port.named_port is None:
            by_protocol[protocol] = None
        elif by_protocol.get(protocol, ()) is not None:
            text = port.named_port or (str(port.port) if port.end_port is None else f"{port.port}:{port.end_port}")
            by_protocol[protocol] = (*by_protocol.get(protocol, ()), text)
    return [
        rule_of(action, protocol or None, side, admin_peer(peer), by_protocol[protocol] or ())
        for protocol in sorted(by_protocol)
        for peer in api.peers
    ]


def admin_peer(peer):
    """10.7: namespaces alone carry no orchestrator condition."""
    if peer.pods_pod_selector is not None:
        return facts.EntityRule(
            selector=label_selector(peer.pods_pod_selector, is_namespace=False),
            namespace_selector=label_selector(peer.pods_namespace_selector, is_namespace=True),
            nets=peer.networks or (),
        )
    return facts.EntityRule(
        namespace_selector="" if peer.namespaces is None else label_selector(peer.namespaces, is_namespace=True),
        nets=peer.networks or (),
    )


# --- sections 5 and 6: one rule ----------------------------------------------------------------------------------


def every(clauses):
    """Three-valued and: one False decides, else one None leaves it open."""
    found = list(clauses)
    if False in found:
        return False
    return None if None in found else True


class Packet:
    def __init__(self, cluster, connection, direction):
        self.cluster = cluster
        self.direction = direction
        self.protocol = connection.protocol
        self.addresses = {
            "source": ip_address(connection.source_address),
            "destination": ip_address(connection.destination_address),
        }
        self.ports = {"source": connection.source_port, "destination": connection.destination_port}
        self.icmp = (connection.icmp_type, connection.icmp_code)
        self.version = self.addresses["source"].version
        self.has_ports = self.protocol in (6, 17, 132)

    def matches(self, rule, namespace):
        """6.1: every clause that is present. namespace: of the policy, None for global ones and profiles."""
        return every(
            [
                self.family(rule),
                rule.protocol is None or number(rule.protocol) == self.protocol,
                rule.not_protocol is None or number(rule.not_protocol) != self.protocol,
                self.icmp_clause(rule.icmp, negated=False),
                self.icmp_clause(rule.not_icmp, negated=True),
                True if rule.http is None else None,
                self.side(rule, rule.source, "source", namespace),
                self.side(rule, rule.destination, "destination", namespace),
            ]
        )

    def family(self, rule):
        """6.2."""
        if rule.ip_version not in (None, self.version):
            return False
        if {"ICMP": 4, "ICMPv6": 6}.get(rule.protocol, self.version) != self.version:
            return False
        for entity in (rule.source, rule.destination):
            for texts in (entity.nets, entity.not_nets):
                nets = networks(texts)
                if nets and not any(net.version == self.version for net in nets):
                    return False
            if any(net.version == self.version and net.prefixlen == 0 for net in networks(entity.not_nets)):
                return False
        return True

    def icmp_clause(self, match, *, negated):
        """6.5."""
        if match is None or match.type is None:
            return True
        if self.protocol != (1 if self.version == 4 else 58):
            return negated
        pairs = [(match.type, self.icmp[0])]
        if match.code is not None:
            pairs.append((match.code, self.icmp[1]))
            if negated and [own for _, own in pairs] != [wanted for wanted, _ in pairs]:
                return None if any(own in (None, wanted) for wanted, own in pairs) else True
        equal = every(None if own is None else wanted == own for wanted, own in pairs)
        return equal if not negated or equal is None else not equal

    def side(self, rule, entity, side, namespace):
        address = self.addresses[side]
        own = networks(entity.nets)
        positive = positive_test(entity, namespace)
        clauses = [
            not own or any(net.version == address.version and address in net for net in own),
            not any(net.version == address.version and address in net for net in networks(entity.not_nets)),
            self.peer(entity, side, positive),
            self.service(entity, side),
        ]
        if entity.ports:
            clauses.append(self.any_port(entity, entity.ports, side, positive))
        if entity.not_ports:
            excluded = self.any_port(entity, entity.not_ports, side, positive)
            clauses.append(None if excluded is None else not excluded)
        if entity.domains:
            clauses.append(None)
        return every(clauses)

    def peer(self, entity, side, positive):
        """5.4, 5.6: some one owner of the address must satisfy everything; alone, no owner may be negated.

        5.8: names of a network set count for the destination of egress only.
        """
        owners = self.cluster.owners(self.addresses[side])
        is_egress_destination = self.direction == "egress" and side == "destination"
        perhaps = [thing for thing in self.cluster.things if thing.is_by_name and is_egress_destination]
        if positive is not None:
            if any(positive(owner.labels) for owner in owners):
                return True
            return None if any(positive(thing.labels) for thing in perhaps) else False
        if entity.not_selector:
            if any(holds(entity.not_selector, owner.labels) for owner in owners):
                return False
            return None if any(holds(entity.not_selector, thing.labels) for thing in perhaps) else True
        return True

    def service(self, entity, side):
        """5.7."""
        if entity.services is None:
            return True
        wanted = self.addresses[side]
        backends = set(self.cluster.backends(entity.services.name, entity.services.namespace))
        if not entity.services.namespace:
            return False
        if side == "source":
            return any(address == wanted for address, _, _ in backends)
        if self.ports[side] is None and self.has_ports:
            return None if any(address == wanted and own == self.protocol for address, own, _ in backends) else False
        return (wanted, self.protocol, self.ports[side]) in backends if self.has_ports else False

    def any_port(self, entity, ports, side, positive):
        """6.4."""
        if not self.has_ports:
            return False
        own = self.ports[side]
        named = self.named_ports(ports, side, positive)
        spans = [span(port) for port in ports if span(port)]
        if own is None:
            return None if spans or named else False
        return own in named or any(first <= own <= last for first, last in spans)

    def named_ports(self, ports, side, positive):
        """Numbers that the names stand for at this address: of endpoints that satisfy the positive selector."""
        names = {port for port in ports if isinstance(port, str) and not span(port)}
        endpoints = [
            thing
            for thing in self.cluster.owners(self.addresses[side])
            if thing.ports and (positive is None or positive(thing.labels))
        ]
        return {
            port for thing in endpoints for name, own, port in thing.ports if name in names and own == self.protocol
        }


def number(protocol):
    return protocol if isinstance(protocol, int) else NAMES[protocol]


def span(port):
    if isinstance(port, int):
        return (port, port)
    first, _, last = port.partition(":")
    return (int(first), int(last or first)) if first.isdigit() else None


def positive_test(entity, namespace):
    """5.1: labels -> bool, or None where the rule names no peer by labels."""
    tests = []
    accounts = entity.service_accounts
    has_accounts = accounts is not None and bool(accounts.names or accounts.selector)
    if entity.namespace_selector:
        tests.append(
            lambda labels: holds(
                entity.namespace_selector,
                labels,
                prefix="pcns.",
                everything=NAMESPACE in labels,
                nothing_global=NAMESPACE not in labels,
            )
        )
    elif namespace and (entity.selector or entity.not_selector or has_accounts):
        tests.append(lambda labels: labels.get(NAMESPACE) == namespace)
    if has_accounts and accounts.names:
        tests.append(lambda labels: labels.get(ACCOUNT) in accounts.names)
    if has_accounts and accounts.selector:
        tests.append(lambda labels: holds(accounts.selector, labels, prefix="pcsa."))
    if entity.selector:
        tests.append(lambda labels: holds(entity.selector, labels))
    if not tests:
        return None
    if entity.not_selector:
        tests.append(lambda labels: not holds(entity.not_selector, labels))
    return lambda labels: all(test(labels) for test in tests)


# --- sections 7, 8, 11, 12: the verdict --------------------------------------------------------------------------


def outcomes(cluster, connection, endpoint, direction, *, is_pending):
    """Every outcome that is possible; one where the inputs settle it."""
    packet = Packet(cluster, connection, direction)
    taking_part = [
        policy
        for policy in cluster.policies
        if direction in policy.types
        and not policy.is_special
        and (is_pending or not policy.is_staged)
        and policy.selects(endpoint.labels)
    ]
    by_tier = {}
    for policy in taking_part:
        by_tier.setdefault(policy.tier, []).append(policy)
    tiers = sorted(by_tier, key=lambda name: cluster.tier_rank(name)[0])
    steps = [(name, sorted(by_tier[name], key=lambda p: (p.order, p.tie()))) for name in tiers]
    return set(walk_tiers(packet, direction, endpoint, steps, Outcome(Decision.DENY)))


def walk_tiers(packet, direction, endpoint, steps, met):
    """8.2-8.6, branching where a rule cannot be told."""
    if not steps:
        yield from walk_profiles(packet, direction, list(endpoint.profiles), met)
        return
    (tier, policies), rest = steps[0], steps[1:]
    rules = [(policy, index, rule) for policy in policies for index, rule in enumerate(policy.rules[direction])]
    for action, hit, logs in walk_rules(packet, rules):
        met_here = replace(met, logs=met.logs + logs)
        if hit is None:
            end = packet.cluster.tier_rank(tier)[1]
            traced = replace(met_here, trace=(*met_here.trace, hit_of(policies[0], end.lower(), -1)))
        else:
            end = action
            traced = replace(met_here, trace=(*met_here.trace, hit))
        if end == "Pass":
            yield from walk_tiers(packet, direction, endpoint, rest, traced)
        else:
            yield replace(traced, decision=Decision.ALLOW if end == "Allow" else Decision.DENY)


def walk_rules(packet, rules, logs=()):
    """(action, hit, logs) of the first rule that decides; no hit when none does."""
    for place, (policy, index, rule) in enumerate(rules):
        matched = packet.matches(rule, policy.namespace or None)
        if matched is False:
            continue
        if matched is None:
            yield from walk_rules(packet, rules[place + 1 :], logs)
        if rule.action == "Log":
            logs = logs if policy.is_staged else (*logs, log_of(policy, index))  # 11.5
            continue
        yield rule.action, hit_of(policy, rule.action.lower(), index), logs
        return
    yield "", None, logs


def walk_profiles(packet, direction, names, met):
    """8.6, 12.2, 12.3: a profile that is not there stands for one that drops everything."""
    if not names:
        yield replace(met, decision=Decision.DENY)
        return
    name, rest = names[0], names[1:]
    _, ingress, egress = packet.cluster.profiles.get(name, ({}, (DENY_ALL,), (DENY_ALL,)))
    for index, rule in enumerate(ingress if direction == "ingress" else egress):
        matched = packet.matches(rule, None)
        if matched is False or rule.action == "Log":
            continue
        if rule.action == "Pass":
            yield from walk_profiles(packet, direction, rest, met)
        else:
            hit = Hit(tier="__PROFILE__", kind="Profile", name=name, action=rule.action.lower(), rule=index)
            decision = Decision.ALLOW if rule.action == "Allow" else Decision.DENY
            yield replace(met, decision=decision, trace=(*met.trace, hit))
        if matched:
            return
    yield from walk_profiles(packet, direction, rest, met)


def hit_of(policy, action, rule):
    return Hit(
        tier=policy.tier,
        kind=policy.kind,
        namespace=policy.namespace,
        name=policy.name,
        action=action,
        rule=rule,
        is_staged=policy.is_staged,
    )


def log_of(policy, rule):
    return LogHit(tier=policy.tier, kind=policy.kind, namespace=policy.namespace, name=policy.name, rule=rule)
