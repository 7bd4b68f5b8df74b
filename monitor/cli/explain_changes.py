"""What would have to change for the other answer: candidate edits, each tried on the engine.

Law: nothing is suggested that was not seen to flip the verdict. The engine is given back as it was.
The smallest edits come first: one rule, then one policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product

from msgspec import Struct
from msgspec.structs import replace

from models.facts import (
    CalicoPolicy,
    EntityRule,
    Fact,
    FactKey,
    IPBlock,
    KubernetesNetworkPolicy,
    KubernetesPeer,
    KubernetesPort,
    KubernetesRule,
    LabelSelector,
    PolicyFact,
    Rule,
    key_of,
)
from models.verdicts import Connection, Decision, Direction, FlowVerdict, Hit, Verdict
from monitor.cli.explain_ends import Cluster, End
from monitor.cli.explain_walk import fact_of, policy_name
from monitor.policy import connections

MOST_SHOWN = 2
_API_PROTOCOL = {6: "TCP", 17: "UDP", 132: "SCTP", 1: "ICMP", 58: "ICMPv6", 136: "UDPLite"}
_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_DEFAULT_DENY = "default-deny"
_TEMPLATE_LABELS = ("pod-template-hash", "controller-revision-hash", "statefulset.kubernetes.io/pod-name")


class Edit(Struct, frozen=True, kw_only=True):
    """One change and what to do in words."""

    words: str
    key: FactKey
    fact: Fact | None


class Question(Struct, frozen=True, kw_only=True):
    cluster: Cluster
    connection: Connection
    source: End
    destination: End


def suggestions(question: Question, verdict: FlowVerdict) -> list[str]:
    """At most MOST_SHOWN ways to the other answer; none for an answer that is not known."""
    match verdict.decision:
        case Decision.DENY:
            sides = [_opening(question, *side) for side in _sides(verdict) if side[1].decision is Decision.DENY]
            tried = (edits for edits in product(*(list(side) for side in sides)) if edits)
            wanted = Decision.ALLOW
        case Decision.ALLOW:
            tried = ((edit,) for side in _sides(verdict) for edit in _closing(question, *side))
            wanted = Decision.DENY
        case _:
            return []
    flipping = (edits for edits in tried if _decision_with(question, edits) is wanted)
    return ["; and ".join(edit.words for edit in edits) for edits in islice(flipping, MOST_SHOWN)]


def _sides(verdict: FlowVerdict) -> Iterator[tuple[Direction, Verdict]]:
    """The receiving side first: its owner is who decides who may come in."""
    if verdict.ingress is not None:
        yield Direction.INGRESS, verdict.ingress
    if verdict.egress is not None:
        yield Direction.EGRESS, verdict.egress


def _decision_with(question: Question, edits: Iterable[Edit]) -> Decision:
    engine, facts = question.cluster.engine, question.cluster.facts
    changes = {edit.key: edit.fact for edit in edits}
    engine.apply(changes)
    try:
        return engine.judge(
            question.connection, source=question.source.endpoint, destination=question.destination.endpoint
        ).decision
    finally:
        engine.apply({key: facts.get(key) for key in changes})


# --- to allow it -------------------------------------------------------------------------------------------------


def _opening(question: Question, direction: Direction, verdict: Verdict) -> Iterator[Edit]:
    if not verdict.trace:
        return
    hit = verdict.trace[-1]
    fact = fact_of(question.cluster, hit)
    if fact is None or hit.is_staged:
        return
    name = policy_name(fact.namespace, fact.name)
    if (added := _with_allow(question, fact, direction)) is not None:
        where = "at the top of" if hit.rule >= 0 else "to"
        verb = "put" if hit.rule >= 0 else "add"
        yield _edit(question, added, f"{verb} an {direction} rule {where} {name}: {_needed(question, direction)}")
    if hit.rule >= 0:
        origin = _origin(question, hit, direction)
        yield _edit(question, _without_rule(fact, direction, origin), f"take {direction} rule {origin} out of {name}")
    yield Edit(words=f"remove {name}", key=key_of(question.cluster.name, fact), fact=None)


def _edit(question: Question, fact: PolicyFact, words: str) -> Edit:
    return Edit(words=words, key=key_of(question.cluster.name, fact), fact=fact)


def _origin(question: Question, hit: Hit, direction: Direction) -> int:
    """The place of the rule in the policy's YAML."""
    policy = question.cluster.engine.world.policies[hit.kind, hit.namespace, hit.name].policy
    return (policy.egress if direction is Direction.EGRESS else policy.ingress)[hit.rule].origin


def _with_allow(question: Question, fact: PolicyFact, direction: Direction) -> PolicyFact | None:
    """The policy with one rule more that allows just this."""
    field = direction.value
    match fact:
        case CalicoPolicy():
            return replace(fact, **{field: (_calico_rule(question, direction), *_rules(fact, direction))})
        case KubernetesNetworkPolicy():
            rule = _kubernetes_rule(question, direction)
            return None if rule is None else replace(fact, **{field: (*_rules(fact, direction), rule)})
        case _:
            return None


def _rules(fact: PolicyFact, direction: Direction) -> tuple[object, ...]:
    return fact.egress if direction is Direction.EGRESS else fact.ingress


def _far(question: Question, direction: Direction) -> End:
    return question.source if direction is Direction.INGRESS else question.destination


def _own_labels(question: Question, far: End) -> dict[str, str]:
    """The labels by which a person would name the far pods: the workload's own, as few as tell it apart."""
    if far.endpoint is None:
        return {}
    labels = question.cluster.engine.endpoints[far.endpoint].labels
    own = {
        key: value
        for key, value in labels.items()
        if not key.startswith(("pcns.", "pcsa.", "projectcalico.org/")) and key not in _TEMPLATE_LABELS
    }
    telling = [key for key in ("app.kubernetes.io/name", "app", "k8s-app", "role", "name") if key in own]
    return {telling[0]: own[telling[0]]} if telling else dict(sorted(own.items())[:1])


