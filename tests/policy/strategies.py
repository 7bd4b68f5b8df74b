"""Small random clusters that use every feature, and packets at the edges of every range in them.

At most four namespaces, six pods, two host endpoints and eight policies, so that what hypothesis finds reads well.
"""

import functools
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from models import facts
from models.facts import key_of
from models.verdicts import Connection

CLUSTER = "c"
NAMESPACES = ("red", "blue", "ghost")  # ghost is never declared
ACCOUNTS = ("default", "runner")
KEYS = ("app", "env", "role")
VALUES = ("a", "b", "ab", "")
TIERS = ("default", "default", "front", "front", "back", "kube-admin", "nowhere")  # nowhere is never declared
PEOPLED = ("red", "red", "blue", "ghost")
V4 = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1", "10.0.1.2", "192.0.2.1", "192.0.2.2")
V6 = ("fd00::1", "fd00::2", "fd00::1:1", "2001:db8::1")
NETS4 = ("10.0.0.0/8", "10.0.0.0/30", "10.0.0.2/31", "10.0.1.0/24", "192.0.2.0/24", "0.0.0.0/0", "10.0.0.1/32")
NETS6 = ("fd00::/16", "fd00::/127", "2001:db8::/32", "::/0")
ELSEWHERE = ("203.0.113.9", "2001:db8:ffff::9", "127.0.0.1")
PORT_NAMES = ("http", "dns")
PORTS = (1, 53, 80, 8080, 65535)
RANGES = ("1:53", "80:81", "8080:65535")
PORTED = ("TCP", "UDP", "SCTP", 6, 17, 132)
UNPORTED = ("ICMP", "ICMPv6", "UDPLite", 1, 58, 47)
ORDERS = (None, -1.0, 0.5, 999.0, 1000.0, 1001.0)
NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ICMP": 1, "ICMPv6": 58, "UDPLite": 136}


def some(options, most=2):
    return st.lists(st.sampled_from(options), max_size=most, unique=True).map(tuple)


def optional(strategy, without=None):
    """Absent more often than not, so that single features meet rather than all of them at once."""
    return st.one_of(st.just(without), st.just(without), strategy)


# --- selectors ---------------------------------------------------------------------------------------------------

SELECTOR_KEYS = (
    *KEYS,
    "projectcalico.org/namespace",
    "projectcalico.org/serviceaccount",
    "projectcalico.org/orchestrator",
    "pcns.env",
    "pcsa.app",
)
SELECTOR_VALUES = (*VALUES, "red", "blue", "runner", "k8s")


def comparisons(keys):
    key, value = st.sampled_from(keys), st.sampled_from(SELECTOR_VALUES)
    quoted = st.builds(lambda text, quote: f"{quote}{text}{quote}", value, st.sampled_from("'\""))
    single = st.sampled_from(["==", "!=", "contains", "starts with", "ends with"])
    members = st.lists(quoted, max_size=2).map(lambda values: "{" + ", ".join(values) + "}")
    return st.one_of(
        st.builds("{} {} {}".format, key, single, quoted),
        st.builds("{} {} {}".format, key, st.sampled_from(["in", "not in"]), members),
        st.builds("has({})".format, key),
    )


@functools.cache
def selectors(keys=SELECTOR_KEYS, *, extra=("all()",)):
    """Up to two levels of brackets. Not st.recursive: made once per key list, and of fixed depth."""
    terms = comparisons(keys) | st.sampled_from(extra)

    def deeper(inner):
        return st.one_of(
            inner,
            inner.map("!({})".format),
            terms.map("! {}".format),
            st.builds("({}) && ({})".format, inner, inner),
            st.builds("({}) || ({})".format, inner, terms),
            st.builds("{} && {} || {}".format, terms, terms, terms),
        )

    return st.one_of(terms, terms, deeper(deeper(terms)))


LABELS = st.dictionaries(st.sampled_from((*KEYS, "pcns.env")), st.sampled_from(VALUES), max_size=3)
LABEL_SELECTORS = st.builds(
    facts.LabelSelector,
    match_labels=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=1),
    match_expressions=st.lists(
        st.builds(
            facts.LabelRequirement,
            key=st.sampled_from(KEYS),
            operator=st.sampled_from(["In", "NotIn"]),
            values=st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True).map(tuple),
        )
        | st.builds(
            facts.LabelRequirement,
            key=st.sampled_from(KEYS),
            operator=st.sampled_from(["Exists", "DoesNotExist"]),
        ),
        max_size=1,
    ).map(tuple),
)

