"""Which resource serves a kind, from answers that come, fail, change and lie for a while."""

from models.facts import Kind
from monitor.cluster.discovery import Discovered, NotServed, Serving, Unclear, aggregated, answer
from monitor.cluster.resources import RESOURCES

V3, V1 = ("projectcalico.org", "v3"), ("crd.projectcalico.org", "v1")
POLICIES = frozenset({"networkpolicies", "tiers"})


def found(*group_versions, unreliable=None):
    return Discovered(plurals=dict.fromkeys(group_versions, POLICIES), unreliable=unreliable or {})


def api_version(given):
    return given.api_version


def test_v3_is_preferred_where_both_groups_are_served():
    assert api_version(answer(Kind.TIER, found(V3, V1))) == "projectcalico.org/v3"


def test_the_stored_group_serves_where_there_is_no_v3():
    assert api_version(answer(Kind.TIER, found(V1))) == "crd.projectcalico.org/v1"


def test_a_stale_v3_group_is_unclear_and_not_replaced_by_the_stored_one():
    given = answer(Kind.TIER, found(V1, unreliable={"projectcalico.org": "stale"}))

    assert isinstance(given, Unclear)


def test_no_group_at_all_is_not_served():
    assert answer(Kind.TIER, found()) is NotServed.ABSENT


def test_a_kind_served_only_in_a_version_we_cannot_read_is_not_absent():
    newer = Discovered(plurals={("policy.networking.k8s.io", "v1beta1"): frozenset({"clusternetworkpolicies"})})

    given = answer(Kind.CLUSTER_NETWORK_POLICY, newer)

    assert isinstance(given, Unclear)
    assert "v1beta1" in given.reason


def test_the_kubernetes_policies_are_not_taken_for_calicos():
    kubernetes = Discovered(plurals={("networking.k8s.io", "v1"): POLICIES})

    assert answer(Kind.NETWORK_POLICY, kubernetes) is NotServed.ABSENT
    assert api_version(answer(Kind.KUBERNETES_NETWORK_POLICY, kubernetes)) == "networking.k8s.io/v1"


def test_absent_needs_two_complete_answers_in_a_row():
    serving = Serving(Kind.TIER)
    serving.take(NotServed.ABSENT, has_facts=False, at=0)
    once = serving.is_absent
    serving.take(NotServed.ABSENT, has_facts=False, at=2)

    assert not once
    assert serving.is_absent


def test_an_unclear_answer_in_between_begins_the_count_anew():
    serving = Serving(Kind.TIER)
    for given, at in ((NotServed.ABSENT, 0), (Unclear("down"), 100), (NotServed.ABSENT, 400)):
        serving.take(given, has_facts=True, at=at)

    assert not serving.is_absent


def test_with_known_facts_the_second_answer_counts_after_five_minutes():
    serving = Serving(Kind.TIER)
    [v3, _] = RESOURCES[Kind.TIER]
    serving.take(v3, has_facts=True, at=0)
    before = []
    for at in (10, 200, 309):
        serving.take(NotServed.ABSENT, has_facts=True, at=at)
        before.append(serving.is_absent)
    serving.take(NotServed.ABSENT, has_facts=True, at=311)

    assert not any(before)
    assert serving.is_absent
    assert serving.resource is None


def test_an_unclear_answer_keeps_the_resource_that_serves():
    serving = Serving(Kind.TIER)
    [v3, _] = RESOURCES[Kind.TIER]
    serving.take(v3, has_facts=True, at=0)
    serving.take(Unclear("stale"), has_facts=True, at=1000)

    assert serving.resource == v3


def test_the_group_changes_at_the_second_answer_that_says_so():
    serving = Serving(Kind.TIER)
    [v3, stored] = RESOURCES[Kind.TIER]
    serving.take(stored, has_facts=True, at=0)
    serving.take(v3, has_facts=True, at=10)
    once = serving.resource
    serving.take(v3, has_facts=True, at=20)

    assert once == stored
    assert serving.resource == v3


def test_a_kind_that_comes_to_be_served_is_read_at_once():
    serving = Serving(Kind.TIER)
    for at in (0, 2):
        serving.take(NotServed.ABSENT, has_facts=False, at=at)
    serving.take(RESOURCES[Kind.TIER][1], has_facts=False, at=3)

    assert serving.resource == RESOURCES[Kind.TIER][1]
    assert not serving.is_absent


def test_a_group_marked_stale_in_aggregated_discovery_is_unreliable():
    body = {
        "items": [
            {
                "metadata": {"name": "projectcalico.org"},
                "versions": [{"version": "v3", "freshness": "Stale"}],
            },
            {
                "metadata": {"name": "crd.projectcalico.org"},
                "versions": [{"version": "v1", "freshness": "Current", "resources": [{"resource": "tiers"}]}],
            },
        ]
    }

    assert isinstance(answer(Kind.TIER, aggregated(body)), Unclear)
