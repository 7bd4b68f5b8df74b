"""What has to be published so that the log says what the source says; pure.

Law 1: equal canonical bytes are no difference, so a restart publishes nothing that did not change.
Law 2: what others depend on comes first and leaves last: namespaces, tiers, sets and policies before pods; what is new
before what is gone, so that a policy that replaces another leaves no hole between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from msgspec import Struct

from models.facts import FactKey, Kind

ORDER: tuple[Kind, ...] = (
    Kind.DECLARATION,
    Kind.NAMESPACE,
    Kind.SERVICE_ACCOUNT,
    Kind.NODE,
    Kind.CLUSTER_INFORMATION,
    Kind.FELIX_CONFIGURATION,
    Kind.IP_POOL,
    Kind.TIER,
    Kind.PROFILE,
    Kind.GLOBAL_NETWORK_SET,
    Kind.NETWORK_SET,
    Kind.SERVICE,
    Kind.ENDPOINT_SLICE,
    Kind.DECLARED_DOMAIN,
    Kind.WAIVER,
    Kind.CLUSTER_NETWORK_POLICY,
    Kind.ADMIN_NETWORK_POLICY,
    Kind.BASELINE_ADMIN_NETWORK_POLICY,
    Kind.GLOBAL_NETWORK_POLICY,
    Kind.NETWORK_POLICY,
    Kind.KUBERNETES_NETWORK_POLICY,
    Kind.STAGED_GLOBAL_NETWORK_POLICY,
    Kind.STAGED_NETWORK_POLICY,
    Kind.STAGED_KUBERNETES_NETWORK_POLICY,
    Kind.HOST_ENDPOINT,
    Kind.REPLICA_SET,
    Kind.JOB,
    Kind.POD,
)
"""Every kind that the watch publishes, those that others depend on first."""

_RANK = {kind: rank for rank, kind in enumerate(ORDER)}

UNKNOWN = b""
"""Instead of a digest: the log holds something under this key that is not ours, or that cannot be read."""


class Change(Struct, frozen=True):
    """`value`: canonical bytes of a fact, None = gone."""

    key: FactKey
    value: bytes | None


def digest(value: bytes) -> bytes:
    """What is remembered of a published value: 16 bytes instead of kilobytes, for every object of a cluster."""
    return blake2b(value, digest_size=16).digest()


def differences(
    keys: Iterable[FactKey], wanted: Mapping[FactKey, bytes], known: Mapping[FactKey, bytes]
) -> list[Change]:
    """Of these keys, what is to be published, in dependency order. `known`: digests of what the log holds."""
    changes = []
    for key in set(keys):
        value, held = wanted.get(key), known.get(key)
        if value is None:
            changes += [Change(key, None)] if held is not None else []
        elif held != digest(value):
            changes.append(Change(key, value))
    return sorted(changes, key=_place)


def still_new(changes: Iterable[Change], known: Mapping[FactKey, bytes]) -> list[Change]:
    """These changes in their order, without those that say what the log holds by then."""
    held = dict(known)
    new = []
    for change in changes:
        now = None if change.value is None else digest(change.value)
        if held.get(change.key) == now:
            continue
        new.append(change)
        held.pop(change.key, None)
        if now is not None:
            held[change.key] = now
    return new


def _place(change: Change) -> tuple[bool, int, FactKey]:
    is_gone = change.value is None
    rank = _RANK[change.key.kind]
    return is_gone, -rank if is_gone else rank, change.key
