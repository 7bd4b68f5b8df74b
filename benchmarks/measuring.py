"""How a figure is taken, so that all benchmarks say the same thing by the same word."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Figure(NamedTuple):
    """One row of the table. `aim`: what it should be at most (at least, for rates); None = for information."""

    name: str
    value: float
    unit: str
    aim: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over aim; for rates aim over value. Up to 1 is good."""
        if not self.aim:
            return None
        return self.aim / self.value if self.unit.endswith("/s") else self.value / self.aim


class Run(NamedTuple):
    """A whole process: wall and processor seconds, peak memory."""

    wall: float
    cpu: float
    mebibytes: float


def processes(arguments: Sequence[str], *, times: int, stdin: bytes = b"") -> Run:
    """The median of several runs of a Python command, after one that warms the cache of compiled modules."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONPATH": str(ROOT)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        runs = [_process(arguments, environment, stdin) for _ in range(times + 1)][1:]
    return Run(*(statistics.median(values) for values in zip(*runs, strict=True)))


def _process(arguments: Sequence[str], environment: dict[str, str], stdin: bytes) -> Run:
    """In a process of its own, whose only child is measured."""
    script = (
        "import resource,subprocess,sys,time\n"
        "t=time.perf_counter()\n"
        "code=subprocess.run(sys.argv[1:],stdin=sys.stdin,stdout=subprocess.DEVNULL).returncode\n"
        "u=resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(code,time.perf_counter()-t,u.ru_utime+u.ru_stime,u.ru_maxrss/1024)\n"
    )
    command = [sys.executable, "-c", script, sys.executable, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, env=environment, cwd=ROOT, check=True)
    code, wall, cpu, mebibytes = done.stdout.decode().split()
    if code != "0":
        raise RuntimeError(f"{arguments} ended with {code}: {done.stderr.decode()[-500:]}")
    return Run(float(wall), float(cpu), float(mebibytes))


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of one call: other work on the machine does not count."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many in a hundred do not exceed; infinite if there are none."""
    place = max(0, -(-len(values) * percent // 100) - 1)
    return sorted(values)[place] if values else float("inf")


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
