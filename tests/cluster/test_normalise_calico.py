"""Calico's objects become facts, or are rejected where Calico drops them: policy_semantics.md 3.4, 3.5, 4.6, 5.7, 6."""

import pytest

from models import facts
from monitor.cluster.normalise import Door, normalise, with_defaults

V3 = "projectcalico.org/v3"
STORED = "crd.projectcalico.org/v1"


def policy(kind="NetworkPolicy", version=V3, name="p", **spec):
    metadata = {"name": name} if "Global" in kind else {"name": name, "namespace": "shop"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def calico(kind, spec=None, **metadata):
    return {"apiVersion": V3, "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec or {}}


def rule(**fields):
    return {"action": "Allow", **fields}


def refused(obj, door=Door.VALIDATORS):
    fact = normalise(obj, door=door)
    return isinstance(fact, facts.Rejected)


def test_a_policy_keeps_its_fields_as_written_and_its_ports_in_one_form():
    fact = normalise(
        policy(
            "GlobalNetworkPolicy",
            tier="platform",
            order=1.5,
            selector="a == 'b'",
            namespaceSelector="all()",
            types=["Ingress", "Egress"],
            applyOnForward=True,
            preDNAT=False,
            ingress=[
                {
                    "action": "Deny",
                    "protocol": "tcp",
                    "notProtocol": "17",
                    "ipVersion": 4,
                    "source": {"nets": ["10.0.0.0/8"], "serviceAccounts": {"names": ["a"], "selector": "b == 'c'"}},
                    "destination": {"ports": [80, "443", "1:9", "7:7", "http"], "notSelector": "has(x)"},
                    "metadata": {"annotations": {"why": "so"}},
                },
                {"action": "Allow", "http": {"methods": ["GET"], "paths": [{"exact": "/a"}, {"prefix": "/b"}]}},
                {"action": "Log", "protocol": "ICMP", "icmp": {"type": 8, "code": 0}, "notICMP": {"type": 3}},
            ],
        )
    )

    assert fact == facts.CalicoPolicy(
        name="p",
        policy_kind="GlobalNetworkPolicy",
        tier="platform",
        order=1.5,
        selector="a == 'b'",
        namespace_selector="all()",
        types=("Ingress", "Egress"),
        apply_on_forward=True,
        ingress=(
            facts.Rule(
                action="Deny",
                protocol="TCP",
                not_protocol=17,
                ip_version=4,
                source=facts.EntityRule(
                    nets=("10.0.0.0/8",),
                    service_accounts=facts.ServiceAccountMatch(names=("a",), selector="b == 'c'"),
                ),
                destination=facts.EntityRule(ports=(80, 443, "1:9", 7, "http"), not_selector="has(x)"),
                annotations={"why": "so"},
            ),
            facts.Rule(action="Allow", http=facts.HTTPMatch(methods=("GET",), paths=("exact:/a", "prefix:/b"))),
            facts.Rule(
                action="Log",
                protocol="ICMP",
                icmp=facts.ICMPMatch(type=8, code=0),
                not_icmp=facts.ICMPMatch(type=3),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("metadata", "name", "labels"),
    [
        ({"name": "default.foo", "labels": {"a": "b"}}, "default.foo", {"a": "b"}),
        (
            {
                "name": "default.foo",
                "labels": {"a": "b"},
                "annotations": {"projectcalico.org/metadata": '{"name": "foo", "labels": {"c": "d"}}'},
            },
            "foo",
            {"a": "b", "c": "d"},
        ),
        ({"name": "default.foo", "annotations": {"projectcalico.org/metadata": '{"name": null}'}}, "foo", {}),
    ],
)
def test_an_object_stored_under_the_old_group_gets_its_own_name_and_labels_back(metadata, name, labels):
    obj = {"apiVersion": STORED, "kind": "GlobalNetworkPolicy", "metadata": metadata, "spec": {}}

    assert (normalise(obj).name, normalise(obj).labels) == (name, labels)


def test_a_policy_of_another_tier_keeps_the_prefix_of_its_tier():
    obj = policy("GlobalNetworkPolicy", STORED, "platform.foo", tier="platform")
    obj["metadata"]["annotations"] = {"projectcalico.org/metadata": "{}"}

    assert normalise(obj).name == "platform.foo"


def test_stored_metadata_that_is_no_json_is_named():
    obj = policy("GlobalNetworkPolicy", STORED)
    obj["metadata"]["annotations"] = {"projectcalico.org/metadata": "{"}

    assert normalise(obj).reason == "metadata.annotations[projectcalico.org/metadata]: is not JSON"


BROKEN_EVERYWHERE = [
    rule(source={"selector": "a = b"}),
    rule(source={"notSelector": "has(a"}),
    rule(source={"namespaceSelector": "&&"}),
    rule(source={"serviceAccounts": {"selector": "a =="}}),
    rule(protocol="TCP", destination={"ports": [0]}),
    rule(protocol="TCP", destination={"ports": ["0:5"]}),
    rule(protocol="TCP", destination={"ports": ["9:5"]}),
    rule(protocol="TCP", destination={"ports": [65536]}),
    rule(protocol="TCP", destination={"ports": ["-1"]}),
    rule(protocol="TCP", destination={"ports": ["a b"]}),
    rule(protocol="TCP", destination={"ports": ["-http"]}),
    rule(protocol="TCP", destination={"ports": ["a-name-too-long-for-a-port"]}),
    rule(destination={"ports": [80]}),
    rule(destination={"notPorts": ["1:2"]}),
    rule(source={"ports": [80]}),
    rule(protocol="ICMP", destination={"ports": [80]}),
    rule(protocol="UDPLite", destination={"ports": [80]}),
    rule(protocol=47, source={"notPorts": ["http"]}),
    rule(protocol=0),
    rule(protocol=256),
    rule(protocol="XTP"),
    rule(notProtocol="XTP"),
    rule(ipVersion=5),
    rule(action="Permit"),
    rule(protocol="ICMP", icmp={"type": 255}),
    rule(protocol="ICMP", icmp={"type": 0, "code": 256}),
    {},
]


@pytest.mark.parametrize("door", list(Door))
@pytest.mark.parametrize("broken", BROKEN_EVERYWHERE, ids=str)
def test_a_rule_that_felix_drops_takes_the_whole_policy_with_it(broken, door):
    assert refused(policy(ingress=[rule(), broken]), door)
    assert refused(policy("StagedGlobalNetworkPolicy", egress=[broken]), door)


BROKEN_FOR_THE_CRD = [
    rule(source={"selector": "global()"}),
    rule(protocol="ICMP", ipVersion=6),
    rule(protocol=58, ipVersion=4),
    rule(notProtocol="ICMPv6", ipVersion=4),
    rule(icmp={"type": 8}),
    rule(protocol="TCP", icmp={"type": 8}),
    rule(protocol="ICMP", icmp={"code": 0}),
    rule(notICMP={"code": 0}),
    rule(http={"methods": ["GET"]}, protocol="UDP"),
    {"action": "Deny", "http": {"methods": ["GET"]}},
    rule(source={"services": {"name": "s", "namespace": "n"}, "nets": ["10.0.0.0/8"]}),
    rule(source={"services": {"name": "s", "namespace": "n"}, "serviceAccounts": {}}),
    rule(source={"services": {"name": "s", "namespace": "n"}, "selector": "all()"}),
    rule(source={"services": {"name": "s", "namespace": "n"}, "namespaceSelector": "all()"}),
    rule(source={"services": {"namespace": "n"}}),
    rule(source={"selector": "has(" + "a" * 1024 + ")"}),
    rule(source={"nets": ["10.0.0.0/8"] * 257}),
    rule(protocol="TCP", source={"ports": [1] * 51}),
]


@pytest.mark.parametrize("broken", BROKEN_FOR_THE_CRD, ids=lambda broken: str(broken)[:60])
def test_a_rule_against_schema_or_cel_is_refused_at_both_doors(broken):
    assert refused(policy(ingress=[broken]), Door.CRD)
    assert refused(policy(ingress=[broken]), Door.VALIDATORS)


BROKEN_FOR_THE_VALIDATORS = [
    rule(source={"nets": ["10.0.0.1/8"]}),
    rule(source={"nets": ["10.0.0.1"]}),
    rule(source={"nets": ["10.0.0.0/33"]}),
    rule(source={"nets": ["10.0.0.0/255.0.0.0"]}),
    rule(source={"nets": ["fe80::%eth0/64"]}),
    rule(source={"nets": [""]}),
    rule(source={"nets": ["10.0.0.0/8", "fd00::/8"]}),
    rule(source={"nets": ["10.0.0.0/8"]}, destination={"notNets": ["fd00::/8"]}),
    rule(source={"nets": ["10.0.0.0/8"]}, ipVersion=6),
    rule(source={"notNets": ["0.0.0.0/0"]}),
    rule(source={"notNets": ["0::0/0"]}),
    rule(source={"namespaceSelector": "global() && all()"}),
    rule(source={"namespaceSelector": "global()||all()"}),
    rule(protocol="tcp"),
    rule(destination={"services": {"name": "s", "namespace": "n"}}),
    rule(source={"services": {"name": "S", "namespace": "n"}}),
    rule(http={"methods": ["GET", "GET"]}),
    rule(http={"paths": [{"exact": "/a", "prefix": "/b"}]}),
    rule(http={"paths": [{}]}),
    rule(http={"paths": [{"exact": "a"}]}),
    rule(http={"paths": [{"exact": "/a?b"}]}),
]


@pytest.mark.parametrize("broken", BROKEN_FOR_THE_VALIDATORS, ids=str)
def test_a_rule_that_only_the_validators_refuse_stands_behind_other_doors(broken):
    assert refused(policy(ingress=[broken]), Door.VALIDATORS)
    assert not refused(policy(ingress=[broken]), Door.CRD)
    assert not refused(policy(ingress=[broken]), Door.STORE)


STANDING = [
    rule(source={"nets": ["0.0.0.0/0"]}),
    rule(source={"nets": ["::/0"], "notNets": ["fd00::/8"]}),
    rule(source={"namespaceSelector": "  global()  "}),
    rule(source={"namespaceSelector": "global( )"}),
    rule(destination={"ports": ["http"]}),
    rule(protocol=132, destination={"ports": ["http", 1, "65535"]}),
    rule(protocol="ICMP"),
    rule(protocol="UDPLite"),
    rule(protocol=255),
    rule(notProtocol=1),
    rule(notICMP={"type": 8}),
    rule(source={"services": {"name": "s"}, "ports": ["http"]}),
    {"action": "Log"},
    {"action": "Pass"},
]


@pytest.mark.parametrize("door", list(Door))
@pytest.mark.parametrize("good", STANDING, ids=str)
def test_a_rule_that_calico_takes_is_no_reason_to_reject(good, door):
    assert isinstance(normalise(policy(ingress=[good]), door=door), facts.CalicoPolicy)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("NetworkPolicy", {"selector": "global()"}),
        ("NetworkPolicy", {"serviceAccountSelector": "global()"}),
        ("GlobalNetworkPolicy", {"namespaceSelector": "global()"}),
        ("NetworkPolicy", {"selector": "a ="}),
        ("NetworkPolicy", {"types": ["Ingress", "Ingress"]}),
        ("NetworkPolicy", {"tier": "Big"}),
        ("NetworkPolicy", {"egress": [rule(source={"services": {"name": "s"}})]}),
        ("NetworkPolicy", {"egress": [rule(http={"methods": ["GET"]})]}),
        ("NetworkPolicy", {"ingress": [rule(destination={"services": {"name": "s"}})]}),
        ("GlobalNetworkPolicy", {"egress": [rule(destination={"services": {"name": "s"}})]}),
        ("GlobalNetworkPolicy", {"ingress": [rule(source={"services": {"name": "s"}})]}),
        ("GlobalNetworkPolicy", {"doNotTrack": True}),
        ("GlobalNetworkPolicy", {"preDNAT": True}),
        ("GlobalNetworkPolicy", {"preDNAT": True, "doNotTrack": True, "applyOnForward": True}),
        ("GlobalNetworkPolicy", {"preDNAT": True, "applyOnForward": True, "egress": [rule()]}),
        ("GlobalNetworkPolicy", {"preDNAT": True, "applyOnForward": True, "types": ["Egress"]}),
        ("NetworkPolicy", {"performanceHints": ["Faster"]}),
        ("StagedNetworkPolicy", {"stagedAction": "Drop"}),
        ("StagedNetworkPolicy", {"stagedAction": "Delete", "order": 1}),
        ("StagedNetworkPolicy", {"stagedAction": "Delete", "order": 0}),
        ("StagedNetworkPolicy", {"stagedAction": "Delete", "ingress": []}),
        ("StagedGlobalNetworkPolicy", {"stagedAction": "Delete", "selector": "all()"}),
        ("StagedKubernetesNetworkPolicy", {"stagedAction": "Delete", "podSelector": {"matchLabels": {"a": "b"}}}),
        ("StagedKubernetesNetworkPolicy", {"ingress": [{"ports": [{"port": "http", "endPort": 9}]}]}),
        ("StagedKubernetesNetworkPolicy", {"ingress": [{"ports": [{"port": "a..b"}]}]}),
        ("StagedKubernetesNetworkPolicy", {"ingress": [{"ports": [{"protocol": "NONE"}]}]}),
        ("StagedKubernetesNetworkPolicy", {"ingress": [{"ports": [{"protocol": "ICMP", "port": 80}]}]}),
        ("StagedKubernetesNetworkPolicy", {"podSelector": {"matchLabels": {"a b": "c"}}}),
        ("StagedKubernetesNetworkPolicy", {"egress": [{"to": [{"podSelector": {"matchLabels": {"a": "b'c"}}}]}]}),
        ("NetworkPolicy", {"tier": "x" * 64}),
        ("NetworkPolicy", {"tier": 0}),
        ("StagedNetworkPolicy", {"stagedAction": False}),
        ("NetworkPolicy", {"types": {"a": "b"}}),
        ("NetworkPolicy", {"ingress": [rule(metadata={"annotations": {"a b": "c"}})]}),
    ],
    ids=str,
)
def test_a_policy_that_calico_refuses_is_rejected(kind, spec):
    assert refused(with_defaults(policy(kind, **spec)))


BLANK = " \t"


@pytest.mark.parametrize(
    ("kind", "spec", "is_dropped"),
    [
        ("NetworkPolicy", {"selector": BLANK}, True),
        ("GlobalNetworkPolicy", {"selector": BLANK}, False),
        ("GlobalNetworkPolicy", {"selector": BLANK, "namespaceSelector": "has(a)"}, True),
        ("GlobalNetworkPolicy", {"selector": BLANK, "serviceAccountSelector": "has(a)"}, True),
        ("GlobalNetworkPolicy", {"selector": "has(a)", "namespaceSelector": BLANK}, False),
        ("NetworkPolicy", {"ingress": [rule(source={"selector": BLANK})]}, True),
        ("NetworkPolicy", {"ingress": [rule(source={"notSelector": BLANK})]}, True),
        ("NetworkPolicy", {"ingress": [rule(source={"namespaceSelector": BLANK})]}, False),
        ("GlobalNetworkPolicy", {"ingress": [rule(source={"selector": BLANK})]}, False),
        ("GlobalNetworkPolicy", {"ingress": [rule(source={"notSelector": BLANK})]}, False),
        ("GlobalNetworkPolicy", {"ingress": [rule(source={"selector": BLANK, "namespaceSelector": "has(a)"})]}, True),
        ("GlobalNetworkPolicy", {"ingress": [rule(source={"selector": BLANK, "serviceAccounts": {}})]}, False),
        ("GlobalNetworkPolicy", {"ingress": [rule(source={"selector": BLANK, "notSelector": "has(a)"})]}, True),
    ],
    ids=str,
)
def test_a_selector_of_blanks_drops_the_policy_where_calico_puts_it_in_brackets(kind, spec, is_dropped):
    """Found by running Calico's converters: syncersv1/updateprocessors joins with `(%s) && %s`, felix drops `( )`."""
    assert refused(policy(kind, **spec), Door.STORE) is is_dropped


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("StagedNetworkPolicy", {"stagedAction": "Delete", "tier": "platform"}),
        ("StagedNetworkPolicy", {"stagedAction": "Delete", "selector": "", "order": None}),
        ("StagedNetworkPolicy", {"stagedAction": "Delete", "types": ["Sideways"], "nodeSelector": "x"}),
        ("StagedKubernetesNetworkPolicy", {"stagedAction": "Delete", "podSelector": {}}),
        ("StagedKubernetesNetworkPolicy", {"stagedAction": "Delete", "tier": "platform"}),
        ("StagedKubernetesNetworkPolicy", {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Never"}]}}),
        ("NetworkPolicy", {"ingress": [rule(protocol="1", icmp={"type": 8})]}),
        ("GlobalNetworkPolicy", {"preDNAT": True, "applyOnForward": True, "types": ["Ingress"]}),
        ("GlobalNetworkPolicy", {"doNotTrack": True, "applyOnForward": True, "egress": [rule()]}),
        ("GlobalNetworkPolicy", {"ingress": [rule(source={"services": {"name": "s", "namespace": "n"}})]}),
    ],
    ids=str,
)
def test_a_policy_that_calico_takes_stands(kind, spec):
    assert not refused(with_defaults(policy(kind, **spec)))


def test_a_namespace_selector_that_does_not_parse_drops_no_global_policy_that_is_stored():
    obj = policy("GlobalNetworkPolicy", namespaceSelector="a = b")

    assert refused(obj)
    assert normalise(obj).namespace_selector == "a = b"


@pytest.mark.parametrize(
    ("kind", "name", "is_refused"),
    [
        ("NetworkPolicy", "a", False),
        ("NetworkPolicy", "a.b", False),
        ("NetworkPolicy", "a.b.c", True),
        ("NetworkPolicy", "knp.default.a.b.c", False),
        ("NetworkPolicy", "A", True),
        ("NetworkPolicy", "a\n", True),
        ("GlobalNetworkPolicy", "a.b", False),
        ("GlobalNetworkPolicy", "knp.default.a", True),
        ("GlobalNetworkPolicy", "a" * 254, True),
    ],
)
def test_names_follow_the_kind(kind, name, is_refused):
    assert refused(policy(kind, name=name)) is is_refused
    assert not refused(policy(kind, name=name), Door.STORE)


@pytest.mark.parametrize(
    ("obj", "is_refused"),
    [
        (calico("Tier", {"order": 5}), False),
        (calico("Tier", {"order": 5}, name="a.b"), True),
        (calico("Tier", {"defaultAction": "Allow"}), True),
        (calico("Tier", {"defaultAction": ""}), True),
        (calico("Tier", {"order": 1000000, "defaultAction": "Deny"}, name="default"), False),
        (calico("Tier", {"order": 5}, name="default"), True),
        (calico("Tier", {"order": 1000, "defaultAction": "Deny"}, name="kube-admin"), True),
        (calico("GlobalNetworkSet", {"nets": ["10.0.0.1/8", "10.0.0.1", "fd00::1"]}), False),
        (calico("GlobalNetworkSet", {"nets": ["ten"]}), True),
        (calico("GlobalNetworkSet", {"nets": []}, labels={"projectcalico.org/namespace": "n"}), True),
        (calico("GlobalNetworkSet", {"nets": []}, labels={"a b": "c"}), True),
        (calico("GlobalNetworkSet", {"nets": []}, labels={"a": "b" * 64}), True),
        (calico("GlobalNetworkSet", {"nets": []}, annotations={"a b": "c"}), True),
        (calico("HostEndpoint", {"node": "n", "interfaceName": "*"}), False),
        (calico("HostEndpoint", {"node": "n", "interfaceName": "a-name-much-too-long"}), True),
        (calico("HostEndpoint", {"node": "n"}), True),
        (calico("HostEndpoint", {"interfaceName": "eth0"}), True),
        (calico("HostEndpoint", {"node": "n", "expectedIPs": ["10.0.0.0/8"]}), True),
        (
            calico(
                "HostEndpoint",
                {"node": "n", "interfaceName": "e", "ports": [{"name": "p", "protocol": "ICMP", "port": 1}]},
            ),
            True,
        ),
        (calico("Profile", {"ingress": [{"action": "Allow"}], "labelsToApply": {"a": "b"}}), False),
        (calico("Profile", {"ingress": [{"action": "Allow", "protocol": 0}]}), True),
        (calico("IPPool", {"cidr": "10.0.0.0/16"}), False),
        (calico("IPPool", {"cidr": "10.0.0.1/16"}), True),
    ],
    ids=str,
)
def test_other_objects_of_calico_are_checked_as_calico_checks_them(obj, is_refused):
    assert refused(obj) is is_refused


def test_a_set_and_a_host_endpoint_keep_what_calico_reads_of_them():
    network_set = normalise(
        {**calico("NetworkSet", {"nets": ["10.0.0.0/8"], "allowedEgressDomains": ["a.example"]}, namespace="shop")}
    )
    endpoint = normalise(
        calico(
            "HostEndpoint",
            {
                "node": "node-a",
                "interfaceName": "eth0",
                "expectedIPs": ["192.0.2.1", "nonsense"],
                "profiles": ["open"],
                "ports": [{"name": "ssh", "protocol": "tcp", "port": 22}],
            },
        )
    )

    assert (network_set.nets, network_set.domains) == (("10.0.0.0/8",), ("a.example",))
    assert (endpoint.expected_ips, endpoint.interface_name) == (("192.0.2.1",), "eth0")
    assert endpoint.ports == (facts.NamedPort(name="ssh", protocol="TCP", port=22),)


def test_configuration_is_kept_where_it_changes_verdicts_or_evidence():
    felix = normalise(
        calico(
            "FelixConfiguration",
            {
                "logPrefix": "%k/%n",
                "bpfEnabled": False,
                "failsafeInboundHostPorts": [{"protocol": "tcp", "port": 22, "net": "10.0.0.0/8"}],
                "failsafeOutboundHostPorts": [],
                "routeRefreshInterval": "90s",
            },
        )
    )
    pool = normalise(calico("IPPool", {"cidr": "10.0.0.0/16", "natOutgoing": True, "disabled": True}))
    information = normalise(calico("ClusterInformation", {"calicoVersion": "v3.32.1", "clusterGUID": "g"}))

    assert (felix.log_prefix, felix.bpf_enabled, felix.interface_prefix) == ("%k/%n", False, None)
    assert felix.failsafe_inbound_host_ports == (facts.ProtoPort(protocol="tcp", port=22, net="10.0.0.0/8"),)
    assert felix.failsafe_outbound_host_ports == ()
    assert (pool.is_disabled, pool.nat_outgoing) == (True, True)
    assert (information.calico_version, information.cluster_guid) == ("v3.32.1", "g")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"spec": {"selector": 5}}, "spec.selector: expected str, got int"),
        ({"spec": {"ingress": {}}}, "spec.ingress: expected array, got object"),
        (
            {"spec": {"ingress": [{"action": "Allow", "source": {"nets": "10.0.0.0/8"}}]}},
            "spec.ingress[0].source.nets: expected array, got str",
        ),
        ({"spec": {"ingress": [{}]}}, "spec.ingress[0]: object missing required field action"),
        ({"spec": "text"}, "spec: expected object, got str"),
        ({"metadata": {"namespace": "n"}}, "metadata: object missing required field name"),
        ({"metadata": {"name": "p"}}, "metadata.namespace: is empty"),
        ({"metadata": {"name": "", "namespace": "n"}}, "metadata.name: is empty"),
        ({"metadata": []}, "metadata: expected object, got array"),
        ({"spec": {"selector": "a == '\ud800'"}}, "\"a == '\\ud800'\": is not Unicode text"),
    ],
    ids=str,
)
def test_a_malformed_object_is_rejected_with_the_path_of_the_field(change, reason):
    fact = normalise({**policy(), **change})

    assert isinstance(fact, facts.Rejected)
    assert (fact.stage, fact.reason) == ("schema", reason)


