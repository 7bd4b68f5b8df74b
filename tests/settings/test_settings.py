import pytest

from monitor import settings
from monitor.settings import SettingsError


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("SEGMON_")]:
        monkeypatch.delenv(name)


def test_flags_win_over_variables_and_these_over_the_file(tmp_path, monkeypatch):
    file = tmp_path / "segmon.yaml"
    file.write_text("cluster: from-file\nkafka: {bootstrap: 'file:1', username: file}\n")
    monkeypatch.setenv("SEGMON_KAFKA__BOOTSTRAP", "variable:1")
    monkeypatch.setenv("SEGMON_KAFKA__USERNAME", "variable")

    loaded = settings.load(file, {"kafka": {"username": "flag"}})

    assert (loaded.cluster, loaded.kafka.bootstrap, loaded.kafka.username) == ("from-file", "variable:1", "flag")


def test_an_unknown_key_names_the_file_and_the_nearest_key(tmp_path):
    file = tmp_path / "segmon.yaml"
    file.write_text("kafka: {bootstap: x}\n")

    with pytest.raises(SettingsError, match=r"segmon\.yaml.*unknown key 'kafka\.bootstap'; did you mean 'bootstrap'"):
        settings.load(file)


def test_a_misspelt_variable_is_an_error(monkeypatch):
    monkeypatch.setenv("SEGMON_KAFFKA__BOOTSTRAP", "x:1")

    with pytest.raises(SettingsError, match="unknown variable SEGMON_KAFFKA__BOOTSTRAP; did you mean 'kafka'"):
        settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEGMON_SERVICE_HOST", "10.0.0.7"),
        ("SEGMON_SERVICE_PORT", "9464"),
        ("SEGMON_SERVICE_PORT_METRICS", "9464"),
        ("SEGMON_PORT", "tcp://10.0.0.7:9464"),
        ("SEGMON_PORT_9464_TCP", "tcp://10.0.0.7:9464"),
        ("SEGMON_PORT_9464_TCP_PROTO", "tcp"),
        ("SEGMON_PORT_9464_TCP_PORT", "9464"),
        ("SEGMON_PORT_9464_TCP_ADDR", "10.0.0.7"),
        ("SEGMON_WORK_SERVICE_HOST", "10.0.0.7"),
        ("SEGMON_WEB_PORT_53_UDP_ADDR", "10.0.0.7"),
    ],
)
def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_setting(monkeypatch, name, value):
    without = settings.load()
    monkeypatch.setenv(name, value)

    assert settings.load().model_dump() == without.model_dump()


@pytest.mark.parametrize("name", ["SEGMON_SERVICE_HOSTS", "SEGMON_PORT_METRICS", "SEGMON_PORTS", "SEGMON_9464_TCP"])
def test_what_only_looks_like_a_service_is_a_misspelt_setting(monkeypatch, name):
    monkeypatch.setenv(name, "x")

    with pytest.raises(SettingsError, match=f"unknown variable {name}"):
        settings.load()


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")

    with pytest.raises(SettingsError, match="cannot read settings"):
        settings.load(tmp_path / "absent.yaml")
    with pytest.raises(SettingsError, match=r"broken\.yaml: not YAML"):
        settings.load(broken)


def test_a_secret_is_read_from_its_file_and_never_printed(tmp_path):
    file = tmp_path / "password"
    file.write_text("hunter2\n")

    loaded = settings.load(None, {"kafka": {"password": "hunter3", "password_file": str(file)}})

    assert settings.secret(loaded.kafka.password, loaded.kafka.password_file, what="the password") == "hunter2"
    assert "hunter3" not in repr(loaded)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cluster: a\nkafka:\n  security: ssl\n  bootstap: x\n", ":4: unknown key 'kafka.bootstap'"),
        ("cluster: a\ntiming: {tick_seconds: soon}\n", ":2: timing.tick_seconds: "),
        ("cluster: a\nkafka: [x]\n", ":2: kafka is a section"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_by_its_line(tmp_path, text, said):
    file = tmp_path / "segmon.yaml"
    file.write_text(text)

    with pytest.raises(SettingsError) as wrong:
        settings.load(file)

    assert str(wrong.value).startswith(f"{file}{said}")


def test_what_is_wrong_in_a_variable_is_named_by_the_variable(tmp_path, monkeypatch):
    file = tmp_path / "segmon.yaml"
    file.write_text("timing: {tick_seconds: 5}\n")
    monkeypatch.setenv("SEGMON_TIMING__TICK_SECONDS", "soon")

    with pytest.raises(SettingsError, match=r"^SEGMON_TIMING__TICK_SECONDS: timing\.tick_seconds: "):
        settings.load(file)


def test_a_list_in_a_variable_is_json_and_the_error_says_how(monkeypatch):
    monkeypatch.setenv("SEGMON_COLLECT__FILES", "/var/log/kern.log")

    with pytest.raises(SettingsError) as wrong:
        settings.load()
    told = str(wrong.value)
    name, _, value = told.rpartition("fix: ")[2].partition("=")
    monkeypatch.setenv(name, value.strip("'"))

    assert told.startswith("SEGMON_COLLECT__FILES: is a list")
    assert [str(each) for each in settings.load().collect.files] == ["/var/log/kern.log"]


def test_a_section_as_a_variable_is_told_to_name_its_key(monkeypatch):
    monkeypatch.setenv("SEGMON_KAFKA", "broker:9092")

    with pytest.raises(SettingsError, match="SEGMON_KAFKA: kafka is a section"):
        settings.load()


def test_settings_that_are_no_text_are_named(tmp_path):
    file = tmp_path / "segmon.yaml"
    file.write_bytes(b"\x93\xe8\x00")

    with pytest.raises(SettingsError, match=r"segmon\.yaml: settings are YAML, this is no text"):
        settings.load(file)


def test_a_wrong_value_names_its_key():
    with pytest.raises(SettingsError, match=r"log_level"):
        settings.load(None, {"log_level": "loud"})
