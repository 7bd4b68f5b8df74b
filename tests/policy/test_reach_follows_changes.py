"""A posture that followed any sequence of changes answers as one made anew."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from models import facts
from monitor.policy import reach_ground
from monitor.policy.engine import Engine
from monitor.policy.reach import Posture, Stage
from monitor.policy.reach_ground import Ground

from .random_clusters import clusters, edited, edits, keyed, pods_apart, policies, with_pods_apart

FOLLOWED = st.one_of(pods_apart(), pods_apart(), policies(), st.integers(0, 6))


def everything(posture, engine):
    alone = {one: {one} for one in engine.endpoints}
    return {stage: posture.reach_between(alone, stage=stage) for stage in Stage}


def follow(cluster, engine, posture, changes):
    for key, fact in changes.items():
        if fact is None:
            cluster.pop(key, None)
        else:
            cluster[key] = fact
    posture.apply(engine.apply(changes))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clusters(), st.lists(edits(), min_size=1, max_size=5))
def test_following_equals_making_anew(cluster, sequence):
    engine = Engine.build(cluster)
    posture = Posture.of(engine)
    everything(posture, engine)

    for edit in sequence:
        follow(cluster, engine, posture, edited(cluster, edit))

        fresh = Engine.build(cluster)
        assert everything(posture, engine) == everything(Posture.of(fresh), fresh)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clusters().map(with_pods_apart), st.lists(st.lists(FOLLOWED, min_size=1, max_size=2), min_size=2, max_size=8))
def test_following_pods_that_share_no_address_equals_making_anew(cluster, sequence):
    """Where addresses are shared nothing is followed: what is followed is held to its law here."""
    engine = Engine.build(cluster)
    posture = Posture.of(engine)
    everything(posture, engine)

    for together in sequence:
        changes = {}
        for edit in together:
            changes |= edited(cluster, edit)
        follow(cluster, engine, posture, changes)

        fresh = Engine.build(cluster)
        assert everything(posture, engine) == everything(Posture.of(fresh), fresh)


def by_port_name(name):
    """A pod at the one end, and at the other a policy with a rule that asks for a port by name and for nobody."""
    rule = facts.KubernetesRule(ports=(facts.KubernetesPort(port=name),))
    return keyed(
        facts.Namespace(name="red"),
        facts.Namespace(name="blue"),
        *(
            facts.Pod(name="p", namespace=ns, node="n", addresses=(at,))
            for ns, at in (("red", "10.1.0.1"), ("blue", "10.1.0.2"))
        ),
        facts.KubernetesNetworkPolicy(namespace="blue", name="out", policy_types=("Egress",), egress=(rule,)),
    )


def test_a_port_that_a_pod_names_anew_is_heard_of_by_rules_that_ask_for_no_pod_in_particular():
    cluster = by_port_name("http")
    engine = Engine.build(cluster)
    posture = Posture.of(engine)
    pod = cluster[key(facts.Kind.POD, "p")]
    ports = (facts.NamedPort(name="http", protocol="TCP", port=80),)
    everything(posture, engine)

    for changed in (replace(pod, named_ports=ports), pod):
        follow(cluster, engine, posture, {key(facts.Kind.POD, "p"): changed})
        fresh = Engine.build(cluster)
        assert everything(posture, engine) == everything(Posture.of(fresh), fresh)


def small_cluster(pods=3):
    def allow(role):
        source = facts.EntityRule(selector=f"role == '{role}'")
        return facts.Rule(action="Allow", protocol="TCP", source=source, destination=facts.EntityRule(ports=(80,)))

    def policy(name, role, *rules):
        return facts.CalicoPolicy(
            policy_kind="NetworkPolicy",
            name=name,
            namespace="red",
            selector=f"role == '{role}'",
            types=("Ingress",),
            ingress=rules,
        )

    own = [
        facts.Pod(
            name=f"p{n}", namespace="red", node="n", addresses=(f"10.0.0.{n + 1}",), labels={"role": "abc"[n % 3]}
        )
        for n in range(pods)
    ]
    return keyed(facts.Namespace(name="red"), policy("to-a", "a", allow("b")), policy("to-b", "b", allow("c")), *own)


def made_anew(monkeypatch):
    """Counts how often a posture gave up following."""
    made = []
    first = Ground.__init__

    def counting(self, snapshot, world=None):
        made.append(snapshot)
        first(self, snapshot, world)

    monkeypatch.setattr(Ground, "__init__", counting)
    return made


def key(kind, name):
    return facts.FactKey("c", kind, "red", name)


def test_what_happens_all_the_time_is_followed_and_not_made_anew(monkeypatch):
    cluster = small_cluster(6)
    engine = Engine.build(cluster)
    posture = Posture.of(engine)
    everything(posture, engine)
    made = made_anew(monkeypatch)
    pod = cluster[key(facts.Kind.POD, "p0")]
    policy = cluster[key(facts.Kind.NETWORK_POLICY, "to-a")]

    for changes in (
        {key(facts.Kind.POD, "p0"): replace(pod, labels={"role": "b"})},  # a class that is there
        {key(facts.Kind.POD, "p0"): replace(pod, labels={"role": "none"})},  # one that is not
        {key(facts.Kind.POD, "p9"): replace(pod, name="p9", addresses=("10.0.0.99",), labels={"role": "c"})},
        {key(facts.Kind.POD, "p1"): None},
        {key(facts.Kind.NETWORK_POLICY, "to-a"): replace(policy, ingress=())},
        {key(facts.Kind.NETWORK_POLICY, "to-b"): None},
        {key(facts.Kind.NETWORK_POLICY, "new"): replace(policy, name="new", selector="role == 'c'")},
    ):
        follow(cluster, engine, posture, changes)
        fresh = Engine.build(cluster)
        expected = everything(Posture.of(fresh), fresh)
        made.pop()  # the fresh one's

        assert everything(posture, engine) == expected
    assert made == []


def test_a_pod_more_or_less_of_a_known_class_is_followed_however_many_ask_for_it(monkeypatch):
    monkeypatch.setattr(reach_ground, "MOST_FOLLOWED", 1)
    cluster = small_cluster(6)
    engine = Engine.build(cluster)
    posture = Posture.of(engine)
    everything(posture, engine)
    made = made_anew(monkeypatch)
    pod = cluster[key(facts.Kind.POD, "p1")]
    more = replace(pod, name="p9", addresses=("10.0.0.99",))

    for changes in ({key(facts.Kind.POD, "p9"): more}, {key(facts.Kind.POD, "p1"): None}):
        follow(cluster, engine, posture, changes)
        fresh = Engine.build(cluster)
        expected = everything(Posture.of(fresh), fresh)
        made.pop()  # the fresh one's

        assert everything(posture, engine) == expected
    assert made == []
