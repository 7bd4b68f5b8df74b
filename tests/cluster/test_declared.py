"""domains.yaml and waivers.yaml: the demo's load, and every mistake is refused with file and line."""

from datetime import UTC, datetime
from importlib import resources

import pytest

from models.facts import DeclaredPath
from monitor.cluster import declared
from monitor.cluster.declared import DeclaredError

HEAD = "apiVersion: segmon/v1\n"


def packaged(name):
    return (resources.files("monitor.demo") / name).read_bytes()


def domain(**keys):
    written = {"name": "pay", "level": "namespace", "members": "{selector: all()}"} | keys
    lines = "".join(f"\n    {key}: {value}" for key, value in written.items()).lstrip()
    return f"{HEAD}domains:\n  - {lines}\n".encode()


def allow(path):
    return domain(allow=f"[{path}]")


def waiver(**keys):
    written = {
        "name": "w",
        "control": "default-deny-ingress",
        "reason": "r",
        "requester": "a",
        "approver": "b",
        "granted": "2026-11-02",
        "expires": "2027-01-31",
    } | keys
    lines = "".join(f"\n    {key}: {value}" for key, value in written.items() if value).lstrip()
    return f"{HEAD}waivers:\n  - {lines}\n".encode()


def test_the_demo_declares_its_domains_with_paths_as_written():
    declaration, *domains = declared.domains("domains.yaml", packaged("domains.yaml"))

    assert declaration.tenant_label == "tenant"
    assert [tier.name for tier in declaration.tiers] == ["security", "platform", "default"]
    assert [f"{each.level}/{each.name}" for each in domains] == [
        "namespace/payments",
        "namespace/ledger",
        "namespace/records",
    ]
    assert domains[0].allow[0] == DeclaredPath(
        from_domain="shop", ports=("tcp/8080",), reason="checkout", approver="j.doe", review_by="2027-03-01"
    )
    assert domains[0].allow[2].to_nets == ("203.0.113.0/24",)


def test_a_waivers_last_day_counts_whole():
    [found] = declared.waivers("waivers.yaml", packaged("waivers.yaml"))

    assert found.granted_at == datetime(2026, 11, 2, tzinfo=UTC)
    assert found.expires_at == datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            allow("{from: shop, prot: [tcp/1]}"),
            r'domains.yaml:6: unknown key "prot" in domains\[0\].allow\[0\]; did you mean "ports"\?',
        ),
        (allow("{from: shop, ports: [8080]}"), r"domains\[0\].allow\[0\].ports\[0\]: .* is no port"),
        (allow("{from: shop, ports: [tcp/9000:80]}"), "the lower one first"),
        (allow("{from: shop, ports: [tcp/70000]}"), "1 to 65535"),
        (allow("{from: {nets: [10.0.0.1/8]}}"), "not a network: 10.0.0.1/8 has host bits set"),
        (allow("{from: {nets: []}}"), "names no nets"),
        (allow("{from: a, to: b}"), "exactly one of from and to"),
        (allow("{from: a, reviewBy: soon}"), '"soon" is no date'),
        (domain(level="name-space"), '"name-space" is none of .*; did you mean "namespace"'),
        (domain(criticality="urgent"), "none of low, medium, high, critical"),
        (domain(members="{selector: app = x}"), r"domains\[0\].members.selector: not a selector"),
        (domain(name="a/b"), "is no name"),
        (f"{HEAD}domains: [{{name: x, level: namespace}}]".encode(), "members is missing"),
        (domain() + domain().split(b"\n", 2)[2], "namespace/pay is declared twice"),
        (b"apiVersion: v1\n", 'apiVersion is "v1"; this release reads segmon/v1'),
        (b"", "is empty"),
        (b"a: [", "domains.yaml:1: not YAML"),
        (b"\xff\xfe\xfd", "not UTF-8"),
        (b"domains: []\n", 'apiVersion is ""; this release reads segmon/v1'),
        (domain(level="zone"), '"zone" is none of cluster, tenant, namespace, workload'),
        (domain(name="'a b'"), "is no name"),
        (domain(members="{selector: 'app =='}"), r"domains\[0\].members.selector: not a selector"),
        (
            domain(allow="\n      - {from: shop, reason: x}\n      - {from: web, prot: [tcp/80], reason: x}"),
            r'^domains.yaml:8: unknown key "prot" in domains\[0\].allow\[1\]; did you mean "ports"\?$',
        ),
        (allow("{reason: x}"), r"domains\[0\].allow\[0\]: .*exactly one of from and to"),
        (allow("{from: a, reason: x, reviewBy: []}"), r"domains\[0\].allow\[0\].reviewBy"),
        (allow("{from: a, ports: [http], reason: x}"), '"http"'),
        (allow("{to: {nets: [10.0.0.1/8]}, reason: x}"), "10.0.0.1/8"),
        (allow("{from: a, reason: x, reviewBy: 2027-02-30}"), "2027-02-30"),
        (domain(owner="a") + b"    owner: b\n", r"domains\[0\].owner: stands twice"),
        (f"{HEAD}tiers: [{{name: t, actions: [deny]}}]\n".encode(), '"deny" is none of Allow'),
        (f"{HEAD}domains: {{}}\n".encode(), "domains: is no list"),
        (f"{HEAD}systemNamespaces: [{{name: kube-system}}]\n".encode(), r"systemNamespaces\[0\]: reason is missing"),
    ],
)
def test_a_mistake_in_the_domains_is_told_with_its_place(data, said):
    with pytest.raises(DeclaredError, match=said):
        declared.domains("domains.yaml", data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (waiver(approver="A"), "another person approves"),
        (waiver(expires=""), "expires is missing"),
        (waiver(expires="2026-01-01"), "is not after granted"),
        (waiver(control="default-deny-ingres"), 'did you mean "default-deny-ingress"'),
        (waiver(granted="2026-11-02T10:00:00"), "has no time zone"),
        (waiver(until="2027-01-31"), 'unknown key "until"'),
        (waiver(grantd="2026-11-02"), 'unknown key "grantd".*; did you mean "granted"'),
        (waiver(expires="never"), '"never" is no date'),
        (waiver(reason="''"), r"waivers\[0\]"),
        (f"{HEAD}waivers: [[]]\n".encode(), r"waivers\[0\]: is no mapping"),
    ],
)
def test_a_mistake_in_the_waivers_is_told_with_its_place(data, said):
    with pytest.raises(DeclaredError, match=said):
        declared.waivers("waivers.yaml", data)


def test_a_file_that_is_not_there_is_an_error_at_the_start(tmp_path):
    with pytest.raises(DeclaredError, match=r"domains\.yaml: No such file"):
        declared.read(tmp_path / "domains.yaml", None, cluster="c")
