"""Hypothesis strategies: changes of a small cluster in which everything that decides may change."""

from hypothesis import strategies as st
from scenes.log import CLUSTER, START, deny_all, namespace, pod, seconds

from models.facts import (
    CalicoPolicy,
    Controller,
    Declaration,
    DeclaredDomain,
    DeclaredMembers,
    DeclaredPath,
    EntityRule,
    FlowClass,
    HostEndpoint,
    Kind,
    NetworkSet,
    ObservedPath,
    Owner,
    Pod,
    Rejected,
    Rule,
    ServiceAccount,
    SystemNamespace,
    Tier,
    Waiver,
    key_of,
)
from models.wire import Unreadable

LABELS = st.fixed_dictionaries({}, optional={"app": st.sampled_from(["web", "db"]), "role": st.just("x")})
SPACES = st.sampled_from(["a", "b"])
SELECTORS = st.sampled_from(["", "all()", "app == 'web'", "app != 'web'", "has(role)"])


def rules():
    entity = st.builds(
        EntityRule,
        selector=SELECTORS,
        namespace_selector=st.sampled_from(["", "team == 'x'", "all()"]),
        nets=st.sampled_from([(), ("0.0.0.0/0",), ("10.0.0.0/8",)]),
    )
    return st.lists(
        st.builds(Rule, action=st.sampled_from(["Allow", "Deny", "Pass", "Log"]), source=entity, destination=entity),
        max_size=2,
    ).map(tuple)


def policies():
    types = st.sampled_from([("Ingress",), ("Egress",), ("Ingress", "Egress")])
    common = {"selector": SELECTORS, "types": types, "ingress": rules(), "egress": rules(), "tier": TIERS}
    return st.one_of(
        st.builds(
            CalicoPolicy,
            policy_kind=st.just("NetworkPolicy"),
            name=st.sampled_from(["p", "q"]),
            namespace=SPACES,
            order=st.sampled_from([None, 1.0]),
            **common,
        ),
        st.builds(CalicoPolicy, policy_kind=st.just("GlobalNetworkPolicy"), name=st.just("g"), **common),
    )


TIERS = st.sampled_from(["default", "security"])
PODS = st.builds(
    Pod,
    name=st.sampled_from(["p1", "p2", "p3"]),
    namespace=SPACES,
    labels=LABELS,
    addresses=st.sampled_from([(), ("10.0.0.1",), ("10.0.0.2",), ("10.0.0.3",)]),
    host_network=st.sampled_from([False, False, False, True]),
    is_finished=st.sampled_from([False, False, False, True]),
    owner=st.sampled_from([None, Owner(kind="ReplicaSet", name="rs"), Owner(kind="StatefulSet", name="ss")]),
    created_at=st.sampled_from([None, START, seconds(30)]),
)
OFTEN = st.one_of(PODS, policies(), st.builds(deny_all, SPACES))
FACTS = st.one_of(
    OFTEN,
    OFTEN,
    OFTEN,
    st.builds(namespace, SPACES, team=st.sampled_from(["x", "y"])),
    st.builds(ServiceAccount, name=st.just("default"), namespace=SPACES, labels=LABELS),
    st.builds(
        Controller,
        name=st.just("rs"),
        namespace=SPACES,
        controller_kind=st.just("ReplicaSet"),
        owner=st.sampled_from([None, Owner(kind="Deployment", name="d")]),
    ),
    st.builds(Tier, name=st.just("security"), order=st.just(5.0), default_action=st.sampled_from(["Deny", "Pass"])),
    st.builds(deny_all, SPACES),
    st.builds(NetworkSet, name=st.just("set"), labels=LABELS, nets=st.sampled_from([("10.0.0.0/8",), ("1.2.3.0/24",)])),
    st.builds(HostEndpoint, name=st.just("h"), labels=LABELS, expected_ips=st.just(("172.16.0.1",))),
    st.builds(
        Rejected,
        object_kind=st.just(Kind.GLOBAL_NETWORK_POLICY),
        name=st.just("g"),
        stage=st.just("felix"),
        reason=st.just("no"),
    ),
    st.builds(
        Declaration,
        tenant_label=st.sampled_from(["", "team"]),
        system_namespaces=st.sampled_from([(), (SystemNamespace(name="b", reason="control plane"),)]),
    ),
    st.builds(
        DeclaredDomain,
        level=st.sampled_from(["namespace", "workload", "tenant"]),
        name=st.sampled_from(["a", "x"]),
        members=st.builds(DeclaredMembers, selector=SELECTORS, namespace_selector=st.sampled_from(["", "all()"])),
        criticality=st.sampled_from(["low", "critical"]),
        allow=st.sampled_from([(), (DeclaredPath(from_domain="b"),)]),
    ),
    st.builds(
        ObservedPath,
        path_id=st.sampled_from(["1", "2"]),
        source=st.just("b/Pod/p1"),
        destination=st.sampled_from(["a/Pod/p1", "a/StatefulSet/ss", "public"]),
        destination_domains=st.just(("namespace/a",)),
        protocol=st.just("tcp"),
        flow_class=st.sampled_from([FlowClass.ESCAPED, FlowClass.PERMITTED]),
        since=st.just(START),
    ),
    st.builds(
        Waiver,
        name=st.sampled_from(["w1", "w2"]),
        control=st.sampled_from(["default-deny-ingress", "unprotected-endpoint"]),
        domain=st.sampled_from(["", "namespace/a"]),
        subject=st.sampled_from(["", "a/Pod/*"]),
        reason=st.just("r"),
        requester=st.just("x"),
        approver=st.just("y"),
        granted_at=st.just(START),
        expires_at=st.sampled_from([seconds(45), seconds(3600)]),
    ),
)
BASE = (
    namespace("a", team="x"),
    namespace("b", team="y"),
    Tier(name="security", order=5.0, default_action="Deny"),
    deny_all("a"),
    *(pod(f"p{n}", namespace=where, address=f"10.0.{where == 'b':d}.{n}", app="web") for where in "ab" for n in (1, 2)),
)
MOVES = st.sampled_from(["put", "put", "put", "gone", "unreadable"])
CHANGES = st.lists(st.tuples(FACTS, MOVES), min_size=1, max_size=14)


def applied(log, change, at):
    fact, move = change
    value = {"put": fact, "gone": None, "unreadable": Unreadable("of another version")}[move]
    return log.put(key_of(CLUSTER, fact), value, at=at)
