"""`segmon reach` on files: exact port sets, outside ranges, and forms that survive hostile names."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import typer
import yaml
from typer.testing import CliRunner

from models.errors import CannotEvaluateError, UserError
from monitor.cli import reach, reach_forms
from monitor.cli.reach import Line

app = typer.Typer()
app.command()(reach.reach)


@app.callback()
def main():
    """One command among others, as in the real tool."""


def workload(name, namespace):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c"}]}}
    spec = {"replicas": 1, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def policy(name, namespace, **spec):
    meta = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": {"podSelector": {}} | spec,
    }


FROM_SHOP = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
OBJECTS = [
    workload("web", "shop"),
    workload("db", "data"),
    policy(
        "data-in", "data", ingress=[{"from": [FROM_SHOP], "ports": [{"port": 5432}, {"port": 8000, "endPort": 8003}]}]
    ),
    policy("shop-in", "shop", ingress=[{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}]),
    policy("data-out", "data", policyTypes=["Egress"]),
]


@pytest.fixture
def run(tmp_path):
    def invoke(*more, objects=OBJECTS):
        (tmp_path / "m.yaml").write_text(yaml.safe_dump_all(objects))
        return CliRunner().invoke(app, ["reach", "--manifests", str(tmp_path), *more])

    return invoke


def test_the_table_shows_exact_ports_and_outside_ranges(run):
    result = run()

    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "FROM TO CONNECTIONS",
        "shop/Deployment/web data/Deployment/db tcp/5432, tcp/8000:8003",
        "shop/Deployment/web outside any IPv4 all",
        "outside 203.0.113.0/24 shop/Deployment/web tcp/443",
    ]


def test_rows_come_in_the_order_of_their_names(run):
    """Two runs of one input can be compared line by line."""
    pods = [workload(name, "open") for name in ("b", "c", "a", "e", "d")]
    done = run("--output", "json", "--from", "open/*", "--to", "open/*", objects=pods)

    ends = [(line["from"], line["to"]) for line in json.loads(done.stdout)]
    assert len(ends) == 20
    assert ends == sorted(ends)


def test_rows_can_be_about_namespaces(run):
    lines = json.loads(run("--by", "namespace", "--output", "json", "--to", "data").stdout)

    assert lines == [{"from": "shop", "to": "data", "connections": ["tcp/5432", "tcp/8000:8003"]}]


def test_rows_can_be_about_domains(run):
    lines = json.loads(run("--by", "domain", "--output", "json", "--from", "*shop", "--to", "*data").stdout)

    assert [line["connections"] for line in lines] == [["tcp/5432", "tcp/8000:8003"]]


DECLARED = """apiVersion: segmon/v1
tenantLabel: team
domains:
  - name: ledgers
    level: workload
    members: {selector: app == 'db'}
