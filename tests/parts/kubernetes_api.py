"""A small client of the Kubernetes API for tests: what `kubectl apply`, `patch`, `get` and `delete` do, over HTTPS.

It is not the product's client on purpose, so that a test's hands and the code under test share no fault. Objects are
the dicts that a manifest's YAML gives. It also does what nobody else does where no controller and no kubelet run: it
gives pods an address and a phase, and empties and finalises namespaces.
"""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

Object = dict[str, Any]

SYSTEM_NAMESPACES = {"default", "kube-system", "kube-public", "kube-node-lease"}
CLEARED_GROUPS = {"apps", "batch", "discovery.k8s.io", "networking.k8s.io", "policy.networking.k8s.io"} | {
    "projectcalico.org",
    "crd.projectcalico.org",
}
CLEARED_CORE = {"pods", "services", "serviceaccounts", "nodes", "endpoints", "configmaps"}
KEPT = {
    "kube-root-ca.crt",
    "extension-apiserver-authentication",
    "kube-apiserver-legacy-service-account-token-tracking",
}
KEPT_RESOURCES = {"servicecidrs", "ipaddresses", "ingressclasses", "controllerrevisions"}
PATIENCE = 50
DISCOVERY = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"


class ApiRefused(Exception):  # noqa: N818 - an answer, not always a fault: tests ask for it
    def __init__(self, status: int, answer: str) -> None:
        super().__init__(f"{status}: {answer}")
        self.status = status
        self.answer = answer


@dataclass(frozen=True)
class Resource:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, namespace: str = "", name: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{place}/{self.plural}" + (f"/{name}" if name else "")