# --- rules -------------------------------------------------------------------------------------------------------

NETS = some(NETS4) | some(NETS6) | some((*NETS4, *NETS6)) | st.just(())
PORT_LISTS = st.lists(st.sampled_from([*PORTS, *RANGES, *PORT_NAMES]), min_size=1, max_size=3, unique=True).map(tuple)
ACCOUNT_MATCHES = st.builds(facts.ServiceAccountMatch, names=some(ACCOUNTS), selector=optional(selectors(KEYS), ""))


OWN_SELECTORS = selectors()
NAMESPACE_SELECTORS = selectors((*KEYS, "projectcalico.org/name"))
RARELY = st.integers(0, 7).map(lambda n: n == 7)
SUBJECTS = st.sampled_from(["", "all()", "has(app) || !has(app)"]) | OWN_SELECTORS
SCOPES = RARELY.flatmap(lambda has: NAMESPACE_SELECTORS if has else st.just(""))
FAMILIES = st.sampled_from([None, None, None, None, 4, 6])
PROTOCOLS = st.sampled_from([*[None] * 6, *["TCP", 6, "UDP"] * 3, *PORTED, *UNPORTED])
NOT_PROTOCOLS = st.one_of(st.none(), st.none(), st.none(), st.sampled_from([*PORTED, *UNPORTED]))
ICMP_MATCHES = optional(
    st.builds(facts.ICMPMatch, type=st.sampled_from([0, 8, 128]), code=optional(st.sampled_from([0, 3])))
)
CLAUSES = {
    "nets": NETS,
    "not_nets": NETS,
    "selector": OWN_SELECTORS,
    "not_selector": OWN_SELECTORS,
    "namespace_selector": NAMESPACE_SELECTORS | st.just("global()"),
    "service_accounts": ACCOUNT_MATCHES,
}
PORT_CLAUSES = {"ports": PORT_LISTS, "not_ports": PORT_LISTS}
PORTED_CLAUSES = [*sorted(CLAUSES), *sorted(PORT_CLAUSES) * 3]


@st.composite
def entities(draw, *, has_ports, may_serve):
    """Nothing, a clause or two: with all of them at once no rule would ever be met."""
    if may_serve and draw(RARELY):
        name, namespace = draw(st.sampled_from(["web", "none"])), draw(st.sampled_from(["red", "blue", ""]))
        return facts.EntityRule(services=facts.ServiceMatch(name=name, namespace=namespace))
    clauses = st.sampled_from(PORTED_CLAUSES if has_ports else sorted(CLAUSES))
    named = {draw(clauses) for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2])))}
    return facts.EntityRule(
        **{name: draw({**CLAUSES, **PORT_CLAUSES}[name]) for name in sorted(named)},
        domains=("a.example",) if may_serve and draw(RARELY) else (),
    )


@st.composite
def rules(draw, *, direction, actions=("Allow", "Deny", "Pass", "Log")):
    protocol = draw(PROTOCOLS)
    is_icmp = protocol in ("ICMP", "ICMPv6", 1, 58)
    action = draw(st.sampled_from(actions))
    is_http = direction == "ingress" and action == "Allow" and protocol in (None, "TCP", 6) and draw(RARELY)
    has_ports = protocol in PORTED
    return facts.Rule(
        action=action,
        ip_version=draw(FAMILIES),
        protocol=protocol,
        not_protocol=draw(NOT_PROTOCOLS),
        icmp=draw(ICMP_MATCHES) if is_icmp else None,
        not_icmp=draw(ICMP_MATCHES) if is_icmp else None,
        http=facts.HTTPMatch(methods=("GET",)) if is_http else None,
        source=draw(entities(has_ports=has_ports, may_serve=direction == "ingress")),
        destination=draw(entities(has_ports=has_ports, may_serve=direction == "egress")),
    )


@functools.cache
def rule_lists(direction, **options):
    return st.lists(rules(direction=direction, **options), max_size=4).map(tuple)


BOTH = ("Ingress", "Egress")
TYPES = st.sampled_from([(), BOTH, BOTH, BOTH, ("Ingress",), ("Egress",)])


