"""The DNS allowance is bound to a namespace, not to a label that any pod may wear (controls.md section 3).

A rule that lets port 53 out to pods by their labels in whatever namespace lets it out to anybody who puts the label on.
"""

from __future__ import annotations

from collections.abc import Iterator

from models.compliance import Control, Evidence, Outcome, Severity, SubjectResult
from models.facts import CalicoPolicy, EntityRule, KubernetesNetworkPolicy, KubernetesPeer, Rule
from monitor.compliance import needs
from monitor.compliance.snapshot import Snapshot
from monitor.policy import selectors

CONTROL = Control(
    id="dns-label-spoof",
    title="DNS is not allowed by a label alone",
    statement="The DNS allowance is bound to the DNS namespace, not to a label anyone may wear.",
    severity=Severity.HIGH,
    remediation="Add a namespaceSelector that names the DNS namespace beside the pods' labels.",
    is_endpoint_scoped=True,
    needs=needs.POLICIES,
    requirements=("nist-800-53-r5:SC-7",),
)

DNS_PORTS = frozenset({53, "53"})
SOME_NAMESPACE = {"projectcalico.org/name": "", "kubernetes.io/metadata.name": ""}
"""A namespace that nobody has named: what selects it selects any."""

subjects = (Snapshot.policies,)


def basis(_snapshot: Snapshot) -> object:
    """The policies alone."""
    return None


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    key = snapshot.policy_keys[subject]
    fact = snapshot.state.facts[key]
    loose = list(_loose_rules(fact)) if isinstance(fact, CalicoPolicy | KubernetesNetworkPolicy) else []
    if not loose:
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL,
        severity=CONTROL.severity,
        sentence=f"{subject} allows DNS to any pod, in any namespace, that wears a label",
        fix=f"add a namespaceSelector for the DNS namespace to egress {_counted(loose)} of {subject}",
        evidence=Evidence(
            steps=tuple(f"egress rule {each}: port 53 to pods by their labels alone" for each in loose),
            facts=(key.text(),),
        ),
    )


def _counted(rules: list[int]) -> str:
    """Every one of them: the finding stays while one is loose."""
    *most, last = map(str, rules)
    return f"rules {', '.join(most)} and {last}" if most else f"rule {last}"


def _loose_rules(fact: CalicoPolicy | KubernetesNetworkPolicy) -> Iterator[int]:
    if fact.staged_action is not None:
        return
    if isinstance(fact, CalicoPolicy):
        yield from (at for at, rule in enumerate(fact.egress) if _is_loose(rule, is_global=not fact.namespace))
        return
    for at, each in enumerate(fact.egress):
        if any(port.port in DNS_PORTS for port in each.ports or ()) and any(map(_is_loose_peer, each.peers or ())):
            yield at


def _is_loose(rule: Rule, *, is_global: bool) -> bool:
    to = rule.destination
    if rule.action != "Allow" or DNS_PORTS.isdisjoint(to.ports) or not to.selector.strip():
        return False
    if to.nets or to.services or to.service_accounts:
        return False
    return _is_any_namespace(to) if to.namespace_selector else is_global and not _names_a_namespace(to)


def _is_any_namespace(to: EntityRule) -> bool:
    try:
        return selectors.parse(to.namespace_selector).matches(SOME_NAMESPACE)
    except selectors.SelectorError:
        return True


def _names_a_namespace(to: EntityRule) -> bool:
    """Bound within the selector itself: by the label that Calico sets from the pod's namespace."""
    try:
        return "projectcalico.org/namespace" in selectors.keys(selectors.parse(to.selector))
    except selectors.SelectorError:
        return False


def _is_loose_peer(peer: KubernetesPeer) -> bool:
    where = peer.namespace_selector
    is_anywhere = where is not None and not (where.match_labels or where.match_expressions)
    who = peer.pod_selector
    return is_anywhere and who is not None and bool(who.match_labels or who.match_expressions)
