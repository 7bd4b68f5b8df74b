"""How values look: words, glyphs and colours by what a value means, wherever it is shown.

Law: colour only repeats what words say, so every value that has a colour has its words here. The colours are told apart
by colour-blind people too (Okabe and Ito's palette). What is listed comes from the nouns: an outcome, severity or class
that is added there needs its words here before anything is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from dashboards.queries.posture import RANKS
from models.compliance import Outcome, Severity
from models.facts import FlowClass

GREEN, VERMILION, PURPLE, ORANGE = "#009E73", "#D55E00", "#CC79A7", "#E69F00"
BLUE, SKY, GREY = "#0072B2", "#56B4E9", "#8E8E8E"
NEUTRAL = BLUE
"""Of what is neither good nor bad."""


class Look(Struct, frozen=True):
    """What is written for a value, and its colour."""

    words: str
    colour: str


OUTCOMES: Mapping[str, Look] = {
    Outcome.PASS: Look("✔ pass", GREEN),
    Outcome.WARN: Look("! warn", ORANGE),
    Outcome.FAIL: Look("✘ fail", VERMILION),
    Outcome.ERROR: Look("? not evaluated", PURPLE),
    Outcome.SKIP: Look("– not applicable", GREY),
}

SEVERITIES: Mapping[str, Look] = {
    Severity.CRITICAL: Look("critical", "#A6341B"),
    Severity.HIGH: Look("high", VERMILION),
    Severity.MEDIUM: Look("medium", ORANGE),
    Severity.LOW: Look("low", SKY),
    Severity.INFO: Look("info", GREY),
}
WORST_FIRST: tuple[Severity, ...] = tuple(reversed(Severity))

CLASSES: Mapping[str, Look] = {
    FlowClass.PERMITTED: Look("✔ permitted", GREEN),
    FlowClass.ESCAPED: Look("✘ escaped", VERMILION),
    FlowClass.MISDROPPED: Look("! misdropped", ORANGE),
    FlowClass.REJECTED: Look("– rejected", BLUE),
    FlowClass.INDETERMINATE: Look("? indeterminate", PURPLE),
}
PAIRS: Mapping[str, Look] = {
    "allowed and seen": Look("✔ allowed and seen", GREEN),
    "allowed but never seen": Look("○ allowed but never seen", SKY),
    "denied": Look("– denied", BLUE),
    "escaped": Look("✘ escaped", VERMILION),
    "cannot tell": Look("? cannot tell", PURPLE),
}
FINDING_STATES: Mapping[str, Look] = {
    "open": Look("✘ open", VERMILION),
    "waived": Look("~ waived", SKY),
    "resolved": Look("✔ resolved", GREEN),
}
TRANSITIONS: Mapping[str, Look] = {
    "opened": Look("✘ opened", VERMILION),
    "reopened": Look("✘ reopened", VERMILION),
    "changed": Look("! changed", ORANGE),
    "resolved": Look("✔ resolved", GREEN),
    "waived": Look("~ waived", SKY),
    "unwaived": Look("! unwaived", ORANGE),
}
EFFECTS: Mapping[str, Look] = {
    "widened": Look("▲ widened", VERMILION),
    "closed": Look("▼ closed", GREEN),
    "widened and closed": Look("◆ widened and closed", ORANGE),
    "no effect": Look("– no effect", GREY),
    "not worked out": Look("? not worked out", PURPLE),
}
YES_NO: Mapping[str, Look] = {"true": Look("✔ yes", GREEN), "false": Look("✘ no", VERMILION)}
EXPIRED: Mapping[str, Look] = {"true": Look("✘ expired", VERMILION), "false": Look("✔ in force", GREEN)}
FRESH: Mapping[str, Look] = {"1": Look("✔ fresh", GREEN), "0": Look("✘ stale", VERMILION)}
SYNCED: Mapping[str, Look] = {"1": Look("✔ in sync", GREEN), "0": Look("✘ not in sync", VERMILION)}
OUTCOME_RANKS: Mapping[str, Look] = {str(rank): OUTCOMES[outcome] for outcome, rank in RANKS.items()}


def mapped(looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    """Exact values to their words."""
    options = {
        str(value): {"text": look.words, "color": look.colour, "index": index}
        for index, (value, look) in enumerate(looks.items())
    }
    return [{"type": "value", "options": options}]


def by_glyph(good: str, bad: str) -> list[dict[str, Any]]:
    """Sentences keep their words; their first character gives the colour."""
    return [
        {"type": "regex", "options": {"pattern": f"/^{glyph}/", "result": {"color": colour, "index": index}}}
        for index, (glyph, colour) in enumerate(((good, GREEN), (bad, VERMILION)))
    ]


def none_or_some(none: str, *, colour: str = VERMILION) -> list[dict[str, Any]]:
    """Zero in words and green; any other number as itself."""
    return [
        {"type": "value", "options": {"0": {"text": none, "color": GREEN, "index": 0}}},
        {"type": "range", "options": {"from": 0, "to": None, "result": {"color": colour, "index": 1}}},
    ]


def coloured(looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    """Series named by these values: their words in the legend, their colours in the picture."""
    return [
        {
            "matcher": {"id": "byName", "options": str(value)},
            "properties": [
                {"id": "displayName", "value": look.words},
                {"id": "color", "value": {"mode": "fixed", "fixedColor": look.colour}},
            ],
        }
        for value, look in looks.items()
    ]
