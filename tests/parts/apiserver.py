"""The Kubernetes API server, upstream's own code with etcd in the same process (tools/parts/apiserver).

There is no controller manager, scheduler or kubelet: `admin` (KubernetesApi) does for pods and namespaces what those
would.
Two users: `admin` may do all; `segmon` may do what `grant()` gives it, nothing at first.
"""

import contextlib
import json
import secrets
import urllib.request
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from parts.kubernetes_api import ApiRefused, KubernetesApi, Object, ref
from parts.policy_crds import CALICO_V3, CLUSTER_POLICY, KINDS, definitions
from parts.process import Part, PartMissing, built, free_port, until

ESTABLISHED_WITHIN = 30.0


class ApiServer(Part):
    """`groups` are the policy CRDs that it serves (names in parts.policy_crds); `flags` go to kube-apiserver."""

    name = "apiserver"

    def __init__(self, *, groups: Sequence[str] = (CALICO_V3, CLUSTER_POLICY), flags: Sequence[str] = ()) -> None:
        super().__init__()
        self._groups = groups
        self._flags = flags
        self._port = free_port()
        self._etcd_ports = free_port(), free_port()
        self._tokens = {"admin": secrets.token_hex(16), "segmon": secrets.token_hex(16)}
        self._binary = built("apiserver") / "segmon-apiserver"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @cached_property
    def admin(self) -> KubernetesApi:
        return self.api("admin")

    def api(self, user: str) -> KubernetesApi:
        return KubernetesApi(self.url, token=self._tokens[user], authority=self.authority)

    def token(self, user: str) -> str:
        return self._tokens[user]

    def kubeconfig(self, user: str = "segmon") -> Path:
        """A kubeconfig file of this user, good for as long as the server's folder is."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
            "clusters": [
                {"name": "tests", "cluster": {"server": self.url, "certificate-authority": str(self.authority)}}
            ],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
        }
        file = self.folder / f"{user}.kubeconfig"
        file.write_text(json.dumps(config))
        file.chmod(0o600)
        return file

    # What it serves and to whom

    def serve(self, *groups: str) -> None:
        """Serve exactly these policy groups and, when that changes, no objects of any.

        A definition no longer wanted stays with `served: false`: for clients that is as if it were gone, while taking
        it away for good would wait for the server's finaliser, which backs off for minutes when it meets a cold cache.
        """
        present = [group for group in KINDS if self._serves(group)]
        if set(present) == set(groups):
            return
        self.admin.clear()
        for group in KINDS:
            if group in groups or group in present:
                self.admin.apply(*definitions(group, served=group in groups))
        until(
            lambda: all(self._serves(group) == (group in groups) for group in KINDS),
            within=ESTABLISHED_WITHIN,
            what=f"exactly {', '.join(groups)} served",
        )

    def grant(self, *rules: Object) -> None:
        """Let `segmon` do exactly this, cluster-wide; no rules: nothing."""
        role = ref("rbac.authorization.k8s.io/v1", "ClusterRole", "segmon") | {"rules": list(rules)}
        binding = ref("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "segmon")
        binding["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "segmon"}]
        binding["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "segmon"}
        self.admin.apply(role, binding)

    def compact(self) -> None:
        """Forget all history in etcd. After a restart, which empties the watch cache, older versions get 410."""
        revision = self._etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        with contextlib.suppress(urllib.error.HTTPError):  # nothing new since the last time
            self._etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    # As a part

    def prepare(self) -> None:
        if not self._binary.exists():
            raise PartMissing(self.name, f"no {self._binary}; run `make parts`")
        rows = [f'{self._tokens["admin"]},admin,admin,"system:masters"', f"{self._tokens['segmon']},segmon,segmon"]
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("\n".join(rows) + "\n")

    def command(self) -> Sequence[str]:
        client, peer = self._etcd_ports
        return [
            *(
                str(self._binary),
                "-dir",
                str(self.folder),
                "-etcd-port",
                str(client),
                "-etcd-peer-port",
                str(peer),
                "--",
            ),
            f"--secure-port={self._port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # it would publish loopback as an endpoint, which the API refuses
            f"--cert-dir={self.folder / 'certificates'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",  # no controller makes the accounts it asks for
            "--service-cluster-ip-range=10.96.0.0/16",
            "--shutdown-delay-duration=0",
            *self._flags,
        ]

    def answers(self) -> bool:
        if not self.authority.exists():
            return False
        try:
            return self.admin.request("GET", "/readyz") == {"text": "ok"}
        except (ApiRefused, OSError):
            return False

    def start(self) -> "ApiServer":
        first = self._folder is None
        super().start()
        if first:
            self.serve(*self._groups)
        return self

    @property
    def authority(self) -> Path:
        """What a client trusts."""
        return self.folder / "certificates" / "apiserver.crt"

    def _serves(self, group_version: str) -> bool:
        try:
            found = self.admin.request("GET", f"/apis/{group_version}")["resources"]
        except ApiRefused:
            return False
        return {item["kind"] for item in found} == KINDS[group_version].keys()

    def _etcd(self, path: str, body: Object) -> Object:
        url = f"http://127.0.0.1:{self._etcd_ports[0]}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            decoded: Object = json.load(answer)
        return decoded
