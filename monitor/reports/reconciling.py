"""The population, and how it was reconciled: the API server's own list of pods against the pods that domains hold.

Both are off the record and independent of one another: facts come from the API server's lists, members from placing
endpoints into domains. What one has and the other lacks is named, with the reason where the pod itself tells it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from models.facts import Kind, Pod
from monitor.reports.content import Pods, Population
from monitor.store import periods, populations
from monitor.store.periods import Scope

NAMED = 50


def population(connection: Connection, scope: Scope) -> Population:
    return Population(
        counts=tuple(populations.counts(connection, scope)),
        at_start=_pods(connection, scope.cluster, scope.from_at),
        at_end=_pods(connection, scope.cluster, scope.to_at),
    )


def _pods(connection: Connection, cluster: str, at: datetime) -> Pods:
    keys = {f"{key.namespace}/{key.name}": key for key in populations.known(connection, cluster, Kind.POD, at)}
    held = periods.member_pods(connection, cluster, f"cluster/{cluster}", at)
    outside = sorted(keys.keys() - held)
    facts = populations.state_of(connection, [keys[name] for name in outside[:NAMED]], at)
    return Pods(
        known=len(keys),
        held=len(held),
        outside=tuple(f"{name}: {_why(facts.get(keys[name]))}" for name in outside[:NAMED]),
        outside_count=len(outside),
        unknown_count=len(held - keys.keys()),
    )


def _why(fact: object) -> str:
    match fact:
        case Pod(is_finished=True):
            return "finished, no longer an endpoint"
        case Pod(host_network=True):
            return "on its node's network, judged with the node"
        case Pod(addresses=()):
            return "no address yet"
        case Pod():
            return "not yet evaluated"
        case _:
            return "not readable"
