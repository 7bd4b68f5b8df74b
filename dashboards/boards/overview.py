"""Compliance overview: may the numbers be believed, how much is met, where it is not, what changed."""

from __future__ import annotations

from dashboards.boards import links, looks
from dashboards.boards.board import Board, Line, Section
from dashboards.boards.panels import About, banner, bars, lines, stacked_bars, stat, states, table
from dashboards.queries import evidence, findings, posture

EVIDENCE = banner(
    About(
        title="Evidence",
        description="Whether every input of every cluster was seen within its limit. While one was not, what depends on"
        " it is not evaluated, and the numbers below may be old.",
        unit="string",
        empty="? nothing is recorded yet: is segmon work running, and segmon watch?",
    ),
    evidence.BANNER,
    good="✔",
    bad="✘",
    links=[links.to_health()],
)
MET = stat(
    About(
        title="Controls met",
        description="Controls that passed or warned over those evaluated, counted in every domain chosen. What was not"
        " evaluated is no part of it and stands beside it.",
        unit="percentunit",
        empty="nothing was evaluated",
    ),
    posture.MET,
    links=[links.to_findings()],
)
NOT_EVALUATED = stat(
    About(
        title="Not evaluated",
        description="Controls that could not be evaluated over those that apply. Never counted as met.",
        unit="percentunit",
        empty="nothing applies",
    ),
    posture.NOT_EVALUATED,
    mappings=looks.none_or_some("✔ none", colour=looks.PURPLE),
    links=[links.to_health()],
)
OPEN = stat(
    About(
        title="Findings open",
        description="Open findings of the domains, controls and severities chosen, waived ones included.",
        unit="short",
        empty="? no worker tells",
    ),
    findings.OPEN,
    mappings=looks.none_or_some("✔ none"),
    links=[links.to_findings()],
)
WAIVED = stat(
    About(
        title="Waived",
        description="Open findings under an active waiver. They count as failed.",
        unit="short",
        empty="? no worker tells",
    ),
    findings.WAIVED,
    links=[links.to_findings()],
)
REPORTS = table(
    About(
        title="Last reports",
        description="Audit reports that were made, newest first. Check one with segmon report verify.",
        unit="short",
        empty="no report was made yet: segmon report create",
    ),
    evidence.REPORTS,
)
WORST = bars(
    About(
        title="Domains, worst first",
        description="Controls met of those evaluated in each domain, the 25 lowest. A domain in which nothing was"
        " evaluated has no bar; the table below has it.",
        unit="percentunit",
        empty="nothing was evaluated",
    ),
    posture.WORST_DOMAINS,
    top=1,
    links=[links.to_domain_of_series()],
)
OUTCOMES = lines(
    About(
        title="Outcomes over time",
        description="Controls in domains by outcome. What was not evaluated is shown as such, and a gap means that no"
        " worker told anything.",
        unit="short",
        empty="nothing was told in the time shown",
    ),
    posture.OUTCOMES_OVER_TIME,
    named=looks.OUTCOMES,
    is_stacked=True,
)
DOMAINS_OVER_TIME = states(
    About(
        title="Domains over time",
        description="The worst outcome of each domain. A gap means that no worker told anything.",
        unit="short",
        empty="nothing was told in the time shown",
    ),
    posture.DOMAINS_OVER_TIME,
    words=looks.OUTCOME_RANKS,
    links=[links.to_domain_of_series()],
)
DOMAINS = table(
    About(
        title="Domains",
        description="How each domain stands now, worst first. A click on a domain opens it.",
        unit="short",
        empty="no domain is known",
    ),
    posture.DOMAINS,
)
BY_SEVERITY = bars(
    About(
        title="Open findings by severity",
        description="Findings that are open now, waived ones included.",
        unit="short",
        empty="? no worker tells",
    ),
    *findings.BY_SEVERITY,
    named=looks.SEVERITIES,
    links=[links.to_findings()],
)
BY_AGE = stacked_bars(
    About(
        title="Open findings by age",
        description="How long findings have been open, by severity.",
        unit="short",
        empty="no finding is open",
    ),
    findings.BY_AGE,
    named=looks.SEVERITIES,
)
FINDINGS_OVER_TIME = lines(
    About(
        title="Open findings over time",
        description="Open findings by severity. A gap means that no worker told anything.",
        unit="short",
        empty="nothing was told in the time shown",
    ),
    findings.OPEN_OVER_TIME,
    named=looks.SEVERITIES,
    is_stacked=True,
)
OPEN_ONES = table(
    About(
        title="Open findings, worst first",
        description="The first 50. A click on the id shows proof, fix and history.",
        unit="short",
        empty="no finding is open",
    ),
    findings.OPEN_ONES,
)

BOARD = Board(
    uid=links.OVERVIEW,
    title="segmon: Compliance overview",
    description="Is every security domain segmented as its owner declared?",
    sections=(
        Line(3, ((24, EVIDENCE),)),
        Line(6, ((6, MET), (4, NOT_EVALUATED), (3, OPEN), (3, WAIVED), (8, REPORTS))),
        Line(9, ((8, WORST), (16, OUTCOMES))),
        Line(9, ((24, DOMAINS_OVER_TIME),)),
        Line(10, ((24, DOMAINS),)),
        Section(
            "Findings",
            (
                Line(8, ((7, BY_SEVERITY), (7, BY_AGE), (10, FINDINGS_OVER_TIME))),
                Line(10, ((24, OPEN_ONES),)),
            ),
        ),
    ),
)
