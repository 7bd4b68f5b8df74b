"""The flattened world of one cluster: facts folded into endpoints, sets, policies, tiers, profiles, with their indexes.

A change is folded in by deriving anew what it stands for and comparing: what comes out equal touches nothing else.
Order inside one batch: what hands labels down, then tiers and policies, then what has labels, then backends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from models.facts import (
    AdminPolicy,
    CalicoPolicy,
    EndpointSlice,
    Fact,
    FactKey,
    HostEndpoint,
    Kind,
    KubernetesNetworkPolicy,
    Namespace,
    NetworkSet,
    Pod,
    Profile,
    Rejected,
    ServiceAccount,
    Tier,
)
from monitor.policy import addresses, convert, convert_calico, convert_endpoints, model, profiles, settings
from monitor.policy.addresses import Net
from monitor.policy.chains import Chains, Question
from monitor.policy.matching import Backends, CompiledRule, Hashed, Peer
from monitor.policy.peers import Peers
from monitor.policy.places import Services
from monitor.policy.profiles import Profiles
from monitor.policy.selection import LabelClass
from monitor.policy.selectors import Node
from monitor.policy.subjects import Change, Subject, Subjects
from monitor.policy.verdict import Chain, CompiledPolicy

PROFILE_KINDS: Final = frozenset({Kind.NAMESPACE, Kind.SERVICE_ACCOUNT, Kind.PROFILE})
POLICY_KINDS: Final = frozenset(
    {
        Kind.KUBERNETES_NETWORK_POLICY,
        Kind.CLUSTER_NETWORK_POLICY,
        Kind.ADMIN_NETWORK_POLICY,
        Kind.BASELINE_ADMIN_NETWORK_POLICY,
        Kind.NETWORK_POLICY,
        Kind.GLOBAL_NETWORK_POLICY,
        Kind.STAGED_NETWORK_POLICY,
        Kind.STAGED_GLOBAL_NETWORK_POLICY,
        Kind.STAGED_KUBERNETES_NETWORK_POLICY,
    }
)
SUBJECT_KINDS: Final = frozenset({Kind.POD, Kind.HOST_ENDPOINT, Kind.NETWORK_SET, Kind.GLOBAL_NETWORK_SET})
SETTING_KINDS: Final = frozenset({Kind.CLUSTER_INFORMATION, Kind.FELIX_CONFIGURATION, Kind.TIER})
READ_KINDS: Final = PROFILE_KINDS | POLICY_KINDS | SUBJECT_KINDS | SETTING_KINDS | {Kind.ENDPOINT_SLICE}
"""The kinds that decide verdicts."""

_CATCH_ALL: Final = frozenset({addresses.ANY_V4, addresses.ANY_V6})
_PROFILE: Final = "Profile"


class Askers:
    """Endpoints by name, and policies."""

    def __init__(self) -> None:
        self.endpoints: set[str] = set()
        self.policies: set[Hashed] = set()


class Named(Struct, frozen=True):
    """Endpoints whose answers can have changed; of them those whose answers to a stranger can have."""

    endpoints: frozenset[str]
    to_strangers: frozenset[str]


class Touched:
    """Whom the changes of one batch concern: endpoints by name, and those that policies select in the end.

    `askers`: whose policies ask for an endpoint that changed; to anybody else, a stranger too, they are as they were.
    """

    def __init__(self) -> None:
        self.endpoints: set[str] = set()
        self.policies: set[Hashed] = set()
        self.askers = Askers()


class World:
    """See the module. `generation` counts changes of what rules look up by exact address, `edition` of
    policies and tiers, `moves` of where endpoints and sets lie.
    """

    def __init__(self) -> None:
        self.facts: dict[FactKey, Fact] = {}
        self._start()

    def _start(self) -> None:
        self.settings = settings.of(self.facts.values())
        self.policies: dict[Hashed, CompiledPolicy] = {}
        self.tiers = {tier.name: tier for tier in self.settings.dialect.builtin_tiers()}
        self.subjects, self.services, self.peers = Subjects(), Services(), Peers()
        self.profiles = Profiles(self)
        self.chains = Chains(self.policies, self.tiers, self.profiles.steps)
        self.chains.is_pass_deny = self.settings.is_bpf is True
        self.generation = 0
        self.edition = 0
        self.staged = 0  # policies that are
        self.moves = 0
        self._domain_classes: list[LabelClass] = []
        self._nets: dict[Net, set[Hashed]] = {}
        self._touched: Touched | None = None  # None while everything is new

    # --- folding -------------------------------------------------------------------------------------------------

    def load(self, facts: Mapping[FactKey, Fact]) -> None:
        """Everything anew."""
        self.facts = {key: fact for key, fact in facts.items() if key.kind in READ_KINDS and _counted(fact)}
        self._start()
        self._fold(dict.fromkeys(self.facts))

    def apply(self, changes: Mapping[FactKey, Fact | None]) -> Named | None:
        """The endpoints whose answers can have changed; None = anybody's."""
        news = {key: _counted(fact) for key, fact in changes.items() if key.kind in READ_KINDS}
        before = {key: self.facts.get(key) for key, fact in news.items() if self.facts.get(key) != fact}
        for key in before:
            fact = news[key]
            if fact is None:
                del self.facts[key]
            else:
                self.facts[key] = fact
        if (
            not SETTING_KINDS.isdisjoint(key.kind for key in before)
            and settings.of(self.facts.values()) != self.settings
        ):
            self.load(self.facts)
            return None
        touched = self._touched = Touched()
        self._fold(before)
        self._touched = None
        selected, askers = self.subjects.selections.selected, touched.askers
        to_strangers = frozenset(touched.endpoints).union(selected(touched.policies))
        return Named(to_strangers.union(askers.endpoints, selected(askers.policies)), to_strangers)

    def _fold(self, before: Mapping[FactKey, Fact | None]) -> None:
        """Takes in the facts of these keys; they were something else before."""
        subjects = _of_kinds(before, SUBJECT_KINDS)
        for key in _of_kinds(before, PROFILE_KINDS):
            subjects += self._fold_profile(key, before[key])
        for key in _of_kinds(before, frozenset({Kind.TIER})):
            self._fold_tier(key)
        for key in _of_kinds(before, POLICY_KINDS):
            self._fold_policy(key)
        labelled = convert_endpoints.labelling(self.profiles.labels)
        for key in dict.fromkeys(subjects):
            self._fold_subject(key, labelled)
        for key in _of_kinds(before, frozenset({Kind.ENDPOINT_SLICE})):
            self._fold_slice(key, before[key])

    def _fold_profile(self, key: FactKey, before: Fact | None) -> Iterable[FactKey]:
        """Those that inherit from it have to be looked at again."""
        origin = self.facts.get(key) or before
        if not isinstance(origin, Namespace | ServiceAccount | Profile):
            return ()
        name = profiles.name_of(origin)
        user = (_PROFILE, "", name)
        old = tuple(self.profiles.compiled(name))
        if not (self.profiles.put(origin) if key in self.facts else self.profiles.take(origin)):
            return ()
        self.peers.adopt(user, self.profiles.compiled(name))
        self.peers.release(user, old)
        self.chains.drop(profiles=frozenset({name}))
        if self._touched is not None:
            self._touched.endpoints.update(self.subjects.endpoints_with(name))
        return tuple(self.subjects.inheriting(name))

    def _fold_tier(self, key: FactKey) -> None:
        fact = self.facts.get(key)
        builtin = {tier.name: tier for tier in self.settings.dialect.builtin_tiers()}
        tier = convert_calico.tier(fact) if isinstance(fact, Tier) else builtin.get(key.name)
        if self.tiers.get(key.name) == tier:
            return
        self.edition += 1
        if tier is None:
            del self.tiers[key.name]
        else:
            self.tiers[key.name] = tier
        inside = frozenset(each for each, compiled in self.policies.items() if compiled.policy.tier == key.name)
        self.chains.drop(policies=inside)
        if self._touched is not None:
            self._touched.policies.update(inside)

    def _fold_policy(self, key: FactKey) -> None:
        hashed = (key.kind.value, key.namespace, key.name)
        fact = self.facts.get(key)
        new = None
        if isinstance(fact, CalicoPolicy | KubernetesNetworkPolicy | AdminPolicy):
            new = convert.policy(fact, self.settings.dialect)
        old = self.policies.get(hashed)
        if old is None or old.policy != new:
            if old is not None:
                self._remove_policy(hashed, old)
            if new is not None:
                self._add_policy(hashed, new)

    def _add_policy(self, hashed: Hashed, policy: model.Policy) -> None:
        compiled = CompiledPolicy(
            policy,
            [CompiledRule(rule, self, is_egress=False) for rule in policy.ingress],
            [CompiledRule(rule, self, is_egress=True) for rule in policy.egress],
        )
        self.policies[hashed] = compiled
        self.edition += 1
        self.staged += policy.is_staged
        self.peers.adopt(hashed, compiled.rules())
        for net in _nets(compiled.rules()):
            self._nets.setdefault(net, set()).add(hashed)
        self.subjects.selections.add(hashed, policy.selector)
        if self._touched is not None:
            self._touched.policies.add(hashed)

    def _remove_policy(self, hashed: Hashed, old: CompiledPolicy) -> None:
        if self._touched is not None:
            self._touched.endpoints.update(self.subjects.selections.selected([hashed]))
        self.subjects.selections.remove(hashed)
        self.chains.drop(policies=frozenset({hashed}))
        self.peers.release(hashed, old.rules())
        for net in _nets(old.rules()):
            self._nets[net].discard(hashed)
            if not self._nets[net]:
                del self._nets[net]
        del self.policies[hashed]
        self.edition += 1
        self.staged -= old.policy.is_staged

    def _fold_slice(self, key: FactKey, before: Fact | None) -> None:
        fact = self.facts.get(key)
        changed = [self.services.take(before)] if isinstance(before, EndpointSlice) else []
        changed += [self.services.put(fact)] if isinstance(fact, EndpointSlice) else []
        self.generation += 1
        if self._touched is not None:
            for service in filter(None, changed):
                self._touched.policies.update(self.peers.users_of_service(service))

    def _fold_subject(self, key: FactKey, labelled: convert_endpoints.Labelled) -> None:
        fact = self.facts.get(key)
        new: Subject | None = None
        match fact:
            case Pod():
                new = convert_endpoints.pod_labelled(fact, labelled)
            case HostEndpoint():
                new = convert_endpoints.host(fact, self.profiles.labels)
            case NetworkSet():
                new = convert_endpoints.network_set(fact, self.profiles.labels)
        change = self.subjects.replace(key, new)
        if change is None:
            return
        self.generation += 1
        self.moves += change.is_moved
        self._note_domains(change)
        if self._touched is not None:
            self._touch(self._touched, change)

    def _note_domains(self, change: Change) -> None:
        if _has_domains(change.old) or _has_domains(change.new):
            self._domain_classes = self.subjects.domain_classes()
            self.chains.forget()

    def _touch(self, touched: Touched, change: Change) -> None:
        """Itself, and whoever asks for what it was or is; where it stayed in place, only what differs is asked for."""
        touched.endpoints.update(each.id for each in (change.old, change.new) if isinstance(each, model.Endpoint))
        before, after = (
            self.peers.holding(each) if each is not None else 0 for each in (change.old_class, change.new_class)
        )
        users = self.peers.users(before | after if change.is_moved else before ^ after)
        if change.is_moved:
            users |= self.peers.users_of_port_names(_port_names(change))
        is_endpoint = not any(isinstance(each, model.Set) for each in (change.old, change.new))
        asking: Touched | Askers = touched.askers if is_endpoint else touched
        for kind, namespace, name in users:
            if kind == _PROFILE:
                asking.endpoints.update(self.subjects.endpoints_with(name))
            else:
                asking.policies.add((kind, namespace, name))
        if change.is_moved:
            touched.policies.update(self._users_of_nets(change))

    def _users_of_nets(self, change: Change) -> set[Hashed]:
        """The policies with a net, other than the whole of a family, around an address that came or went."""
        where = [each.addresses for each in (change.old, change.new) if isinstance(each, model.Endpoint)]
        found = {address for each in where for address in each}
        users: set[Hashed] = set()
        for (first, last), hashed in self._nets.items():
            if any(first <= address <= last for address in found):
                users |= hashed
        return users

    # --- asking --------------------------------------------------------------------------------------------------

    def chain(self, endpoint_id: str, question: Question) -> Chain:
        """What an endpoint meets, in order. KeyError for one that is not there."""
        endpoint = self.subjects.endpoints[endpoint_id]
        selecting = self.subjects.selections.selecting(self.subjects.class_of(endpoint_id))
        return self.chains.chain(selecting, endpoint.profiles, question)

    def program(self, endpoint_id: str, question: Question) -> model.Program:
        """The policies that make an endpoint's chain. KeyError for one that is not there."""
        return self.chains.program(self.subjects.selections.selecting(self.subjects.class_of(endpoint_id)), question)

    def tiers_in_order(self) -> list[tuple[model.Tier, list[model.Policy]]]:
        """The tiers that policies name, each with all its policies in order, staged and host ones too."""
        found: dict[str, list[model.Policy]] = {}
        for hashed in self.chains.ordered(self.policies):
            policy = self.policies[hashed].policy
            found.setdefault(policy.tier, []).append(policy)
        return [(self.chains.tier(name), policies) for name, policies in found.items()]

    def held(self, address: int) -> int:
        """The peers that hold for the owners of an address, as bits."""
        return self.peers.held(self.subjects.places.owners(address))

    # what rules look up: matching.Surroundings

    def peer(self, node: Node) -> Peer:
        return self.peers.peer(node)

    def holding(self, asked: LabelClass) -> int:
        return self.peers.holding(asked)

    def named_at(self, address: int) -> Iterable[tuple[LabelClass, tuple[tuple[str, int, int], ...]]]:
        return self.subjects.places.named_at(address)

    def backends(self, service: tuple[str, str]) -> Backends:
        return self.services.backends(service)

    def domain_classes(self) -> Iterable[LabelClass]:
        return self._domain_classes

    def is_nftables(self) -> bool | None:
        return self.settings.is_nftables


def _of_kinds(keys: Iterable[FactKey], kinds: frozenset[Kind]) -> list[FactKey]:
    return [key for key in keys if key.kind in kinds]


def _counted(fact: Fact | None) -> Fact | None:
    """What Calico itself drops counts as absent."""
    return None if isinstance(fact, Rejected) else fact


def _has_domains(subject: Subject | None) -> bool:
    return isinstance(subject, model.Set) and subject.has_domains


def _port_names(change: Change) -> set[str]:
    ends = (each for each in (change.old, change.new) if isinstance(each, model.Endpoint))
    return {name for each in ends for name, _, _ in each.named_ports}


def _nets(rules: Iterable[CompiledRule]) -> set[Net]:
    nets: set[Net] = set()
    for each in rules:
        for side in (each.rule.source, each.rule.destination):
            nets.update(side.nets, side.not_nets)
    return nets - _CATCH_ALL
