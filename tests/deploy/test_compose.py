"""docker-compose.yml without a container engine: held to the specification by its own loader, and to what our command
line, our settings, our addresses and the real servers beside it accept.
"""

import asyncio
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import psycopg
import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from deploy.command_line import UsageError, parse
from deploy.compose_model import is_job, is_ours, load, model, prepared
from parts.kafka import KafkaServer
from parts.postgres import PostgresServer
from parts.process import CHECKOUT, free_port, program
from parts.prometheus import amtool, promtool

from monitor import settings
from monitor.web.exposition import Exposition
from monitor.web.server import metrics_app, serving

OPERATORS = ("/home/somebody/.kube/config", "/var/log")  # what WATCHED_… names, outside the checkout
SERVED = {"postgres": {5432}, "prom/prometheus": {9090}, "prom/alertmanager": {9093}, "grafana/grafana": {3000}}
HEALTH = {"prom/prometheus": "/-/ready", "prom/alertmanager": "/-/ready", "grafana/grafana": "/api/health"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return model(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def services(project):
    return project["services"]


def test_it_is_a_compose_file_by_the_specification(project):
    wanted = {"kafka", "postgres", "migrate", "topics", "watch", "collect", "work-1", "work-2", "match-1", "match-2"}

    assert wanted | {"reports", "prometheus", "alertmanager", "grafana"} <= set(project["services"])
    assert {profile for each in project["services"].values() for profile in each.get("profiles", ())} == {
        "demo",
        "cluster",
    }


def test_without_its_variables_it_names_the_command_that_makes_them(tmp_path):
    done = load({})

    assert done.returncode != 0
    assert "run make compose-env" in done.stderr


def test_what_is_prepared_is_made_once_and_readable_for_nobody_else(tmp_path):
    variables = prepared(tmp_path)
    secrets = tmp_path / "deploy/compose/secrets"
    first = {path.name: path.read_text() for path in secrets.iterdir()}
    again = prepared(tmp_path)

    assert again == variables
    assert {path.name: path.read_text() for path in secrets.iterdir()} == first
    assert len(set(first.values())) == len(first)
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", value) for value in first.values())
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_every_image_is_pinned_and_ours_is_this_release(services):
    release = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    tags = {service["image"].partition(":")[0]: service["image"].partition(":")[2] for service in services.values()}

    assert tags["segmon"] == release
    assert all(re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag) for tag in tags.values()), tags


def test_no_port_is_bound_beyond_loopback(services):
    ports = [port for service in services.values() for port in service.get("ports", ())]

    assert len(ports) >= 6
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


def test_no_process_is_root_or_may_become_it_or_writes_where_it_was_not_let(services):
    for name, service in services.items():
        assert service["user"].partition(":")[0] not in {"", "0", "root"}, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service), name


def test_every_mounted_path_exists_and_is_read_only(services):
    for name, service in services.items():
        for mount in service.get("volumes", ()):
            if mount["type"] == "bind":
                place = mount["source"]
                assert mount["read_only"], (name, place)
                assert place.startswith(OPERATORS) or (CHECKOUT / place).exists(), (name, place)


def test_every_volume_is_declared_and_used(project, services):
    used = {
        mount["source"]
        for service in services.values()
        for mount in service.get("volumes", ())
        if mount["type"] == "volume"
    }

    assert used == set(project["volumes"])


def test_no_password_stands_in_the_file_and_every_secret_is_one_that_is_prepared(tmp_path, project, services):
    prepared(tmp_path)
    made = {path.name for path in (tmp_path / "deploy/compose/secrets").iterdir()}
    secret_words = re.compile(r"password|secret|token", re.IGNORECASE)

    assert (
        {secret["file"].rpartition("/")[2] for secret in project["secrets"].values()} == made == set(project["secrets"])
    )
    for name, service in services.items():
        given = {each["target"] for each in service.get("secrets", ())}
        for variable, value in service.get("environment", {}).items():
            if secret_words.search(variable):
                assert value in given, (name, variable)
            assert not re.search(r"://[^/@\s]*:[^/@\s]+@", value), (name, variable)