def _port(question: Question) -> int | None:
    return question.connection.destination_port


def _calico_rule(question: Question, direction: Direction) -> Rule:
    far = _far(question, direction)
    peer = _calico_peer(question, far)
    ports = () if _port(question) is None else (_port(question) or 0,)
    protocol = _API_PROTOCOL.get(question.connection.protocol, question.connection.protocol)
    if direction is Direction.INGRESS:
        return Rule(action="Allow", protocol=protocol, source=peer, destination=EntityRule(ports=ports))
    return Rule(action="Allow", protocol=protocol, destination=replace(peer, ports=ports))


def _calico_peer(question: Question, far: End) -> EntityRule:
    labels = _own_labels(question, far)
    if not labels or not far.namespace:
        return EntityRule(nets=(_net(far.addresses[0]),))
    selector = " && ".join(f"{key} == '{value}'" for key, value in labels.items())
    return EntityRule(selector=selector, namespace_selector=f"projectcalico.org/name == '{far.namespace}'")


def _kubernetes_rule(question: Question, direction: Direction) -> KubernetesRule | None:
    protocol = _API_PROTOCOL.get(question.connection.protocol)
    if protocol not in {"TCP", "UDP", "SCTP"}:
        return None  # a NetworkPolicy cannot name other protocols
    far = _far(question, direction)
    labels = _own_labels(question, far)
    if labels and far.namespace:
        peer = KubernetesPeer(
            pod_selector=LabelSelector(match_labels=labels),
            namespace_selector=LabelSelector(match_labels={_NAMESPACE_NAME: far.namespace}),
        )
    else:
        peer = KubernetesPeer(ip_block=IPBlock(cidr=_net(far.addresses[0])))
    return KubernetesRule(peers=(peer,), ports=(KubernetesPort(protocol=protocol, port=_port(question)),))


def _net(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _needed(question: Question, direction: Direction) -> str:
    far = _far(question, direction)
    labels = _own_labels(question, far)
    said = ", ".join(f"{key}={value}" for key, value in labels.items())
    who = f"pods with {said} in namespace {far.namespace}" if labels and far.namespace else _net(far.addresses[0])
    protocol = connections.name(question.connection.protocol)
    port = "" if _port(question) is None else f"/{_port(question)}"
    return f"allow {protocol}{port} {'from' if direction is Direction.INGRESS else 'to'} {who}"


def _without_rule(fact: PolicyFact, direction: Direction, origin: int) -> PolicyFact:
    rules = _rules(fact, direction)
    return replace(fact, **{direction.value: (*rules[:origin], *rules[origin + 1 :])})


# --- to deny it --------------------------------------------------------------------------------------------------


def _closing(question: Question, direction: Direction, verdict: Verdict) -> Iterator[Edit]:
    if not verdict.trace:
        return
    hit = verdict.trace[-1]
    fact = fact_of(question.cluster, hit)
    if fact is None:
        yield from _default_deny(question, direction)
        return
    name, origin = policy_name(fact.namespace, fact.name), _origin(question, hit, direction)
    if isinstance(fact, CalicoPolicy):
        yield from _bound(question, fact, direction, origin)
    yield _edit(question, _without_rule(fact, direction, origin), f"take {direction} rule {origin} out of {name}")
    if isinstance(fact, CalicoPolicy):
        rule = replace(_calico_rule(question, direction), action="Deny")
        denying = replace(fact, **{direction.value: (rule, *_rules(fact, direction))})
        yield _edit(question, denying, f"put a Deny at the top of {name}: {_needed(question, direction)[6:]}")


def _bound(question: Question, fact: CalicoPolicy, direction: Direction, origin: int) -> Iterator[Edit]:
    """A selector without a namespace reaches pods of every namespace; bound to the own one it may be what was meant."""
    near = question.destination if direction is Direction.INGRESS else question.source
    rules: tuple[Rule, ...] = fact.egress if direction is Direction.EGRESS else fact.ingress
    rule = rules[origin]
    side = rule.source if direction is Direction.INGRESS else rule.destination
    if fact.namespace or not side.selector or side.namespace_selector or not near.namespace:
        return
    bound = replace(side, namespace_selector=f"projectcalico.org/name == '{near.namespace}'")
    changed = replace(rule, **{"source" if direction is Direction.INGRESS else "destination": bound})
    yield _edit(
        question,
        replace(fact, **{direction.value: (*rules[:origin], changed, *rules[origin + 1 :])}),
        f"bind {direction} rule {origin} of {fact.name} to a namespace "
        f"(namespaceSelector: projectcalico.org/name == '{near.namespace}')",
    )


def _default_deny(question: Question, direction: Direction) -> Iterator[Edit]:
    """No policy selects it in this direction."""
    near = question.destination if direction is Direction.INGRESS else question.source
    if not near.namespace:
        return
    types = (direction.value.capitalize(),)
    policy = KubernetesNetworkPolicy(name=_DEFAULT_DENY, namespace=near.namespace, policy_types=types)
    taken: Mapping[FactKey, Fact] = question.cluster.facts
    while key_of(question.cluster.name, policy) in taken:
        policy = replace(policy, name=f"{policy.name}-{direction.value}")
    yield _edit(
        question,
        policy,
        f"no policy selects it for {direction}: add a NetworkPolicy to namespace {near.namespace} "
        f"(podSelector: {{}}, policyTypes: [{types[0]}])",
    )