CALICO_KINDS = (
    *["GlobalNetworkPolicy"] * 3,
    *["NetworkPolicy"] * 2,
    "StagedNetworkPolicy",
    "StagedGlobalNetworkPolicy",
)


@st.composite
def calico_policies(draw):
    kind = draw(st.sampled_from(CALICO_KINDS))
    is_global = "Global" in kind
    flags = draw(
        st.sampled_from([*[{}] * 5, {"apply_on_forward": True}, {"do_not_track": True, "apply_on_forward": True}])
    )
    return facts.CalicoPolicy(
        policy_kind=kind,
        name=draw(st.sampled_from(["p", "q", "a.b"])),
        namespace="" if is_global else draw(st.sampled_from(PEOPLED)),
        tier=draw(st.sampled_from(TIERS)),
        order=draw(st.sampled_from(ORDERS)),
        selector=draw(SUBJECTS),
        namespace_selector=draw(SCOPES) if is_global else "",
        service_account_selector=draw(SCOPES),
        types=draw(TYPES),
        ingress=draw(rule_lists("ingress")),
        egress=draw(rule_lists("egress")),
        staged_action=draw(st.sampled_from(["Set", "Set", "Delete", "Learn"])) if kind.startswith("Staged") else None,
        **(flags if is_global else {}),
    )


KUBERNETES_PEERS = st.one_of(
    st.builds(facts.KubernetesPeer, pod_selector=optional(LABEL_SELECTORS), namespace_selector=LABEL_SELECTORS),
    st.builds(facts.KubernetesPeer, pod_selector=LABEL_SELECTORS),
    st.builds(
        facts.KubernetesPeer,
        ip_block=st.builds(facts.IPBlock, cidr=st.sampled_from(NETS4), except_=some(NETS4[1:3], 1))
        | st.builds(facts.IPBlock, cidr=st.sampled_from(NETS6)),
    ),
)
KUBERNETES_PORTS = st.one_of(
    st.builds(facts.KubernetesPort, protocol=optional(st.sampled_from(["TCP", "UDP", "SCTP"]))),
    st.builds(
        facts.KubernetesPort,
        protocol=optional(st.sampled_from(["TCP", "UDP", "SCTP"])),
        port=st.sampled_from([*PORTS, *PORT_NAMES]),
    ),
    st.builds(facts.KubernetesPort, port=st.sampled_from([53, 80]), end_port=st.sampled_from([80, 8080])),
    st.builds(facts.KubernetesPort, port=st.just("http"), end_port=optional(st.just(90))),
)
KUBERNETES_RULES = st.lists(
    st.builds(
        facts.KubernetesRule,
        peers=st.none() | st.lists(KUBERNETES_PEERS, max_size=2).map(tuple),
        ports=st.none() | st.lists(KUBERNETES_PORTS, max_size=3).map(tuple),
    ),
    max_size=2,
).map(tuple)
KUBERNETES_POLICIES = st.builds(
    facts.KubernetesNetworkPolicy,
    name=st.sampled_from(["p", "q"]),
    namespace=st.sampled_from(PEOPLED),
    pod_selector=optional(LABEL_SELECTORS, facts.LabelSelector()),
    policy_types=st.sampled_from([BOTH, BOTH, ("Ingress",), ("Egress",)]),
    ingress=KUBERNETES_RULES,
    egress=KUBERNETES_RULES,
    staged_action=st.sampled_from([None, None, "Set", "Delete"]),
)


@st.composite
def admin_peers(draw, *, may_be_net):
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return facts.AdminPeer(unsupported="nodes")
    if kind == 1 and may_be_net:
        return facts.AdminPeer(
            networks=tuple(draw(st.lists(st.sampled_from([*NETS4, *NETS6]), min_size=1, max_size=2)))
        )
    if kind <= 3:
        return facts.AdminPeer(namespaces=draw(LABEL_SELECTORS))
    return facts.AdminPeer(pods_namespace_selector=draw(LABEL_SELECTORS), pods_pod_selector=draw(LABEL_SELECTORS))


ADMIN_PORTS = st.one_of(
    st.builds(facts.AdminPort, protocol=st.sampled_from(["TCP", "UDP", "SCTP"]), port=optional(st.sampled_from(PORTS))),
    st.builds(
        facts.AdminPort, protocol=st.just("TCP"), port=st.sampled_from([1, 53]), end_port=st.sampled_from([53, 80])
    ),
    st.builds(facts.AdminPort, named_port=st.sampled_from(PORT_NAMES)),
)


