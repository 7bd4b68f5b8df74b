"""Monitor health: does segmon see everything, does it keep up, does it record."""

from __future__ import annotations

from dashboards.boards import links, looks
from dashboards.boards.board import Board, Line, Section
from dashboards.boards.overview import EVIDENCE
from dashboards.boards.panels import About, bars, lines, stat, states, table
from dashboards.queries import evidence, working

NOTHING = "nothing was told in the time shown"

STALE = stat(
    About(
        title="Inputs not fresh",
        description="Kinds and flow sources whose evidence is older than its limit. What needs them is not evaluated.",
        unit="short",
        empty="? no worker tells",
    ),
    evidence.STALE,
    mappings=looks.none_or_some("✔ none"),
)
NOT_SYNCED = stat(
    About(
        title="Kinds not in sync",
        description="Kinds that the watch cannot list and follow.",
        unit="short",
        empty="? no watch tells",
    ),
    working.NOT_SYNCED,
    mappings=looks.none_or_some("✔ none"),
)
LAG_NOW = stat(
    About(
        title="Records waiting",
        description="Records between the end of the partitions and what is recorded. Some are always on their way.",
        unit="short",
        empty="? no worker tells",
    ),
    working.LAG_NOW,
)
OLDEST = stat(
    About(
        title="Oldest evidence",
        description="Age of the input that was seen longest ago.",
        unit="s",
        empty="? no worker tells",
    ),
    evidence.OLDEST,
)
PROCESSES = bars(
    About(
        title="Processes",
        description="Processes of segmon that answer Prometheus, by command and release.",
        unit="short",
        empty="✘ no process answers",
    ),
    working.PROCESSES,
)
CLUSTERS = table(
    About(
        title="Clusters",
        description="Up to when, and to which position, each cluster is recorded.",
        unit="short",
        empty="nothing is recorded yet",
    ),
    evidence.CLUSTERS,
)
FRESH = states(
    About(
        title="Freshness of inputs",
        description="Whether each kind and the flow sources were fresh. A gap means that no worker told anything.",
        unit="short",
        empty=NOTHING,
    ),
    evidence.FRESH_OVER_TIME,
    words=looks.FRESH,
)
AGE = lines(
    About(
        title="Age of evidence",
        description="Seconds since each input was last seen, as of the last judgement.",
        unit="s",
        empty=NOTHING,
    ),
    evidence.AGE_OVER_TIME,
)
SYNCED = states(
    About(
        title="Watch",
        description="Whether each kind of object is listed and watched. A gap means that no watch told anything.",
        unit="short",
        empty=NOTHING,
    ),
    working.SYNCED,
    words=looks.SYNCED,
)
LAG = lines(
    About(
        title="Lag",
        description="Records waiting in each partition. A line that stays above zero and does not move is a stuck"
        " worker.",
        unit="short",
        empty=NOTHING,
    ),
    working.LAG,
)
EVALUATING = lines(
    About(
        title="Time to evaluate",
        description="From a batch taken to its evaluation done: median, 95 % and 99 %.",
        unit="s",
        empty="nothing was evaluated in the time shown",
    ),
    *working.EVALUATING,
)
RECORDING = lines(
    About(
        title="Time to record",
        description="One transaction of the database: median, 95 % and 99 %.",
        unit="s",
        empty="nothing was recorded in the time shown",
    ),
    *working.RECORDING,
)
FACTS = lines(
    About(
        title="Facts per second",
        description="Facts published by the watches and folded by the workers.",
        unit="cps",
        empty=NOTHING,
    ),
    *working.FACTS,
)
DATABASE = lines(
    About(
        title="Failed transactions",
        description="In each step. Transient ones are retried; others halve the batch until the fact to blame is"
        " found.",
        unit="short",
        empty="none was counted",
    ),
    working.DATABASE_ERRORS,
)
DEAD_LETTERS = lines(
    About(
        title="Dead letters",
        description="Messages that could not be handled and were put aside, in each step. segmon dead list shows them.",
        unit="short",
        empty="none was counted",
    ),
    working.DEAD_LETTERS,
)
PARSE_ERRORS = lines(
    About(
        title="Unreadable lines",
        description="Lines that look like LOG lines and could not be read, in each step.",
        unit="short",
        empty="none was counted",
    ),
    working.PARSE_ERRORS,
)
RESTARTS = lines(
    About(
        title="Watches opened again",
        description="Watches that were closed and opened again, by reason, in each step.",
        unit="short",
        empty="none was counted",
    ),
    working.WATCH_RESTARTS,
)
INPUTS = table(
    About(
        title="Inputs",
        description="Each kind and the flow sources: fresh or not, when last seen, and why it is not read.",
        unit="short",
        empty="nothing is recorded yet",
    ),
    evidence.INPUTS,
)
SOURCES = table(
    About(
        title="Log sources",
        description="Which logs are heard, and what was read, could not be read, and was lost. A source that is silent"
        " makes the flows of its node unknown, not absent.",
        unit="short",
        empty="? no log source was ever heard",
    ),
    evidence.SOURCES,
)
GAPS = table(
    About(
        title="Gaps in the evidence",
        description="Time without evidence, in the time shown, with the reason. It counts as not evaluated.",
        unit="short",
        empty="no gap is recorded in the time shown",
    ),
    evidence.GAPS,
)

BOARD = Board(
    uid=links.HEALTH,
    title="segmon: Monitor health",
    description="Does segmon see everything, keep up, and record what it finds?",
    span="now-6h",
    sections=(
        Line(3, ((24, EVIDENCE),)),
        Line(5, ((4, STALE), (4, NOT_SYNCED), (4, LAG_NOW), (4, OLDEST), (8, PROCESSES))),
        Section(
            "What is seen",
            (
                Line(12, ((12, FRESH), (12, SYNCED))),
                Line(8, ((12, AGE), (12, RESTARTS))),
                Line(8, ((12, SOURCES), (12, GAPS))),
                Line(10, ((24, INPUTS),)),
            ),
        ),
        Section(
            "What is done",
            (
                Line(8, ((8, LAG), (8, FACTS), (8, EVALUATING))),
                Line(8, ((8, RECORDING), (8, DATABASE), (8, DEAD_LETTERS))),
                Line(7, ((8, PARSE_ERRORS), (16, CLUSTERS))),
            ),
        ),
    ),
)