def test_what_runs_on_is_health_checked_and_waited_for_as_what_it_is(services):
    for name, service in services.items():
        assert is_job(service) or service["healthcheck"]["test"], name
        for needed, how in (service.get("depends_on") or {}).items():
            expected = "service_completed_successfully" if is_job(services[needed]) else "service_healthy"
            assert how["condition"] == expected, (name, needed)


def test_nobody_waits_for_a_service_of_another_profile(services):
    for name, service in services.items():
        for needed in service.get("depends_on") or ():
            theirs = set(services[needed].get("profiles", ()))
            assert not theirs or set(service.get("profiles", ())) <= theirs, (name, needed)


def test_nothing_of_ours_waits_for_who_only_looks_on(services):
    onlookers = {"prometheus", "alertmanager", "grafana"}
    waiting = {name for name, service in services.items() if onlookers & set(service.get("depends_on") or ())}

    assert waiting <= onlookers


def commands(service):
    """The command lines of segmon that a service runs."""
    if service.get("entrypoint") is None:
        return [service["command"]]
    if service["entrypoint"][:2] == ["/bin/sh", "-c"]:
        words = shlex.split(service["command"][0], comments=False)
        starts = [place for place, word in enumerate(words) if word == "segmon"]
        ends = {"&&", "||", ";", "done"}
        return [words[at + 1 : next(i for i in range(at, len(words)) if words[i] in ends)] for at in starts]
    return []


def test_every_command_and_flag_is_one_of_ours(services):
    ours = {name: commands(service) for name, service in services.items() if is_ours(service)}
    for lines in ours.values():
        for line in lines:
            parse(line)

    assert [name for name, lines in ours.items() if not lines] == ["demo"]
    assert len([line for lines in ours.values() for line in lines]) >= 12


def test_the_parser_would_have_refused_what_we_have_not():
    for wrong in (["watch", "--no-such-flag"], ["no-such-command"], ["db", "grant"]):
        with pytest.raises(UsageError):
            parse(wrong)


def test_every_variable_is_a_setting(services, monkeypatch, tmp_path):
    for name, service in services.items():
        variables = {key: value for key, value in service.get("environment", {}).items() if key.startswith("SEGMON_")}
        assert is_ours(service) or not variables, name
        with monkeypatch.context() as patch:
            for key, value in variables.items():
                patch.setenv(key, value)
            settings.load()


def loaded(service, monkeypatch):
    with monkeypatch.context() as patch:
        for key, value in service["environment"].items():
            patch.setenv(key, value)
        return settings.load()


def test_every_published_port_is_served_inside(services, monkeypatch):
    for name, service in services.items():
        inside = {port["target"] for port in service.get("ports", ())}
        image = service["image"].partition(":")[0]
        if image == "segmon" and inside:
            web = loaded(service, monkeypatch).web
            assert inside <= {int(address.rpartition(":")[2]) for address in (web.page_listen, web.metrics_listen)}
        elif image == "apache/kafka":
            assert inside <= set(map(int, re.findall(r"://:(\d+)", service["environment"]["KAFKA_LISTENERS"])))
        else:
            assert inside <= SERVED.get(image, set()), name


def test_the_brokers_addresses_are_those_that_are_asked_for(services, monkeypatch):
    environment = services["kafka"]["environment"]
    listeners = set(re.findall(r"(\w+)://", environment["KAFKA_LISTENERS"]))
    bootstraps = {
        loaded(service, monkeypatch).kafka.bootstrap
        for service in services.values()
        if is_ours(service) and "SEGMON_KAFKA__BOOTSTRAP" in service.get("environment", {})
    }

    assert {f"INSIDE://{address}" for address in bootstraps} <= set(
        environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    assert listeners == set(re.findall(r"(\w+):PLAINTEXT", environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]))
    assert services["kafka"]["healthcheck"]["test"][-1] == "localhost:19092"


