"""Policy facts -> model, whatever their kind. What Calico treats as missing becomes None."""

from __future__ import annotations

from models.facts import AdminPolicy, CalicoPolicy, KubernetesNetworkPolicy, PolicyFact
from monitor.policy import convert_admin, convert_calico, convert_kubernetes, model
from monitor.policy.dialect import Dialect


def policy(fact: PolicyFact, dialect: Dialect) -> model.Policy | None:
    """None for what is not evaluated: inert kinds, staged deletes, and what Felix drops as invalid (3.5)."""
    try:
        match fact:
            case CalicoPolicy():
                return convert_calico.policy(fact, dialect)
            case KubernetesNetworkPolicy():
                return convert_kubernetes.policy(fact, dialect)
            case AdminPolicy():
                return convert_admin.policy(fact, dialect)
    except (ValueError, KeyError):
        return None
