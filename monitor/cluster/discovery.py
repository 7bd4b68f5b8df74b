"""Which resource serves each kind, from the API server's discovery: pure decisions, and the requests for them.

Law 1: a kind's resource changes only on complete answers; a failed request or a group marked stale changes nothing.
Law 2: *not served* needs two complete answers in a row, the second after five minutes if facts of the kind are known:
a CRD that is being replaced must not look like a cluster without policies.
Law 3: of Calico's two groups one serves a kind, projectcalico.org/v3 where there is a choice, never both.
Source: Kubernetes aggregated discovery (v2, v2beta1), and the older APIGroupList and APIResourceList.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from models.facts import Kind
from monitor.cluster.resources import RESOURCES, Resource
from monitor.cluster.transport import JSON, Api, ApiFailedError, Failure, Object

CONFIRM_SECONDS = 1.0
CONFIRM_KNOWN_SECONDS = 300.0

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
ACCEPT = ",".join((_AGGREGATED.format("v2"), _AGGREGATED.format("v2beta1"), JSON))
GROUPS_READ = frozenset(found.group for candidates in RESOURCES.values() for found in candidates)


class Discovered(Struct, frozen=True, kw_only=True):
    """One answer: the plural names in each `group/version`, and the groups whose answer is not to be relied on."""

    plurals: dict[tuple[str, str], frozenset[str]]
    unreliable: dict[str, str] = {}  # group -> why

    def versions(self, group: str, plural: str) -> list[str]:
        return sorted(version for (name, version), found in self.plurals.items() if name == group and plural in found)


class NotServed(Enum):
    """Instead of a resource."""

    ABSENT = "absent"


class Unclear(Struct, frozen=True):
    """Instead of a resource: the answer does not say."""

    reason: str


Answer = Resource | NotServed | Unclear


def answer(kind: Kind, found: Discovered) -> Answer:
    """What one discovery answer says of a kind."""
    for resource in RESOURCES[kind]:
        if reason := found.unreliable.get(resource.group):
            return Unclear(f"group {resource.group or 'core'}: {reason}")
        versions = found.versions(resource.group, resource.plural)
        if resource.version in versions:
            return resource
        if versions:
            return Unclear(
                f"{resource.plural}.{resource.group} is served only as {', '.join(versions)}; "
                f"this release reads {resource.version}: upgrade segmon"
            )
    return NotServed.ABSENT


class Serving:
    """What holds for one kind, over many answers. `resource` None: not served, or nothing is known yet."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.resource: Resource | None = None
        self.is_absent = False
        self.reason = "not discovered yet"
        self._pending: Answer | None = None
        self._pending_since = 0.0

    @property
    def is_pending(self) -> bool:
        """A further answer soon would settle it."""
        return self._pending is not None

    def take(self, found: Answer, *, has_facts: bool, at: float) -> None:
        """One more answer. `at`: monotonic seconds."""
        match found:
            case Unclear():
                self._pending = None
                self.reason = found.reason
            case _ if found == (NotServed.ABSENT if self.is_absent else self.resource):
                self._pending = None
                self.reason = ""
            case _ if self._is_settled(found, has_facts=has_facts, at=at):
                self._settle(found)
            case _:
                self.reason = "one discovery answer differs from what was known: waiting for a second"

    def _is_settled(self, found: Answer, *, has_facts: bool, at: float) -> bool:
        if isinstance(found, Resource) and self.resource is None:
            return True
        if self._pending != found:
            self._pending, self._pending_since = found, at
            return False
        wait = CONFIRM_KNOWN_SECONDS if found is NotServed.ABSENT and has_facts else CONFIRM_SECONDS
        return at - self._pending_since >= wait

    def _settle(self, found: Answer) -> None:
        self.resource = found if isinstance(found, Resource) else None
        self.is_absent = found is NotServed.ABSENT
        self._pending = None
        self.reason = ""


async def discover(api: Api) -> Discovered:
    """Ask the server. ApiFailedError if the core or the list of groups cannot be had."""
    core, groups = await _asked(api, "/api"), await _asked(api, "/apis")
    return _merged([core, groups])


async def _asked(api: Api, path: str) -> Discovered:
    body = await api.get(path, accept=ACCEPT)
    match body.get("kind"):
        case "APIGroupDiscoveryList":
            return aggregated(body)
        case "APIGroupList":
            return await _one_by_one(api, _group_versions(body))
        case "APIVersions":
            return await _one_by_one(api, [("", version) for version in _texts(body.get("versions"))])
        case other:
            raise ApiFailedError(Failure.NOT_KUBERNETES, f"{path}: discovery answered with {other!r:.60}")


def aggregated(body: Object) -> Discovered:
    """The answer in the aggregated form. A version that is not `Current` makes its group unreliable."""
    plurals: dict[tuple[str, str], frozenset[str]] = {}
    unreliable = {}
    for item in _objects(body.get("items")):
        group = str(_part(item, "metadata").get("name") or "")
        for version in _objects(item.get("versions")):
            if version.get("freshness", "Current") != "Current":
                unreliable[group] = "its server does not answer (stale in discovery)"
            names = frozenset(str(found.get("resource")) for found in _objects(version.get("resources")))
            plurals[group, str(version.get("version"))] = names
    return Discovered(plurals=plurals, unreliable=unreliable)


async def _one_by_one(api: Api, group_versions: Iterable[tuple[str, str]]) -> Discovered:
    """Servers before 1.26: one request for each version of the groups that we read."""
    plurals: dict[tuple[str, str], frozenset[str]] = {}
    unreliable = {}
    for group, version in group_versions:
        if group not in GROUPS_READ:
            continue
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            body = await api.get(path)
        except ApiFailedError as error:
            unreliable[group] = str(error)
            continue
        names = (str(found.get("name")) for found in _objects(body.get("resources")))
        plurals[group, version] = frozenset(name for name in names if "/" not in name)
    return Discovered(plurals=plurals, unreliable=unreliable)


def _group_versions(body: Object) -> list[tuple[str, str]]:
    return [
        (str(group.get("name")), str(version.get("version")))
        for group in _objects(body.get("groups"))
        for version in _objects(group.get("versions"))
    ]


def _merged(parts: Iterable[Discovered]) -> Discovered:
    plurals: dict[tuple[str, str], frozenset[str]] = {}
    unreliable: dict[str, str] = {}
    for part in parts:
        plurals |= part.plurals
        unreliable |= part.unreliable
    return Discovered(plurals=plurals, unreliable=unreliable)


def _objects(value: Any) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _part(item: Mapping[str, Any], name: str) -> Object:
    found = item.get(name)
    return found if isinstance(found, dict) else {}