def as_properties(environment):
    """What the image makes of its variables."""
    names = {
        name: name.removeprefix("KAFKA_").replace("_", ".").lower() for name in environment if name[:6] == "KAFKA_"
    }
    return {names[name]: value for name, value in environment.items() if name in names and name != "KAFKA_HEAP_OPTS"}


async def settings_of(broker):
    """What a broker says that it runs with; None for a name that it does not know."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def test_a_real_broker_runs_with_what_the_container_is_given(services, kafka):
    """Every setting is one that it knows; only where it listens differs, as every machine has its own ports."""
    properties = as_properties(services["kafka"]["environment"])
    ports = {name: free_port() for name in ("INSIDE", "HOST", "CONTROLLER")}
    places = {f":{port}": ports[name] for name, port in re.findall(r"(\w+)://:(\d+)", properties["listeners"])}

    def here(value):
        for place, port in places.items():
            value = re.sub(rf"(kafka|localhost|(?<=//)){place}\b", f"127.0.0.1:{port}", value)
        return value

    given = {name: here(value) for name, value in properties.items() if name != "log.dirs"}
    broker = KafkaServer(settings=given)
    broker._port = ports["HOST"]
    with broker:
        running = await settings_of(broker)

    assert "kafka" not in given["controller.quorum.voters"]
    assert {name: running.get(name) for name in given} == given


def test_health_checks_ask_where_health_is_answered(services, monkeypatch):
    for name, service in services.items():
        image, check = service["image"].partition(":")[0], " ".join(service.get("healthcheck", {}).get("test", ()))
        asked = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/-]*)", check)
        if image in HEALTH:
            assert (int(asked[1]), asked[2]) == (min(SERVED[image]), HEALTH[image]), name
        elif asked:
            address = loaded(service, monkeypatch).web.metrics_listen
            assert (asked[1], asked[2]) == (address.rpartition(":")[2], "/readyz"), name
        else:
            assert image in {"apache/kafka", "postgres"} or is_job(service) or name in {"demo", "reports", "retire"}, (
                name
            )


async def test_the_health_check_of_our_processes_tells_ready_from_not_ready(services):
    ready = [True]
    served = metrics_app(Exposition("work", version="0"), live=lambda: (True, ""), ready=lambda: (ready[0], "state"))
    async with serving(served, "127.0.0.1:0", setting="x") as address:
        code = services["work-1"]["healthcheck"]["test"][3].replace("127.0.0.1:9464", address)

        async def check():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, stderr=asyncio.subprocess.DEVNULL
            )
            return await process.wait()

        good = await check()
        ready[0] = False
        bad = await check()

    assert (good, bad) == (0, 1)


def test_workers_have_members_of_their_own_in_their_group(services, monkeypatch):
    names = [
        loaded(service, monkeypatch).kafka.instance_id
        for key, service in services.items()
        if "-1" in key or "-2" in key
    ]

    assert sorted(names) == ["match-1", "match-2", "work-1", "work-2"]


def test_prometheus_scrapes_every_process_of_ours_by_a_name_it_has(services, monkeypatch, prometheus_program, tmp_path):
    text = (CHECKOUT / "deploy/compose/prometheus.yaml").read_text()
    (tmp_path / "prometheus.yaml").write_text(text)
    (tmp_path / "segmon.rules.yaml").write_text((CHECKOUT / "dashboards/prometheus/segmon.rules.yaml").read_text())
    checked = promtool("check", "config", tmp_path / "prometheus.yaml")
    [job] = [job for job in yaml.safe_load(text)["scrape_configs"] if job["job_name"] == "segmon"]
    [search] = job["dns_sd_configs"]

    def names(key):
        return {key, *(services[key]["networks"]["default"] or {}).get("aliases", ())}

    processes = [key for key, service in services.items() if "/readyz" in str(service.get("healthcheck"))]
    listening = {loaded(services[key], monkeypatch).web.metrics_listen for key in processes}

    assert checked.returncode == 0, checked.stderr
    assert all(names(key) & set(search["names"]) for key in processes)
    assert set().union(*(names(key) for key in processes)) >= set(search["names"])
    assert listening == {f"0.0.0.0:{search['port']}"}


def test_alertmanager_accepts_its_configuration(services, alertmanager_program):
    [mounted] = [each for each in services["alertmanager"]["volumes"] if each["type"] == "bind"]
    checked = amtool("check-config", mounted["source"])

    assert checked.returncode == 0, checked.stderr
    assert f"--config.file={mounted['target']}" in services["alertmanager"]["command"]


def test_grafana_is_given_what_its_provisioning_asks_for(services):
    grafana = services["grafana"]
    mounts = {mount["target"]: Path(mount["source"]) for mount in grafana["volumes"] if mount["type"] == "bind"}
    provisioning = mounts["/etc/grafana/provisioning"]
    texts = [file.read_text() for file in provisioning.rglob("*.yaml")]
    asked = {name for text in texts for name in re.findall(r"^[^#\n]*\$\{(\w+)\}", text, re.MULTILINE)}
    files = {name for text in texts for name in re.findall(r"\$__file\{([^}]+)\}", text)}
    folders = {name for text in texts for name in re.findall(r"path: (\S+)", text)}

    assert texts
    assert asked
    assert asked <= set(grafana["environment"])
    assert files == {"/run/secrets/grafana_database_password"}
    assert files <= {secret["target"] for secret in grafana["secrets"]}
    assert all(any(place.startswith(folder) for place in mounts) for folder in folders)


class StackDatabase(PostgresServer):
    """The server as the postgres image makes it: its superuser is no role of ours."""

    superuser = "postgres"

    def make_roles(self, secrets):
        """Run the stack's own script, as the image does at the first start."""
        surroundings = {"PATH": f"{Path(program('postgres', 'psql')).parent}:/usr/bin:/bin", "SECRETS": str(secrets)}
        script = ["bash", str(CHECKOUT / "deploy/compose/roles.sh")]
        subprocess.run(script, env=surroundings | self.variables(), capture_output=True, text=True, check=True)

    def address(self, role, password):
        return f"postgresql://{role}:{password}@127.0.0.1:{self._port}/segmon"


