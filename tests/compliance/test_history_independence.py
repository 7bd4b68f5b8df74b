"""The central law: an evaluation is a function of the facts, never of how they came.

Every sequence of changes is delivered in many ways (any order within a listing, twice, squashed, in parts, with
restarts in between), and after every step only what is dirty is judged; the result is that of judging everything anew.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from scenes.changes import BASE, CHANGES, applied
from scenes.log import CLUSTER, Log, deny_all, evaluated, heard, heartbeat, namespace, pod, seconds, take

from models.facts import Kind, Rejected, Sync, Tick, key_of
from monitor.state.state import Dirty, State


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
        assert_changed_is_told(evaluation)
        anew = told_anew(log)

        assert postures == {each.domain.id: told(each) for each in anew.postures}


def test_what_is_gone_is_told_where_another_came_with_it():
    """The domain's counts are what they were."""
    log = Log().listed(*BASE, refused("g"))
    state = State(CLUSTER)
    take(state, log.records)
    evaluated(state, state.take_dirty())
    taken = len(log.records)
    log.gone(refused("g")).add(refused("p", namespace="a", kind=Kind.NETWORK_POLICY))
    take(state, log.records[taken:])

    evaluation = evaluated(state, state.take_dirty())

    assert "GlobalNetworkPolicy/g" in evaluation.changed.subjects
    assert "cluster/c1" in {posture.domain.id for posture in evaluation.postures}


def refused(name, *, namespace="", kind=Kind.GLOBAL_NETWORK_POLICY):
    return Rejected(object_kind=kind, name=name, namespace=namespace, stage="felix", reason="no")


def told(posture, changed=None, former=None):
    """A posture as it stands in the record: of what has not changed, what was told before."""
    domain, rolled, members, findings = (posture.domain, {}, {}, {}) if former is None or changed is None else former
    if changed is None or posture.domain.id in changed.domains:
        domain = posture.domain
    if changed is not None:
        members = {name: member for name, member in members.items() if name not in changed.members}
        findings = {key: result for key, result in findings.items() if key[1] not in changed.subjects}
    members = members | {member.subject: member for member in posture.members}
    findings |= {(each.control, result.subject): result for each in posture.results for result in each.subjects}
    rolled = rolled | {each.control: structs.replace(each, subjects=()) for each in posture.results}
    findings = {key: found for key, found in findings.items() if rolled[key[0]].outcome != "error"}
    return domain, rolled, members, findings


def assert_changed_is_told(evaluation):
    """What the record is asked to look at is told with all that could not be evaluated: else it would look resolved."""
    if evaluation.changed is not None:
        assert evaluation.changed.members <= evaluation.changed.subjects
        for posture in evaluation.postures:
            assert {member.subject for member in posture.members} <= evaluation.changed.members


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
