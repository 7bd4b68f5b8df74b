"""No object makes normalise raise, and whatever it returns can be published and read back."""

import copy
import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import facts
from models.facts import key_of
from models.wire import decode_fact, encode_fact
from monitor.cluster.normalise import SOURCES, Door, kind_read, normalise, with_defaults

TEXT = st.text(max_size=12) | st.sampled_from(
    ["10.0.0.0/8", "fd00::/8", "a == 'b'", "has(x)", "global()", "all()", "80", "1:9", "9:1", "TCP", "ICMP", "\ud800"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
KINDS = sorted((version, kind) for version, kinds in SOURCES.items() for kind in kinds)
FULL_RULE = {
    "action": "Allow",
    "ipVersion": 4,
    "protocol": "TCP",
    "notProtocol": 17,
    "icmp": {"type": 1, "code": 1},
    "notICMP": {"type": 1},
    "http": {"methods": ["GET"], "paths": [{"exact": "/"}]},
    "metadata": {"annotations": {"a": "b"}},
    "source": {"nets": ["10.0.0.0/8"], "notNets": ["10.0.0.0/9"], "selector": "all()", "notSelector": "has(a)"},
    "destination": {
        "namespaceSelector": "all()",
        "ports": [80, "http"],
        "notPorts": ["1:9"],
        "serviceAccounts": {"names": ["a"], "selector": "all()"},
        "services": {"name": "s", "namespace": "n"},
    },
}
PEER = {
    "namespaces": {"matchLabels": {"a": "b"}},
    "pods": {"namespaceSelector": {}, "podSelector": {}},
    "networks": ["10.0.0.0/8"],
    "podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
    "ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/9"]},
}
EVERYTHING = {
    "metadata": {
        "name": "default",
        "namespace": "shop",
        "uid": "u",
        "labels": {"a": "b"},
        "annotations": {"projectcalico.org/metadata": '{"name": "foo"}', "cni.projectcalico.org/podIP": "10.0.0.1/32"},
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "ownerReferences": [{"kind": "Job", "name": "j", "controller": True}],
    },
    "endpoints": [{"addresses": ["10.0.0.1"]}],
    "ports": [{"name": "p", "port": 80}],
    "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
    "spec": {
        "ingress": [{**FULL_RULE, "from": [PEER], "protocols": [{"tcp": {"destinationPort": {"number": 80}}}]}],
        "egress": [{**FULL_RULE, "to": [PEER], "ports": [{"port": 80, "endPort": 81, "portNumber": {"port": 1}}]}],
        "subject": {"namespaces": {}},
        "tier": "Admin",
        "priority": 5,
        "order": 1.5,
        "selector": "all()",
        "types": ["Ingress"],
        "policyTypes": ["Ingress"],
        "podSelector": {},
        "stagedAction": "Set",
        "nets": ["10.0.0.0/8"],
        "node": "n",
        "interfaceName": "eth0",
        "expectedIPs": ["10.0.0.1"],
        "ports": [{"name": "p", "protocol": "TCP", "port": 80}],
        "containers": [{"ports": [{"name": "http", "containerPort": 80}]}],
        "failsafeInboundHostPorts": [{"protocol": "tcp", "port": 22}],
        "cidr": "10.0.0.0/16",
        "labelsToApply": {"a": "b"},
        "clusterIPs": ["10.0.0.1"],
    },
}


def places(value, here=()):
    """The path of every value inside a nested one."""
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*here, key))


PLACES = [place for place in places(EVERYTHING) if place]


def check(obj, door):
    before = copy.deepcopy(obj)
    fact = normalise(obj, door=door)

    assert json.dumps(obj, default=str) == json.dumps(before, default=str)
    if fact is None:
        assert kind_read(obj) is None
        return
    assert decode_fact(encode_fact(fact)) == fact
    assert key_of("c", fact).kind is kind_read(obj)


@given(JSON, st.sampled_from(list(Door)))
def test_any_json_is_a_fact_a_rejection_or_nothing(value, door):
    check(value, door)


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), JSON), st.data())
def test_any_content_under_a_known_kind_is_a_fact_or_a_rejection(kind, body, data):
    obj = {"apiVersion": kind[0], "kind": kind[1], **body}

    check(obj, data.draw(st.sampled_from(list(Door))))
    with_defaults(obj)


@settings(max_examples=600)
@given(
    st.sampled_from(KINDS), st.lists(st.tuples(st.sampled_from(PLACES), JSON), max_size=3), st.sampled_from(list(Door))
)
@example(("apps/v1", "ReplicaSet"), [(("metadata", "namespace"), [])], Door.VALIDATORS)
def test_a_full_object_with_some_fields_replaced_is_a_fact_or_a_rejection(kind, changes, door):
    obj = {"apiVersion": kind[0], "kind": kind[1], **copy.deepcopy(EVERYTHING)}
    for place, value in changes:
        target = obj
        for step in place[:-1]:
            try:
                target = target[step]
            except (KeyError, IndexError, TypeError):
                break
        if isinstance(target, dict) or (isinstance(target, list) and isinstance(place[-1], int) and target):
            target[place[-1] if isinstance(target, dict) else 0] = value

    check(obj, door)
    check(with_defaults(obj), door)


def test_nesting_without_end_is_rejected_or_ignored_but_never_overflows():
    deep = None
    for _ in range(20_000):
        deep = {"a": [deep]}
    for version, kind in KINDS:
        for part in ("metadata", "spec", "status"):
            fact = normalise({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, part: deep})

            assert fact is not None


def test_numbers_of_thousands_of_digits_are_no_work():
    digits = "9" * 100_000
    for ports in ([digits], [f"{digits}:{digits}"], ["0" * 100_000 + "80"]):
        fact = normalise(
            {
                "apiVersion": "projectcalico.org/v3",
                "kind": "GlobalNetworkPolicy",
                "metadata": {"name": "x"},
                "spec": {"ingress": [{"action": "Allow", "protocol": digits, "source": {"ports": ports}}]},
            }
        )

        assert isinstance(fact, facts.Rejected)
