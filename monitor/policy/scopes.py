"""Where selectors reach: policies' own selectors (section 4) and entity rules' peers (section 5.1–5.4).

Prefixing is done on trees. `all()` and `global()` are rewritten in the text, as Calico does it, and so also inside a
quoted value; an `all( )` with blanks in the policy's own selector is not (libcalico-go/lib/backend/syncersv1).
"""

from __future__ import annotations

from functools import lru_cache

from models.facts import EntityRule, ServiceAccountMatch
from monitor.policy import selectors
from monitor.policy.selectors import Equals, Node, Not

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
    if selector:
        terms.insert(0, selectors.parse(selector))
    if service_account_selector:
        terms.append(selectors.prefixed(selectors.parse(service_account_selector), SERVICE_ACCOUNT_PREFIX))
    return selectors.conjunction(*terms)


def global_policy(selector: str, namespace_selector: str, service_account_selector: str) -> Node:
    """4.2: with a namespaceSelector every `all()` means pods only, with a serviceAccountSelector likewise."""
    text = selector
    if namespace_selector:
        text = _scoped(text, namespace_selector, NAMESPACE_PREFIX, NAMESPACE)
    if service_account_selector:
        text = _scoped(text, service_account_selector, SERVICE_ACCOUNT_PREFIX, SERVICE_ACCOUNT)
    return selectors.parse(text)


def _scoped(text: str, scope: str, prefix: str, label: str) -> str:
    """A scope that does not parse is ignored, which widens the policy; Calico does so (3.5)."""
    try:
        within = _prefixed(scope, prefix)
    except selectors.SelectorError:
        within = ""
    joined = f"({text}) && {within}" if text and within else text or within
    return joined.replace("all()", f"has({label})")


def _prefixed(text: str, prefix: str) -> str:
    return selectors.prefixed(selectors.parse(text), prefix).text()


def peer(entity: EntityRule, namespace: str) -> tuple[Node | None, Node | None]:
    """The positive selector of an entity rule, and its notSelector where that stands alone (5.1–5.4)."""
    accounts = _accounts(entity.service_accounts)
    is_limited = bool(entity.selector or entity.not_selector or accounts)
    namespaces = _namespaces(entity.namespace_selector, namespace if is_limited else "")
    terms = [term for term in (namespaces, accounts) if term]
    if entity.selector:
        terms.append(selectors.parse(entity.selector))
    negated = selectors.parse(entity.not_selector) if entity.not_selector else None
    if not terms:
        return None, negated
    if negated is not None:
        terms.append(Not(negated))
    return selectors.conjunction(*terms), None


def _namespaces(selector: str, own: str) -> Node | None:
    if selector:
        return _of_namespaces(selector)
    return in_namespace(own) if own else None


@lru_cache(maxsize=65_536)
def _of_namespaces(selector: str) -> Node:
    text = _prefixed(selector, NAMESPACE_PREFIX)
    return selectors.parse(text.replace("all()", f"has({NAMESPACE})").replace("global()", f"!has({NAMESPACE})"))


def _accounts(match: ServiceAccountMatch | None) -> Node | None:
    """None where no account is asked for: both are empty, or a name holds a quote that spoils the whole match."""
    if match is None or not (match.names or match.selector):
        return None
    terms: list[Node] = []
    if match.names:
        names = "', '".join(match.names)
        try:
            terms.append(selectors.parse(f"{SERVICE_ACCOUNT} in {{ '{names}' }}"))
        except selectors.SelectorError:
            return None
    if match.selector:
        terms.append(selectors.prefixed(selectors.parse(match.selector), SERVICE_ACCOUNT_PREFIX))
    return selectors.conjunction(*terms)
