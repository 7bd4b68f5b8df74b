"""As `start`, with 100,000 pods: takes minutes, so it runs when it is named: `python benchmarks/run.py start_large`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import start
from benchmarks.measuring import Figure

ONLY_BY_NAME = True
PODS = 100_000


def main() -> list[Figure]:
    return list(start.of(PODS))


if __name__ == "__main__":
    for figure in main():
        print(figure)
