"""The story that `segmon up --demo` plays: edits of the demo cluster's files and lines of its kernel logs.

It goes through the same path as everything else: files that the watch reads, a log file that the collector reads.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path

from msgspec import Struct

CLUSTER = "harbour"
DELETED = "payments/default-deny.yaml"
WHY = "--from analytics/Deployment/etl --to records/StatefulSet/records --port 5432/tcp"
"""What a person wants to ask behind the story, in words of `segmon explain`."""


class Stage(Struct, frozen=True, kw_only=True):
    """Where the demo's files lie while it runs."""

    manifests: Path
    domains: Path
    waivers: Path
    log: Path


class Step(Struct, frozen=True, kw_only=True):
    """`pause` = seconds after the step before it, left out by --once."""

    pause: float
    told: str
    act: Callable[[Stage, datetime], None]
    is_about_files: bool = False  # the watch sees it; else the collector


def set_stage(folder: Path) -> Stage:
    """Copy the demo cluster into a folder and begin an empty kernel log."""
    folder.mkdir(parents=True, exist_ok=True)
    source = resources.files("monitor.demo")
    with resources.as_file(source) as origin:
        for part in ("cluster", "domains.yaml", "waivers.yaml"):
            target = folder / part
            if (origin / part).is_dir():
                shutil.copytree(origin / part, target, dirs_exist_ok=True)
            else:
                shutil.copy2(origin / part, target)
    stage = stage_in(folder)
    stage.log.touch()
    return stage


def stage_in(folder: Path) -> Stage:
    """Where the demo's files lie in a folder."""
    return Stage(
        manifests=folder / "cluster",
        domains=folder / "domains.yaml",
        waivers=folder / "waivers.yaml",
        log=folder / "kern.log",
    )


def _packaged(name: str) -> str:
    return (resources.files("monitor.demo") / name).read_text()


def _append(stage: Stage, name: str, now: datetime) -> None:
    """The lines of a traffic file as if they had just been written: their last one now, the others as before it."""
    lines = _packaged(f"traffic/{name}.log").splitlines()
    last = datetime.fromisoformat(lines[-1].split(" ", 1)[0])
    shifted = [_shifted(line, now - last) for line in lines]
    with stage.log.open("a") as file:
        file.writelines(shifted)


def _shifted(line: str, by: timedelta) -> str:
    written, rest = line.split(" ", 1)
    return f"{(datetime.fromisoformat(written) + by).isoformat(timespec='microseconds')} {rest}\n"


def usual_traffic(stage: Stage, now: datetime) -> None:
    _append(stage, "usual", now)


def crossing_traffic(stage: Stage, now: datetime) -> None:
    _append(stage, "crossing", now)


def delete_policy(stage: Stage, now: datetime) -> None:
    del now
    (stage.manifests / DELETED).unlink(missing_ok=True)


def restore_policy(stage: Stage, now: datetime) -> None:
    """Written aside and moved into place, so that no reader sees half a file."""
    del now
    aside = stage.manifests / f"{DELETED}.new"
    aside.write_text(_packaged(f"cluster/{DELETED}"))
    aside.replace(stage.manifests / DELETED)


STORY: tuple[Step, ...] = (
    Step(pause=2, told="usual traffic: shop calls payments, customers call shop", act=usual_traffic),
    Step(pause=4, told=f"somebody deletes {DELETED}", act=delete_policy, is_about_files=True),
    Step(pause=6, told=f"{DELETED} is put back", act=restore_policy, is_about_files=True),
    Step(pause=6, told="analytics reads the records of another tenant", act=crossing_traffic),
)
"""What happens, in order. Every effect is seen through the broker, the engine and the database."""
