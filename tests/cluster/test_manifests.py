"""`--manifests`: files, folders and dumps become facts; workloads stand for their pods; nothing is lost silently."""

from __future__ import annotations

import io
import json
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from models import facts
from models.errors import CannotEvaluateError, UserError
from models.facts import Kind
from monitor.cluster import manifests


def read(*objects, text=None):
    return manifests.read_text("x.yaml", (text or yaml.safe_dump_all(objects)).encode())


def found(read_in, kind):
    return {(key.namespace, key.name): fact for key, fact in read_in.facts.items() if key.kind is kind}


def pods(*objects):
    return found(read(*objects), Kind.POD)


def meta(name, namespace="shop", **more):
    return {"name": name, "namespace": namespace, **more}


def owned_by(kind, name):
    return {"ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": name, "controller": True}]}


def template(**labels):
    return {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
    }


def deployment(name="web", replicas=2, **more):
    spec = {"replicas": replicas, "template": template(app=name)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(name, **more), "spec": spec}


def replica_set(name, owner=None, replicas=2):
    above = owned_by("Deployment", owner) if owner else {}
    return deployment(name, replicas, **above) | {"kind": "ReplicaSet"}


def pod(name="web-x", status=None, **more):
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, **more), "spec": {"nodeName": "n1"}}
    return obj | ({"status": status} if status else {})


RUNNING = {"phase": "Running", "podIP": "10.1.2.3"}


def policy(cidr="10.0.0.0/8", **spec):
    rule = {"from": [{"ipBlock": {"cidr": cidr}}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta("p"),
        "spec": {"podSelector": {}, "ingress": [rule], **spec},
    }


def test_a_workload_stands_for_as_many_pods_as_it_asks_for_up_to_two():
    counts = [len(pods(deployment(replicas=replicas))) for replicas in (0, 1, 2, 50)]

    assert counts == [1, 1, 2, 2]


def test_a_made_pod_is_what_its_template_says_and_is_owned_by_its_workload():
    made = pods(deployment())[("shop", "web-0")]

    assert made.labels == {"app": "web"}
    assert made.owner == facts.Owner(kind="Deployment", name="web")
    assert made.named_ports == (facts.NamedPort(name="http", protocol="TCP", port=8080),)
    assert made.service_account == "default"
    assert made.node
    assert len(made.addresses) == 1


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "Rollout"])
def test_every_kind_with_a_pod_template_stands_for_its_pods(kind):
    made = pods(deployment(replicas=1) | {"kind": kind})

    assert [one.owner.kind for one in made.values()] == [kind]


def test_a_cron_job_stands_for_a_pod_of_its_job():
    spec = {"jobTemplate": {"spec": {"template": template(app="nightly")}}}

    made = pods({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("nightly"), "spec": spec})

    assert made[("shop", "nightly-0")].labels == {"app": "nightly"}


def test_live_pods_are_not_doubled_by_their_workload():
    live = pod("web-5d4-abc", RUNNING, **owned_by("ReplicaSet", "web-5d4"))

    assert list(pods(deployment(), replica_set("web-5d4", "web"), live)) == [("shop", "web-5d4-abc")]


def test_live_pods_are_not_doubled_when_the_dump_has_no_replica_sets():
    live = pod("web-5d4-abc", RUNNING, **owned_by("ReplicaSet", "web-5d4"), labels={"pod-template-hash": "5d4"})

    assert list(pods(deployment(), live)) == [("shop", "web-5d4-abc")]


def test_a_dump_of_workloads_alone_counts_the_deployment_and_not_its_replica_sets():
    made = pods(deployment(), replica_set("web-5d4", "web"), replica_set("web-old", "web", replicas=0))

    assert {one.owner.kind for one in made.values()} == {"Deployment"}
    assert len(made) == 2


def test_a_replica_set_without_its_deployment_stands_for_the_deployments_pods():
    made = pods(replica_set("web-5d4", "web", replicas=1))

    assert made[("shop", "web-5d4-0")].owner == facts.Owner(kind="Deployment", name="web")


def test_a_finished_job_stands_for_no_pod():
    job = deployment("once", 1) | {"kind": "Job", "status": {"conditions": [{"type": "Complete", "status": "True"}]}}

    assert pods(job) == {}


def test_controllers_that_own_each_other_in_a_loop_end():
    a = deployment("a", 1, **owned_by("Deployment", "b"))
    b = deployment("b", 1, **owned_by("Deployment", "a"))

    assert pods(a, b, pod("x", RUNNING, **owned_by("Deployment", "a"))).keys() == {("shop", "x")}


def test_workloads_of_one_name_keep_their_pods_apart():
    made = pods(deployment(replicas=1), deployment(replicas=1) | {"kind": "StatefulSet"})

    assert {one.owner.kind for one in made.values()} == {"Deployment", "StatefulSet"}


def test_a_pod_written_by_hand_runs_and_a_pending_one_does_not():
    made = pods(pod("by-hand"), pod("pending", {"phase": "Pending"}, uid="1"), pod("live", RUNNING, uid="2"))

    assert {name: len(one.addresses) for (_, name), one in made.items()} == {"by-hand": 1, "pending": 0, "live": 1}


def test_made_up_addresses_are_mentioned_by_no_policy():
    everywhere = [policy(cidr) for cidr in ("0.0.0.0/0", "100.64.0.0/10", "198.18.0.0/15", "172.16.0.0/13")]
    for place, one in enumerate(everywhere):
        one["metadata"]["name"] = f"p{place}"

    made = pods(deployment(), *everywhere)

    assert [one.addresses for one in made.values()] == [("172.24.0.0",), ("172.24.0.1",)]


def test_the_same_input_gives_the_same_facts():
    assert read(deployment(), policy()).facts == read(deployment(), policy()).facts


