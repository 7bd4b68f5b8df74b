"""`segmon explain` on files: what a person on call reads, and with which exit code."""

from __future__ import annotations

import json

import pytest
import typer
import yaml
from typer.testing import CliRunner

from models.errors import CannotEvaluateError, UserError
from monitor.cli import explain

CALICO = "projectcalico.org/v3"
app = typer.Typer()
app.command()(explain.explain)


@app.callback()
def main():
    """One command among others, as in the real tool."""


def workload(name, namespace, kind="Deployment", **labels):
    containers = [{"name": "c", "ports": [{"name": "main", "containerPort": 5432}]}]
    template = {"metadata": {"labels": {"app": name} | labels}, "spec": {"containers": containers}}
    spec = {"replicas": 1, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def tier(name, order):
    return {"apiVersion": CALICO, "kind": "Tier", "metadata": {"name": name}, "spec": {"order": order}}


def calico(kind, name, namespace="", **spec):
    meta = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": CALICO, "kind": kind, "metadata": meta, "spec": spec}


def kubernetes(name, namespace, **spec):
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


WEB = workload("web", "shop", role="web")
LEDGER = workload("ledger", "payments", "StatefulSet")
DNS_ONLY = {"action": "Allow", "protocol": "UDP", "destination": {"ports": [53]}}
TO_PAYMENTS = {
    "action": "Allow",
    "protocol": "TCP",
    "destination": {"namespaceSelector": "projectcalico.org/name == 'payments'", "ports": [5432]},
}
BASICS = [
    WEB,
    LEDGER,
    tier("security", 100),
    calico("GlobalNetworkPolicy", "allow-dns", tier="security", order=1, types=["Egress"], egress=[DNS_ONLY]),
    calico("GlobalNetworkPolicy", "baseline", tier="security", order=2, types=["Egress"], egress=[{"action": "Pass"}]),
    calico("NetworkPolicy", "web-egress", "shop", selector="app == 'web'", types=["Egress"], egress=[TO_PAYMENTS]),
]
ANY_NAMESPACE = calico(
    "GlobalNetworkPolicy",
    "ledger-in",
    selector="app == 'ledger'",
    types=["Ingress"],
    ingress=[DNS_ONLY, {"action": "Allow", "protocol": "TCP", "source": {"selector": "role == 'web'"}}],
)


@pytest.fixture
def asked(tmp_path):
    def run(*objects, source="shop/Deployment/web", to="payments/StatefulSet/ledger", port="5432/tcp", more=()):
        (tmp_path / "m.yaml").write_text(yaml.safe_dump_all(objects))
        arguments = ["explain", "--manifests", str(tmp_path), "--from", source, "--to", to, "--port", port, *more]
        return CliRunner().invoke(app, arguments)

    return run


def test_an_allowed_connection_says_which_rules_allow_it_and_how_to_stop_it(asked):
    result = asked(*BASICS, ANY_NAMESPACE)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("ALLOWED  shop/Deployment/web → payments/StatefulSet/ledger  tcp/5432")
    said = "\n".join(" ".join(line.split()) for line in lines)
    assert "tier security allow-dns no match in 1 rule" in said
    assert "baseline rule 0 Pass anything → next tier" in said
    assert (
        "tier default shop/web-egress rule 0 Allow tcp to pods in namespaces with projectcalico.org/name == 'payments'"
        in said
    )
    assert "rule 1 Allow tcp from pods with role == 'web' ← wider than it looks: any namespace ✔ ALLOW" in said
    assert "To deny it: bind ingress rule 1 of ledger-in to a namespace" in said


def test_a_denied_connection_says_what_denies_it_and_which_rule_is_missing(asked):
    closed = kubernetes("closed", "payments", podSelector={}, policyTypes=["Ingress"])

    result = asked(*BASICS, closed)

    assert result.exit_code == 0
    assert result.stdout.startswith("DENIED")
    assert "no rule matched: end of tier  ✘ DENY" in result.stdout
    assert (
        "To allow it: add an ingress rule to payments/closed: allow tcp/5432 from pods with app=web in namespace shop."
        in result.stdout
    )


def test_denials_on_both_sides_are_mended_together(asked):
    both = [
        kubernetes("closed", name, podSelector={}, policyTypes=["Ingress", "Egress"]) for name in ("shop", "payments")
    ]

    result = asked(WEB, LEDGER, *both)

    [change] = [line for line in result.stdout.splitlines() if line.startswith("To allow it")]
    assert "payments/closed" in change
    assert "; and add an egress rule to shop/closed: allow tcp/5432 to pods with app=ledger" in change


def test_an_open_pod_is_closed_by_a_policy_that_does_not_exist_yet(asked):
    result = asked(WEB, LEDGER)

    assert "no policy decides, so the namespace's profile does" in result.stdout
    assert "To deny it: no policy selects it for ingress: add a NetworkPolicy to namespace payments" in result.stdout


def test_a_staged_policy_that_would_change_the_answer_is_named(asked):
    staged = calico("StagedNetworkPolicy", "ledger-v2", "payments", types=["Ingress"], order=1, ingress=[])

    result = asked(WEB, LEDGER, staged)

    assert result.stdout.startswith("ALLOWED")
    assert "pending (staged policies live)   DENIED by end of tier default" in result.stdout


BY_PORT_NAME = {"action": "Allow", "protocol": "TCP", "destination": {"ports": ["main"]}}


@pytest.mark.parametrize("action", ["Allow", "Deny"])
def test_where_calicos_own_pending_trace_can_differ_is_said_and_why(asked, action):
    """Also where our pending verdict is the one of today."""
    rules = [DNS_ONLY, BY_PORT_NAME | {"action": action}]
    staged = calico("StagedNetworkPolicy", "ledger-v2", "payments", types=["Ingress"], order=1, ingress=rules)

    result = asked(WEB, LEDGER, staged)
    whole = json.loads(asked(WEB, LEDGER, staged, more=["--output", "json"]).stdout)

    assert ("pending (staged policies live)" in result.stdout) is (action == "Deny")
    [line] = [line for line in result.stdout.splitlines() if "Calico" in line]
    assert line == (
        "Calico's own pending trace can differ from the verdict here: "
        "named ports never match and never exclude there (ingress)"
    )
    assert whole["pending_gaps"] == ["named ports never match and never exclude there (ingress)"]


def test_where_calicos_own_pending_trace_agrees_nothing_is_said(asked):
    plain = calico("StagedNetworkPolicy", "ledger-v2", "payments", types=["Ingress"], order=1, ingress=[DNS_ONLY])
    live = calico("NetworkPolicy", "ledger-v1", "payments", types=["Ingress"], order=1, ingress=[BY_PORT_NAME])

    assert "Calico" not in asked(WEB, LEDGER, plain).stdout
    assert "Calico" not in asked(WEB, LEDGER, live).stdout, "without staged policies nobody asks for pending traces"


def test_an_answer_that_hangs_on_what_is_not_known_exits_3_and_says_what_is_missing(asked):
    rule = {"action": "Allow", "protocol": "TCP", "source": {"ports": [4000]}}
    policy = calico("NetworkPolicy", "by-port", "payments", types=["Ingress"], ingress=[rule])

    unknown = asked(WEB, LEDGER, policy)
    known = asked(WEB, LEDGER, policy, more=["--source-port", "4000"])

    assert unknown.exit_code == 3
    assert unknown.stdout.startswith("CANNOT BE KNOWN")
    assert "Missing: the source port is not known." in unknown.stdout
    assert known.exit_code == 0
    assert known.stdout.startswith("ALLOWED")


def test_pods_of_one_workload_that_are_treated_otherwise_are_named(asked):
    def pod(name, address, **labels):
        owner = [{"kind": "StatefulSet", "name": "ledger", "controller": True}]
        meta = {"name": name, "namespace": "payments", "uid": name, "labels": labels, "ownerReferences": owner}
        status = {"phase": "Running", "podIP": address}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": "node-1"}, "status": status}

    closed = kubernetes("closed", "payments", podSelector={"matchLabels": {"old": "yes"}}, policyTypes=["Ingress"])

    result = asked(WEB, pod("ledger-0", "10.0.0.1"), pod("ledger-1", "10.0.0.2", old="yes"), closed)

    assert "other pods of the same workloads differ: shop/Deployment/web → payments/ledger-1 is deny" in result.stdout


def test_an_address_is_an_end_too(asked):
    result = asked(*BASICS, source="203.0.113.7", port="main")

    assert result.stdout.startswith("ALLOWED  203.0.113.7 → payments/StatefulSet/ledger  tcp/5432")


def test_the_json_form_holds_the_whole_walk(asked):
    answer = json.loads(asked(*BASICS, ANY_NAMESPACE, more=["--output", "json"]).stdout)

    assert answer["decision"] == "allow"
    assert [walk["direction"] for walk in answer["walks"]] == ["egress", "ingress"]
    deciding = [
        step
        for walk in answer["walks"]
        for tier in walk["tiers"]
        for step in tier.get("steps", [])
        if "decides" in step
    ]
    assert [(step["policy"], step["rule"]) for step in deciding] == [("shop/web-egress", 0), ("ledger-in", 1)]


def test_input_read_in_part_still_answers_and_exits_3(asked):
    broken = calico("NetworkPolicy", "broken", "shop", selector="a ==")

    result = asked(WEB, LEDGER, broken)

    assert result.exit_code == 3
    assert result.stdout.startswith("ALLOWED")
    assert "NetworkPolicy shop/broken is refused" in result.stderr


def test_a_name_that_is_not_there_is_told_with_what_is_near(asked):
    error = asked(*BASICS, to="payments/StatefulSet/leger").exception

    assert isinstance(error, UserError)
    assert "did you mean payments/StatefulSet/ledger" in str(error)


def test_a_host_that_is_not_there_is_told_with_what_is_near(asked):
    host = {"apiVersion": CALICO, "kind": "HostEndpoint", "metadata": {"name": "edge"}}
    host["spec"] = {"node": "n1", "interfaceName": "*", "expectedIPs": ["192.0.2.7"]}

    error = asked(*BASICS, host, to="host/egde").exception

    assert isinstance(error, UserError)
    assert "did you mean host/edge" in str(error)


def test_a_pod_on_the_hosts_network_has_no_verdict(asked):
    host = workload("agent", "shop")
    host["spec"]["template"]["spec"]["hostNetwork"] = True

    error = asked(WEB, host, to="shop/Deployment/agent").exception

    assert isinstance(error, CannotEvaluateError)
    assert "on the host's network" in str(error)


@pytest.mark.parametrize("port", ["http/80", "tcp", "70000/tcp", "all", "x"])
def test_a_port_that_is_none_is_told(asked, port):
    error = asked(*BASICS, port=port).exception

    assert isinstance(error, UserError)
    assert "port" in str(error)


def test_one_source_is_needed(asked):
    error = CliRunner().invoke(app, ["explain", "--from", "1.2.3.4", "--to", "1.2.3.5", "--port", "80"]).exception

    assert isinstance(error, UserError)
    assert "name one source" in str(error)


def test_to_itself_no_policy_is_asked(asked):
    result = asked(WEB, to="shop/Deployment/web")

    assert "What reaches itself never leaves itself: no policy is asked." in result.stdout


@pytest.mark.parametrize(
    ("source", "to"),
    [
        ("shop/Deployment/web", "shop/Deployment/web"),
        ("shop/web-0", "shop/Deployment/web"),
        ("shop/Deployment/web", "shop/web-0"),
    ],
)
def test_between_the_pods_of_one_workload_policy_is_asked(asked, source, to):
    web = workload("web", "shop")
    web["spec"]["replicas"] = 3
    closed = kubernetes("closed", "shop", podSelector={}, policyTypes=["Ingress", "Egress"])

    result = asked(web, closed, source=source, to=to)

    assert result.stdout.startswith("DENIED")
    assert "no rule matched: end of tier" in result.stdout
    assert "shop/web-0" in result.stdout.splitlines()[0]
    assert "shop/web-1" in result.stdout.splitlines()[0]


def test_between_two_strangers_nobody_polices(asked):
    result = asked(WEB, source="8.8.8.8", to="1.1.1.1")

    assert result.exit_code == 0
    assert "Neither end is a pod or a host endpoint of this cluster: nothing here polices it." in result.stdout
    assert "To deny" not in result.stdout


def test_every_suggestion_flips_the_answer(asked):
    closed = kubernetes("closed", "payments", podSelector={}, policyTypes=["Ingress"])
    rule = {
        "from": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                "podSelector": {"matchLabels": {"app": "web"}},
            }
        ]
    }
    opened = kubernetes("closed", "payments", podSelector={}, policyTypes=["Ingress"], ingress=[rule])

    assert asked(WEB, LEDGER, closed).stdout.startswith("DENIED")
    assert asked(WEB, LEDGER, opened).stdout.startswith("ALLOWED")
