"""YAML files as the source of a cluster's state (`--manifests`), and the files that people declare in.

Law 1: a file that does not parse, or has become empty, changes nothing: what it held last goes on, and its kinds are
not readable until it is mended. Law 2: a file that is removed takes its objects along; a folder that cannot be read,
or is gone itself, takes nothing. Kinds without an object in the files are fresh and empty.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from models import wire
from models.errors import CannotEvaluateError, UserError
from models.facts import API_KINDS, Fact, FactKey, Kind, Namespace, Rejected
from monitor import clock
from monitor.cluster import declared, documents, manifests
from monitor.cluster.declared import DeclaredError
from monitor.cluster.differences import differences, digest
from monitor.cluster.identity import Identity
from monitor.cluster.settling import POLL_SECONDS, Settling, Signature
from monitor.cluster.view import View

log = logging.getLogger(__name__)

DECLARED_DOMAINS = (Kind.DECLARATION, Kind.DECLARED_DOMAIN)
DECLARED_KINDS = (*DECLARED_DOMAINS, Kind.WAIVER)


MOST_NAMED = 3
"""Of the files that keep a kind from being read: whoever mends them sees the others then."""


class Said(Struct, frozen=True, kw_only=True):
    """What files say: facts, and kinds that cannot be read, with the reason."""

    facts: dict[FactKey, Fact]
    unreadable: dict[Kind, str] = {}


class ManifestFiles:
    """All manifests under one path. `look` reads files; call it in a thread. CannotEvaluateError without any object."""

    def __init__(self, path: Path, cluster: str) -> None:
        self._path = path
        self._cluster = cluster
        self._settling = Settling()
        self._good: dict[str, bytes] = {}
        self._bad: dict[str, str] = {}
        self._said: Said | None = None

    def look(self, *, at: float) -> Said:
        """What the files say now; the same object while nothing changed."""
        try:
            found = self._found()
        except OSError as error:
            return self._unreadable_folder(error)
        ready, gone = self._settling.look(found, at=at)
        for name in gone:
            self._good.pop(name, None)
            self._bad.pop(name, None)
        for name in ready:
            self._take(name)
        if self._said is None or ready or gone:
            self._said = self._read()
        return self._said

    def _found(self) -> dict[str, Signature]:
        if not self._path.is_dir():
            return {str(self._path): Signature.of(self._path)}
        found = {}
        for where, folders, files in os.walk(self._path, onerror=_raised):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for file in (Path(where, name) for name in files):
                if file.suffix.lower() in manifests.SUFFIXES:
                    try:
                        found[str(file)] = Signature.of(file)
                    except FileNotFoundError:
                        continue  # removed since it was listed
        return found

    def _unreadable_folder(self, error: OSError) -> Said:
        if self._said is None:
            raise UserError(
                f"{self._path}: {error.strerror}\n       fix: --manifests takes a file or a folder"
            ) from error
        reason = f"{self._path}: {error.strerror}"
        return Said(facts=self._said.facts, unreadable=dict.fromkeys(API_KINDS, reason))

    def _take(self, name: str) -> None:
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            self._bad[name] = f"{name}: {error.strerror}"
            return
        found = list(documents.documents(name, data))
        problem = next((str(one) for one in found if isinstance(one, documents.Problem)), "")
        if not problem and not found and name in self._good:
            problem = f"{name}: is empty now; remove the file to delete what was in it"
        if problem:
            log.warning("a manifest is not taken: %s", problem)
            self._bad[name] = problem
            return
        self._bad.pop(name, None)
        self._good[name] = data

    def _read(self) -> Said:
        read = manifests.read_texts(self._good, cluster=self._cluster)
        if not read.facts and self._said is None:
            problem = next(iter((*self._bad.values(), *map(str, read.problems))), "")
            raise CannotEvaluateError(
                f"no manifests under {self._path}{': ' if problem else ''}{problem}\n"
                "       fix: give --manifests a file or a folder of Kubernetes objects, in YAML or JSON"
            )
        rejected = {read.places[key] for key, fact in read.facts.items() if isinstance(fact, Rejected)}
        unread = {one.place.source: str(one) for one in read.problems if one.place not in rejected}
        reasons: dict[Kind, list[str]] = {}
        for name, reason in sorted({**unread, **self._bad}.items()):
            kinds = {key.kind for key, place in read.places.items() if place.source == name}
            # What a file would have said that was never read, or read in part, nobody knows.
            for kind in kinds if name in self._bad and kinds else API_KINDS:
                reasons.setdefault(kind, []).append(reason)
        return Said(facts=read.facts, unreadable={kind: _together(of) for kind, of in reasons.items()})


class DeclaredFiles:
    """domains.yaml and waivers.yaml. `look` reads files; call it in a thread. DeclaredError at the first look only."""

    def __init__(self, domains: Path | None, waivers: Path | None, cluster: str) -> None:
        self._files = {str(file): file for file in (domains, waivers) if file is not None}
        self._domains, self._waivers = domains, waivers
        self._cluster = cluster
        self._settling = Settling()
        self._said: Said | None = None
        self._of: dict[str, dict[FactKey, Fact]] = {}
        self._bad: dict[str, str] = {}

    def look(self, *, at: float) -> Said:
        """What is declared now; the same object while nothing changed."""
        found = {}
        gone = {}
        for name, file in self._files.items():
            try:
                found[name] = Signature.of(file)
            except OSError as error:
                gone[name] = f"{name}: {error.strerror}"
        ready, _ = self._settling.look(found, at=at)
        if self._said is not None and not ready and not self._has_changed(gone):
            return self._said
        for name in ready:
            self._bad.pop(name, None)
        self._bad |= gone
        for name in (*ready, *(gone if self._said is None else ())):
            self._take(name)
        self._said = self._told()
        return self._said

    def _has_changed(self, gone: Mapping[str, str]) -> bool:
        return any(self._bad.get(name) != reason for name, reason in gone.items())

    def _take(self, name: str) -> None:
        is_domains = self._domains is not None and name == str(self._domains)
        try:
            self._of[name] = declared.read(
                self._files[name] if is_domains else None,
                None if is_domains else self._files[name],
                cluster=self._cluster,
            )
        except DeclaredError as error:
            if self._said is None:
                raise
            log.error("what was declared before goes on holding: %s", error)  # noqa: TRY400 - its text says it all
            self._bad[name] = str(error).partition("\n")[0]

    def _told(self) -> Said:
        unreadable: dict[Kind, str] = {}
        for name, reason in self._bad.items():
            is_domains = self._domains is not None and name == str(self._domains)
            unreadable |= dict.fromkeys(DECLARED_DOMAINS if is_domains else (Kind.WAIVER,), reason)
        return Said(facts={key: fact for of in self._of.values() for key, fact in of.items()}, unreadable=unreadable)


class Telling:
    """From what files say to a view, for some kinds."""

    def __init__(self, look: Callable[[float], Said], kinds: frozenset[Kind], *, looks_first_at: Said) -> None:
        self._look = look
        self._kinds = kinds
        self._last = looks_first_at
        self._values = _encoded(looks_first_at)

    @property
    def facts(self) -> Mapping[FactKey, Fact]:
        return self._last.facts

    async def run(self, view: View) -> None:
        """Never returns; cancel it."""
        self.tell_all(view)
        while True:
            await asyncio.sleep(POLL_SECONDS)
            said = await asyncio.to_thread(self._look, clock.monotonic())
            if said is not self._last:
                self._tell_changes(view, said)
            self._vouch(view)

    def tell_all(self, view: View) -> None:
        for kind in self._kinds:
            view.kinds[kind].listed({key: value for key, value in self._values.items() if key.kind is kind})
        self._vouch(view)

    def _tell_changes(self, view: View, said: Said) -> None:
        values = _encoded(said)
        held = {key: digest(value) for key, value in self._values.items()}
        for change in differences(values.keys() | held.keys(), values, held):
            view.kinds[change.key.kind].changed(change.key, change.value)
        self._last, self._values = said, values

    def _vouch(self, view: View) -> None:
        for kind in self._kinds:
            if reason := self._last.unreadable.get(kind):
                view.kinds[kind].unreadable(reason)
            else:
                view.kinds[kind].seen()


def telling_manifests(path: Path, cluster: str) -> Telling:
    """UserError if the files cannot be read at all."""
    files = ManifestFiles(path, cluster)
    return Telling(lambda at: files.look(at=at), API_KINDS, looks_first_at=files.look(at=clock.monotonic()))


def telling_declared(domains: Path | None, waivers: Path | None, cluster: str) -> Telling:
    """DeclaredError if a file cannot be read at all."""
    files = DeclaredFiles(domains, waivers, cluster)
    first = files.look(at=clock.monotonic())
    return Telling(lambda at: files.look(at=at), frozenset(DECLARED_KINDS), looks_first_at=first)


def identity(facts: Mapping[FactKey, Fact], cluster: str) -> Identity:
    """Of the cluster that the files describe: they may have been written out of a real one."""
    system = facts.get(FactKey(cluster, Kind.NAMESPACE, "", "kube-system"))
    uid = system.uid if isinstance(system, Namespace) else ""
    return Identity(uid=uid or f"files:{cluster}")


def _together(reasons: list[str]) -> str:
    """One for each file, in the order of their names."""
    more = len(reasons) - MOST_NAMED
    rest = (f"and {more} more file{'s' if more > 1 else ''}",) if more > 0 else ()
    return "; ".join((*reasons[:MOST_NAMED], *rest))


def _encoded(said: Said) -> dict[FactKey, bytes]:
    return {key: wire.encode_fact(fact) for key, fact in said.facts.items()}


def _raised(error: OSError) -> None:
    raise error
