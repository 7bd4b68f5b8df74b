"""Two tenants, shop and bank, whose walls are sound: objects as kubectl would apply them, and what is declared."""

import yaml
from parts.kubernetes_api import ref
from parts.process import CHECKOUT

from monitor import clock
from monitor.flows.ends import interface_of

WEB, DB = ("shop", "web", "10.244.91.5"), ("bank", "db", "10.244.91.6")
PODS = {f"{namespace}/{name}": [address] for namespace, name, address in (WEB, DB)}
PREFIX = "calico-packet: "
DECLARED = """
apiVersion: segmon/v1
domains:
  - name: bank
    level: namespace
    members: {namespaceSelector: "projectcalico.org/name == 'bank'", selector: all()}
    owner: team-bank
    criticality: critical
    environment: prod
    allow:
      - {from: shop, ports: [tcp/5432], reason: orders, approver: j.doe, reviewBy: 2027-03-01}
"""


def default_deny(namespace):
    """Kubernetes' own kind."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    return ref("networking.k8s.io/v1", "NetworkPolicy", "default-deny", namespace) | {"spec": spec}


def passage(namespace, direction, peer, ports):
    """Calico's kind: TCP on these ports with every pod of the other namespace."""
    there = {"namespaceSelector": f"projectcalico.org/name == '{peer}'"}
    ends = {"egress": {"destination": there | {"ports": ports}}, "ingress": {"source": there}}[direction]
    rule = {"action": "Allow", "protocol": "TCP"} | ends
    if direction == "ingress":
        rule["destination"] = {"ports": ports}
    spec = {"order": 100, "selector": "all()", "types": [direction.capitalize()], direction: [rule]}
    return ref("projectcalico.org/v3", "NetworkPolicy", f"default.{direction}-{peer}", namespace) | {"spec": spec}


def build(cluster):
    """The role that we ship, the two namespaces with a pod each, and their policies. `cluster`: parts' ApiServer."""
    documents = yaml.safe_load_all((CHECKOUT / "deploy" / "rbac.yaml").read_text())
    cluster.grant(*next(each["rules"] for each in documents if each["kind"] == "ClusterRole"))
    api = cluster.admin
    for namespace, name, address in (WEB, DB):
        api.namespace(namespace, {"tenant": namespace})
        api.apply(default_deny(namespace))
        api.run_pod(namespace, name, {"app": name}, ip=address)
    api.apply(passage("shop", "egress", "bank", [5432, 8080]), passage("bank", "ingress", "shop", [5432, 8080]))


def joined(kernel_log):
    """The two pods as network namespaces, with the interface names that Calico gives them."""
    log = kernel_log(PODS)
    log.interfaces = {"/".join(each[:2]): interface_of(*each[:2]) for each in (WEB, DB)}
    return log


def as_syslog_writes(lines):
    """What a syslog daemon does with what the kernel says."""
    return [f"{clock.now().isoformat()} node-1 kernel: {line}\n" for line in lines]
