"""The audit report of one month: 200 domains × 40 controls, one million transitions, on PostgreSQL.

`segmon report create --all` as a process of its own: seconds, peak memory. What was recorded is made by
`recorded_month`, outside the measured time. The process shares the machine with the database it reads.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from benchmarks import measuring, recorded_month
from benchmarks.measuring import Figure

AIM_SECONDS = 30.0
AIM_MEBIBYTES = 500.0


def main() -> list[Figure]:
    with recorded_month.recorded() as month, tempfile.TemporaryDirectory() as folder:
        command = ["-m", "monitor.cli.main", "report", "create", "--all", "--database", month.url, "--out", folder]
        period = ["--from", month.begin.isoformat(), "--to", month.end.isoformat()]
        run = measuring.processes([*command, *period], times=1)
        sizes = {file.suffix: file.stat().st_size for file in next(Path(folder).iterdir()).iterdir()}
        whole = sum(file.stat().st_size for file in next(Path(folder).iterdir()).iterdir())
    what = f"{month.transitions:,} transitions, 200 domains × 40 controls"
    return [
        Figure("report of a month", run.wall, "s", AIM_SECONDS, what),
        Figure("  processor time of segmon", run.cpu, "s", None, "the rest is PostgreSQL, and waiting for it"),
        Figure("  peak memory", run.mebibytes, "MiB", AIM_MEBIBYTES),
        Figure("  all its files", whole / 2**20, "MiB"),
        Figure("  report.html", sizes[".html"] / 2**20, "MiB"),
    ]


if __name__ == "__main__":
    for figure in main():
        print(figure)