def test_the_databases_roles_own_the_record_and_read_the_views_and_nothing_else(tmp_path, services, monkeypatch):
    prepared(tmp_path)
    secrets = tmp_path / "deploy/compose/secrets"
    with StackDatabase() as server:
        server.make_roles(secrets)
        monkeypatch.setenv("SEGMON_DATABASE__URL", server.address("segmon", "").replace(":@", "@"))
        monkeypatch.setenv("SEGMON_DATABASE__PASSWORD_FILE", str(secrets / "segmon_password"))
        jobs = [services[name]["command"] for name in ("migrate", "grant")]
        ended = [
            subprocess.run([sys.executable, "-m", "monitor.cli.main", *job], cwd=CHECKOUT, check=False, timeout=60)
            for job in jobs
        ]
        grafana = server.address("grafana", (secrets / "grafana_database_password").read_text())
        with psycopg.connect(grafana, autocommit=True) as reader:
            views = [row[0] for row in reader.execute("SELECT viewname FROM pg_views WHERE schemaname = 'reporting'")]
            for view in views:
                reader.execute(f"SELECT * FROM reporting.{view}")
            for refused in ("SELECT * FROM finding", "CREATE TABLE x (i int)"):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                    reader.execute(refused)

    assert [done.returncode for done in ended] == [0, 0]
    assert views
