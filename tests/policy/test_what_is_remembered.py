"""What the engine remembers of packets: as little as rules can tell apart, never another answer, and not for ever."""

import gc
import weakref
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from policy.small_clusters import OUTSIDE, Asked, keyed, namespace, packet, pod, policy, rule

from models.facts import NamedPort
from monitor.policy import model
from monitor.policy.engine import Engine
from monitor.policy.matching import Packet
from monitor.policy.reading import Line, Reads

TCP = 6
WEB, DB = "10.0.1.1", "10.0.1.2"
HTTP = (NamedPort(name="http", protocol="TCP", port=80),)
SHOP = (namespace("shop"), pod("shop/web", WEB, ports=HTTP), pod("shop/db", DB))
LISTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted).map(tuple), max_size=4).map(tuple)


def ports(*ranges, names=()):
    return model.Side(ports=model.Ports(ranges=ranges, names=names))


def to(side):
    return model.Rule(action=model.ALLOW, destination=side)


def header(rules, source_port, destination_port):
    return Reads(rules).header(Packet(1, 2, 4, TCP, source_port, destination_port, None, None, 0, 0, generation=0))


@given(st.lists(LISTS, max_size=5))
def test_numbers_are_of_one_kind_when_the_same_lists_hold_them(lists):
    line = Line(lists)
    numbers = range(15)
    holding = [[any(first <= number <= last for first, last in each) for each in lists] for number in numbers]
    for a, b in product(numbers, repeat=2):
        assert (line.kind(a) == line.kind(b)) == (holding[a] == holding[b])


def test_ports_that_no_rule_tells_apart_make_one_header():
    rules = [to(ports((80, 80), (443, 443))), to(ports((8000, 8999)))]

    assert header(rules, 40_000, 80) == header(rules, 50_000, 443)
    assert header(rules, 40_000, 81) == header(rules, 40_000, 9_000)
    assert len({header(rules, 40_000, port) for port in (80, 8_080, 9_000, None)}) == 4


def test_where_the_port_of_one_end_is_named_the_other_end_is_told_apart_no_more_than_before():
    named = [to(ports(names=("http",)))]

    assert header(named, 40_000, 80) == header(named, 50_000, 80)
    assert header(named, 40_000, 80) != header(named, 40_000, 443)


PORT_LISTS = st.lists(st.sampled_from([1, 80, "80:81", "81:8080", "http"]), min_size=1, max_size=2).map(tuple)
CLAUSES = st.one_of(
    st.tuples(st.just("ports"), PORT_LISTS),
    st.tuples(st.just("not_ports"), PORT_LISTS),
    st.tuples(st.just("selector"), st.sampled_from(["app == 'db'", "app != 'db'"])),
    st.tuples(st.just("nets"), st.sampled_from([(f"{DB}/32",), ("10.0.1.0/24", f"{OUTSIDE}/32")])),
)
RULES = st.lists(
    st.builds(
        lambda action, source, destination: rule(action, "TCP", source=source, destination=destination),
        st.sampled_from(["Allow", "Deny", "Pass", "Log"]),
        st.lists(CLAUSES, max_size=1).map(dict),
        st.lists(CLAUSES, max_size=1).map(dict),
    ),
    min_size=1,
    max_size=4,
)
PACKETS = tuple(
    packet(source, WEB, f"{protocol}/{port}", source_port=source_port)
    for source in (DB, OUTSIDE)
    for protocol in ("tcp", "udp")
    for port in (1, 2, 79, 80, 81, 82, 8080, 8081)
    for source_port in (80, 40_000)
)


@settings(max_examples=60, deadline=None)
@given(RULES, st.permutations(PACKETS))
def test_what_was_asked_before_changes_no_answer(rules, packets):
    facts = keyed(*SHOP, policy("shop/p", ingress=rules))
    ends = {"source": None, "destination": "pod:shop/web"}
    engine, asked_nothing = Engine.build(facts), Engine.build(facts)
    for connection in packets:
        asked_nothing.apply({})
        asked_nothing.world.chains.forget()
        assert engine.judge(connection, **ends) == asked_nothing.judge(connection, **ends), connection


def test_an_engine_that_was_asked_is_let_go_of_with_its_last_owner():
    asked = Asked(*SHOP, policy("shop/p", ingress=[rule("Allow", source={"selector": "app == 'db'"})]))
    assert asked.allows("shop/db", "shop/web") == "allow"
    world = weakref.ref(asked.engine.world)

    del asked
    gc.collect()

    assert world() is None
