"""Generated clusters for the benchmarks: the same arguments give the same cluster."""

from __future__ import annotations

import random
from collections.abc import Iterator

from models import facts
from models.facts import Fact, FactKey, key_of

CLUSTER = "bench"
PORTS = (80, 443, 5432, 6379, 8080, 8443, 9092)


def manifests(workloads: int) -> str:
    """YAML of Deployments with one NetworkPolicy each: random app-to-app rules that name both sides of each edge."""
    chance = random.Random(workloads)
    edges = [
        (chance.randrange(workloads), chance.randrange(workloads), chance.choice(PORTS)) for _ in range(2 * workloads)
    ]
    into: dict[int, list[tuple[int, int]]] = {}
    out: dict[int, list[tuple[int, int]]] = {}
    for a, b, port in edges:
        into.setdefault(b, []).append((a, port))
        out.setdefault(a, []).append((b, port))
    return "---\n".join(
        text for n in range(workloads) for text in (_deployment(n), _policy(n, into.get(n, ()), out.get(n, ())))
    )


def _deployment(n: int) -> str:
    return f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{n}
  namespace: ns-{n % 20}
  labels:
    app: app-{n}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: app-{n}
  template:
    metadata:
      labels:
        app: app-{n}
        team: team-{n % 7}
    spec:
      containers:
      - name: main
        image: image.example/app:1
        ports:
        - containerPort: 8080
          name: http
"""


def _policy(n: int, into, out) -> str:  # type: ignore[no-untyped-def]
    return f"""apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: app-{n}
  namespace: ns-{n % 20}
spec:
  podSelector:
    matchLabels:
      app: app-{n}
  policyTypes:
  - Ingress
  - Egress
  ingress:{_rules("from", into)}
  egress:{_rules("to", out)}
