"""Changes: what was changed of what decides, what it widened or closed, which findings moved with it."""

from __future__ import annotations

from dashboards.boards import links, looks
from dashboards.boards.board import Board, Line
from dashboards.boards.domain import TRANSITIONS
from dashboards.boards.overview import EVIDENCE
from dashboards.boards.panels import About, counts_over_time, stat, table
from dashboards.queries import changes

KINDS_OF_CHANGE = {
    "created": looks.Look("+ created", looks.GREEN),
    "changed": looks.Look("~ changed", looks.ORANGE),
    "deleted": looks.Look("− deleted", looks.VERMILION),
}

COUNT = stat(
    About(
        title="Changes",
        description="Policies, tiers, sets, profiles and declarations created, changed or deleted in the time shown.",
        unit="short",
        empty="0",
    ),
    changes.COUNTS,
    field="changes",
)
WIDENING = stat(
    About(
        title="Widened something",
        description="Changes after which something may connect that could not before.",
        unit="short",
        empty="0",
    ),
    changes.COUNTS,
    field="widening",
    mappings=looks.none_or_some("✔ none"),
)
UNAPPROVED = stat(
    About(
        title="Widened without approval",
        description="Of those, the ones without an approval reference (annotation segmon.io/approval).",
        unit="short",
        empty="0",
    ),
    changes.COUNTS,
    field="without_approval",
    mappings=looks.none_or_some("✔ none"),
)
UNKNOWN = stat(
    About(
        title="Effect not worked out",
        description="Changes of which it is not known what they widened or closed.",
        unit="short",
        empty="0",
    ),
    changes.COUNTS,
    field="not_worked_out",
    mappings=looks.none_or_some("✔ none", colour=looks.PURPLE),
)
OVER_TIME = counts_over_time(
    About(
        title="Changes over time",
        description="Changes in each step of the time shown.",
        unit="short",
        empty="nothing was changed in the time shown",
    ),
    changes.OVER_TIME,
    KINDS_OF_CHANGE,
)
CHANGES = table(
    About(
        title="What was changed",
        description="Newest first: the object, and in words what may connect since then and what no longer may.",
        unit="short",
        empty="nothing was changed in the time shown",
    ),
    changes.CHANGES,
)

BOARD = Board(
    uid=links.CHANGES,
    title="segmon: Changes",
    description="What changed, what it opened or closed, and which findings moved with it.",
    sections=(
        Line(3, ((24, EVIDENCE),)),
        Line(7, ((3, COUNT), (3, WIDENING), (4, UNAPPROVED), (4, UNKNOWN), (10, OVER_TIME))),
        Line(13, ((24, CHANGES),)),
        Line(10, ((24, TRANSITIONS),)),
    ),
)
