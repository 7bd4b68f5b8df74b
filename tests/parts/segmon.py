"""A long-running process of segmon's own command line, as a person starts it."""

import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from parts.process import CHECKOUT, Part, free_port


class Segmon(Part):
    """`start()` returns when the process says that it is ready. `metrics` is where it answers."""

    name = "segmon"
    stop_within = 25.0

    def __init__(self, settings: Path, *arguments: str | Path) -> None:
        super().__init__()
        self.metrics = f"127.0.0.1:{free_port()}"
        self._arguments = ["--config", settings, *arguments, "--metrics-listen", self.metrics]

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "monitor.cli.main", *map(str, self._arguments)]

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(CHECKOUT)}

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://{self.metrics}/readyz", timeout=2).close()
        except OSError:
            return False
        return True
