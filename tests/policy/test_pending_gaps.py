"""The gaps of the matcher behind Calico's pending traces are named where a rule could meet them, and only there."""

import pytest

from models.facts import (
    CalicoPolicy,
    EntityRule,
    HostEndpoint,
    ICMPMatch,
    Namespace,
    NetworkSet,
    Pod,
    Rule,
    ServiceMatch,
    Tier,
    key_of,
)
from models.verdicts import Connection, Direction
from monitor.policy.engine import Engine
from monitor.policy.pending_gaps import Gap, pending_gaps

TCP, SCTP, ICMP = 6, 132, 1


def gaps(rule, *, protocol=TCP, tier="default", source="198.51.100.9", extra=()):
    policy = CalicoPolicy(
        policy_kind="StagedNetworkPolicy", namespace="shop", name="next", tier=tier, types=("Ingress",), ingress=(rule,)
    )
    pod = Pod(name="web", namespace="shop", node="n", addresses=("10.0.0.1",))
    engine = Engine.build({key_of("c", fact): fact for fact in (Namespace(name="shop"), pod, policy, *extra)})
    connection = Connection(
        source_address=source, destination_address="10.0.0.1", protocol=protocol, source_port=40000, destination_port=80
    )
    return pending_gaps(engine, connection, endpoint_id="pod:shop/web", direction=Direction.INGRESS)


def test_a_plain_rule_has_no_gap():
    assert gaps(Rule(action="Allow", protocol="TCP", destination=EntityRule(ports=(80,)))) == ()


@pytest.mark.parametrize("ports", [{"ports": ("http",)}, {"not_ports": ("http",)}])
def test_named_ports_never_match_and_never_exclude(ports):
    rule = Rule(action="Allow", protocol="TCP", destination=EntityRule(**ports))

    assert gaps(rule) == (Gap.NAMED_PORT,)


def test_a_rule_of_another_protocol_cannot_explain_a_difference():
    rule = Rule(action="Allow", protocol="UDP", destination=EntityRule(ports=("http",)))

    assert gaps(rule) == ()


def test_icmp_type_is_ignored():
    assert gaps(Rule(action="Deny", protocol="ICMP", icmp=ICMPMatch(type=8)), protocol=ICMP) == (Gap.ICMP,)


def test_the_address_family_is_ignored():
    assert gaps(Rule(action="Deny", ip_version=6)) == (Gap.FAMILY,)
    assert gaps(Rule(action="Deny", source=EntityRule(not_nets=("2001:db8::/32",)))) == (Gap.FAMILY,)


@pytest.mark.parametrize(("net", "expected"), [("198.51.100.8/30", (Gap.SET_MEMBER,)), ("198.51.100.0/24", ())])
def test_members_of_odd_lengths_are_never_found(net, expected):
    partners = NetworkSet(name="partners", labels={"role": "partner"}, nets=(net,))
    rule = Rule(action="Allow", source=EntityRule(selector="role == 'partner'", namespace_selector="global()"))

    assert gaps(rule, extra=(partners,)) == expected


def test_services_over_sctp_never_match():
    rule = Rule(action="Allow", destination=EntityRule(services=ServiceMatch(name="db", namespace="shop")))

    assert gaps(rule, protocol=SCTP) == (Gap.SCTP_SERVICE,)
    assert gaps(rule) == ()


def test_a_tier_without_a_tier_object_gives_no_answer():
    rule = Rule(action="Allow")

    assert gaps(rule, tier="nowhere") == (Gap.MISSING_TIER,)
    assert gaps(rule, tier="here", extra=(Tier(name="here", order=5.0),)) == ()


def test_host_endpoints_are_asked_in_the_same_words():
    host = HostEndpoint(name="node-a", node="node-a", interface_name="eth0", expected_ips=("192.0.2.1",))

    assert gaps(Rule(action="Allow"), extra=(host,)) == ()
