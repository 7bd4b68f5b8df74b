"""Traffic: who may talk to whom, who does, and what escaped."""

from __future__ import annotations

from dashboards.boards import links, looks, variables
from dashboards.boards.board import Board, Line
from dashboards.boards.overview import EVIDENCE
from dashboards.boards.panels import About, bars, graph, lines, matrix, table
from dashboards.queries import traffic
from models.facts import FlowClass

ARCS = {
    "arc__permitted": looks.CLASSES[FlowClass.PERMITTED],
    "arc__escaped": looks.CLASSES[FlowClass.ESCAPED],
    "arc__denied": looks.PAIRS["denied"],
    "arc__indeterminate": looks.CLASSES[FlowClass.INDETERMINATE],
}

RECORDS = bars(
    About(
        title="Records by class",
        description="Flow records in the time shown, by class. Escaped: allowed across a boundary whose owner declared"
        " other paths. Misdropped: denied though declared. Indeterminate: nobody can tell, the cause is with the path.",
        unit="short",
        empty="no flow record in the time shown",
    ),
    traffic.RECORDS,
    named=looks.CLASSES,
)
BY_CLASS = lines(
    About(
        title="Records per second",
        description="Flow records judged, by class, over all domains of the clusters chosen.",
        unit="cps",
        empty="no flow record in the time shown",
    ),
    traffic.BY_CLASS,
    named=looks.CLASSES,
)
MATRIX = matrix(
    About(
        title="Who talks to whom",
        description="From the domain of the row to the domain of the column, now: allowed and seen, denied, escaped,"
        " allowed but never seen. An empty cell is neither allowed nor seen, or not worked out. All that is no"
        " endpoint is `outside`, at every level.",
        unit="string",
        empty="·",
    ),
    traffic.MATRIX,
    words=looks.PAIRS,
)
GRAPH = graph(
    About(
        title="Traffic seen",
        description="Domains and the traffic between them, escaped pairs first, 60 at most. The ring of a domain is the"
        " share of its paths by class.",
        unit="short",
        empty="no traffic was seen",
    ),
    traffic.NODES,
    traffic.EDGES,
    arcs=ARCS,
)
PAIRS = table(
    About(
        title="Pairs of domains",
        description="Each pair that may connect or was seen, worst first: the connections allowed now, the paths seen"
        " by class, the records.",
        unit="short",
        empty="nothing is allowed and nothing was seen",
    ),
    traffic.PAIRS,
)
PATHS = table(
    About(
        title="Top paths",
        description="Paths seen in the time shown, escaped ones first, then by records, 200 at most, with the cause of"
        " their class.",
        unit="short",
        empty="no path was seen in the time shown",
    ),
    traffic.PATHS,
)

BOARD = Board(
    uid=links.TRAFFIC,
    title="segmon: Traffic",
    description="Who may talk to whom by policy, and who was seen to.",
    more_variables=(variables.level(),),
    sections=(
        Line(3, ((24, EVIDENCE),)),
        Line(7, ((8, RECORDS), (16, BY_CLASS))),
        Line(12, ((24, MATRIX),)),
        Line(14, ((24, GRAPH),)),
        Line(10, ((24, PAIRS),)),
        Line(10, ((24, PATHS),)),
    ),
)
