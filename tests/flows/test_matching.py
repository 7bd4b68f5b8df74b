"""What a flow record shows: who, allowed or denied then, declared or not, and what keeps it from being told."""

from datetime import timedelta

import pytest
from msgspec import structs
from scenes.log import CLUSTER, Log, deny_all, namespace, pod, seconds

from models.facts import (
    CalicoPolicy,
    Declaration,
    DeclaredDomain,
    DeclaredMembers,
    DeclaredPath,
    EntityRule,
    FelixConfiguration,
    FlowClass,
    HostEndpoint,
    IPPool,
    NetworkSet,
    Node,
    Rule,
    SystemNamespace,
    Tick,
)
from models.flows import FlowBatch, FlowRecord
from monitor.flows import ends, matching, windows
from monitor.state.history import History

WEB, DB, CLIENT = "10.244.0.1", "10.244.0.2", "10.244.0.3"
LAST, ARRIVED = seconds(20), seconds(12)
OUTSIDE = "198.51.100.7"
PODS = (
    pod("web-0", address=WEB, owner="web", app="web"),
    pod("db-0", namespace="ledger", address=DB, owner="db", app="db"),
    pod("client-0", namespace="other", address=CLIENT, owner="client", app="client"),
)
POOL = IPPool(name="pods", cidr="10.244.0.0/16")
BASE = (namespace("shop"), namespace("ledger"), namespace("other"), POOL, *PODS)


def record(source=CLIENT, destination=DB, **more):
    given = {"protocol": "tcp", "source_port": 40000, "destination_port": 5432, "at": seconds(10), **more}
    return FlowRecord(source_address=source, destination_address=destination, **given)


def domain(name, *allow):
    return DeclaredDomain(
        level="namespace",
        name=name,
        members=DeclaredMembers(namespace_selector=f"projectcalico.org/name == '{name}'"),
        allow=allow,
    )


def allowing(*rules, types=("Ingress",), name="db"):
    return CalicoPolicy(
        policy_kind="NetworkPolicy", name=name, namespace="ledger", selector="app == 'db'", types=types, ingress=rules
    )


def history(*facts, until=LAST):
    made = History(CLUSTER)
    made.fold(Log().listed(*BASE, *facts).add(Tick(partition=0), at=until).records)
    return made


def judged(seen, *facts, appended_at=ARRIVED, **more):
    return matching.judge(seen, history(*facts), appended_at=appended_at, **more)


FROM_SHOP = DeclaredPath(from_domain="shop", ports=("tcp/5432",))


def test_allowed_without_any_declaration_is_permitted_by_policy():
    found = judged(record())

    assert (found.flow_class, found.basis) == (FlowClass.PERMITTED, "computed")
    assert (found.source, found.destination) == ("other/StatefulSet/client", "ledger/StatefulSet/db")
    assert found.destination_domains == ("cluster/c1", "namespace/ledger")


def test_allowed_across_a_boundary_whose_owner_declared_other_paths_has_escaped():
    found = judged(record(), domain("ledger", FROM_SHOP))

    assert found.flow_class is FlowClass.ESCAPED
    assert found.cause == (
        "allow by Profile kns.ledger rule 0 (ingress); namespace/ledger declares its paths, and not this one"
    )


@pytest.mark.parametrize(
    ("path", "seen", "expected"),
    [
        (DeclaredPath(from_domain="other"), record(), "permitted"),
        (DeclaredPath(from_domain="namespace/other"), record(), "permitted"),
        (DeclaredPath(from_domain="other", ports=("tcp/5000:6000",)), record(), "permitted"),
        (DeclaredPath(from_domain="other", ports=("udp/5432",)), record(), "escaped"),
        (DeclaredPath(from_domain="other", ports=("tcp/80", "tcp/81")), record(), "escaped"),
        (DeclaredPath(from_domain="other", ports=("tcp",)), record(), "permitted"),
        (DeclaredPath(from_nets=("198.51.100.0/24",)), record(source=OUTSIDE), "permitted"),
        (DeclaredPath(from_nets=("192.0.2.0/24",)), record(source=OUTSIDE), "escaped"),
        (DeclaredPath(to_nets=("198.51.100.0/24",)), record(source=DB, destination=OUTSIDE), "permitted"),
        (DeclaredPath(to_nets=("198.51.100.0/24",)), record(source=OUTSIDE), "escaped"),
    ],
)
def test_a_declared_path_is_a_peer_and_ports_in_one_direction(path, seen, expected):
    assert judged(seen, domain("ledger", path)).flow_class == expected


