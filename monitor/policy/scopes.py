"""Where selectors reach: policies' own selectors (section 4) and entity rules' peers (section 5.1–5.4).

Prefixing and the rewriting of `all()` and `global()` are done on trees, never on text.
"""

from __future__ import annotations

from functools import lru_cache

from models.facts import EntityRule, ServiceAccountMatch
from monitor.policy import selectors
from monitor.policy.selectors import ALL, All, And, Equals, Global, Has, In, Node, Not

NAMESPACE = "projectcalico.org/namespace"
SERVICE_ACCOUNT = "projectcalico.org/serviceaccount"
ORCHESTRATOR = "projectcalico.org/orchestrator"
NAMESPACE_PREFIX = "pcns."
SERVICE_ACCOUNT_PREFIX = "pcsa."


@lru_cache(maxsize=65_536)
def in_namespace(namespace: str) -> Node:
    return Equals(NAMESPACE, namespace)


def namespaced_policy(selector: str, service_account_selector: str, namespace: str) -> Node:
    """4.1: the own namespace; an empty selector is all of it."""
    terms = [in_namespace(namespace)]
    if selector.strip(" \t"):
        terms.insert(0, selectors.parse(selector))
    if service_account_selector:
        terms.append(selectors.prefixed(selectors.parse(service_account_selector), SERVICE_ACCOUNT_PREFIX))
    return selectors.conjunction(*terms)


def global_policy(selector: str, namespace_selector: str, service_account_selector: str) -> Node:
    """4.2: with a namespaceSelector every `all()` means pods only, with a serviceAccountSelector likewise."""
    node = selectors.parse(selector) if selector else None
    if namespace_selector:
        node = _scoped(node, namespace_selector, NAMESPACE_PREFIX, NAMESPACE)
    if service_account_selector:
        node = _scoped(node, service_account_selector, SERVICE_ACCOUNT_PREFIX, SERVICE_ACCOUNT)
    return node or ALL


def _scoped(node: Node | None, scope: str, prefix: str, label: str) -> Node | None:
    """A scope that does not parse is ignored, which widens the policy; Calico does so (3.5)."""
    try:
        parsed = selectors.prefixed(selectors.parse(scope), prefix)
    except selectors.SelectorError:
        combined = node
    else:
        combined = parsed if node is None else And((node, parsed))
    return combined and selectors.replaced(combined, All, Has(label))


def peer(entity: EntityRule, namespace: str) -> tuple[Node | None, Node | None]:
    """The positive selector of an entity rule, and its notSelector where that stands alone (5.1–5.4)."""
    terms = [term for term in (_namespaces(entity, namespace), _accounts(entity.service_accounts)) if term]
    if entity.selector:
        terms.append(selectors.parse(entity.selector))
    negated = selectors.parse(entity.not_selector) if entity.not_selector else None
    if not terms:
        return None, negated
    if negated is not None:
        terms.append(Not(negated))
    return selectors.conjunction(*terms), None


def _namespaces(entity: EntityRule, namespace: str) -> Node | None:
    if entity.namespace_selector:
        node = selectors.prefixed(selectors.parse(entity.namespace_selector), NAMESPACE_PREFIX)
        node = selectors.replaced(node, All, Has(NAMESPACE))
        return selectors.replaced(node, Global, Not(Has(NAMESPACE)))
    if namespace and (entity.selector or entity.not_selector or entity.service_accounts is not None):
        return in_namespace(namespace)
    return None


def _accounts(match: ServiceAccountMatch | None) -> Node | None:
    if match is None:
        return None
    terms: list[Node] = []
    if match.names:
        terms.append(In(SERVICE_ACCOUNT, frozenset(match.names)))
    if match.selector:
        terms.append(selectors.prefixed(selectors.parse(match.selector), SERVICE_ACCOUNT_PREFIX))
    return selectors.conjunction(*terms) if terms else None
