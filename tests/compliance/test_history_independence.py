"""The central law: an evaluation is a function of the facts, never of how they came.

Every sequence of changes is delivered in many ways (any order within a listing, twice, squashed, in parts, with
restarts in between), and after every step only what is dirty is judged; the result is that of judging everything anew.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from scenes.log import CLUSTER, START, Log, deny_all, evaluated, heard, heartbeat, namespace, pod, seconds, take

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
    Sync,
    SystemNamespace,
    Tick,
    Tier,
    Waiver,
    key_of,
)
from models.wire import Unreadable
from monitor.state.state import Dirty, State

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


def told_anew(log):
    """What State, built now from this log, concludes of everything."""
    return evaluated(log.state())


@settings(max_examples=80, deadline=None)
@given(CHANGES, st.integers(1, 40))
def test_judging_what_is_dirty_after_every_step_is_judging_everything(changes, step):
    log = Log().listed(*BASE)
    state, postures, taken = State(CLUSTER), {}, 0
    for number, change in enumerate(changes):
        applied(log, change, seconds(step * number))
        if number % 4 == 3:
            log.gone(deny_all("a")) if number % 8 == 3 else log.add(deny_all("a"))
        if number % 3 == 2:
            log.add(heartbeat(Tier="not_readable" if number % 2 else "fresh"), heard(), Tick(partition=0))
        take(state, log.records[taken:])
        taken = len(log.records)
        evaluation = evaluated(state, state.take_dirty())
        for name in evaluation.gone:
            postures.pop(name, None)
        for each in evaluation.postures:
            postures[each.domain.id] = told(each, evaluation.changed, postures.get(each.domain.id))
        anew = told_anew(log)

        assert postures == {each.domain.id: told(each) for each in anew.postures}


def told(posture, changed=None, former=None):
    """A posture as it stands in the record: of subjects that have not changed, what was told before."""
    members, findings = ({}, {}) if former is None or changed is None else former[2:]
    members = {name: member for name, member in members.items() if name not in changed}
    findings = {key: result for key, result in findings.items() if key[1] not in changed}
    members |= {member.subject: member for member in posture.members}
    findings |= {(each.control, result.subject): result for each in posture.results for result in each.subjects}
    rolled = tuple(structs.replace(each, subjects=()) for each in posture.results)
    findings = {key: found for key, found in findings.items() if key[0] not in errors(rolled)}
    return posture.domain, rolled, members, findings


def errors(rolled):
    """Controls that could not be evaluated: their findings are as they were last known."""
    return {each.control for each in rolled if each.outcome == "error"}


def final_facts(changes):
    """The last state of each key, in the order of first appearance."""
    log = Log().add(*BASE)
    for change in changes:
        applied(log, change, None)
    return {record.key: record.value for record in log.records}


def listing(pairs, *, at=None):
    log = Log().add(Sync(scope="all", phase="begun", instance="w"), at=at)
    for key, value in pairs:
        log.put(key, value)
    return log.add(
        Sync(scope="all", phase="done", instance="w"), heartbeat(), heard(), Tick(partition=0), at=seconds(70)
    )


def conclusions(log, *, batches=()):
    """Folded in batches, each judged if it may be; the last word."""
    state, taken = State(CLUSTER), 0
    for end in (*batches, len(log.records)):
        take(state, log.records[taken:end])
        taken = max(taken, end)
        if state.at and not state.blocked(state.at):
            evaluated(state, state.take_dirty())
    evaluation = evaluated(state)
    return evaluation.at, evaluation.postures


@settings(max_examples=60, deadline=None)
@given(CHANGES, st.randoms(use_true_random=False))
def test_any_delivery_that_ends_in_the_same_facts_ends_in_the_same_evaluation(changes, random):
    facts = final_facts(changes)
    expected = conclusions(listing(facts.items()))

    shuffled = list(facts.items())
    random.shuffle(shuffled)
    doubled = [pair for pair in shuffled for _ in range(random.randint(1, 3))]
    unsquashed = [(key_of(CLUSTER, fact), fact) for fact in (*BASE, *(fact for fact, _ in changes))] + shuffled
    restarted = listing(unsquashed)
    restarted = Log()
    restarted.records = listing(unsquashed).records
    for _ in range(2):
        restarted.at = seconds(60)
        again = listing(shuffled)
        restarted.records = restarted.records[:-4] + [
            type(each)(each.key, each.value, each.position, each.at) for each in again.records
        ]
    cuts = sorted(random.randint(0, len(doubled)) for _ in range(3))

    assert conclusions(listing(shuffled)) == expected
    assert conclusions(listing(doubled), batches=cuts) == expected
    assert conclusions(listing(unsquashed), batches=cuts) == expected
    assert conclusions(restarted) == expected


def test_the_same_fact_again_makes_nothing_dirty():
    log = Log().listed(namespace("shop"), pod("web-0"), deny_all())
    state = log.state()
    state.take_dirty()
    take(state, log.records)

    assert state.take_dirty() == Dirty(frozenset(), frozenset())


def test_a_pod_makes_only_its_own_domains_dirty():
    state = Log().listed(namespace("shop"), namespace("ledger"), pod("web-0"), pod("db-0", namespace="ledger")).state()
    state.take_dirty()
    take(state, Log().add(pod("web-0", app="web")).records)

    assert state.take_dirty() == Dirty(
        frozenset({f"cluster/{CLUSTER}", "namespace/shop"}), frozenset({"shop/Pod/web-0"})
    )
