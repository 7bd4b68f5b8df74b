"""Files, folders and streams of manifests, to facts: what `--manifests` takes.

Law 1: what could not be read is a problem with file and line, and hides nothing else; the caller exits 3.
Law 2: an object never sent to a cluster gets the API's defaults; one with a uid is taken as its cluster holds it.
Law 3: the same input gives the same facts, made-up addresses included.
Of two objects with one key the later counts, as `kubectl apply` would leave it; a note says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from models import facts
from models.errors import CannotEvaluateError, UserError
from models.facts import Fact, FactKey, Kind
from monitor.cluster import documents, workloads
from monitor.cluster.documents import Document, Place, Problem
from monitor.cluster.normalise import Door, kind_read, normalise, with_defaults
from monitor.cluster.workloads import Workload

CLUSTER: Final = "manifests"
"""The cluster that facts from files belong to."""
STDIN: Final = "-"
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


class Manifests(Struct, frozen=True, kw_only=True):
    """What the input held. `problems`: not read, so answers stand on part of it. `notes`: read, and worth a word."""

    facts: dict[FactKey, Fact]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    sources: int = 0
    places: dict[FactKey, Place] = {}

    @property
    def is_whole(self) -> bool:
        return not self.problems


def read(paths: Sequence[str], *, cluster: str = CLUSTER) -> Manifests:
    """All manifests under these files, folders and `-`. UserError for a path that is not there."""
    gathering = _Gathering(cluster)
    for source, data, is_named in _files(paths):
        if isinstance(data, OSError):
            gathering.unread(source, data)
        else:
            gathering.add(source, data, is_named=is_named)
    if not gathering.sources:
        raise CannotEvaluateError(f"no manifests under {', '.join(paths)}: looked for {', '.join(sorted(SUFFIXES))}")
    return gathering.finished()


def read_text(source: str, data: bytes, *, cluster: str = CLUSTER) -> Manifests:
    """As `read`, of one text that is at hand."""
    return read_texts({source: data}, cluster=cluster)


def read_texts(texts: Mapping[str, bytes], *, cluster: str = CLUSTER) -> Manifests:
    """As `read`, of texts by the names of their sources; they are taken in the order of these."""
    gathering = _Gathering(cluster)
    for source in sorted(texts):
        gathering.add(source, texts[source], is_named=len(texts) == 1)
    return gathering.finished()


def _files(paths: Sequence[str]) -> Iterator[tuple[str, bytes | OSError, bool]]:
    """(name, content, whether it was named itself). A folder gives its files in the order of their names."""
    for path in paths:
        if path == STDIN:
            yield "stdin", sys.stdin.buffer.read(documents.MOST_BYTES + 1), True
        elif Path(path).is_dir():
            for file in _in_folder(path):
                yield file, _content(file), False
        else:
            yield path, _named_content(path), True


def _in_folder(folder: str) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                yield os.path.join(where, name)  # noqa: PTH118 - os.walk gives text, and thousands of it


def _named_content(path: str) -> bytes:
    match _content(path):
        case FileNotFoundError():
            raise UserError(f"{path}: no such file or folder\n       fix: --manifests takes files, folders or -")
        case OSError() as error:
            raise UserError(f"{path}: {error.strerror}")
        case data:
            return data


def _content(path: str) -> bytes | OSError:
    """Why it cannot be read hides no other file of a folder."""
    try:
        with Path(path).open("rb") as file:
            return file.read(documents.MOST_BYTES + 1)
    except OSError as error:
        return error


class _Gathering:
    """Documents on their way to facts. Only what makes pods waits for the end: they depend on what else is there."""

    def __init__(self, cluster: str) -> None:
        self.sources = 0
        self._cluster = cluster
        self._workloads: list[Workload] = []
        self._made: list[tuple[Place, Fact | None]] = []  # of each workload a pod that it makes
        self._problems: list[Problem] = []
        self._notes: list[str] = []
        self._facts: dict[FactKey, Fact] = {}
        self._where: dict[FactKey, Place] = {}

    def unread(self, source: str, error: OSError) -> None:
        self.sources += 1
        self._problems.append(Problem(Place(source, 1), f"cannot be read: {error.strerror}"))

    def add(self, source: str, data: bytes, *, is_named: bool) -> None:
        self.sources += 1
        for found in documents.documents(source, data):
            match found:
                case Problem():
                    self._problems.append(found)
                case Document(place, body):
                    self._take(place, body, is_named=is_named)

    def _take(self, place: Place, body: dict[str, Any], *, is_named: bool) -> None:
        if missing := _missing(body):
            if is_named or "metadata" in body or "kind" in body:
                self._problems.append(Problem(place, f"is no Kubernetes object: {missing} is missing or not a text"))
            else:
                self._notes.append(f"{place}: not a Kubernetes object, passed over")
            return
        obj = with_defaults(_named(body)) if _is_unsent(body) else body
        self._keep(place, obj)
        found = workloads.workload(obj)
        if found is not None:
            self._workloads.append(found)
            self._made.append((place, normalise(with_defaults(workloads.pod(obj))) if found.pods else None))

    def finished(self) -> Manifests:
        self._make_pods()
        self._make_namespaces()
        return Manifests(
            facts=self._facts,
            problems=tuple(self._problems),
            notes=tuple(self._notes),
            sources=self.sources,
            places=self._where,
        )

    def _keep(self, place: Place, obj: dict[str, Any]) -> None:
        if kind_read(obj) is None:
            return
        is_unsent = _is_unsent(obj)
        if obj["kind"] == "Pod" and workloads.is_unborn(obj):
            obj = workloads.born(obj)
        fact = normalise(obj, door=Door.VALIDATORS if is_unsent else Door.STORE)
        if fact is None:
            return
        if isinstance(fact, facts.Rejected):
            self._problems.append(Problem(place, _refused(fact)))
        self._put(place, fact)

    def _put(self, place: Place, fact: Fact) -> None:
        key = facts.key_of(self._cluster, fact)
        if key in self._facts and self._facts[key] != fact:
            self._notes.append(f"{place}: {_title(key)} again, first in {self._where[key]}; the later one counts")
        self._facts[key] = fact
        self._where[key] = place

    def _make_pods(self) -> None:
        addresses = workloads.free_addresses(_mentioned(self._facts.values()))
        for key, known in self._facts.items():
            if isinstance(known, facts.Pod) and _lacks_address(known):
                self._facts[key] = replace(known, addresses=(next(addresses),))
        for number, top in workloads.making(self._workloads):
            place, fact = self._made[number]
            if isinstance(fact, facts.Rejected):
                self._problems.append(Problem(place, f"pod template: {fact.reason}"))
            elif isinstance(fact, facts.Pod):
                owner = facts.Owner(kind=top.kind, name=top.name) if top.kind else None
                for name in self._workloads[number].pods or ():
                    key = self._free_key(fact.namespace, name, top.kind)
                    own = () if fact.host_network else (next(addresses),)
                    self._facts[key] = replace(fact, name=key.name, addresses=own, owner=owner)
                    self._where[key] = place

    def _free_key(self, namespace: str, name: str, kind: str) -> FactKey:
        """A Deployment and a StatefulSet may share a name; their pods cannot."""
        key = FactKey(self._cluster, Kind.POD, namespace, name)
        while key in self._facts:
            key = FactKey(self._cluster, Kind.POD, namespace, f"{key.name}-{kind.lower() or 0}")
        return key

    def _make_namespaces(self) -> None:
        """2.4, 2.3: a pod whose namespace is not there would be closed by a profile that cannot be found."""
        for name in sorted({key.namespace for key in self._facts if key.namespace}):
            key = FactKey(self._cluster, Kind.NAMESPACE, "", name)
            if key not in self._facts:
                self._facts[key] = facts.Namespace(name=name, labels={"kubernetes.io/metadata.name": name})


def _missing(body: dict[str, Any]) -> str:
    if not isinstance(body.get("apiVersion"), str):
        return "apiVersion"
    return "" if isinstance(body.get("kind"), str) else "kind"


def _is_unsent(body: dict[str, Any]) -> bool:
    metadata = body.get("metadata")
    return not (isinstance(metadata, dict) and "uid" in metadata)


def _named(body: dict[str, Any]) -> dict[str, Any]:
    """An object with only a generateName gets the name that it begins with."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or "name" in metadata or not isinstance(metadata.get("generateName"), str):
        return body
    return {**body, "metadata": {**metadata, "name": metadata["generateName"] + "0"}}


