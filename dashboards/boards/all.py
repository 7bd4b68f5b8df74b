"""Every board as the files that are committed, provisioned and pushed."""

from __future__ import annotations

import json
from typing import Any

from msgspec import structs

from dashboards.boards import changes, domain, health, overview, rest, traffic
from dashboards.boards.board import document

LAID_OUT = (overview.BOARD, domain.BOARD, traffic.BOARD, changes.BOARD, health.BOARD)


def documents() -> dict[str, dict[str, Any]]:
    """By uid. The last board, Monitor health, ends with what none of them shows."""
    made = {board.uid: document(board) for board in LAID_OUT}
    last = LAID_OUT[-1]
    others = rest.sections(json.dumps(list(made.values())))
    return made | {last.uid: document(structs.replace(last, sections=(*last.sections, *others)))}


def text(board: dict[str, Any]) -> str:
    return json.dumps(board, indent=1, ensure_ascii=False) + "\n"