"""


def _rules(word: str, edges) -> str:  # type: ignore[no-untyped-def]
    return "".join(_rule(word, app, port) for app, port in edges) or " []"


def _rule(word: str, app: int, port: int) -> str:
    return f"""
  - {word}:
    - podSelector:
        matchLabels:
          app: app-{app}
      namespaceSelector: {{}}
    ports:
    - protocol: TCP
      port: {port}"""


def tiered(*, endpoints: int, policies: int, namespaces: int) -> dict[FactKey, Fact]:
    """Calico in five tiers: guard rails, platform, two tiers of teams, and an application policy for each workload."""
    found = {}
    for fact in _tiered(endpoints, policies, namespaces):
        found[key_of(CLUSTER, fact)] = fact
    return found


def _tiered(endpoints: int, policies: int, namespaces: int) -> Iterator[Fact]:
    chance = random.Random(endpoints)
    for place, name in enumerate(("security", "platform", "network", "team")):
        yield facts.Tier(name=name, order=100.0 * (place + 1), default_action="Pass" if place else "Deny")
    for n in range(namespaces):
        yield facts.Namespace(name=f"ns-{n}", labels={"team": f"team-{n % 25}", "env": ("prod", "test")[n % 2]})
    apps = max(endpoints // 5, 1)
    for n in range(endpoints):
        yield _pod(n, n % apps, namespaces)
    yield from _guards()
    for n in range(policies - 4 - namespaces):
        yield _application(n % apps, n // apps, apps, namespaces, chance)
    for n in range(namespaces):
        yield _of_namespace(n, namespaces, chance)


def _pod(n: int, app: int, namespaces: int) -> facts.Pod:
    namespace = f"ns-{app % namespaces}"
    labels = {
        "app": f"app-{app}",
        "role": ("web", "api", "db", "job")[app % 4],
        "pod-template-hash": f"{app * 7919 % 99991:x}",
        "apps.kubernetes.io/pod-index": str(n),
    }
    return facts.Pod(
        name=f"app-{app}-{n}",
        namespace=namespace,
        labels=labels,
        node=f"node-{n % 400}",
        addresses=(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}",),
        phase="Running",
        owner=facts.Owner(kind="Deployment", name=f"app-{app}"),
    )


def _guards() -> Iterator[facts.CalicoPolicy]:
    dns = facts.Rule(action="Allow", protocol="UDP", destination=facts.EntityRule(ports=(53,)))
    bad = facts.Rule(action="Deny", source=facts.EntityRule(selector="quarantine == 'true'"))
    far = facts.Rule(action="Deny", destination=facts.EntityRule(nets=("169.254.169.254/32", "198.51.100.0/24")))
    onward = facts.Rule(action="Pass")
    for name, tier, rules in (
        ("guard", "security", {"ingress": (bad, onward), "egress": (dns, far, onward)}),
        ("monitoring", "platform", {"ingress": (_from("app == 'app-0'", 9092), onward), "egress": (onward,)}),
    ):
        yield facts.CalicoPolicy(
            policy_kind="GlobalNetworkPolicy", name=name, tier=tier, order=1.0, types=("Ingress", "Egress"), **rules
        )
    test = facts.Rule(action="Deny", source=facts.EntityRule(namespace_selector="env == 'test'"))
    yield facts.CalicoPolicy(
        policy_kind="GlobalNetworkPolicy",
        name="prod-apart",
        tier="network",
        order=1.0,
        namespace_selector="env == 'prod'",
        types=("Ingress",),
        ingress=(test,),
    )
    yield facts.CalicoPolicy(
        policy_kind="GlobalNetworkPolicy",
        name="office",
        tier="network",
        order=2.0,
        selector="role == 'web'",
        types=("Ingress",),
        ingress=(
            facts.Rule(
                action="Allow",
                protocol="TCP",
                source=facts.EntityRule(nets=("203.0.113.0/24",)),
                destination=facts.EntityRule(ports=(443,)),
            ),
        ),
    )


def _from(selector: str, port: int) -> facts.Rule:
    return facts.Rule(
        action="Allow",
        protocol="TCP",
        source=facts.EntityRule(selector=selector),
        destination=facts.EntityRule(ports=(port,)),
    )


def _of_namespace(n: int, namespaces: int, chance: random.Random) -> facts.CalicoPolicy:
    friend = facts.EntityRule(namespace_selector=f"projectcalico.org/name == 'ns-{chance.randrange(namespaces)}'")
    allow = facts.Rule(action="Allow", protocol="TCP", source=friend, destination=facts.EntityRule(ports=(8443,)))
    return facts.CalicoPolicy(
        policy_kind="NetworkPolicy",
        name=f"team.ns-{n}",
        namespace=f"ns-{n}",
        tier="team",
        order=10.0,
        types=("Ingress",),
        ingress=(allow, facts.Rule(action="Pass")),
    )


def _application(app: int, place: int, apps: int, namespaces: int, chance: random.Random) -> facts.CalicoPolicy:
    def other(port: int, action: str = "Allow") -> tuple[str, facts.EntityRule, int]:
        far = chance.randrange(apps)
        peer = facts.EntityRule(
            selector=f"app == 'app-{far}'", namespace_selector=f"projectcalico.org/name == 'ns-{far % namespaces}'"
        )
        return action, peer, port

    into = tuple(
        facts.Rule(action=action, protocol="TCP", source=peer, destination=facts.EntityRule(ports=(port,)))
        for action, peer, port in (other(chance.choice(PORTS)) for _ in range(3))
    )
    egress = facts.Rule(
        action="Allow",
        protocol="TCP",
        destination=facts.EntityRule(namespace_selector="all()", ports=PORTS),
    )
    return facts.CalicoPolicy(
        policy_kind="NetworkPolicy",
        name=f"app-{app}-{place}",
        namespace=f"ns-{app % namespaces}",
        order=1000.0 + place,
        selector=f"app == 'app-{app}'",
        types=("Ingress", "Egress"),
        ingress=into,
        egress=(egress,),
    )
