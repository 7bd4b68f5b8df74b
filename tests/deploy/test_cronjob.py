"""deploy/report-cronjob.yaml: accepted by a real API server, run by what our command line and our settings know."""

import pytest
import yaml
from deploy.command_line import parse
from parts.process import CHECKOUT

from monitor import settings


@pytest.fixture(scope="module")
def cronjob():
    return yaml.safe_load((CHECKOUT / "deploy" / "report-cronjob.yaml").read_text())


@pytest.fixture(scope="module")
def pod(cronjob):
    return cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_an_api_server_takes_every_field_of_it(cluster, cronjob):
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "segmon"}}
    cluster.admin.apply(namespace)

    stored = cluster.admin.apply(cronjob)

    assert stored["spec"]["schedule"] == cronjob["spec"]["schedule"]


def test_its_flags_and_variables_are_ours(pod, monkeypatch):
    [container] = pod["containers"]
    parse(container["args"])
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "postgresql://segmon@postgres/segmon"))

    loaded = settings.load()

    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(loaded.database.password_file.parent) in mounted
    assert container["args"][container["args"].index("--out") + 1] in mounted


def test_it_runs_the_image_and_user_of_the_compose_file(pod):
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["x-segmon"]
    [container] = pod["containers"]

    assert container["image"] == compose["image"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == compose["user"]


def test_every_volume_is_mounted(pod):
    [container] = pod["containers"]

    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