def _refused(fact: facts.Rejected) -> str:
    place = f"{fact.namespace}/{fact.name}" if fact.namespace else fact.name
    return f"{fact.object_kind} {place} is refused ({fact.stage}) and counts as absent: {fact.reason}"


def _title(key: FactKey) -> str:
    return f"{key.kind} {key.namespace}/{key.name}" if key.namespace else f"{key.kind} {key.name}"


def _lacks_address(pod: facts.Pod) -> bool:
    """Written by hand. A live pod without an address has a phase and stays without."""
    return not pod.addresses and not pod.phase and not pod.uid and not pod.host_network


def _mentioned(known: Iterable[Fact]) -> Iterator[str]:
    """Every network and address that a policy, a set or an endpoint speaks of."""
    for fact in known:
        match fact:
            case facts.KubernetesNetworkPolicy():
                yield from _in_blocks(fact)
            case facts.CalicoPolicy() | facts.Profile() | facts.AdminPolicy():
                yield from _in_rules(fact)
            case facts.NetworkSet():
                yield from fact.nets
            case facts.Pod() | facts.Node() | facts.EndpointSlice():
                yield from fact.addresses
            case facts.HostEndpoint():
                yield from fact.expected_ips
            case _:
                pass


def _in_blocks(fact: facts.KubernetesNetworkPolicy) -> Iterator[str]:
    for rule in (*fact.ingress, *fact.egress):
        for peer in rule.peers or ():
            if peer.ip_block is not None:
                yield from (peer.ip_block.cidr, *peer.ip_block.except_)


def _in_rules(fact: facts.CalicoPolicy | facts.AdminPolicy | facts.Profile) -> Iterator[str]:
    for rule in (*fact.ingress, *fact.egress):
        match rule:
            case facts.Rule():
                yield from (*rule.source.nets, *rule.source.not_nets)
                yield from (*rule.destination.nets, *rule.destination.not_nets)
            case facts.AdminRule():
                yield from (net for peer in rule.peers for net in peer.networks or ())