def test_a_rejection_keeps_the_key_of_the_object_and_says_who_refuses_it():
    fact = normalise(policy(ingress=[rule(source={"selector": "a = b"})]))

    assert (fact.object_kind, fact.namespace, fact.name, fact.stage) == (
        facts.Kind.NETWORK_POLICY,
        "shop",
        "p",
        "felix",
    )
    assert fact.reason.startswith("spec.ingress[0].source.selector: the selector does not parse: ")


def test_many_problems_are_counted_rather_than_listed():
    fact = normalise(policy(ingress=[rule(protocol=0)] * 9))

    assert fact.reason.endswith(" and 6 more")


def test_a_namespace_on_a_global_kind_is_ignored_as_the_api_ignores_it():
    assert normalise(calico("GlobalNetworkSet", {"nets": []}, namespace="shop")).namespace == ""


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ("Ingress",)),
        ({"ingress": [rule()]}, ("Ingress",)),
        ({"egress": [rule()]}, ("Egress",)),
        ({"ingress": [], "egress": [rule()]}, ("Egress",)),
        ({"ingress": [rule()], "egress": [rule()]}, ("Ingress", "Egress")),
        ({"types": ["Egress"], "ingress": [rule()]}, ("Egress",)),
    ],
    ids=str,
)
def test_types_are_defaulted_from_the_rules_for_files_only(spec, types):
    assert normalise(with_defaults(policy(**spec))).types == types
    assert normalise(policy(**spec)).types == tuple(spec.get("types", ()))


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({"ingress": [], "egress": []}, ("Ingress", "Egress")),
        ({"egress": []}, ("Egress",)),
        ({"ingress": [rule()], "egress": None}, ("Ingress",)),
        ({}, ("Ingress",)),
    ],
    ids=str,
)
def test_the_admission_policy_of_native_crds_looks_at_the_keys_that_are_there(spec, types):
    assert normalise(with_defaults(policy(**spec), door=Door.CRD)).types == types