def test_a_host_networked_workload_has_no_address_of_its_own():
    one = deployment(replicas=1)
    one["spec"]["template"]["spec"]["hostNetwork"] = True

    assert [(made.host_network, made.addresses) for made in pods(one).values()] == [(True, ())]


def test_namespaces_that_are_missing_are_made_and_labelled():
    made = found(
        read(deployment(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b"}}), Kind.NAMESPACE
    )

    assert {name: one.labels for (_, name), one in made.items()} == {
        "b": {"kubernetes.io/metadata.name": "b"},
        "shop": {"kubernetes.io/metadata.name": "shop"},
    }


@pytest.mark.parametrize(("egress", "types"), [([], ("Ingress",)), ([{}], ("Ingress", "Egress"))])
def test_policies_from_files_get_the_types_that_the_api_would_give_them(egress, types):
    [made] = found(read(policy(egress=egress)), Kind.KUBERNETES_NETWORK_POLICY).values()

    assert made.policy_types == types


def test_an_object_with_a_uid_is_taken_as_its_cluster_holds_it():
    calico = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "spec": {"ingress": [{"action": "Deny"}]},
    }

    types = [
        next(iter(found(read(calico | {"metadata": metadata}), Kind.GLOBAL_NETWORK_POLICY).values())).types
        for metadata in ({"name": "a"}, {"name": "a", "uid": "1"})
    ]

    assert types == [("Ingress",), ()]


def test_what_calico_refuses_is_a_problem_with_its_place_and_the_rest_is_read():
    bad = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkPolicy",
        "metadata": meta("bad"),
        "spec": {"selector": "a =="},
    }

    made = read(deployment(), bad)

    [problem] = made.problems
    assert str(problem).startswith("x.yaml:")
    assert "NetworkPolicy shop/bad is refused" in str(problem)
    assert len(found(made, Kind.POD)) == 2
    assert isinstance(next(iter(found(made, Kind.NETWORK_POLICY).values())), facts.Rejected)


def test_a_label_that_yaml_reads_as_a_boolean_is_a_problem_as_it_is_for_kubectl():
    made = read(text="apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {enabled: yes}}\nspec: {}\n")

    assert "labels" in made.problems[0].reason


def test_a_namespace_that_yaml_reads_as_a_boolean_is_a_problem_and_not_the_default_one():
    made = read(text="apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: n}\nspec: {}\n")

    assert "metadata.namespace" in made.problems[0].reason
    assert not found(made, Kind.NAMESPACE)


@pytest.mark.parametrize(
    "body", [{"kind": "Pod"}, {"apiVersion": "v1", "metadata": {}}, {"kind": 5, "apiVersion": "v1"}]
)
def test_an_object_without_kind_or_version_is_a_problem(body):
    assert "is no Kubernetes object" in read(body).problems[0].reason


def test_the_later_of_two_objects_with_one_key_counts_and_is_noted():
    first, second = policy(), policy("192.0.2.0/24")

    made = read(first, second)

    assert "again" in made.notes[0]
    assert made.is_whole
    [kept] = found(made, Kind.KUBERNETES_NETWORK_POLICY).values()
    assert kept.ingress[0].peers[0].ip_block.cidr == "192.0.2.0/24"


def test_a_folder_is_read_with_its_folders_and_without_what_is_hidden(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "a" / "web.yml").write_text(yaml.safe_dump(deployment("web", 1)))
    (tmp_path / "api.json").write_text(json.dumps(deployment("api", 1)))
    (tmp_path / ".git" / "x.yaml").write_text("{{broken")
    (tmp_path / "values.yaml").write_text("replicas: 3\n")
    (tmp_path / "README.md").write_text("text")

    made = manifests.read([str(tmp_path)])

    assert {name for _, name in found(made, Kind.POD)} == {"web-0", "api-0"}
    assert made.is_whole
    assert "values.yaml:1" in made.notes[0]


def test_a_stream_is_read_from_standard_input(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(yaml.safe_dump(deployment("web", 1)).encode()))
    monkeypatch.setattr(sys, "stdin", stream)

    assert len(found(manifests.read(["-"]), Kind.POD)) == 1


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        manifests.read([str(tmp_path / "nowhere")])


def test_a_file_of_a_folder_that_cannot_be_opened_hides_no_other(tmp_path):
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(deployment("web", 1)))

    made = manifests.read([str(tmp_path)])

    assert [str(one) for one in made.problems] == [f"{tmp_path}/gone.yaml:1: cannot be read: No such file or directory"]
    assert {name for _, name in found(made, Kind.POD)} == {"web-0"}


def test_a_folder_without_manifests_cannot_be_evaluated(tmp_path):
    with pytest.raises(CannotEvaluateError, match="no manifests"):
        manifests.read([str(tmp_path)])


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 70000), st.text("ab./:*", max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(
                [
                    *("metadata", "name", "namespace", "labels", "spec", "template", "containers", "ports", "status"),
                    *("ownerReferences", "controller", "kind", "replicas", "jobTemplate", "ingress", "from", "items"),
                    *("podSelector", "matchLabels", "selector", "generateName", "uid", "hostNetwork", "conditions"),
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "projectcalico.org/v3"]),
    st.sampled_from(["Pod", "Namespace", "Deployment", "CronJob", "NetworkPolicy", "Job", "List", "Service", "Tier"]),
    st.dictionaries(st.sampled_from(["metadata", "spec", "status", "items"]), json_values),
)
def test_no_object_crashes_the_reader(version, kind, parts):
    made = read(text=json.dumps({"apiVersion": version, "kind": kind, **parts}))

    assert all(str(problem).startswith("x.yaml:1") for problem in made.problems)