def test_the_declaration_of_either_end_is_enough():
    found = judged(record(), domain("ledger", FROM_SHOP), domain("other", DeclaredPath(to_domain="ledger")))

    assert found.flow_class is FlowClass.PERMITTED


def test_what_stays_inside_a_domain_crosses_no_boundary():
    inside = pod("db-1", namespace="ledger", address="10.244.0.9", owner="db", app="db")

    found = judged(record(source="10.244.0.9"), inside, domain("ledger", FROM_SHOP))

    assert found.flow_class is FlowClass.PERMITTED


def test_dns_in_a_system_namespace_needs_no_declaration():
    system = Declaration(system_namespaces=(SystemNamespace(name="other", reason="DNS"),))
    query = record(source=DB, destination=CLIENT, protocol="udp", destination_port=53)

    asked = judged(query, system, domain("ledger", FROM_SHOP))
    elsewhere = judged(structs.replace(query, destination_port=54), system, domain("ledger", FROM_SHOP))

    assert (asked.flow_class, elsewhere.flow_class) == (FlowClass.PERMITTED, FlowClass.ESCAPED)


def test_denied_is_rejected_or_misdropped_if_it_is_declared():
    closed = deny_all("ledger")

    undeclared, declared = judged(record(), closed), judged(record(source=WEB), closed, domain("ledger", FROM_SHOP))

    assert undeclared.flow_class is FlowClass.REJECTED
    assert undeclared.cause.startswith("deny by end of tier default after KubernetesNetworkPolicy ledger/default-deny")
    assert declared.flow_class is FlowClass.MISDROPPED


def test_a_source_that_saw_the_verdict_is_believed_and_says_so():
    found = judged(record(action="deny"))

    assert (found.flow_class, found.basis) == (FlowClass.REJECTED, "observed")


def test_a_missing_port_that_would_decide_makes_it_indeterminate_and_is_named():
    sctp = record(protocol="sctp", source_port=None, destination_port=None)
    policy = allowing(Rule(action="Allow", protocol="SCTP", destination=EntityRule(ports=(5432,))), Rule(action="Log"))

    found = judged(sctp, policy)

    assert found.flow_class is FlowClass.INDETERMINATE
    assert "port" in found.cause


@pytest.mark.parametrize(
    ("seen", "more", "cause"),
    [
        (record(at=seconds(15)), {}, "clock ahead"),
        (record(), {"is_late": True}, "facts late"),
        (record(at=seconds(-5)), {}, "the cluster had not been listed then"),
        (record(source="10.244.0.77"), {}, "no pod is known that had 10.244.0.77 of pool pods then"),
        (record(source=OUTSIDE, destination="203.0.113.9"), {}, "neither end is a known endpoint"),
        (record(in_interface="cali00000000000"), {}, f"the pod behind cali00000000000 did not have {CLIENT} then"),
    ],
)
def test_what_cannot_be_told_is_indeterminate_and_says_why(seen, more, cause):
    found = judged(seen, **more)

    assert (found.flow_class, found.cause) == (FlowClass.INDETERMINATE, cause)


def test_a_record_older_than_what_is_kept_is_indeterminate():
    found = matching.judge(record(), history(until=seconds(1000)), appended_at=seconds(12))

    assert found.cause == "policy of that time not kept"


