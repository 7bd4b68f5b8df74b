"""Which domains there are, and who belongs to them."""

from msgspec import structs
from scenes.log import CLUSTER, Log, evaluated, key, namespace, outcome, pod

from models.compliance import Member
from models.facts import Controller, Declaration, DeclaredDomain, DeclaredMembers, HostEndpoint, Kind, Owner
from models.wire import Unreadable


def members(state, domain):
    return state.placement.members(domain)


def test_the_cluster_and_every_namespace_are_domains():
    state = Log().listed(namespace("shop"), namespace("ledger"), pod("web-0")).state()

    assert set(state.domains) == {f"cluster/{CLUSTER}", "namespace/shop", "namespace/ledger"}
    assert members(state, "namespace/shop") == (Member(subject="shop/Pod/web-0", pods=("shop/web-0",)),)
    assert members(state, "namespace/ledger") == ()


def test_pods_stand_for_their_top_controller():
    replica_set = Controller(
        name="web-7d9", namespace="shop", controller_kind="ReplicaSet", owner=Owner(kind="Deployment", name="web")
    )
    first = pod("web-7d9-a")
    first = type(first)(name="web-7d9-a", namespace="shop", owner=Owner(kind="ReplicaSet", name="web-7d9"))
    log = Log().listed(namespace("shop"), first)
    state = log.state()
    before = members(state, "namespace/shop")
    state = log.add(replica_set).state()

    assert before == (Member(subject="shop/ReplicaSet/web-7d9", pods=("shop/web-7d9-a",)),)
    assert members(state, "namespace/shop") == (Member(subject="shop/Deployment/web", pods=("shop/web-7d9-a",)),)


def test_namespaces_with_one_value_of_the_tenant_label_are_a_tenant():
    state = (
        Log()
        .listed(Declaration(tenant_label="team"), namespace("a", team="x"), namespace("b", team="x"), namespace("c"))
        .add(pod("p", namespace="a"), pod("q", namespace="b"), pod("r", namespace="c"))
        .state()
    )

    assert [each.subject for each in members(state, "tenant/x")] == ["a/Pod/p", "b/Pod/q"]


def test_a_declared_domain_replaces_the_found_one_and_holds_what_its_selector_says():
    declared = DeclaredDomain(
        level="namespace",
        name="shop",
        members=DeclaredMembers(namespace_selector="projectcalico.org/name == 'shop'", selector="app == 'web'"),
        owner="team-shop",
    )
    state = Log().listed(namespace("shop"), declared, pod("web-0", app="web"), pod("db-0", app="db")).state()

    assert [each.subject for each in members(state, "namespace/shop")] == ["shop/Pod/web-0"]
    assert state.domains["namespace/shop"].domain.owner == "team-shop"
    assert state.placement.owner_of("shop/Pod/db-0") == f"cluster/{CLUSTER}"


def test_a_pod_that_no_node_has_yet_lies_in_the_declared_domains_that_its_labels_name():
    declared = DeclaredDomain(level="tenant", name="x", members=DeclaredMembers(selector="app == 'web'"))
    new = structs.replace(pod("web-0", address="", app="web"), node="")
    state = Log().listed(namespace("shop"), declared, new, pod("web-1", app="web")).state()

    assert [each.subject for each in members(state, "tenant/x")] == ["shop/Pod/web-0", "shop/Pod/web-1"]


def test_pods_without_an_address_or_on_the_nodes_network_are_members_and_finished_ones_are_not():
    waiting, done = pod("waiting", address=""), pod("done")
    state = (
        Log().listed(namespace("shop"), waiting, type(done)(name="done", namespace="shop", is_finished=True)).state()
    )

    assert [each.subject for each in members(state, "namespace/shop")] == ["shop/Pod/waiting"]


def test_host_endpoints_belong_to_the_cluster():
    state = Log().listed(HostEndpoint(name="n1-eth0", node="n1")).state()

    assert members(state, f"cluster/{CLUSTER}") == (Member(subject="host/n1-eth0"),)


def test_a_workloads_domain_is_the_smallest_that_holds_it():
    declared = DeclaredDomain(level="workload", name="web", members=DeclaredMembers(selector="app == 'web'"))
    state = Log().listed(namespace("shop"), declared, pod("web-0", app="web"), pod("db-0", app="db")).state()

    assert state.placement.owner_of("shop/Pod/web-0") == "workload/web"
    assert state.placement.owner_of("shop/Pod/db-0") == "namespace/shop"


def test_a_declaration_that_does_not_parse_makes_its_domain_not_evaluated_instead_of_empty():
    declared = DeclaredDomain(level="tenant", name="x", members=DeclaredMembers(selector="app =="))
    state = Log().listed(namespace("shop"), pod("web-0"), declared).state()
    evaluation = evaluated(state)

    assert outcome(evaluation, "tenant/x", "default-deny-ingress").outcome == "error"
    assert "cannot be told" in outcome(evaluation, "tenant/x", "default-deny-ingress").reason


def test_a_namespace_whose_fact_cannot_be_read_is_not_gone():
    log = Log().listed(namespace("shop")).put(key(Kind.NAMESPACE, "shop"), Unreadable("of version 9"))

    assert "namespace/shop" in log.state().domains


def test_members_are_the_same_object_until_something_moves():
    log = Log().listed(namespace("shop"), pod("web-0"))
    state = log.state()

    assert members(state, "namespace/shop") is members(state, "namespace/shop")
