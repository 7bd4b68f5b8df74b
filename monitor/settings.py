"""Settings of every process: flags win over `SEGMON_…` variables, these over the file, this over the defaults.

Unknown keys are errors that name the place. Secrets come from files or variables and are never printed.
Defaults are the numbers of docs/architecture.md.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings import SettingsError as PydanticSettingsError

from models.errors import UserError


class SettingsError(UserError):
    """A setting that cannot be used; the message names the place and the fix."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Kafka(_Section):
    """How every client reaches the broker, Faust's included."""

    bootstrap: str = "127.0.0.1:9092"
    """Addresses of brokers, host:port, separated by commas."""
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    """How the connection is secured."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How we log in, where `security` is a SASL one."""
    username: str = ""
    """Who logs in."""
    password: SecretStr = SecretStr("")
    """Better in `password_file`."""
    password_file: Path | None = None
    """File that holds the password."""
    ca_file: Path | None = None
    """Certificates to trust; none = the system's."""
    certificate_file: Path | None = None
    """Our own certificate, where the broker asks for one."""
    key_file: Path | None = None
    """Its key."""
    replication_factor: int = Field(default=1, ge=1)
    """Of the topics that `segmon topics create` makes; 3 in production."""
    min_insync_replicas: int = Field(default=1, ge=1)
    """Of these topics; 2 in production."""
    session_timeout_seconds: float = Field(default=10.0, gt=0)
    """A worker that is silent for so long loses its partitions."""
    rebalance_timeout_seconds: float = Field(default=20.0, gt=0)
    """The longest that a rebalance waits for a worker."""
    instance_id: str = ""
    """Static membership: only a name that is stable and unique, such as a pod's."""


class Database(_Section):
    """Where the record is kept."""

    url: SecretStr = SecretStr("sqlite:///segmon.db")
    """`postgresql+psycopg://user@host/name`, or SQLite for a trial."""
    password_file: Path | None = None
    """File that holds the password; put in place of an empty one in the URL."""


class Watch(_Section):
    """What `segmon watch` mirrors."""

    kubeconfig: Path | None = None
    """How to reach the API server; none = as a pod of the cluster."""
    context: str = ""
    """Context of the kubeconfig; empty = its current one."""
    manifests: Path | None = None
    """A folder of YAML instead of an API server."""
    domains: Path | None = None
    """domains.yaml: what the owners declare."""
    waivers: Path | None = None
    """waivers.yaml: what is accepted for a time."""


class Collect(_Section):
    """What `segmon collect` reads."""

    node: str = ""
    """Name of this node; empty = the host's name."""
    files: tuple[Path, ...] = ()
    """Files with kernel log lines."""
    kmsg: bool = False
    """Read this node's kernel log itself."""
    log_prefixes: tuple[str, ...] = ("calico-packet",)
    """How LOG lines begin: `logPrefix` of Felix."""
    checkpoint: Path | None = None
    """File that remembers how far it was read."""


class Web(_Section):
    """Where a process listens."""

    metrics_listen: str = "127.0.0.1:9464"
    """/metrics, /livez and /readyz."""
    page_listen: str = "127.0.0.1:9465"
    """The status page of `work`: it shows tenants' data and has no login. Empty = no page."""


class Grafana(_Section):
    """Where `segmon dashboards push` puts the boards."""

    url: str = "http://127.0.0.1:3000"
    """Its address, with its sub-path if it has one."""
    token_file: Path | None = None
    """File that holds a service account's token."""
    ca_file: Path | None = None
    """Authority that signed its certificate; none = those that this machine trusts."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """Of one call."""


class Timing(_Section):
    """Seconds. What decides an outcome is no setting (docs/decisions/0060)."""

    heartbeat_seconds: float = Field(default=15, gt=0)
    """Between two heartbeats of a watch or a log source."""
    tick_seconds: float = Field(default=15, gt=0)
    """Between two marks of time that a worker puts into its partitions."""
    settle_seconds: float = Field(default=2, gt=0)
    """A flow batch is judged when it is so old, so that facts of its time have come."""
    progress_seconds: float = Field(default=60, gt=0)
    """Records that wait for so long while nothing moves: /livez says no."""


class Keep(_Section):
    """For how many days the record keeps what is past: `segmon db retire` lets go of what is older."""

    days: int = Field(default=400, ge=1)
    """Revisions of facts, intervals (statuses, members, reach), transitions of findings."""
    window_days: int = Field(default=90, ge=1)
    """Windows of flows."""


class Settings(BaseSettings):
    """Of every process."""

    model_config = SettingsConfigDict(
        env_prefix="SEGMON_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    cluster: str = Field(default="cluster", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """Name of the cluster that is watched, or that log lines come from."""
    kafka: Kafka = Kafka()
    database: Database = Database()
    watch: Watch = Watch()
    collect: Collect = Collect()
    web: Web = Web()
    grafana: Grafana = Grafana()
    timing: Timing = Timing()
    keep: Keep = Keep()
    embedded: bool = False
    """The broker is the embedded one of `segmon up`: 4 partitions, no admin calls, one worker."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """auto = words on a terminal, JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Of our own messages; libraries speak from warning on."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then variables, then the file."""
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls))