def ref(api_version: str, kind: str, name: str, namespace: str = "") -> Object:
    """The name of an object, where no more of it is at hand."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


class KubernetesApi:
    """One user's view of one server. Calls block; each thread keeps its own connection."""

    def __init__(self, url: str, *, token: str, authority: Path) -> None:
        self._address = urlsplit(url)
        self._token = token
        self._authority = authority
        self._local = threading.local()
        self._resources: dict[tuple[str, str, str], Resource] = {}

    # Objects

    def apply(self, *objects: Object) -> Object:
        """Create or change by server-side apply; answers the last one as it is stored."""
        stored: Object = {}
        for item in objects:
            path = self._path_of(item) + "?fieldManager=tests&force=true"
            stored = self.request("PATCH", path, item, content_type="application/apply-patch+yaml")
        return stored

    def apply_yaml(self, text: str) -> None:
        """Every document, namespaces first."""
        documents = [document for document in yaml.safe_load_all(text) if document]
        self.apply(*sorted(documents, key=lambda document: document["kind"] != "Namespace"))

    def create(self, item: Object) -> Object:
        resource = self.resource(item)
        return self.request("POST", resource.path(item["metadata"].get("namespace", "")), item)

    def get(self, item: Object) -> Object:
        return self.request("GET", self._path_of(item))

    def list(self, api_version: str, kind: str, namespace: str = "") -> list[Object]:
        path = self.resource({"apiVersion": api_version, "kind": kind}).path(namespace)
        items: list[Object] = self.request("GET", path)["items"]
        return items

    def patch(self, item: Object, change: Object, *, subresource: str = "") -> Object:
        """JSON merge patch: null removes."""
        path = self._path_of(item) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, change, content_type="application/merge-patch+json")

    def delete(self, item: Object, *, grace_seconds: int = 0) -> None:
        """Gone when this returns (unless a grace period was asked for); a namespace takes its contents along."""
        if item["kind"] == "Namespace":
            self._delete_namespace(item["metadata"]["name"])
            return
        self.request("DELETE", self._path_of(item), {"gracePeriodSeconds": grace_seconds})

    # What controllers and kubelets would do

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> Object:
        return self.apply(ref("v1", "Namespace", name) | {"metadata": {"name": name, "labels": dict(labels or {})}})

    def run_pod(
        self,
        namespace: str,
        name: str,
        labels: Mapping[str, str] | None = None,
        *,
        ip: str = "",
        ips: Iterable[str] = (),
        node: str = "node-1",
        spec: Object | None = None,
        metadata: Object | None = None,
        owner: Object | None = None,
        phase: str = "Running",
    ) -> Object:
        """A pod with addresses and a phase, as a kubelet would report it. `owner` is the stored object in control."""
        addresses = [address for address in (ip, *ips) if address]
        container = {"name": "main", "image": "none.invalid/none"}
        owners = {"ownerReferences": [owner_reference(owner)]} if owner else {}
        pod = ref("v1", "Pod", name, namespace)
        pod["metadata"] |= {"labels": dict(labels or {})} | owners | (metadata or {})
        pod["spec"] = {"nodeName": node, "serviceAccountName": "default", "containers": [container]} | (spec or {})
        self.apply(pod)
        return self.set_pod_status(namespace, name, phase=phase, addresses=addresses)

    def set_pod_status(self, namespace: str, name: str, *, phase: str, addresses: Iterable[str] = ()) -> Object:
        """Phase and addresses; no addresses takes them away, as at a pod's end."""
        listed = [{"ip": address} for address in addresses]
        status = {"phase": phase, "podIPs": listed or None, "podIP": listed[0]["ip"] if listed else None}
        return self.patch(ref("v1", "Pod", name, namespace), {"status": status}, subresource="status")

    def clear(self) -> None:
        """Take away what tests made: objects of the kinds we look at, nodes, and all but the system's namespaces."""
        self._resources.clear()
        for resource in self._all_resources():
            if "delete" in resource.verbs and _is_cleared(resource):
                self._delete_all(resource)
        for item in self.list("v1", "Namespace"):
            if item["metadata"]["name"] not in SYSTEM_NAMESPACES:
                self._delete_namespace(item["metadata"]["name"])

    # Transport

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        text = json.dumps(body) if body is not None else None
        headers = {"Content-Type": content_type, "Accept": accept}
        for _ in range(PATIENCE):
            status, answer = self._exchange(method, path, text, headers | {"Authorization": f"Bearer {self._token}"})
            if status != http.client.TOO_MANY_REQUESTS:
                break
            time.sleep(0.2)  # a server that just started says so while it fills its caches
        if status >= http.client.BAD_REQUEST:
            raise ApiRefused(status, answer)
        decoded: Object = json.loads(answer) if answer.startswith("{") else {"text": answer}
        return decoded

    def resource(self, item: Object) -> Resource:
        group, _, version = item["apiVersion"].rpartition("/")
        key = (group, version, item["kind"])
        if key not in self._resources:
            self._resources = {(found.group, found.version, found.kind): found for found in self._all_resources()}
        if key not in self._resources:
            raise ApiRefused(http.client.NOT_FOUND, f"the server has no {item['kind']} in {item['apiVersion']}")
        return self._resources[key]

    def _path_of(self, item: Object) -> str:
        metadata = item["metadata"]
        return self.resource(item).path(metadata.get("namespace", ""), metadata["name"])

    def _exchange(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str]:
        """A kept connection may have been closed by a restart of the server: then once more on a new one."""
        for kept in (True, False):
            connection = self._connection() if kept else self._connection(renew=True)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except (http.client.HTTPException, OSError):
                connection.close()
                if not kept:
                    raise
        raise AssertionError("unreachable")

    def _connection(self, *, renew: bool = False) -> http.client.HTTPSConnection:
        if renew or not hasattr(self._local, "connection"):
            trust = ssl.create_default_context(cafile=str(self._authority))
            host, port = self._address.hostname or "", self._address.port
            self._local.connection = http.client.HTTPSConnection(host, port, timeout=30, context=trust)
        found: http.client.HTTPSConnection = self._local.connection
        return found

    def _all_resources(self) -> Iterator[Resource]:
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, accept=DISCOVERY)["items"]:
                for version in group["versions"]:
                    for found in version.get("resources", ()):
                        yield Resource(
                            group=group["metadata"].get("name", ""),
                            version=version["version"],
                            kind=found["responseKind"]["kind"],
                            plural=found["resource"],
                            namespaced=found["scope"] == "Namespaced",
                            verbs=frozenset(found["verbs"]),
                        )

    def _delete_all(self, resource: Resource, namespace: str = "") -> None:
        for item in self.request("GET", resource.path(namespace))["items"]:
            metadata = item["metadata"]
            if metadata["name"] in KEPT or (resource.plural, metadata["name"]) == ("services", "kubernetes"):
                continue
            path = resource.path(metadata.get("namespace", ""), metadata["name"])
            self.request("DELETE", path + "?" + urlencode({"gracePeriodSeconds": 0}))

    def _delete_namespace(self, name: str) -> None:
        path = f"/api/v1/namespaces/{name}"
        self.request("DELETE", path)
        for resource in self._all_resources():
            if resource.namespaced and {"delete", "list"} <= resource.verbs:
                self._delete_all(resource, name)
        left = self.request("GET", path)
        left["spec"]["finalizers"] = []
        self.request("PUT", f"{path}/finalize", left)


def owner_reference(owner: Object) -> Object:
    """That a stored object controls another."""
    metadata = owner["metadata"]
    named = {"name": metadata["name"], "uid": metadata["uid"], "controller": True}
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"]} | named


def _is_cleared(resource: Resource) -> bool:
    if resource.plural in KEPT_RESOURCES:
        return False
    return resource.plural in CLEARED_CORE if not resource.group else resource.group in CLEARED_GROUPS
