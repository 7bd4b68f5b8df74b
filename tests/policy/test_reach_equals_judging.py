"""Reachability computed as sets is what judging packet by packet gives, at both sides of the edge of every range."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, example, given, settings
from msgspec.structs import replace

from models import facts
from models.verdicts import Connection, Decision
from monitor.policy import addresses, connections
from monitor.policy.engine import Engine
from monitor.policy.reach import Posture, Stage

from .random_clusters import OUTSIDE, clusters, keyed

MOST_OPEN_FIRST = (Decision.ALLOW, Decision.UNKNOWN, Decision.DENY)
TCP_LIKE = [
    (protocol, source, destination)
    for protocol in (6, 17, 132)
    for source in (79, 80, 442, 443, 8000, 8001)
    for destination in (79, 80, 81, 442, 443, 7999, 8000, 8001)
]
ICMP_LIKE = [(protocol, kind, code) for protocol in (1, 58) for kind in (7, 8, 9) for code in (0, 1)]
FIELDS = [
    *({"protocol": p, "source_port": s, "destination_port": d} for p, s, d in TCP_LIKE[::3]),
    *({"protocol": p, "icmp_type": t, "icmp_code": c} for p, t, c in ICMP_LIKE),
    {"protocol": 47},
    {"protocol": 136},
]


def packets(source, destination):
    return [Connection(source_address=source, destination_address=destination, **fields) for fields in FIELDS]


def ends(engine):
    """(endpoint id or None, address) of everything that can send or receive."""
    own = [(one.id, addresses.text(address)) for one in engine.endpoints.values() for address in one.addresses]
    return own + [(None, address) for address in OUTSIDE]


def decided(answer, connection):
    if connection in answer.allowed:
        return Decision.ALLOW
    return Decision.UNKNOWN if connection in answer.unknown else Decision.DENY


def outside_answer(parts, address):
    number = addresses.address(address)
    for ranges, answer in parts:
        if any(first <= number <= last for first, last in ranges):
            return answer
    return None


def said(posture, source, destination, stage, found):
    (from_id, from_address), (to_id, to_address) = source, destination
    if from_id is not None and to_id is not None:
        return posture.answer_at(from_id, from_address, to_id, to_address, stage)
    if from_id is None:
        return outside_answer(found.from_outside[to_id], from_address)
    return outside_answer(found.to_outside[from_id], to_address)


def judged(engine, packet, source, destination):
    """By stage. Who is talked to outside is said of an endpoint as a whole: what any of its addresses may, it may."""
    (from_id, from_address), (to_id, to_address) = source, destination
    froms, tos = [from_address], [to_address]
    if to_id is None and from_id is not None:
        froms = addresses_beside(engine, from_id, from_address)
    if from_id is None and to_id is not None:
        tos = addresses_beside(engine, to_id, to_address)
    packets = [replace(packet, source_address=a, destination_address=b) for a, b in itertools.product(froms, tos)]
    verdicts = [engine.judge(each, source=from_id, destination=to_id) for each in packets]
    return {
        Stage.ENFORCED: min((each.decision for each in verdicts), key=MOST_OPEN_FIRST.index),
        Stage.PENDING: min((each.pending for each in verdicts), key=MOST_OPEN_FIRST.index),
    }


def addresses_beside(engine, endpoint, address):
    """All of the endpoint's addresses of the same family."""
    every = [addresses.text(each) for each in engine.endpoints[endpoint].addresses]
    return [each for each in every if (":" in each) == (":" in address)]


TWO_ADDRESSES = keyed(
    facts.NetworkSet(name="inner", labels={"role": "b"}, nets=("10.0.0.0/8",)),
    facts.CalicoPolicy(
        policy_kind="GlobalNetworkPolicy",
        name="q",
        types=("Egress",),
        egress=(facts.Rule(action="Allow", protocol="ICMP", source=facts.EntityRule(not_selector="role == 'b'")),),
    ),
    facts.HostEndpoint(name="h", labels={"role": "a"}, node="n", expected_ips=("192.0.2.8", "10.1.0.9")),
)
"""One of which lies in a set that the rule leaves out."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@example(TWO_ADDRESSES)
@given(clusters())
def test_every_packet_is_in_the_set_exactly_when_judging_allows_it(cluster):
    engine = Engine.build(cluster)
    posture = Posture.of(engine)
    alone = {one: {one} for one in engine.endpoints}
    found = {stage: posture.reach_between(alone, stage=stage) for stage in Stage}

    for source, destination in itertools.product(ends(engine), ends(engine)):
        if source[0] == destination[0] or (":" in source[1]) != (":" in destination[1]):
            continue
        answers = {stage: said(posture, source, destination, stage, found[stage]) for stage in Stage}
        for packet in packets(source[1], destination[1]):
            for stage, expected in judged(engine, packet, source, destination).items():
                answer = answers[stage]
                got = Decision.DENY if answer is None else decided(answer, packet)

                assert got == expected, (stage, packet, source[0], destination[0])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clusters())
def test_reach_between_groups_is_the_union_over_their_members(cluster):
    engine = Engine.build(cluster)
    posture = Posture.of(engine)
    names = sorted(engine.endpoints)
    groups = {"all": set(names), "first": set(names[:2]), "last": set(names[-2:])}

    found = posture.reach_between(groups)

    for (a, members_a), (b, members_b) in itertools.product(groups.items(), groups.items()):
        pairs = [posture.answer(x, y) for x in members_a for y in members_b if x != y]
        allowed = connections.union(pair.allowed for pair in pairs)
        possible = connections.union(pair.allowed | pair.unknown for pair in pairs)
        answer = found.between.get((a, b))
        if answer is None:
            assert not possible
        else:
            assert (answer.allowed, answer.unknown) == (allowed, possible - allowed)


def test_an_endpoint_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError):
        Posture.of(Engine.build({})).allowed("pod:a/b", "pod:a/c")


def test_a_named_port_counts_only_for_the_owner_that_the_selector_holds_for():
    both = {"namespace": "red", "node": "n", "addresses": ("10.1.0.1",)}
    named = tuple(facts.NamedPort(name="http", protocol="TCP", port=port) for port in (80, 443))
    to_web = facts.EntityRule(selector="role == 'web'", ports=("http",))
    rule = facts.Rule(action="Allow", protocol="TCP", destination=to_web)
    policy = facts.CalicoPolicy(
        policy_kind="NetworkPolicy",
        name="p",
        namespace="red",
        selector="role == 'client'",
        types=("Egress",),
        egress=(rule,),
    )
    client = facts.Pod(name="c", namespace="red", node="n", addresses=("10.1.0.9",), labels={"role": "client"})
    web = facts.Pod(name="web", labels={"role": "web"}, named_ports=named[:1], **both)
    other = facts.Pod(name="other", labels={"role": "other"}, named_ports=named[1:], **both)
    engine = Engine.build(keyed(facts.Namespace(name="red"), policy, client, web, other))

    assert str(Posture.of(engine).allowed("pod:red/c", "pod:red/web")) == "tcp/80"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clusters())
def test_facts_and_an_engine_give_the_same_posture(cluster):
    alone = {one: {one} for one in Engine.build(cluster).endpoints}
    ways = Posture.of(Engine.build(cluster)), Posture.of_facts(cluster)

    for stage in Stage:
        assert ways[0].reach_between(alone, stage=stage) == ways[1].reach_between(alone, stage=stage)
