"""Runs every benchmark here that has a `main()`; prints a table, writes build/bench.json.

A name on the command line picks benchmarks: `python benchmarks/run.py posture`; those that take long run only when they
are named (`ONLY_BY_NAME`). Figures say how they compare with
their aim; nothing fails on a slow machine.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import Figure  # noqa: E402 - the path above comes first


def main() -> None:
    found: dict[str, list[Figure]] = {}
    for file in sorted((ROOT / "benchmarks").glob("*.py")):
        if file.stem == "run" or (len(sys.argv) > 1 and file.stem not in sys.argv[1:]):
            continue
        module = importlib.import_module(f"benchmarks.{file.stem}")
        is_wanted = file.stem in sys.argv[1:] or not getattr(module, "ONLY_BY_NAME", False)
        if hasattr(module, "main") and is_wanted:
            found[file.stem] = [Figure(*row) for row in module.main()]
            _print(file.stem, found[file.stem])
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    rows = {
        name: [{**figure._asdict(), "ratio": figure.ratio} for figure in figures] for name, figures in found.items()
    }
    target.write_text(json.dumps(rows, indent=1) + "\n")


def _print(name: str, figures: list[Figure]) -> None:
    print(f"\n{name}")
    for figure in figures:
        aim = "" if figure.aim is None else f"aim {figure.aim:,g} {figure.unit}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}×"
        line = f"  {figure.name:<48} {figure.value:>12,g} {figure.unit:<4} {aim:<18} {ratio:>7}  {figure.note}"
        print(line.rstrip(), flush=True)


if __name__ == "__main__":
    main()
