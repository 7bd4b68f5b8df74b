"""Why an object would be refused, and by whom.

Which door an object came through decides what refused it (policy_semantics.md 3.5): Calico's Go validators
(calicoctl, aggregated API server) check most, native CRDs only schema and CEL rules; what Felix drops is dropped
whatever the door was. An object read from a cluster is through its door already.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class Door(Enum):
    """How an object came, or would come, into the cluster."""

    STORE = "read from a cluster"
    CRD = "native CRDs: schema, CEL and admission policies"
    VALIDATORS = "Calico's Go validators: calicoctl or the aggregated API server"


class Stage(Enum):
    """Who finds the problem. The label of TYPE and SCHEMA is the same: both are in the CRD."""

    TYPE = "schema"  # no client could decode the object: refused everywhere
    SCHEMA = "schema of the CRD"
    VALIDATOR = "validator"
    FELIX = "felix"


class Problem(NamedTuple):
    """One thing wrong with an object."""

    stage: Stage
    path: str
    what: str


_ACTIVE = {
    Door.STORE: (Stage.TYPE, Stage.FELIX),
    Door.CRD: (Stage.TYPE, Stage.SCHEMA, Stage.FELIX),
    Door.VALIDATORS: (Stage.TYPE, Stage.SCHEMA, Stage.VALIDATOR, Stage.FELIX),
}
_SHOWN = 3


def refusal(problems: Iterable[Problem], door: Door) -> tuple[str, str] | None:
    """Stage and reason, or None when the object stands. The reason names the first few problems."""
    active = _ACTIVE[door]
    found = [problem for problem in problems if problem.stage in active]
    if not found:
        return None
    found.sort(key=lambda problem: active.index(problem.stage))
    told = "; ".join(f"{problem.path}: {problem.what}" for problem in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return _label(found[0].stage, door), told + more


def _label(stage: Stage, door: Door) -> str:
    """Calico's validators know all that Felix checks, so they are first to refuse it."""
    if stage in (Stage.TYPE, Stage.SCHEMA):
        return Stage.TYPE.value
    return Stage.VALIDATOR.value if door is Door.VALIDATORS else stage.value
