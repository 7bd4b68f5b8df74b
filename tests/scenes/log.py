"""A cluster's facts as a log in memory: folded into a State or a History, without a broker."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from models.facts import (
    API_KINDS,
    FactKey,
    Heartbeat,
    Kind,
    KindFreshness,
    KubernetesNetworkPolicy,
    LabelSelector,
    Namespace,
    Owner,
    Pod,
    SourcesHeard,
    Sync,
    Tick,
    key_of,
)
from models.topics import Position
from monitor import compliance
from monitor.state.state import EVERYTHING, State, fold

CLUSTER = "c1"
START = datetime(2026, 11, 24, 12, tzinfo=UTC)


def seconds(number):
    return START + timedelta(seconds=number)


class Record(Struct, frozen=True):
    """As `fold` and `History.fold` take it."""

    key: FactKey | None
    value: object
    position: Position
    at: datetime


def key(kind, name, namespace=""):
    return FactKey(CLUSTER, kind, namespace, name)


class Log:
    """Records in order. `at` of each is the latest time given."""

    def __init__(self):
        self.records = []
        self.at = START

    def add(self, *facts, at=None):
        for fact in facts:
            self.put(key_of(CLUSTER, fact), fact, at=at)
        return self

    def gone(self, fact, at=None):
        return self.put(key_of(CLUSTER, fact), None, at=at)

    def put(self, at_key, value, at=None):
        self.at = max(self.at, at or self.at)
        self.records.append(Record(at_key, value, Position(1, len(self.records)), self.at))
        return self

    def listed(self, *facts, at=None):
        """A full listing that found these, and word that everything is fresh."""
        self.add(Sync(scope="all", phase="begun", instance="w"), *facts, at=at)
        return self.add(Sync(scope="all", phase="done", instance="w"), heartbeat(), heard())

    def later(self, at, **states):
        """Nothing new until then, but a fresh heartbeat, the sources heard, and a tick."""
        return self.add(heartbeat(**states), heard(), Tick(partition=0), at=at)

    def state(self):
        state = State(CLUSTER)
        take(state, self.records)
        return state


def heartbeat(instance="w", uid="u1", reason="forbidden", ages=(1, 5), stretch=0, **states):
    """Every kind fresh but those named, for the same reason: `Pod="stale"`. `ages`: seen, unbroken."""
    return Heartbeat(
        instance=instance,
        cluster_uid=uid,
        kinds=tuple(
            KindFreshness(
                kind=kind,
                state=states.get(kind.value, "fresh"),
                seen_age_seconds=ages[0],
                unbroken_age_seconds=ages[1],
                stretch=stretch,
                reason="" if states.get(kind.value, "fresh") in {"fresh", "not_served"} else reason,
            )
            for kind in sorted(API_KINDS)
        ),
    )


def heard(silent=()):
    return SourcesHeard(partition=0, sources=1, silent=silent)


def take(state, records):
    for record in records:
        fold(state, record.key, record.value, position=record.position, at=record.at)


def evaluated(state, dirty=EVERYTHING):
    return compliance.evaluate(state, dirty, at=state.at, position=state.position)


def outcome(evaluation, domain, control):
    [posture] = [each for each in evaluation.postures if each.domain.id == domain]
    [result] = [each for each in posture.results if each.control == control]
    return result


# Facts


def namespace(name, **labels):
    return Namespace(name=name, labels={"kubernetes.io/metadata.name": name, **labels})


def pod(name, namespace="shop", address="10.244.0.1", owner="", created_at=None, **labels):
    return Pod(
        name=name,
        namespace=namespace,
        labels=labels,
        addresses=(address,) if address else (),
        node="n1",
        phase="Running",
        owner=Owner(kind="StatefulSet", name=owner) if owner else None,
        created_at=created_at,
    )


def deny_all(namespace="shop", name="default-deny"):
    """A policy without rules: stricter than it looks."""
    return KubernetesNetworkPolicy(
        name=name, namespace=namespace, pod_selector=LabelSelector(), policy_types=("Ingress", "Egress")
    )


POD, NAMESPACE = Kind.POD, Kind.NAMESPACE
