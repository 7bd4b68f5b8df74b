"""Boards into a running Grafana: what is missing is made, what differs is saved, what is equal is not sent.

Law 1: a board that Grafana has from files is left alone.
Law 2: what somebody saved between our look and our save is not overwritten.
Equal means: what is there holds all of ours (Grafana adds numbers and fields of its own), or was saved by a push of
these very bytes and by nobody since (a newer Grafana rewrites what it reads).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Literal

from msgspec import Struct

from dashboards.instance import Held, Instance, RefusedError

FOLDER_UID, FOLDER_TITLE = "segmon", "segmon"
PROVISIONED = "provisioned"
FLEETING = frozenset({"id", "version"})
"""Grafana's own counts."""


class Pushed(Struct, frozen=True, kw_only=True):
    """What became of a board. `provisioned`: it was left alone, since Grafana has it from files."""

    uid: str
    title: str
    action: Literal["created", "updated", "unchanged", "provisioned"]
    url: str


def packaged() -> list[dict[str, Any]]:
    """The boards as they are committed, by uid."""
    folder = resources.files("dashboards") / "grafana" / "boards"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def push(instance: Instance, boards: list[dict[str, Any]]) -> Iterator[Pushed]:
    """One after the other; what was told before a failure is done."""
    is_folder_there = instance.has_folder(FOLDER_UID)
    for board in boards:
        held = instance.board(board["uid"])
        if held is None and not is_folder_there:
            instance.create_folder(FOLDER_UID, FOLDER_TITLE)
            is_folder_there = True
        yield _pushed(instance, board, held)


def _pushed(instance: Instance, board: dict[str, Any], held: Held | None) -> Pushed:
    if held is None:
        return _saved(instance, board, held)
    if held.is_provisioned:
        return _told(instance, board, "provisioned")
    if held.folder_uid == FOLDER_UID and (holds(held.board, board) or _was_pushed(instance, board)):
        return _told(instance, board, "unchanged")
    return _saved(instance, board, held)


def _saved(instance: Instance, board: dict[str, Any], held: Held | None) -> Pushed:
    sent = board | {"id": None} | ({"version": held.version} if held else {})
    try:
        path = instance.save(sent, folder_uid=FOLDER_UID, message=marker(board))
    except RefusedError as refusal:
        if PROVISIONED in refusal.said.lower():
            return _told(instance, board, "provisioned")
        raise
    return _told(instance, board, "updated" if held else "created", path)


def _told(
    instance: Instance,
    board: dict[str, Any],
    action: Literal["created", "updated", "unchanged", "provisioned"],
    path: str = "",
) -> Pushed:
    return Pushed(
        uid=board["uid"], title=board["title"], action=action, url=instance.url_of(path or f"/d/{board['uid']}")
    )


def _was_pushed(instance: Instance, board: dict[str, Any]) -> bool:
    return instance.last_message(board["uid"]) == marker(board)


def marker(board: Mapping[str, Any]) -> str:
    """Said at a save: names the bytes that were sent."""
    text = json.dumps(board, sort_keys=True, ensure_ascii=False)
    return f"segmon dashboards push, {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def holds(theirs: Any, ours: Any) -> bool:
    """Whether everything of ours is there as it is; lists must be as long."""
    if isinstance(ours, Mapping):
        return isinstance(theirs, Mapping) and all(
            name in FLEETING or (name in theirs and holds(theirs[name], value)) for name, value in ours.items()
        )
    if isinstance(ours, list):
        return (
            isinstance(theirs, list)
            and len(theirs) == len(ours)
            and all(holds(one, other) for one, other in zip(theirs, ours, strict=True))
        )
    return bool(theirs == ours)
