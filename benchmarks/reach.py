"""`segmon reach --by workload` as a whole process, on generated manifests of growing size."""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import clusters, measuring
from benchmarks.measuring import Figure

SIZES = (50, 200, 1000, 2000, 5000)
AIM_AT_2000 = 0.6
GO_ANALYSER = {50: 0.15, 200: 1.25, 1000: 31.0, 2000: 113.0}
"""Seconds of a well-known analyser in Go on the same kind of cluster, for comparison."""


def main() -> list[Figure]:
    figures = []
    walls = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            file = Path(folder) / f"{size}.yaml"
            file.write_text(clusters.manifests(size))
            run = measuring.processes(["-m", "monitor.cli.main", "reach", "--manifests", str(file)], times=3)
            walls[size] = run.wall
            known = f"; another analyser needs {GO_ANALYSER[size]:g} s" if size in GO_ANALYSER else ""
            aim = AIM_AT_2000 if size == 2000 else None
            note = f"{run.cpu:.2f} s of processor time, {run.mebibytes:.0f} MiB{known}"
            figures.append(Figure(f"reach, {size} workloads", round(run.wall, 3), "s", aim, note))
    growth = math.log(walls[5000] / walls[1000]) / math.log(5)
    figures.append(Figure("reach, exponent of growth from 1,000 to 5,000", round(growth, 2), "", 1.1))
    return figures


if __name__ == "__main__":
    for figure in main():
        print(figure)
