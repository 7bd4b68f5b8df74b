"""A negated namespace selector does not catch host endpoints by accident (controls.md section 3).

`projectcalico.org/name != 'kube-system'` is true of whatever has no namespace at all: without a has() beside it, a
default deny for pods cuts the nodes off (policy_semantics.md 3.2, 4.2). Judged by what the selector matches.
"""

from __future__ import annotations

from models.compliance import Control, Evidence, Outcome, Severity, SubjectResult
from models.facts import CalicoPolicy, FactKey, HostEndpoint, Kind
from monitor.compliance.snapshot import Snapshot
from monitor.policy import scopes, selectors
from monitor.state.domains import Definition

CONTROL = Control(
    id="system-exclusion",
    title="System namespaces are excluded neither too wide nor too narrow",
    statement="A negated namespace selector is bound to pods by has(), so that it does not catch host endpoints.",
    severity=Severity.HIGH,
    remediation="Put has(projectcalico.org/name) && before the negated term.",
    is_endpoint_scoped=True,
    needs=(Kind.GLOBAL_NETWORK_POLICY, Kind.HOST_ENDPOINT),
    requirements=("nist-800-53-r5:CM-6",),
)


def _policies(snapshot: Snapshot, definition: Definition) -> tuple[str, ...]:
    """Global ones that select by namespace."""
    return tuple(each for each in snapshot.policies(definition) if _by_namespace(snapshot, each) is not None)


subjects = (_policies,)


def basis(snapshot: Snapshot) -> object:
    """Whom they could catch."""
    return snapshot.hosts


def check(snapshot: Snapshot, subject: str) -> SubjectResult:
    node = _by_namespace(snapshot, subject)
    caught = [] if node is None else _caught(snapshot, node)
    if node is None or not (caught or node.matches({})):
        return SubjectResult(subject=subject, outcome=Outcome.PASS, severity=CONTROL.severity)
    whom = f"host endpoint {', '.join(key.name for key in caught[:3])}" if caught else "any host endpoint there will be"
    return SubjectResult(
        subject=subject,
        outcome=Outcome.FAIL if caught else Outcome.WARN,
        severity=CONTROL.severity,
        sentence=f"{subject} means to leave namespaces out, and selects {whom}",
        fix=f"put has(projectcalico.org/name) && before the negated term of {subject}",
        evidence=Evidence(
            steps=(f"its selector reads {node.text()}", "a negated term is true of what lacks the label"),
            facts=(snapshot.policy_keys[subject].text(), *(key.text() for key in caught)),
        ),
    )


def _by_namespace(snapshot: Snapshot, subject: str) -> selectors.Node | None:
    """The whole selector of an enforced global policy that tests namespaces; None for any other."""
    fact = snapshot.state.facts[snapshot.policy_keys[subject]]
    if not isinstance(fact, CalicoPolicy) or fact.policy_kind != "GlobalNetworkPolicy":
        return None
    node = scopes.global_policy(fact.selector, fact.namespace_selector, fact.service_account_selector)
    tested = selectors.keys(node)
    is_about = any(key.startswith(scopes.NAMESPACE_PREFIX) or key == scopes.NAMESPACE for key in tested)
    return node if is_about else None


def _caught(snapshot: Snapshot, node: selectors.Node) -> list[FactKey]:
    endpoints = snapshot.engine.endpoints
    return [
        key
        for key in sorted(snapshot.state.placement.places)
        if isinstance(snapshot.state.facts.get(key), HostEndpoint)
        and node.matches(endpoints[snapshot.state.inventory.endpoint_of(key)].labels)
    ]
