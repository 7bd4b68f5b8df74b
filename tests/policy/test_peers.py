"""What holds for a class is told in bits whose numbers are given on; whoever asks, and when, the answer is the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.policy import model, selectors
from monitor.policy.matching import CompiledRule, Peer
from monitor.policy.peers import Peers
from monitor.policy.selection import LabelClass
from monitor.policy.world import World

VALUES = ("a", "b", "c")
CLASSES = tuple({"app": app, "role": role} for app in VALUES for role in VALUES)
SELECTORS = tuple(
    selectors.parse(text)
    for text in (
        "all()",
        "!has(app)",
        *(f"app == '{value}'" for value in VALUES),
        *(f"role != '{value}'" for value in VALUES),
        *(f"app == '{value}' && role in {{'a', 'b'}}" for value in VALUES),
    )
)


def rule_that_asks(peers: Peers, selector: selectors.Node) -> CompiledRule:
    world = World()
    world.peers = peers
    return CompiledRule(model.Rule(action=model.ALLOW, source=model.Side(selector=selector)), world, is_egress=False)


class Asked:
    """Policies with one rule each, that come and go, and classes that are looked at now and then."""

    def __init__(self) -> None:
        self.peers = Peers()
        self.rules: dict[int, CompiledRule] = {}
        self.classes = [LabelClass(at, frozenset(labels.items()), labels) for at, labels in enumerate(CLASSES)]

    def put(self, name: int, selector: selectors.Node) -> None:
        self.take(name)
        self.rules[name] = rule_that_asks(self.peers, selector)
        self.peers.adopt(("Policy", "", str(name)), [self.rules[name]])

    def take(self, name: int) -> None:
        if name in self.rules:
            self.peers.release(("Policy", "", str(name)), [self.rules.pop(name)])

    def check(self, asked: LabelClass) -> None:
        held = self.peers.holding(asked)
        for rule in self.rules.values():
            (peer,) = rule.peers
            assert bool(held & peer.bit) == peer.node.matches(asked.labels)
        users = {("Policy", "", str(name)) for name, rule in self.rules.items() if _holds(rule.peers[0], asked)}
        assert self.peers.users(held) == users


def _holds(peer: Peer, asked: LabelClass) -> bool:
    return peer.node.matches(asked.labels)


steps = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 5), st.sampled_from(SELECTORS)),
    st.tuples(st.just("take"), st.integers(0, 5)),
    st.tuples(st.just("look"), st.integers(0, len(CLASSES) - 1)),
)


@given(st.lists(steps, max_size=40))
def test_what_holds_for_a_class_is_what_its_labels_say_after_any_coming_and_going(sequence):
    asked = Asked()
    for step in sequence:
        match step:
            case ("put", name, selector):
                asked.put(name, selector)
            case ("take", name):
                asked.take(name)
            case ("look", at):
                asked.check(asked.classes[at])
    for each in asked.classes:
        asked.check(each)


def test_a_class_that_has_not_been_asked_for_long_is_looked_up_anew():
    asked = Asked()
    asked.put(0, SELECTORS[0])
    asked.check(asked.classes[0])
    for at in range(200):
        asked.put(1, SELECTORS[at % len(SELECTORS)])
    for each in asked.classes:
        asked.check(each)


def test_numbers_of_peers_that_nobody_asks_are_given_to_others():
    asked = Asked()
    for at in range(200):
        asked.put(at % 3, selectors.parse(f"app == 'app-{at}'"))
    assert max(rule.peers[0].number for rule in asked.rules.values()) < 4
