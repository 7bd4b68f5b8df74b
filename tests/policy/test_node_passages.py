"""One packet's way through one node: which lists it meets, in which order, and what becomes of it (13, 14)."""

import pytest
from policy.small_clusters import OUTSIDE as FAR
from policy.small_clusters import account, global_policy, host, keyed, namespace, network_set, packet, pod, rule

from models.facts import FelixConfiguration, ProtoPort
from models.verdicts import Decision
from monitor.policy.engine import Engine
from monitor.policy.node import OUTSIDE, PROCESS, Way, host_endpoint, passage

WEB, NODE = "10.0.0.1", "192.0.2.1"
PODS = (namespace("shop"), account("shop/default"), pod("shop/web", WEB))
HOST = host("a", NODE, role="node")
OPEN_HOST = host("a", NODE, role="node", profiles=("projectcalico-default-allow",))
ON_HOST = "role == 'node'"
DENY, ALLOW = (rule("Deny"),), (rule("Allow"),)
ACCEPT = FelixConfiguration(name="default", default_endpoint_to_host_action="Accept")


def went(*facts, source=OUTSIDE, destination=OUTSIDE, service="tcp/8080", felix=None, **more):
    ends = {OUTSIDE: FAR, PROCESS: NODE, "pod:shop/web": WEB}
    connection = packet(ends[source], ends[destination], service)
    way = Way(node="node-a", source=source, destination=destination, connection=connection, interface="eth0", **more)
    return passage(Engine.build(keyed(*PODS, *facts)), way, felix)


def met(found):
    return [(station.stage, station.direction.value) for station in found.stations]


def test_a_packet_to_a_process_meets_normal_policy_of_the_interface():
    found = went(HOST, destination=PROCESS)

    assert found.decision is Decision.DENY
    assert met(found) == [("normal", "ingress")]


def test_a_node_without_host_endpoint_is_not_policed():
    found = went(destination=PROCESS)

    assert (found.decision, found.stations) == (Decision.ALLOW, ())


@pytest.mark.parametrize(("service", "decision"), [("tcp/22", Decision.ALLOW), ("tcp/23", Decision.DENY)])
def test_failsafe_ports_open_what_host_policy_shuts(service, decision):
    found = went(HOST, destination=PROCESS, service=service)

    assert found.decision is decision
    assert found.stations[0].is_failsafe is (decision is Decision.ALLOW)


def test_failsafe_ports_can_be_limited_to_a_net_and_keep_rules_from_logging():
    logging = global_policy("p", ON_HOST, ingress=[rule("Log"), *DENY])
    near, elsewhere = (
        FelixConfiguration(name="default", failsafe_inbound_host_ports=(ProtoPort(protocol="TCP", port=8080, net=net),))
        for net in ("198.51.100.0/24", "203.0.113.0/24")
    )

    assert went(HOST, logging, destination=PROCESS, felix=near).stations[0].logs == ()
    assert went(HOST, logging, destination=PROCESS, felix=near).decision is Decision.ALLOW
    assert went(HOST, logging, destination=PROCESS, felix=elsewhere).decision is Decision.DENY
    assert len(went(HOST, logging, destination=PROCESS, felix=elsewhere).stations[0].logs) == 1


def test_the_node_reaches_its_own_pods_whatever_policy_says():
    found = went(HOST, global_policy("shut", ingress=[]), source=PROCESS, destination="pod:shop/web")

    assert (found.decision, found.stations) == (Decision.ALLOW, ())


@pytest.mark.parametrize(
    ("felix", "decision", "because"),
    [(None, Decision.DENY, "defaultEndpointToHostAction"), (ACCEPT, Decision.ALLOW, "")],
)
def test_a_pod_to_its_node_meets_its_own_policy_and_then_the_configured_action(felix, decision, because):
    found = went(HOST, source="pod:shop/web", destination=PROCESS, felix=felix)

    assert met(found) == [("workload", "egress")]
    assert (found.decision, found.because) == (decision, because)


def test_routed_packets_meet_forward_policy_around_the_pods_own():
    forward = global_policy("edge", ON_HOST, ingress=ALLOW, egress=ALLOW, apply_on_forward=True)

    assert met(went(HOST, forward, destination="pod:shop/web")) == [("forward", "ingress"), ("workload", "ingress")]
    assert met(went(HOST, forward, source="pod:shop/web")) == [("workload", "egress"), ("forward", "egress")]
    assert met(went(HOST, forward)) == [("forward", "ingress"), ("forward", "egress")]