def admin_rules(*, may_be_net):
    return st.lists(
        st.builds(
            facts.AdminRule,
            action=st.sampled_from(["Accept", "Deny", "Pass"]),
            peers=st.lists(admin_peers(may_be_net=may_be_net), min_size=1, max_size=2).map(tuple),
            ports=st.none() | st.lists(ADMIN_PORTS, min_size=1, max_size=3).map(tuple),
        ),
        max_size=2,
    ).map(tuple)


ADMIN_POLICIES = st.builds(
    facts.AdminPolicy,
    policy_kind=st.just("ClusterNetworkPolicy"),
    name=st.sampled_from(["p", "q"]),
    tier=st.sampled_from(["Admin", "Baseline"]),
    priority=st.integers(0, 2),
    subject=st.builds(facts.AdminPeer, namespaces=LABEL_SELECTORS)
    | st.builds(facts.AdminPeer, pods_namespace_selector=LABEL_SELECTORS, pods_pod_selector=LABEL_SELECTORS),
    ingress=admin_rules(may_be_net=False),
    egress=admin_rules(may_be_net=True),
)

# --- things ------------------------------------------------------------------------------------------------------

NAMED_PORTS = st.lists(
    st.builds(
        facts.NamedPort,
        name=st.sampled_from(PORT_NAMES),
        protocol=st.sampled_from(["TCP", "UDP"]),
        port=st.sampled_from([53, 80, 8080]),
    ),
    max_size=2,
).map(tuple)
NAMESPACE_FACTS = st.builds(facts.Namespace, name=st.sampled_from(NAMESPACES[:2]), labels=LABELS)
ACCOUNT_FACTS = st.builds(
    facts.ServiceAccount, name=st.sampled_from(ACCOUNTS), namespace=st.sampled_from(NAMESPACES), labels=LABELS
)
ADDRESS_PAIRS = st.tuples(st.sampled_from(V4[:5]).map(lambda one: (one,)) | some(V4[:5], 1), some(V6[:3], 1)).map(
    lambda pair: pair[0] + pair[1]
)
PODS = st.builds(
    facts.Pod,
    name=st.sampled_from(["x", "y", "z"]),
    namespace=st.sampled_from(PEOPLED),
    labels=LABELS,
    service_account=st.sampled_from((*ACCOUNTS, "")),
    node=RARELY.map(lambda has: "" if has else "n"),
    addresses=ADDRESS_PAIRS,
    host_network=st.integers(0, 7).map(lambda n: n == 0),
    is_finished=st.integers(0, 7).map(lambda n: n == 0),
    named_ports=NAMED_PORTS,
    phase=st.just("Running"),
)
HOSTS = st.builds(
    facts.HostEndpoint,
    name=st.sampled_from(["h", "i"]),
    node=st.just("n"),
    interface_name=st.just("eth0"),
    labels=LABELS,
    expected_ips=some((*V4[5:], V6[3])),
    profiles=some(("open", "projectcalico-default-allow", "nowhere"), 3),
    ports=NAMED_PORTS,
)
PROFILES = st.builds(
    facts.Profile,
    name=st.just("open"),
    labels_to_apply=LABELS,
    ingress=rule_lists("ingress", actions=("Allow", "Deny")),
    egress=rule_lists("egress", actions=("Allow", "Deny")),
)
SETS = st.builds(
    facts.NetworkSet,
    name=st.sampled_from(["s", "t"]),
    namespace=st.sampled_from(["", *NAMESPACES]),
    labels=LABELS,
    nets=some((*NETS4, *NETS6, "not a net"), 3),
    domains=RARELY.map(lambda has: ("a.example",) if has else ()),
)
SLICES = st.builds(
    facts.EndpointSlice,
    name=st.sampled_from(["web-1", "web-2"]),
    namespace=st.sampled_from(NAMESPACES),
    service=st.sampled_from(["web", "other"]),
    addresses=some((*V4[:5], *V6[:2])),
    ports=st.lists(
        st.builds(
            facts.EndpointPort,
            protocol=st.sampled_from(["TCP", "UDP", "SCTP"]),
            port=st.none() | st.sampled_from(PORTS),
        ),
        max_size=2,
    ).map(tuple),
)
TIER_FACTS = st.builds(
    facts.Tier,
    name=st.sampled_from(["front", "back"]),
    order=st.sampled_from([None, 1.0, 100.0, 2_000_000.0]),
    default_action=st.sampled_from(["", "Deny", "Pass"]),
)
ANY_FACT = st.one_of(
    NAMESPACE_FACTS,
    ACCOUNT_FACTS,
    PODS,
    PODS,
    HOSTS,
    PROFILES,
    SETS,
    SLICES,
    TIER_FACTS,
    calico_policies(),
    calico_policies(),
    KUBERNETES_POLICIES,
    ADMIN_POLICIES,
)


