"""The provisioning files fit the boards, the stack and each other; nothing in them is a secret or a default of one."""

import re
from pathlib import Path

import pytest
import yaml

from dashboards.boards import all as boards

ROOT = Path(__file__).resolve().parents[2]
PROVISIONING = ROOT / "dashboards/grafana/provisioning"
SOURCES_FILE = PROVISIONING / "datasources/segmon.yaml"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
GRAFANA = COMPOSE["services"]["grafana"]


def variables(text):
    """Names in ${…}, as Grafana expands them in provisioning files."""
    return set(re.findall(r"\$\{(\w+)\}", text))


@pytest.fixture
def sources():
    return {each["type"]: each for each in yaml.safe_load(SOURCES_FILE.read_text())["datasources"]}


@pytest.fixture
def provider():
    [only] = yaml.safe_load((PROVISIONING / "dashboards/segmon.yaml").read_text())["providers"]
    return only


def test_boards_cannot_be_changed_in_the_browser_and_lie_in_folders_as_their_files_do(provider):
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["foldersFromFilesStructure"] is True
    assert not {"folder", "folderUid"} & set(provider)


def test_there_is_a_source_for_every_kind_that_a_board_asks_and_it_has_a_fixed_uid(sources):
    asked = {
        each["query"]
        for board in boards.documents().values()
        for each in board["templating"]["list"]
        if each["type"] == "datasource"
    }

    assert set(sources) == asked
    assert {each["uid"] for each in sources.values()} == {"segmon-prometheus", "segmon-postgres"}
    assert not any(each["editable"] for each in sources.values())


def test_addresses_come_from_the_environment_and_the_password_from_a_file(sources):
    record = sources["grafana-postgresql-datasource"]

    assert variables(sources["prometheus"]["url"])
    assert variables(record["url"])
    assert record["secureJsonData"] == {"password": "$__file{/run/secrets/grafana_database_password}"}
    assert "password" not in record
    assert all(variables(record["jsonData"][name]) for name in ("database", "sslmode"))


def test_the_stack_gives_every_variable_and_file_that_is_asked_for_and_no_other():
    told = SOURCES_FILE.read_text()
    given = {name for name in GRAFANA["environment"] if not name.startswith("GF_")}
    files = re.findall(r"\$__file\{/run/secrets/(\w+)\}", told)

    assert variables(told) == given
    assert set(files) <= set(GRAFANA["secrets"])


def test_the_stack_mounts_the_files_where_grafana_and_the_provider_look(provider):
    mounts = dict(each.removesuffix(":ro").split(":") for each in GRAFANA["volumes"] if each.startswith("./"))

    assert mounts["./dashboards/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert mounts["./dashboards/grafana/boards"] == f"{provider['options']['path']}/segmon"


def test_the_rate_interval_follows_from_how_often_the_stack_scrapes(sources):
    config = yaml.safe_load((ROOT / "deploy/compose/prometheus.yaml").read_text())

    assert sources["prometheus"]["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
