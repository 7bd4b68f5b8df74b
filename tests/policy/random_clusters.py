"""Small random clusters with every feature a verdict can hang on, over few labels, ports and nets: they do meet."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from models import facts
from models.facts import FactKey

CLUSTER = "c"
NAMESPACES = ("red", "blue")
PORTS = (80, 443, 8000)
NETS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.0.1/32", "192.0.2.0/24", "0.0.0.0/0", "fd00::/8", "fd00:1::/32", "::/0")
ADDRESSES = ("10.1.0.1", "10.1.0.2", "10.2.0.1", "192.0.2.7", "fd00:1::1", "fd00:2::1")
OUTSIDE = ("10.1.0.99", "192.0.2.99", "203.0.113.9", "fd00:1::99", "2001:db8::9")

SELECTORS = st.sampled_from(
    [
        "",
        "all()",
        "role == 'a'",
        "role != 'a'",
        "role in {'a', 'b'}",
        "role not in {'b'}",
        "has(env)",
        "!has(env)",
        "role == 'a' && env == 'x'",
        "role == 'c' || env contains 'x'",
        "set == 'inner'",
        "!(role == 'b')",
        "projectcalico.org/serviceaccount == 'sa'",
    ]
)
NAMESPACE_SELECTORS = st.sampled_from(["", "", "all()", "global()", "team == 'r'", "team != 'r'", "has(team)"])


def keyed(*found):
    return {facts.key_of(CLUSTER, fact): fact for fact in found}


def clusters():
    return st.builds(
        lambda basics, pods, sets, policies, more: keyed(*basics, *pods, *sets, *policies, *more),
        st.just(_basics()),
        st.lists(_pods(), min_size=2, max_size=5),
        st.lists(_sets(), max_size=2),
        st.lists(policies(), min_size=1, max_size=5),
        st.tuples(_felix(), _hosts(), _slices()).map(lambda found: [one for one in found if one is not None]),
    )


def _basics():
    return (
        facts.Namespace(name="red", labels={"team": "r"}),
        facts.Namespace(name="blue", labels={"team": "b"}),
        facts.ServiceAccount(name="sa", namespace="red", labels={"tier": "t"}),
        facts.Profile(name="passing", ingress=(facts.Rule(action="Pass"),), egress=(facts.Rule(action="Log"),)),
        facts.Tier(name="first", order=10, default_action="Deny"),
        facts.Tier(name="second", order=20, default_action="Pass"),
    )


@st.composite
def _pods(draw):
    labels = {"role": draw(st.sampled_from("abc"))}
    if draw(st.booleans()):
        labels["env"] = draw(st.sampled_from(["x", "y", "xy"]))
    v4, v6 = draw(st.sampled_from(ADDRESSES[:4])), draw(st.sampled_from(ADDRESSES[4:]))
    ports = [facts.NamedPort(name="http", protocol="TCP", port=draw(st.sampled_from(PORTS)))]
    ports.append(facts.NamedPort(name="dns", protocol="UDP", port=80))
    return facts.Pod(
        name=f"p{draw(st.integers(0, 5))}",
        namespace=draw(st.sampled_from(NAMESPACES)),
        labels=labels,
        service_account=draw(st.sampled_from(["sa", "default"])),
        node="n",
        addresses=draw(st.sampled_from([(v4,), (v4,), (v4, v6), (v6,)])),
        named_ports=tuple(ports[: draw(st.sampled_from([0, 1, 2, 2]))]),
    )


def pods_apart():
    """Each with addresses of its own, in the nets of those that others share."""
    return _pods().map(_apart)


def _apart(pod):
    number = 100 + 10 * NAMESPACES.index(pod.namespace) + int(pod.name[1:])
    places = [at[: max(at.rfind("."), at.rfind(":")) + 1] for at in pod.addresses]
    return replace(pod, addresses=tuple(f"{place}{number}" for place in places))


def with_pods_apart(cluster):
    return {key: _apart(fact) if isinstance(fact, facts.Pod) else fact for key, fact in cluster.items()}


@st.composite
def _sets(draw):
    return facts.NetworkSet(
        name=f"s{draw(st.integers(0, 2))}",
        namespace=draw(st.sampled_from(["", "red"])),
        labels={"role": draw(st.sampled_from("abc")), "set": "inner"},
        nets=tuple(draw(st.lists(st.sampled_from(NETS), max_size=2))),
        domains=draw(st.sampled_from([(), (), (), ("example.com",)])),
    )


def _felix():
    modes = st.sampled_from([None, "Enabled", "Disabled"])
    found = st.builds(
        lambda mode, bpf: facts.FelixConfiguration(name="default", nftables_mode=mode, bpf_enabled=bpf),
        modes,
        st.sampled_from([None, None, True]),
    )
    return st.none() | found


def _hosts():
    profile = st.sampled_from(
        [(), ("projectcalico-default-allow",), ("missing",), ("passing", "projectcalico-default-allow")]
    )
    return st.builds(
        lambda profiles, addresses: facts.HostEndpoint(
            name="h", node="n", interface_name="*", labels={"role": "a"}, profiles=profiles, expected_ips=addresses
        ),
        profile,
        st.sampled_from([("192.0.2.7",), ("192.0.2.8", "fd00:2::8"), ("192.0.2.8", "10.1.0.9")]),
    )


def _slices():
    return st.none() | st.builds(
        lambda addresses, port: facts.EndpointSlice(
            name="svc-1",
            namespace="red",
            service="svc",
            addresses=tuple(addresses),
            ports=(facts.EndpointPort(protocol="TCP", port=port),),
        ),
        st.lists(st.sampled_from((*ADDRESSES, *OUTSIDE)), max_size=3),
        st.sampled_from([*PORTS, None]),
    )


def policies():
    return st.one_of(calico(), calico(), kubernetes())


@st.composite
def calico(draw):
    kind = draw(
        st.sampled_from(["NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"])
    )
    is_global = "Global" in kind
    return facts.CalicoPolicy(
        policy_kind=kind,
        name=f"q{draw(st.integers(0, 4))}",
        namespace="" if is_global else draw(st.sampled_from(NAMESPACES)),
        tier=draw(st.sampled_from(["default", "default", "first", "second", "absent"])),
        order=draw(st.sampled_from([None, 1.0, 2.0])),
        selector=draw(SELECTORS),
        namespace_selector=draw(NAMESPACE_SELECTORS.filter(lambda text: text != "global()")) if is_global else "",
        types=draw(st.sampled_from([("Ingress",), ("Egress",), ("Ingress", "Egress"), ()])),
        ingress=tuple(draw(st.lists(rules(is_ingress=True), max_size=3))),
        egress=tuple(draw(st.lists(rules(is_ingress=False), max_size=3))),
        staged_action="Set" if kind.startswith("Staged") else None,
    )


@st.composite
def rules(draw, *, is_ingress):
    protocol = draw(st.sampled_from([None, "TCP", "TCP", "UDP", "ICMP", "ICMPv6", 47]))
    has_ports = protocol in {"TCP", "UDP"}
    is_icmp = protocol in {"ICMP", "ICMPv6"}
    match = facts.ICMPMatch(type=8, code=draw(st.sampled_from([None, 0])))
    return facts.Rule(
        action=draw(st.sampled_from(["Allow", "Allow", "Deny", "Pass", "Log"])),
        ip_version=draw(st.sampled_from([None, None, None, 4, 6])) if not is_icmp else None,
        protocol=protocol,
        not_protocol=draw(st.sampled_from([None, None, "UDP"])) if protocol is None else None,
        icmp=match if is_icmp and draw(st.booleans()) else None,
        not_icmp=match if draw(st.integers(0, 7)) == 0 else None,
        source=draw(sides(has_ports=has_ports, may_serve=is_ingress)),
        destination=draw(sides(has_ports=has_ports, may_serve=not is_ingress)),
        http=facts.HTTPMatch(methods=("GET",)) if draw(st.integers(0, 9)) == 0 else None,
    )


@st.composite
def sides(draw, *, has_ports, may_serve):
    kind = draw(st.integers(0, 9))
    if may_serve and kind == 0:
        return facts.EntityRule(services=facts.ServiceMatch(name="svc", namespace="red"))
    ports = st.lists(st.sampled_from([80, 443, "443:8000", "http", "dns"]), max_size=2).map(tuple)
    is_named = kind < 5
    return facts.EntityRule(
        selector=draw(SELECTORS) if is_named else "",
        not_selector=draw(st.sampled_from(["", "", "role == 'b'", "has(set)"])),
        namespace_selector=draw(NAMESPACE_SELECTORS) if is_named else "",
        nets=tuple(draw(st.lists(st.sampled_from(NETS), max_size=2))) if kind in {5, 6} else (),
        not_nets=tuple(draw(st.lists(st.sampled_from(NETS[:3]), max_size=1))) if kind in {6, 7} else (),
        ports=draw(ports) if has_ports and kind % 2 else (),
        not_ports=draw(ports) if has_ports and kind in {2, 4, 8} else (),
    )


@st.composite
def kubernetes(draw):
    return facts.KubernetesNetworkPolicy(
        name=f"k{draw(st.integers(0, 2))}",
        namespace=draw(st.sampled_from(NAMESPACES)),
        pod_selector=draw(label_selectors()),
        policy_types=draw(st.sampled_from([("Ingress",), ("Ingress", "Egress"), ("Egress",)])),
        ingress=tuple(draw(st.lists(kubernetes_rules(), max_size=2))),
        egress=tuple(draw(st.lists(kubernetes_rules(), max_size=2))),
        staged_action=draw(st.sampled_from([None, None, "Set"])),
    )


def label_selectors():
    return st.sampled_from(
        [
            facts.LabelSelector(),
            facts.LabelSelector(match_labels={"role": "a"}),
            facts.LabelSelector(match_expressions=(facts.LabelRequirement(key="env", operator="Exists"),)),
        ]
    )


@st.composite
def kubernetes_rules(draw):
    peer = st.one_of(
        st.builds(lambda pods: facts.KubernetesPeer(pod_selector=pods), label_selectors()),
        st.just(facts.KubernetesPeer(namespace_selector=facts.LabelSelector(match_labels={"team": "r"}))),
        st.just(facts.KubernetesPeer(ip_block=facts.IPBlock(cidr="10.0.0.0/8", except_=("10.1.0.0/16",)))),
    )
    port = st.sampled_from(
        [
            facts.KubernetesPort(port=80),
            facts.KubernetesPort(port="http"),
            facts.KubernetesPort(protocol="UDP"),
            facts.KubernetesPort(port=443, end_port=8000),
        ]
    )
    return facts.KubernetesRule(
        peers=tuple(draw(st.lists(peer, max_size=2))) if draw(st.booleans()) else None,
        ports=tuple(draw(st.lists(port, max_size=2))) if draw(st.booleans()) else None,
    )


def edits():
    """One change: a fact that comes or replaces another, or a key to take away by its place."""
    fact = st.one_of(_pods(), _sets(), policies(), policies())
    return st.one_of(fact, st.integers(0, 30))


def edited(cluster, edit):
    """The changes that an edit means for a cluster: keys with their new fact, None = gone."""
    if isinstance(edit, int):
        keys = sorted(key for key in cluster if key.kind not in {facts.Kind.NAMESPACE, facts.Kind.TIER})
        return {keys[edit % len(keys)]: None} if keys else {}
    return {facts.key_of(CLUSTER, edit): edit}


__all__ = ["CLUSTER", "OUTSIDE", "PORTS", "FactKey", "clusters", "edited", "edits", "pods_apart", "with_pods_apart"]