def keyed(found):
    return {key_of(CLUSTER, fact): fact for fact in found}


@st.composite
def clusters(draw):
    """Facts by key. What shares a key replaces what came before."""
    many = [
        st.lists(NAMESPACE_FACTS, min_size=1, max_size=2),
        st.lists(ACCOUNT_FACTS, max_size=3),
        st.lists(PODS, min_size=2, max_size=5),
        st.lists(HOSTS, max_size=2),
        st.lists(PROFILES, max_size=1),
        st.lists(SETS, max_size=2),
        st.lists(SLICES, max_size=1),
        st.lists(TIER_FACTS, min_size=1, max_size=2),
        st.lists(calico_policies(), min_size=3, max_size=6),
        st.lists(KUBERNETES_POLICIES, max_size=2),
        st.lists(ADMIN_POLICIES, max_size=2),
    ]
    return keyed(fact for strategy in many for fact in draw(strategy))


@st.composite
def edits(draw):
    """A change as an engine takes it: facts that come or are replaced, and keys to drop by their place."""
    return draw(st.lists(ANY_FACT, max_size=3)), draw(st.lists(st.integers(0, 30), max_size=2))


def change_of(edit, present):
    """The edit as a mapping of changes to the facts that are present."""
    come, gone = edit
    keys = sorted(present)
    dropped = {keys[place % len(keys)]: None for place in gone if keys}
    return {**dropped, **keyed(come)}


# --- packets -----------------------------------------------------------------------------------------------------


def edge_addresses():
    """Inside and outside of every boundary of a net, and every address that something can own."""
    found = {*V4, *V6, *ELSEWHERE}
    for net in map(ip_network, (*NETS4, *NETS6)):
        last = 2**net.max_prefixlen - 1
        for number in (int(net[0]) - 1, int(net[0]), int(net[-1]), int(net[-1]) + 1):
            if 0 <= number <= last:
                found.add(str(type(net[0])(number)))
    return sorted(found)


ADDRESSES = {version: [text for text in edge_addresses() if ip_address(text).version == version] for version in (4, 6)}
EDGE_PORTS = (1, 2, 52, 53, 54, 79, 80, 81, 82, 8079, 8080, 8081, 65534, 65535)


def own_addresses(fact):
    return fact.addresses if isinstance(fact, facts.Pod) else fact.expected_ips


@st.composite
def packets(draw, endpoints):
    """(connection, source id, destination id). endpoints: id -> addresses, as far as it has any."""
    version = draw(st.sampled_from([4, 4, 6]))
    sides = []
    for _ in range(2):
        known = [(name, text) for name, own in endpoints.items() for text in own if ip_address(text).version == version]
        somewhere = st.sampled_from(ADDRESSES[version]).map(lambda text: (None, text))
        sides.append(draw(st.one_of(st.sampled_from(known), somewhere) if known else somewhere))
    (source, source_address), (destination, destination_address) = sides
    protocol = draw(st.sampled_from([*[6] * 6, 17, 17, 132, 1, 58, 47, 136]))
    fields = {}
    if protocol in (6, 17, 132):
        fields = {
            "source_port": draw(st.sampled_from(EDGE_PORTS)),
            "destination_port": draw(st.sampled_from(EDGE_PORTS)),
        }
    elif protocol in (1, 58):
        fields = {"icmp_type": draw(st.sampled_from([0, 8, 128, 3])), "icmp_code": draw(st.sampled_from([0, 3, 1]))}
    connection = Connection(
        source_address=source_address, destination_address=destination_address, protocol=protocol, **fields
    )
    return connection, source, destination
