"""Which security domains there are, and which of them hold an endpoint (controls.md section 1).

Found: the cluster, every namespace, every tenant (namespaces with the same value of the declared label). Declared ones
replace the found one with the same id. Law: a declaration that cannot be read makes its domain say so; it is never
taken for an empty domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from models.compliance import Domain
from models.facts import Declaration, DeclaredDomain, DeclaredPath
from monitor.policy import scopes, selectors
from monitor.policy.selectors import Node

LEVELS = ("workload", "namespace", "tenant", "cluster")
"""Smallest first."""


class Definition(Struct, frozen=True, kw_only=True):
    """A domain and what it holds. Found ones hold by namespace (`namespaces`), declared ones by `selector`.

    `problem`: why nobody can say what it holds.
    """

    domain: Domain
    namespaces: frozenset[str] = frozenset()
    selector: Node | None = None
    allow: tuple[DeclaredPath, ...] = ()
    labels_required: tuple[str, ...] = ()
    is_declared: bool = False
    problem: str = ""

    @property
    def rank(self) -> tuple[int, bool, str]:
        """Smallest domain first; a declared one before a found one of its level."""
        return (LEVELS.index(self.domain.level), not self.is_declared, self.domain.id)


def cluster_id(cluster: str) -> str:
    return f"cluster/{cluster}"


def namespace_id(namespace: str) -> str:
    return f"namespace/{namespace}"


def tenant_id(tenant: str) -> str:
    return f"tenant/{tenant}"


def found(cluster: str, namespaces: Iterable[str], tenants: Mapping[str, frozenset[str]]) -> dict[str, Definition]:
    """The domains that nobody needs to declare. `tenants`: by value of the tenant label, its namespaces."""
    everywhere = frozenset(namespaces)
    definitions = [_found("cluster", cluster, everywhere)]
    definitions += [_found("namespace", name, frozenset({name})) for name in everywhere]
    definitions += [_found("tenant", name, members) for name, members in tenants.items()]
    return {each.domain.id: each for each in definitions}


def _found(level: str, name: str, namespaces: frozenset[str]) -> Definition:
    return Definition(domain=Domain(id=f"{level}/{name}", level=level, name=name), namespaces=namespaces)


def declared(fact: DeclaredDomain) -> Definition:
    """The definition of a declared domain; without any selector it holds everything."""
    selector, problem = None, ""
    members = fact.members
    try:
        if members.namespace_selector:
            selectors.parse(members.namespace_selector)  # a policy's would be ignored where it does not parse
        selector = scopes.global_policy(members.selector, members.namespace_selector, "")
    except selectors.SelectorError as error:
        problem = f"its members cannot be told: {error}"
    return Definition(
        domain=Domain(
            id=f"{fact.level}/{fact.name}",
            level=fact.level,
            name=fact.name,
            owner=fact.owner,
            criticality=fact.criticality,
            environment=fact.environment,
        ),
        selector=selector,
        allow=fact.allow,
        labels_required=fact.labels_required,
        is_declared=True,
        problem=problem,
    )


def tenants(declaration: Declaration | None, labels: Mapping[str, Mapping[str, str]]) -> dict[str, frozenset[str]]:
    """Namespaces by the value of the declared tenant label. `labels`: of each namespace."""
    key = declaration.tenant_label if declaration else ""
    if not key:
        return {}
    values = {value for each in labels.values() if (value := each.get(key, ""))}
    return {
        value: frozenset(namespace for namespace, each in labels.items() if each.get(key) == value) for value in values
    }
