"""The `reporting` views, specified once: docs/reporting.md and the boards' plain tables are made from here.

Law: a view's columns only grow; a test holds the databases against this list. The views themselves are made by the
migrations. Times are UTC.
"""

from __future__ import annotations

from msgspec import Struct


class ViewSpec(Struct, frozen=True, kw_only=True):
    """`columns` in their order; `at` is the time by which rows are chosen and sorted, "" where there is none."""

    name: str
    help: str
    columns: tuple[str, ...]
    at: str = ""


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VIEWS: tuple[ViewSpec, ...] = (
    ViewSpec(
        name="clusters",
        help="Each cluster, and up to where its facts are recorded.",
        columns=_columns("cluster epoch offset at"),
    ),
    ViewSpec(
        name="control_status",
        help="Outcome of a control in a domain, as intervals; of an open one, until when its inputs are vouched for.",
        columns=_columns(
            "cluster domain control outcome reason passing warning failing not_evaluated not_applicable waived"
            " from_at to_at vouched_until"
        ),
        at="from_at",
    ),
    ViewSpec(
        name="domain_posture",
        help="How each domain stands now: worst outcome, controls by outcome, shares, open findings."
        " What nobody vouches for counts as error.",
        columns=_columns(
            "cluster domain level name owner criticality environment workloads outcome passing warning failing"
            " not_evaluated not_applicable compliance_ratio not_evaluated_ratio open_findings waived_findings"
            " worst_severity_rank"
        ),
    ),
    ViewSpec(
        name="domains",
        help="Domains as intervals of their description.",
        columns=_columns("cluster domain level name owner criticality environment from_at to_at is_current workloads"),
        at="from_at",
    ),
    ViewSpec(
        name="evidence",
        help="Inputs (kinds, flows): when last seen, and whether that is fresh.",
        columns=_columns("cluster input state reason unbroken_since seen_at judged_at is_fresh age_seconds"),
        at="judged_at",
    ),
    ViewSpec(
        name="findings",
        help="Findings as they stand, with proof and fix.",
        columns=_columns(
            "id cluster domain owner control subject state severity severity_rank sentence fix proof waiver"
            " is_last_known first_at opened_at last_at resolved_at"
        ),
        at="last_at",
    ),
    ViewSpec(
        name="flow_windows",
        help="Flow records by window of time and class.",
        columns=_columns("cluster window_at flow_class records"),
        at="window_at",
    ),
    ViewSpec(
        name="gaps",
        help="Time without evidence, with the reason.",
        columns=_columns("id cluster input from_at to_at reason"),
        at="from_at",
    ),
    ViewSpec(
        name="matrix",
        help="Domain × domain now: what may connect, paths seen by class, and the two in one word (`state`). Pairs are"
        " of one level; all that is no endpoint is `outside`, its level empty. A pair neither allowed nor seen has no"
        " row; where reach is not known, only what was seen has one.",
        columns=_columns(
            "cluster source destination source_level destination_level connections connection_count allowed_since"
            " permitted escaped rejected misdropped indeterminate records last_seen_at state is_reach_known"
        ),
    ),
    ViewSpec(
        name="members",
        help="Workloads of a domain, as intervals.",
        columns=_columns("cluster domain subject pods pod_names from_at to_at"),
        at="from_at",
    ),
    ViewSpec(
        name="paths",
        help="Paths seen: who spoke to whom, classed, with the cause.",
        columns=_columns(
            "cluster source destination source_domains destination_domains protocol port flow_class basis cause"
            " since first_at last_at records"
        ),
        at="last_at",
    ),
    ViewSpec(
        name="policy_changes",
        help="Changes of what decides, and what they widened or closed: `shop -> payments tcp/5432`, one line a pair of"
        " domains. Both empty: no pair gained or lost anything; unless `is_worked_out` is false: then nobody can tell.",
        columns=_columns(
            "id cluster at kind namespace name change before after approval is_worked_out widened_count closed_count"
            " widened closed"
        ),
        at="at",
    ),
    ViewSpec(
        name="posture",
        help="As `control_status`, with what nobody vouches for any more as error."
        " `is_open`: of a status that stands, so that its end may still move.",
        columns=_columns("cluster domain control outcome reason failing waived from_at to_at is_open"),
        at="from_at",
    ),
    ViewSpec(
        name="reach",
        help="What may connect from one domain to another of its level, or from and to `outside`, as intervals, one"
        " line each: `tcp/443`, `tcp/443 (203.0.113.0/24)`, `perhaps tcp/443`. Only times in which that was known"
        " (`reach_status`): a pair without a row may not connect then.",
        columns=_columns("cluster source destination connections connection_count from_at to_at"),
        at="from_at",
    ),
    ViewSpec(
        name="reach_status",
        help="When what may connect was known, and why not when it was not, as intervals.",
        columns=_columns("cluster is_known reason from_at to_at"),
        at="from_at",
    ),
    ViewSpec(
        name="reports",
        help="Audit reports that were made.",
        columns=_columns("id cluster domain schedule from_at to_at made_at release manifest"),
        at="made_at",
    ),
    ViewSpec(
        name="sources",
        help="Log sources: when last heard, what was read and lost.",
        columns=_columns("cluster source node heard_at records unparsed lost"),
        at="heard_at",
    ),
    ViewSpec(
        name="traffic",
        help="Paths seen between domains, by class.",
        columns=_columns("cluster source destination flow_class paths records last_at"),
        at="last_at",
    ),
    ViewSpec(
        name="transitions",
        help="Every move of every finding.",
        columns=_columns(
            "id cluster at finding_id domain control subject transition severity severity_rank sentence reason"
        ),
        at="at",
    ),
    ViewSpec(
        name="waivers",
        help="Waivers, in force or not, and what they cover.",
        columns=_columns(
            "cluster name control domain subject reason requester approver ticket compensating_control granted_at"
            " expires_at is_declared is_expired findings"
        ),
        at="granted_at",
    ),
)
"""Every view, by name."""

VIEWS_BY_NAME = {spec.name: spec for spec in VIEWS}