@pytest.mark.parametrize(
    ("kind", "name"), [("NetworkPolicy", "types"), ("StagedKubernetesNetworkPolicy", "policyTypes")]
)
def test_the_schema_takes_no_empty_list_of_types_and_the_go_client_leaves_it_out(kind, name):
    """api/config/crd: minItems 1."""
    empty = policy(kind, **{name: []})

    assert refused(with_defaults(empty, door=Door.CRD), Door.CRD)
    assert not refused(with_defaults(empty), Door.VALIDATORS)


@pytest.mark.parametrize("door", [Door.CRD, Door.VALIDATORS], ids=str)
@pytest.mark.parametrize(
    "obj",
    [
        calico("Tier", {"defaultAction": "Allow"}),
        policy(ingress=[rule(source={"services": {"name": "s" * 254}})]),
        policy(ingress=[rule(http={"paths": [{"exact": "/" * 1025}]})]),
    ],
    ids=lambda obj: obj["kind"],
)
def test_what_the_schema_refuses_both_doors_refuse(obj, door):
    assert refused(obj, door)


def test_defaults_of_staged_policies_and_tiers():
    learned = normalise(with_defaults(policy("StagedNetworkPolicy")))
    deleted = normalise(with_defaults(policy("StagedNetworkPolicy", stagedAction="Delete")), door=Door.VALIDATORS)
    staged = normalise(with_defaults(policy("StagedKubernetesNetworkPolicy", egress=[{}]), door=Door.CRD))
    by_client = normalise(with_defaults(policy("StagedKubernetesNetworkPolicy", egress=[{}])))
    tier = normalise(with_defaults(calico("Tier")))
    built_in = normalise(with_defaults(calico("Tier", name="kube-baseline")))

    assert (learned.staged_action, learned.tier, learned.types) == ("Set", "default", ("Ingress",))
    assert (deleted.staged_action, deleted.types) == ("Delete", ())
    assert (staged.policy_types, by_client.policy_types) == (("Ingress", "Egress"), ("Ingress",))
    assert (tier.order, tier.default_action) == (1_000_000, "Deny")
    assert (built_in.order, built_in.default_action) == (10_000_000, "Pass")
