"""Prometheus and Alertmanager, Debian's programs, each on a loopback port with a configuration given as text.

`promtool()` and `amtool()` run the checkers that come with them and answer what they said.
"""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from parts.process import Part, free_port, program


class Monitoring(Part):
    """What the two have in common: a configuration folder, an HTTP address, a reload."""

    configuration = ""

    def __init__(self, config_text: str, *, files: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._texts = {self.configuration: config_text} | dict(files or {})
        self._port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def prepare(self) -> None:
        for name, text in self._texts.items():
            (self.folder / name).write_text(text)

    def reload(self, config_text: str, *, files: Mapping[str, str] | None = None) -> None:
        """Take new configuration while it runs; raises with its words where it refuses."""
        self._texts = {self.configuration: config_text} | dict(files or {})
        self.prepare()
        request = urllib.request.Request(f"{self.url}/-/reload", method="POST")
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise ValueError(refusal.read().decode()) from None

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).close()
        except OSError:
            return False
        return True

    def get(self, path: str, **parameters: str) -> Any:
        query = f"?{urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.url}{path}{query}", timeout=30) as answer:
            return json.load(answer)


class PrometheusServer(Monitoring):
    """`files` lie beside the configuration: rule files, file_sd targets."""

    name = "prometheus"
    configuration = "prometheus.yml"

    def command(self) -> Sequence[str]:
        return [
            program(self.name, "prometheus"),
            f"--config.file={self.folder / self.configuration}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--web.enable-lifecycle",
            "--web.enable-remote-write-receiver",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]

    def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """The instant vector: a list of {"metric": labels, "value": [time, text]}."""
        when = {"time": str(at)} if at is not None else {}
        result: list[dict[str, Any]] = self.get("/api/v1/query", query=expression, **when)["data"]["result"]
        return result

    def value(self, expression: str) -> float | None:
        """The one sample that the expression has, or None."""
        found = self.query(expression)
        assert len(found) <= 1, f"{expression} has {len(found)} series"
        return float(found[0]["value"][1]) if found else None

    def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/alerts")["data"]["alerts"]
        return found


class Alertmanager(Monitoring):
    """One member, no cluster. `files` lie beside the configuration: templates."""

    name = "alertmanager"
    configuration = "alertmanager.yml"

    def command(self) -> Sequence[str]:
        return [
            program(self.name, "prometheus-alertmanager", "alertmanager"),
            f"--config.file={self.folder / self.configuration}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v2/alerts")
        return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`promtool check rules FILE`, `test rules FILE`, `check config FILE`: exit code and words, as they are."""
    return _check("promtool", arguments)


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`amtool check-config FILE`, `config routes test …`."""
    return _check("amtool", arguments)


def _check(name: str, arguments: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    command = [program(name, name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
