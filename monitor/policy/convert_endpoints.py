"""Pods, host endpoints and network sets into the model, with the labels that they inherit (sections 2, 12, 15, 16)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from models.facts import HostEndpoint, Namespace, NetworkSet, Pod, ServiceAccount
from monitor.policy import addresses, model
from monitor.policy.scopes import NAMESPACE, NAMESPACE_PREFIX, ORCHESTRATOR, SERVICE_ACCOUNT, SERVICE_ACCOUNT_PREFIX

Inherited = Callable[[str], Mapping[str, str]]
"""Labels that a profile hands down, by its name; empty for one that does not exist."""

DEFAULT_ALLOW = "projectcalico-default-allow"
LONGEST_LABEL = 63
LONGEST_GROUP = 253
"""Characters in the part of a label's key before the slash."""


Labelled = Callable[[Pod], tuple[Mapping[str, str], tuple[str, ...]]]
"""The labels of a pod, inherited ones too, and its profiles."""


def namespace_profile(namespace: str) -> str:
    return sys.intern(f"kns.{namespace}")  # each pod of the namespace names it


def account_profile(namespace: str, name: str) -> str:
    return sys.intern(f"ksa.{namespace}.{name}")


def namespace_labels(fact: Namespace) -> Mapping[str, str]:
    """2.3, 2.4: `kubernetes.io/metadata.name` is a plain label put there by the API server."""
    return _handed_down(fact, NAMESPACE_PREFIX)


def account_labels(fact: ServiceAccount) -> Mapping[str, str]:
    return _handed_down(fact, SERVICE_ACCOUNT_PREFIX)


def _handed_down(fact: Namespace | ServiceAccount, prefix: str) -> Mapping[str, str]:
    """All or none: one label that the prefix, or an account's long name, makes longer than a label may be loses all.

    Felix drops the labels of a profile that its validator refuses (libcalico-go/lib/validator/v3, validateLabels).
    """
    labels = {prefix + key: value for key, value in fact.labels.items()}
    labels[f"{prefix}projectcalico.org/name"] = fact.name
    return labels if all(_is_short(key, value) for key, value in labels.items()) else {}


def _is_short(key: str, value: str) -> bool:
    group, _, name = key.rpartition("/")
    return len(name) <= LONGEST_LABEL and len(group) <= LONGEST_GROUP and len(value) <= LONGEST_LABEL


def pod(fact: Pod, inherited: Inherited) -> model.Endpoint | None:
    """None for what is no endpoint: not scheduled, without address, finished, or on the host's network (15.1)."""
    return pod_labelled(fact, lambda fact: _labelled(fact, inherited))


def pods(facts: Iterable[Pod], inherited: Inherited) -> Iterator[model.Endpoint]:
    """Those of many pods."""
    labelled = labelling(inherited)
    return (found for fact in facts if (found := pod_labelled(fact, labelled)) is not None)


def labelling(inherited: Inherited) -> Labelled:
    """For many pods that stay while it is used: who shares one dictionary of labels, as pods of a template do, shares
    what becomes of it.
    """
    known: dict[tuple[int, str, str], tuple[Mapping[str, str], tuple[str, ...]]] = {}

    def labelled(fact: Pod) -> tuple[Mapping[str, str], tuple[str, ...]]:
        key = (id(fact.labels), fact.namespace, fact.service_account)
        found = known.get(key)
        if found is None:
            found = known[key] = _labelled(fact, inherited)
        return found

    return labelled


def pod_labelled(fact: Pod, labelled: Labelled) -> model.Endpoint | None:
    """As `pod`, with labels and profiles from somebody who has them at hand."""
    found = _numbers(fact.addresses)
    if fact.host_network or fact.is_finished or not fact.node or not found:
        return None
    labels, profiles = labelled(fact)
    return model.Endpoint(
        id=f"pod:{fact.namespace}/{fact.name}",
        namespace=fact.namespace,
        name=fact.name,
        labels=labels,
        addresses=found,
        named_ports=model.named_ports(fact.named_ports),
        profiles=profiles,
        node=fact.node,
    )


def _labelled(fact: Pod, inherited: Inherited) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Its labels with those that it inherits, and the profiles that hand them down."""
    own = {
        key: value
        for key, value in fact.labels.items()
        if not key.startswith((NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX))  # nobody poses as another namespace (2.2)
    }
    own[NAMESPACE] = fact.namespace
    own[ORCHESTRATOR] = "k8s"
    profiles = [namespace_profile(fact.namespace)]
    if fact.service_account:
        own[SERVICE_ACCOUNT] = fact.service_account
        profiles.append(account_profile(fact.namespace, fact.service_account))
    return _with_inherited(own, profiles, inherited), tuple(profiles)


def host(fact: HostEndpoint, inherited: Inherited) -> model.Endpoint:
    """As a peer it is known by its expected addresses only (13.2)."""
    return model.Endpoint(
        id=f"host:{fact.name}",
        name=fact.name,
        labels=_with_inherited(fact.labels, fact.profiles, inherited),
        addresses=_numbers(fact.expected_ips),
        named_ports=model.named_ports(fact.ports),
        profiles=fact.profiles,
        node=fact.node,
        interface=fact.interface_name,
    )


def network_set(fact: NetworkSet, inherited: Inherited) -> model.Set:
    """2.7: a namespaced set inherits its namespace's labels, and its own win; it can pose as another namespace's."""
    labels = dict(fact.labels)
    if fact.namespace:
        labels[NAMESPACE] = fact.namespace
        labels = _with_inherited(labels, (namespace_profile(fact.namespace),), inherited)
    nets = []
    for written in fact.nets:
        try:
            nets.append(addresses.net(written))
        except ValueError:
            continue
    return model.Set(
        id=f"set:{fact.namespace}/{fact.name}",
        namespace=fact.namespace,
        name=fact.name,
        labels=labels,
        nets=tuple(nets),
        has_domains=bool(fact.domains),
    )


def _with_inherited(own: Mapping[str, str], profiles: Sequence[str], inherited: Inherited) -> dict[str, str]:
    """2.5: own labels win, then those of the first profile that has the key."""
    labels: dict[str, str] = {}
    for name in reversed(profiles):
        labels.update(inherited(name))
    labels.update(own)
    return labels


def _numbers(written: Iterable[str]) -> tuple[int, ...]:
    found = []
    for each in written:
        try:
            found.append(addresses.address(each.partition("/")[0]))
        except ValueError:
            continue
    return tuple(found)
