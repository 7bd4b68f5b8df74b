"""Domain: posture per control over time, findings with their proof, members, moves, owner."""

from __future__ import annotations

from dashboards.boards import links, looks, variables
from dashboards.boards.board import Board, Line, Section
from dashboards.boards.overview import EVIDENCE, MET, NOT_EVALUATED, OPEN, WAIVED
from dashboards.boards.panels import About, lines, states, table
from dashboards.queries import findings, posture

WHO = table(
    About(
        title="Domain and owner",
        description="What is declared of the domains chosen, and how each stands now.",
        unit="short",
        empty="no such domain",
    ),
    posture.DOMAINS,
)
TIMELINE = states(
    About(
        title="Posture per control",
        description="Outcome of each control over time, as recorded; of many domains, 200 strips: what is not met"
        " first, then what changed last. Time that nobody vouched for is not evaluated;"
        " where nothing is drawn the domain or the control did not exist.",
        unit="string",
        empty="nothing was judged in the time shown",
    ),
    posture.TIMELINE,
    words=looks.OUTCOMES,
    split="series",
)
CONTROLS = table(
    About(
        title="Controls",
        description="Outcome at the end of the time shown and since when, the worst 200; of the time shown, the share"
        " in which the control was met, out of what was evaluated; and the share that was not evaluated, out of what"
        " is recorded.",
        unit="short",
        empty="nothing is judged",
    ),
    posture.CONTROLS,
)
FINDINGS = table(
    About(
        title="Findings",
        description="What is open, worst first, then what was resolved in the time shown. A click on the id shows"
        " proof, fix and history below.",
        unit="short",
        empty="no finding is open, none was resolved in the time shown",
    ),
    findings.FINDINGS,
)
ONE = table(
    About(
        title="The finding chosen",
        description="Proof, smallest fix and state of the finding whose id is in the variable Finding.",
        unit="string",
        empty="choose a finding above, by its id",
    ),
    findings.ONE,
)
ITS_MOVES = table(
    About(
        title="Its history",
        description="Every move of the finding chosen, newest first.",
        unit="short",
        empty="choose a finding above, by its id",
    ),
    findings.ITS_MOVES,
)
MOVES = lines(
    About(
        title="Moves of findings",
        description="Findings opened, resolved, waived in each step, over all domains of the clusters chosen.",
        unit="short",
        empty="nothing moved",
    ),
    findings.MOVES,
    named=looks.TRANSITIONS,
)
TRANSITIONS = table(
    About(
        title="Transitions",
        description="Every move of every finding in the time shown, newest first.",
        unit="short",
        empty="nothing moved in the time shown",
    ),
    findings.TRANSITIONS,
)
WAIVERS = table(
    About(
        title="Waivers",
        description="What is accepted for a time, expired ones first. A waiver never makes a control pass.",
        unit="short",
        empty="no waiver is declared",
    ),
    findings.WAIVERS,
)
MEMBERS = table(
    About(
        title="Members",
        description="Workloads in scope at any moment of the time shown, those that are gone included.",
        unit="short",
        empty="no workload was in scope",
    ),
    posture.MEMBERS,
)

BOARD = Board(
    uid=links.DOMAIN,
    title="segmon: Domain",
    description="One domain in full: how each control stood, what is wrong and why, who belongs to it.",
    more_variables=(variables.finding(),),
    sections=(
        Line(3, ((24, EVIDENCE),)),
        Line(5, ((5, MET), (4, NOT_EVALUATED), (3, OPEN), (3, WAIVED), (9, MOVES))),
        Line(5, ((24, WHO),)),
        Line(10, ((24, TIMELINE),)),
        Line(9, ((24, CONTROLS),)),
        Section(
            "Findings and their proof",
            (Line(10, ((24, FINDINGS),)), Line(9, ((14, ONE), (10, ITS_MOVES)))),
        ),
        Section(
            "Moves, waivers and members",
            (Line(9, ((24, TRANSITIONS),)), Line(7, ((24, WAIVERS),)), Line(9, ((24, MEMBERS),))),
        ),
    ),
)