def test_a_reused_address_is_told_by_the_interface():
    log = Log().listed(*BASE).gone(PODS[2], at=seconds(20))
    log.add(pod("late-0", namespace="other", address=CLIENT), at=seconds(21)).add(Tick(partition=0), at=seconds(40))
    made = History(CLUSTER)
    made.fold(log.records)
    interface = ends.interface_of("other", "client-0")

    before = matching.judge(record(in_interface=interface), made, appended_at=seconds(12))
    after = matching.judge(record(in_interface=interface, at=seconds(30)), made, appended_at=seconds(31))

    assert before.source == "other/StatefulSet/client"
    assert after.cause == f"the pod behind {interface} did not have {CLIENT} then"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("198.51.100.7", "public"),
        ("192.168.3.4", "private"),
        ("fd00::1", "private"),
        ("2001:db8::80", "public"),
        ("172.16.0.9", "node"),
        ("203.0.113.9", "set:shop/partners"),
        ("172.16.0.11", "host/gateway"),
    ],
)
def test_a_peer_outside_is_a_class_of_addresses(address, name):
    facts = (
        Node(name="n1", addresses=("172.16.0.9",)),
        NetworkSet(name="partners", namespace="shop", nets=("203.0.113.0/24",)),
        NetworkSet(name="wide", nets=("203.0.0.0/8",)),
        HostEndpoint(name="gateway", node="n2", expected_ips=("172.16.0.11",)),
    )

    found = judged(record(source=address), *facts)

    assert found.source == name


LOGGED = (Rule(action="Log", protocol="TCP"), Rule(action="Allow"))


@pytest.mark.parametrize(
    ("template", "prefix", "policies"),
    [
        ("%k/%p", "np/ledger/db", ("NetworkPolicy ledger/db",)),
        ("%t:%n", "default:db", ("NetworkPolicy ledger/db",)),
        ("calico-drop", "calico-drop", ("NetworkPolicy ledger/db",)),
        ("a-long-prefix-%p-%t-%k", "a-long-prefix-ledger/db-defau", ("NetworkPolicy ledger/db",)),
    ],
)
def test_the_prefix_names_the_policy_whose_log_rule_was_met(template, prefix, policies):
    felix = FelixConfiguration(name="default", log_prefix=template)

    found = judged(record(prefix=prefix), felix, allowing(*LOGGED))

    assert (found.flow_class, found.policies) == (FlowClass.PERMITTED, policies)


def test_a_prefix_that_no_log_rule_of_that_time_explains_is_indeterminate():
    felix = FelixConfiguration(name="default", log_prefix="%k/%p")

    found = judged(record(prefix="np/ledger/other"), felix, allowing(*LOGGED))

    assert found.cause == "no Log rule met then explains the prefix 'np/ledger/other'"


# Counting


def batch(*records):
    return FlowBatch(cluster=CLUSTER, node="n1", source="kmsg@n1", generation="b", start=0, end=9, records=records)


def recording(*records):
    return windows.recording(batch(*records), history(), partition=3, appended_at=seconds(12))


def test_a_packet_of_several_lines_and_a_connection_tried_again_count_once():
    first = record(packet_id=7)
    again = structs.replace(first, at=seconds(11), packet_id=8)
    another = structs.replace(first, source_port=40001)

    found = recording(first, first, again, another)

    assert (found.records, [path.count for path in found.paths]) == (4, [2])
    assert sum(window.count for window in found.windows) == 2


def test_the_same_ports_much_later_are_another_connection():
    later = [record(at=seconds(0)), record(at=seconds(0) + windows.TRIED_AGAIN + timedelta(seconds=1))]

    assert len(windows.once(later)) == 2


def test_echoes_are_told_apart_by_their_packets():
    echo = record(protocol="icmp", source_port=None, destination_port=None, icmp_type=8, icmp_code=0, packet_id=1)

    assert len(windows.once([echo, echo, structs.replace(echo, packet_id=2)])) == 2


def test_windows_are_five_minutes_of_the_records_own_time():
    assert windows.window_of(seconds(299)) == seconds(0)
    assert windows.window_of(seconds(300)) == seconds(300)


def test_a_path_is_its_ends_protocol_and_port_and_outside_peers_share_one():
    found = recording(
        record(source=OUTSIDE), record(source="198.51.100.99"), record(source=OUTSIDE, destination_port=80)
    )

    assert sorted((path.source, path.port, path.count) for path in found.paths) == [
        ("public", 80, 1),
        ("public", 5432, 2),
    ]


def test_what_is_indeterminate_is_counted_too():
    found = recording(record(), record(source="10.244.0.77"))

    assert (found.records, found.indeterminate, len(found.windows)) == (2, 1, 2)


def test_a_batch_without_records_is_recorded_as_its_span():
    found = recording()

    assert (found.start, found.end, found.paths, found.windows) == (0, 9, (), ())