def test_normal_policy_does_not_touch_routed_packets_and_no_forward_policy_lets_them_by():
    found = went(HOST, global_policy("shut", ON_HOST, ingress=[], egress=[]), destination="pod:shop/web")

    assert met(found) == [("workload", "ingress")]
    assert found.decision is Decision.ALLOW


def test_forward_policy_denies_at_the_end_of_its_tier_without_asking_profiles():
    forward = global_policy("edge", ON_HOST, ingress=[rule("Allow", "UDP")], apply_on_forward=True)
    found = went(OPEN_HOST, forward, destination="pod:shop/web")

    assert found.decision is Decision.DENY
    assert found.stations[-1].verdict.trace[-1].rule == -1


def test_what_pre_dnat_policy_allows_skips_host_policy_but_not_the_pods_own():
    early = global_policy("early", ON_HOST, ingress=ALLOW, pre_dnat=True, apply_on_forward=True)
    forward = global_policy("edge", ON_HOST, ingress=DENY, apply_on_forward=True)
    shut = global_policy("shut", "app == 'web'", ingress=[])

    assert met(went(HOST, early, forward, destination="pod:shop/web")) == [
        ("prednat", "ingress"),
        ("workload", "ingress"),
    ]
    assert went(HOST, early, destination=PROCESS).decision is Decision.ALLOW
    assert went(HOST, early, shut, destination="pod:shop/web").decision is Decision.DENY


def test_pre_dnat_policy_sees_the_address_before_translation():
    to_node = [rule("Deny", destination={"nets": (f"{NODE}/32",)})]
    early = global_policy("early", ON_HOST, ingress=to_node, pre_dnat=True, apply_on_forward=True)
    arrived = packet(FAR, NODE, "tcp/30080")

    assert went(HOST, early, destination="pod:shop/web").decision is Decision.ALLOW
    assert went(HOST, early, destination="pod:shop/web", before_translation=arrived).decision is Decision.DENY


def test_an_untracked_list_in_which_nothing_decides_may_still_log():
    early = global_policy("early", ON_HOST, ingress=[rule("Log")], do_not_track=True, apply_on_forward=True)
    found = went(OPEN_HOST, early, destination=PROCESS)

    assert met(found) == [("untracked", "ingress"), ("normal", "ingress")]
    assert found.stations[0].verdict is None
    assert len(found.stations[0].logs) == 1


def test_untracked_policy_is_not_there_on_a_host_endpoint_for_all_interfaces():
    early = global_policy("early", ON_HOST, ingress=DENY, do_not_track=True, apply_on_forward=True)
    everywhere = host("a", interface="*", role="node", profiles=("projectcalico-default-allow",))

    assert went(OPEN_HOST, early, destination=PROCESS).decision is Decision.DENY
    assert went(everywhere, early, destination=PROCESS).decision is Decision.ALLOW


@pytest.mark.parametrize("service", ["udp/4789"])
def test_encapsulated_packets_from_pods_are_dropped_before_policy(service):
    found = went(source="pod:shop/web", service=service)

    assert (found.decision, found.because) == (Decision.DENY, "encapsulated packet from a pod")


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ((host("b"), host("a")), "a"),
        ((host("a", interface="eth1"), host("z")), "z"),
        ((host("a", interface="*"), host("z")), "z"),
        ((host("a", interface="*"), host("z", interface="eth1")), "a"),
        ((host("a", NODE, interface=""), host("z")), "a"),
        ((host("a", "192.0.2.99", interface=""), host("z")), "z"),
        ((host("a", interface="eth1"),), None),
    ],
)
def test_the_first_by_name_that_fits_the_interface_stands_for_it(hosts, expected):
    way = Way(
        node="node-a",
        source=OUTSIDE,
        destination=PROCESS,
        connection=packet(FAR, NODE),
        interface="eth0",
        interface_addresses=(NODE,),
    )
    found = host_endpoint(Engine.build(keyed(*hosts, network_set("n", "192.0.2.0/24"))), way)

    assert (found and found.name) == expected