"""


def test_declared_domains_and_tenants_are_rows_too(run, tmp_path):
    file = tmp_path / "domains.yaml.txt"
    file.write_text(DECLARED)
    shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "sales"}}}

    done = run(
        *("--by", "domain", "--domains", str(file), "--output", "json"),
        *("--from", "tenant/sales", "--to", "workload/ledgers"),
        objects=[*OBJECTS, shop],
    )

    assert json.loads(done.stdout) == [
        {"from": "tenant/sales", "to": "workload/ledgers", "connections": ["tcp/5432", "tcp/8000:8003"]}
    ]


def test_a_declaration_that_cannot_be_used_names_its_place(run, tmp_path):
    file = tmp_path / "domains.yaml.txt"
    file.write_text("apiVersion: segmon/v1\ntenant: team\n")

    error = run("--by", "domain", "--domains", str(file)).exception

    assert isinstance(error, UserError)
    assert "domains.yaml.txt:2: unknown key" in str(error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--manifests", "x"), "--domains is about rows of domains\n       fix: add --by domain"),
        (("--by", "domain", "--data", "x"), "the record holds what was declared"),
        (("--by", "domain", "--database", "sqlite:///x"), "the record holds what was declared"),
    ],
)
def test_declared_domains_go_with_rows_of_domains_and_facts_without_a_record(arguments, said):
    error = CliRunner().invoke(app, ["reach", "--domains", "domains.yaml", *arguments]).exception

    assert isinstance(error, UserError)
    assert said in str(error)


def test_outside_can_be_asked_for_alone(run):
    lines = json.loads(run("--from", "outside", "--output", "json").stdout)

    assert lines == [
        {"from": "outside", "to": "shop/Deployment/web", "connections": ["tcp/443"], "ranges": ["203.0.113.0/24"]}
    ]


def test_staged_policies_count_when_they_are_asked_for(run):
    staged = policy("closed", "data", policyTypes=["Ingress"]) | {
        "apiVersion": "projectcalico.org/v3",
        "kind": "StagedGlobalNetworkPolicy",
        "spec": {"order": 1, "types": ["Ingress"], "ingress": [{"action": "Deny"}], "selector": "app == 'db'"},
    }
    arguments = ("--to", "data/Deployment/db", "--from", "shop/*", "--output", "json")

    assert len(json.loads(run(*arguments, objects=[*OBJECTS, staged]).stdout)) == 1
    assert json.loads(run(*arguments, "--pending", objects=[*OBJECTS, staged]).stdout) == []


def test_nothing_allowed_is_said(run):
    assert run("--from", "data/*", "--to", "shop/*").stdout == "no connection is allowed\n"


ON_THE_HOST = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "agent", "namespace": "shop"},
    "spec": {"hostNetwork": True, "containers": [{"name": "c"}]},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


@pytest.mark.parametrize("by", ["workload", "namespace", "domain"])
@pytest.mark.parametrize(
    "objects",
    [
        [],
        [NAMESPACE],
        [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}}],
        [NAMESPACE, policy("shop-in", "shop")],
        [ON_THE_HOST],
    ],
    ids=["nothing", "a namespace", "a config map", "a policy", "a pod of the host's network"],
)
def test_without_an_endpoint_there_is_nothing_to_evaluate(run, objects, by):
    """Nobody was judged: that is not the answer that nothing is allowed."""
    result = run("--by", by, objects=objects)

    assert isinstance(result.exception, CannotEvaluateError)
    assert "nothing to evaluate" in str(result.exception)
    assert result.stdout == ""


def test_pods_that_nobody_can_judge_are_told_with_the_reason(run):
    def live(name, **spec):
        meta = {"name": name, "namespace": "shop", "uid": name}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "c"}], **spec}}

    waiting = [live("a"), live("b"), live("c", nodeName="node-1"), ON_THE_HOST]
    done = live("d", nodeName="node-1") | {"status": {"phase": "Succeeded", "podIP": "10.0.0.1"}}

    said = str(run(objects=[*waiting, done]).exception)

    assert said.endswith(
        "(pods: 1 finished, 1 in the host's network, 2 not scheduled to a node yet, 1 without an address yet)"
    )
    assert "fix: give it Pods, or the workloads" in str(run(objects=[NAMESPACE]).exception)


def test_a_name_that_matches_nothing_is_told(run):
    error = run("--from", "nowhere").exception

    assert isinstance(error, UserError)
    assert "data/Deployment/db" in str(error)


def test_a_name_that_is_mistyped_is_told_with_what_is_near(run):
    """The first names of the alphabet would seldom be it."""
    many = [workload(name, "apps") for name in ("aa", "ab", "ac", "ad")]
    error = run("--from", "shop/Deployment/wbe", objects=[*OBJECTS, *many]).exception

    assert isinstance(error, UserError)
    assert "did you mean shop/Deployment/web" in str(error)


def test_input_read_in_part_exits_3_and_still_answers(run):
    result = run(objects=[*OBJECTS, {"apiVersion": "v1", "metadata": {"name": "x"}}])

    assert result.exit_code == 3
    assert "tcp/5432" in result.stdout
    assert "kind is missing" in result.stderr


def test_html_and_graphviz_that_show_a_part_say_so_themselves(run):
    """They are sent on; what was told on stderr is not."""
    objects = [*OBJECTS, {"apiVersion": "v1", "metadata": {"name": "x"}}]
    page, drawn = (run("--output", form, objects=objects).stdout for form in ("html", "dot"))

    assert '<p role="alert">incomplete: ' in page
    assert "kind is missing" in page
    assert drawn.startswith("// incomplete: ")
    assert "kind is missing" in drawn.splitlines()[0]
    assert '  label="incomplete: not all input was read";' in drawn
    assert "incomplete" not in run("--output", "html").stdout + run("--output", "dot").stdout


def test_what_was_not_read_is_escaped():
    """File names and the words of a parser come from elsewhere too."""
    hostile = ("not read: <script>alert()</script>\n}", 'not read: "x" \\')

    page, drawn = reach_forms.html([], "workload", hostile), reach_forms.dot([], hostile)

    assert "<script" not in page
    assert all(line.startswith("// ") for line in drawn.splitlines()[:2])
    assert drawn.splitlines()[2] == "digraph reach {"


@pytest.mark.parametrize("form", ["json", "csv"])
def test_rows_for_programs_keep_their_shape_when_input_was_refused(run, form):
    """What was not read is told by the exit code and on stderr."""
    partly = run("--output", form, objects=[*OBJECTS, {"apiVersion": "v1", "metadata": {"name": "x"}}])

    assert partly.exit_code == 3
    assert partly.stdout == run("--output", form).stdout


HOSTILE = Line(
    source='=cmd|"x"\\N\n<script>',
    destination="outside",
    connections=("tcp/80",),
    unknown=("udp/53",),
    ranges=tuple(f"10.{n}.0.0/16" for n in range(9)),
)


def test_csv_cells_are_safe_in_a_spreadsheet():
    [_, row] = csv.reader(io.StringIO(reach_forms.csv_rows([HOSTILE])))

    assert row[0].startswith("'=cmd")
    assert row[2:4] == ["tcp/80", "udp/53"]


def test_html_escapes_what_a_cluster_says_and_loads_nothing():
    page = reach_forms.html([HOSTILE], "workload")

    assert "<script" not in page
    assert "http" not in page
    assert "cannot be known: udp/53" in page


@pytest.mark.parametrize(
    ("connections", "look"),
    [(("all",), "all"), (("all but tcp/22",), "all"), (("tcp/443", "udp/53"), "some"), (("tcp/1:65535",), "some")],
)
def test_a_cell_that_names_only_exceptions_looks_as_wide_as_everything(connections, look):
    page = reach_forms.html([Line(source="a", destination="b", connections=connections)], "namespace")

    assert f"<td class={look}>" in page


def test_html_is_well_formed(run):
    opened: list[str] = []

    class Checking(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "br"}:
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Checking().feed(run("--output", "html").stdout)

    assert opened == []


def test_a_matrix_that_nobody_could_read_is_refused():
    lines = [Line(source=str(n), destination="x", connections=("all",)) for n in range(500)]

    with pytest.raises(UserError, match="--by namespace"):
        reach_forms.html(lines, "workload")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_it_whatever_the_names_are(run):
    partly = reach_forms.dot([HOSTILE], ("not read: a\n} \\ /* */",))
    for text in (run("--output", "dot").stdout, reach_forms.dot([HOSTILE]), partly):
        drawn = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True, timeout=30)

        assert "<svg" in drawn.stdout
        assert not drawn.stderr
