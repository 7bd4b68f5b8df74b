"""domains.yaml and waivers.yaml: what is taken from them, and how each mistake is named."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from models import facts
from models.errors import UserError
from monitor.cluster import declared

HEAD = "apiVersion: segmon/v1\n"
DEMO = Path(__file__).parents[2] / "monitor" / "demo"


def domain(**lines: str) -> str:
    fields = {"name": "pay", "level": "namespace", "members": "{selector: all()}"} | lines
    return HEAD + "domains:\n  - " + "\n    ".join(f"{key}: {value}" for key, value in fields.items()) + "\n"


def waiver(**lines: str) -> str:
    fields = {
        "name": "w",
        "control": "default-deny-ingress",
        "reason": "r",
        "requester": "a",
        "approver": "b",
        "granted": "2026-11-02",
        "expires": "2027-01-31",
    } | lines
    body = "\n    ".join(f"{key}: {value}" for key, value in fields.items() if value)
    return HEAD + "waivers:\n  - " + body + "\n"


def refused(read, text: str) -> str:
    with pytest.raises(UserError) as caught:
        read("f.yaml", text.encode())
    return str(caught.value)


def test_the_demos_files_are_read():
    found = declared.domains("domains.yaml", (DEMO / "domains.yaml").read_bytes())
    excused = declared.waivers("waivers.yaml", (DEMO / "waivers.yaml").read_bytes())

    assert [fact.name for fact in found[1:]] == ["payments", "ledger", "records"]
    assert found[0].tenant_label == "tenant"
    assert found[1].allow[2] == facts.DeclaredPath(
        to_nets=("203.0.113.0/24",), ports=("tcp/443",), reason="card network", approver="j.doe", review_by="2027-03-01"
    )
    assert [fact.control for fact in excused] == ["default-deny-ingress"]


def test_an_unknown_key_is_named_with_its_line_its_path_and_what_was_meant():
    text = domain(allow="\n      - {from: shop, reason: x}\n      - {from: web, prot: [tcp/80], reason: x}")

    assert refused(declared.domains, text) == (
        'f.yaml:8: unknown key "prot" in domains[0].allow[1]; did you mean "ports"?'
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "f.yaml"),
        ("a: [", "f.yaml:1: not YAML"),
        ("domains: []\n", 'apiVersion is ""; this release reads segmon/v1'),
        ("apiVersion: segmon/v2\n", 'apiVersion is "segmon/v2"'),
        (domain(level="zone"), '"zone" is none of cluster, tenant, namespace, workload'),
        (domain(name="'a b'"), "no name"),
        (domain(members="{selector: 'app =='}"), "domains[0].members.selector: not a selector"),
        (domain(allow="[{reason: x}]"), "domains[0].allow[0]"),
        (domain(allow="[{from: a, to: b, reason: x}]"), "domains[0].allow[0]"),
        (domain(allow="[{from: a, reason: x, reviewBy: []}]"), "domains[0].allow[0].reviewBy"),
        (domain(allow="[{from: a, ports: [http], reason: x}]"), '"http"'),
        (domain(allow="[{from: a, ports: [tcp/70000], reason: x}]"), '"tcp/70000"'),
        (domain(allow="[{from: a, ports: ['tcp/90:80'], reason: x}]"), '"tcp/90:80"'),
        (domain(allow="[{to: {nets: [10.0.0.1/8]}, reason: x}]"), "10.0.0.1/8"),
        (domain(allow="[{to: {nets: []}, reason: x}]"), "nets"),
        (domain(allow="[{from: a, reason: x, reviewBy: soon}]"), '"soon"'),
        (domain(allow="[{from: a, reason: x, reviewBy: 2027-02-30}]"), "2027-02-30"),
        (domain() + "  - {name: pay, level: namespace, members: {selector: all()}}\n", "domains[1]"),
        (domain(owner="a") + "    owner: b\n", "domains[0].owner: stands twice"),
        (HEAD + "tiers: [{name: t, actions: [deny]}]\n", '"deny" is none of Allow'),
        (HEAD + "domains: {}\n", "domains: is no list"),
        (HEAD + "systemNamespaces: [{name: kube-system}]\n", "systemNamespaces[0]: reason is missing"),
    ],
)
def test_a_mistake_in_the_domains_is_refused_with_its_place(text, says):
    message = refused(declared.domains, text)

    assert message.startswith("f.yaml")
    assert says in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (waiver(approver="A"), "another person"),
        (waiver(expires=""), "waivers[0]: expires is missing"),
        (waiver(expires="2026-11-01"), "waivers[0]"),
        (waiver(expires="never"), '"never" is no date'),
        (waiver(grantd="2026-11-02"), 'unknown key "grantd"'),
        (waiver(reason="''"), "waivers[0]"),
        (HEAD + "waivers: [[]]\n", "waivers[0]: is no mapping"),
    ],
)
def test_a_mistake_in_the_waivers_is_refused_with_its_place(text, says):
    message = refused(declared.waivers, text)

    assert message.startswith("f.yaml")
    assert says in message


def test_a_waiver_holds_to_the_end_of_its_last_day():
    [found] = declared.waivers("f.yaml", waiver().encode())

    assert found.granted_at == datetime(2026, 11, 2, tzinfo=UTC)
    assert found.expires_at >= datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)


def test_a_file_that_is_not_there_is_an_error_at_the_start(tmp_path):
    with pytest.raises(UserError, match=r"domains\.yaml: No such file"):
        declared.read(tmp_path / "domains.yaml", None, cluster="c")
