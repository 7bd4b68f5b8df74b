"""The audit report of one month: 200 domains × 40 controls, one million transitions, on PostgreSQL.

`segmon report create --all` as a process of its own, with the one that it forks: seconds, peak memory of both. What was
recorded is made by `recorded_month`, outside the measured time. They share the machine with the database they read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from benchmarks import recorded_month
from benchmarks.measuring import ROOT, Figure, Run

AIM_SECONDS = 30.0
AIM_MEBIBYTES = 500.0


def main() -> list[Figure]:
    with recorded_month.recorded() as month:
        return measured(month)


def measured(month: recorded_month.Month) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "monitor.cli.main", "report", "create", "--all", "--database", month.url, "--out", folder]
        period = ["--from", month.begin.isoformat(), "--to", month.end.isoformat()]
        run = _run([sys.executable, *command, *period])
        sizes = {file.suffix: file.stat().st_size for file in next(Path(folder).iterdir()).iterdir()}
        whole = sum(file.stat().st_size for file in next(Path(folder).iterdir()).iterdir())
    what = f"{month.transitions:,} transitions, 200 domains × 40 controls"
    return [
        Figure("report of a month", run.wall, "s", AIM_SECONDS, what),
        Figure("  processor time of segmon", run.cpu, "s", None, "of two processes; PostgreSQL's is its own"),
        Figure("  peak memory", run.mebibytes, "MiB", AIM_MEBIBYTES, "of both, what they share counted once"),
        Figure("  all its files", whole / 2**20, "MiB"),
        Figure("  report.html", sizes[".html"] / 2**20, "MiB"),
    ]


def _run(command: list[str]) -> Run:
    begun, before, peak = time.perf_counter(), getrusage(RUSAGE_CHILDREN), 0.0
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        while process.poll() is None:
            peak = max(peak, _mebibytes(process.pid))
            time.sleep(0.5)
    if process.returncode:
        raise RuntimeError(f"the report ended with {process.returncode}")
    after = getrusage(RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(time.perf_counter() - begun, cpu, peak)


def _mebibytes(process: int) -> float:
    """Of a process and those that it started."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        told = dict(line.split(":", 1) for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
    except OSError:  # it has ended meanwhile
        return 0.0
    return int(told.get("Pss", "0 kB").split()[0]) / 1024 + sum(_mebibytes(int(child)) for child in children)


if __name__ == "__main__":
    for figure in main():
        print(figure)