NOT_SETTINGS = ("SEGMON_ORACLES", "SEGMON_REQUIRE_ALL", "SEGMON_TEST_", "SEGMON_CONFIG")
"""Variables that the tests and the command line read themselves."""

SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$")
"""How variables end that Kubernetes sets in every pod for a Service of its namespace, such as one named `segmon-work`.

https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from flags (nested dicts of what was given), environment and file.

    SettingsError names the place and the fix.
    """
    _check_file(file)
    _check_variables()

    class Loaded(Settings):
        model_config = SettingsConfigDict(yaml_file=file)

    try:
        return Loaded(**(flags or {}))
    except ValidationError as error:
        raise SettingsError(_explained(error, file, flags or {})) from error
    except PydanticSettingsError as error:
        raise SettingsError(_undecoded()) from error


def secret(value: SecretStr, file: Path | None, *, what: str) -> str:
    """A secret given directly or in a file. SettingsError if the file cannot be read."""
    if file is None:
        return value.get_secret_value()
    try:
        return file.read_text().strip()
    except OSError as error:
        raise SettingsError(f"cannot read {what} from {file}: {error.strerror}") from error


def _check_file(file: Path | None) -> None:
    if file is None:
        return
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise SettingsError(f"cannot read settings {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: settings are YAML, this is no text (byte {error.start})") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if content is not None and not isinstance(content, dict):
        raise SettingsError(f"{file}: settings are a mapping, not a {type(content).__name__}")


def _check_variables() -> None:
    """Pydantic ignores unknown variables; a misspelt one would be a setting silently not made."""
    for name in os.environ:
        if not name.startswith("SEGMON_") or name.startswith(NOT_SETTINGS):
            continue
        section = name.removeprefix("SEGMON_").split("__")[0].lower()
        if section not in Settings.model_fields and not SERVICE_LINK.search(name):
            raise SettingsError(f"environment: unknown variable {name}{_nearest(section, Settings.model_fields)}")


def _undecoded() -> str:
    """Which variable it is that pydantic could not take apart: it names the section alone."""
    for name, value in os.environ.items():
        section, _, key = name.removeprefix("SEGMON_").lower().partition("__")
        if not name.startswith("SEGMON_") or section not in Settings.model_fields:
            continue
        model = _section(section)
        if model and not key:
            return f"{name}: {section} is a section\n       fix: name the key too, as in SEGMON_KAFKA__BOOTSTRAP"
        if (
            model
            and key in model.model_fields
            and isinstance(model.model_fields[key].default, tuple)
            and not _is_json_list(value)
        ):
            return f"{name}: is a list, written as JSON\n       fix: {name}='{json.dumps([value])}'"
    return "environment: a variable cannot be read\n       fix: see docs/settings.md"


def _is_json_list(value: str) -> bool:
    try:
        return isinstance(json.loads(value), list)
    except ValueError:
        return False


def _explained(error: ValidationError, file: Path | None, flags: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        loc = problem["loc"]
        at, place = ".".join(str(part) for part in loc), _place(loc, file, flags)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{place}: unknown key {at!r}{_nearest(str(loc[-1]), _siblings(loc))}")
        elif problem["type"] in {"model_type", "model_attributes_type"}:
            lines.append(f"{place}: {at} is a section: its keys stand below it")
        elif problem["type"] == "string_pattern_mismatch":
            lines.append(
                f"{place}: {at}: {problem['input']!r} is no name: letters, digits, '.', '_' and '-', at most 63"
            )
        else:
            lines.append(f"{place}: {at}: {problem['msg']}")
    return "\n".join(lines)


def _place(loc: tuple[int | str, ...], file: Path | None, flags: Mapping[str, Any]) -> str:
    """Who said it: flags win over variables, these over the file."""
    said: Any = flags
    for part in loc[:2]:
        said = said.get(part) if isinstance(said, Mapping) else None
    if said is not None:
        return "flags"
    variable = "SEGMON_" + "__".join(str(part) for part in loc[:2]).upper()
    if file is None or variable in os.environ:
        return variable
    return f"{file}:{_line(yaml.compose(file.read_text()), loc)}"


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """Of the key, or of the nearest one around it."""
    line = 1
    for part in loc:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value == part:
                line, node = key.start_mark.line + 1, value
    return line


def _siblings(loc: tuple[int | str, ...]) -> Iterable[str]:
    """The keys that would be right where an unknown one stands."""
    if len(loc) == 1:
        return Settings.model_fields
    model = _section(str(loc[0]))
    return model.model_fields if model else ()


def _section(name: str) -> type[BaseModel] | None:
    field = Settings.model_fields.get(name)
    model = field.annotation if field else None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
