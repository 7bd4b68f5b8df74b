"""What `segmon up --demo` costs when nothing happens any more: its whole process tree, after the story is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measuring import ROOT, Figure
from monitor import clock
from monitor.demo import story

SETTLE_SECONDS = 10.0  # behind the last step of the story
MEASURED_SECONDS = 40.0  # two ticks and heartbeats at least
TICKS = os.sysconf("SC_CLK_TCK")
NAMES = {"monitor.broker.embedded": "broker", "work": "work", "match": "match"}


def main() -> list[Figure]:
    bare = _bare_mebibytes()
    command = [sys.executable, "-m", "monitor.cli.main", "up", "--demo"]
    addresses = ["--metrics-listen", "127.0.0.1:0", "--page-listen", "127.0.0.1:0"]
    demo = subprocess.Popen([*command, *addresses], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        _until_told(demo, story.STORY[-1].told)
        time.sleep(SETTLE_SECONDS)
        tree = _tree(demo.pid)
        before, begun = {pid: _seconds(pid) for pid in tree}, clock.monotonic()
        time.sleep(MEASURED_SECONDS)
        wall = clock.monotonic() - begun
        used = {pid: _seconds(pid) - before[pid] for pid in tree}
        memory = {pid: _mebibytes(pid) for pid in tree}
    finally:
        demo.terminate()
        demo.wait(30)
    named = {pid: _name(command) for pid, command in tree.items()}
    shares = ", ".join(f"{named[pid]} {100 * used[pid] / wall:.1f}" for pid in tree)
    sizes = ", ".join(f"{named[pid]} {memory[pid]:.0f}" for pid in tree)
    return [
        Figure("processor share of the whole tree", round(100 * sum(used.values()) / wall, 2), "%", 3.0, shares),
        Figure("memory of the whole tree", round(sum(memory.values())), "MiB", 350.0, sizes),
        Figure(
            "ceiling: as many Pythons that only sleep", round(bare * len(tree)), "MiB", None, f"{len(tree)} of them"
        ),
    ]


def _until_told(demo: subprocess.Popen[str], words: str) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if words in line:
            return
    raise RuntimeError(f"the demo ended before it said {words!r}")


def _tree(root: int) -> dict[int, list[str]]:
    """Process ids and commands of a process and all below it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue  # it has just ended
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in found}


def _name(command: list[str]) -> str:
    return next((name for word, name in NAMES.items() if word in command), "up")


def _seconds(pid: int) -> float:
    """Processor seconds of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _mebibytes(pid: int) -> float:
    """Resident: a page that several share counts for each of them."""
    [kib] = re.findall(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(kib) / 1024


def _bare_mebibytes() -> float:
    sleeper = subprocess.Popen([sys.executable, "-c", "import asyncio; asyncio.run(asyncio.sleep(30))"])
    try:
        time.sleep(1)
        return _mebibytes(sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait()


if __name__ == "__main__":
    for figure in main():
        print(figure)
