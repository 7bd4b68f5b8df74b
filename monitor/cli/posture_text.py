"""The posture of a cluster as a terminal shows it: domains, open findings, transitions as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from models.facts import API_KINDS, Fact, FactKey, Kind, PolicyFact, Rejected
from models.wire import Unreadable
from monitor.cli.context import printable, table
from monitor.compliance import needs
from monitor.store import pairs, queries

SYMBOLS = {"pass": "✔", "fail": "✘", "warn": "!", "error": "?", "skip": "–"}
COLUMNS = {
    "ingress": ("default-deny-ingress",),
    "egress": ("default-deny-egress",),
    "flows": ("flow-escaped",),
}
WORST_FIRST = ("fail", "error", "warn", "pass", "skip")
LEGEND = "✔ pass  ✘ fail  ! warn  ? not evaluated  – not applicable"


def read(facts: Mapping[FactKey, Fact | Unreadable]) -> str:
    """One line: what the cluster holds, and what of it Calico would not take."""
    facts = {key: fact for key, fact in facts.items() if key.kind in API_KINDS}
    policies = [key.kind for key, fact in facts.items() if isinstance(fact, PolicyFact)]
    staged = sum(kind in needs.STAGED for kind in policies)
    tiers = sum(key.kind is Kind.TIER for key in facts)
    words = [f"✔ {len(facts)} objects read", f"✔ {len(policies)} policies in {tiers} tiers, {staged} of them staged"]
    if rejected := sum(isinstance(fact, Rejected) for fact in facts.values()):
        words.append(f"! {rejected} that Calico drops")
    if unreadable := sum(isinstance(fact, Unreadable) for fact in facts.values()):
        words.append(f"? {unreadable} that cannot be read")
    return "   ".join(words)


def unread(look: queries.Look, cluster: str) -> list[str]:
    """One line for each reason why kinds of a cluster could not be read."""
    kinds: dict[str, list[str]] = {}
    for row in queries.inputs(look, cluster):
        if row.state == "not_readable" and row.input in API_KINDS:
            kinds.setdefault(row.reason, []).append(row.input)
    return [
        printable(f"not read: {reason} ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})")
        for reason, names in kinds.items()
    ]


def posture(look: queries.Look, cluster: str) -> str:
    """One line a domain: the three questions, every other control counted, open findings by severity."""
    outcomes: dict[str, dict[str, str]] = {}
    for row in queries.open_statuses(look, cluster):
        outcomes.setdefault(row.domain, {})[row.control] = row.outcome
    rows = [
        [
            printable(row.name),
            row.level,
            *(_cell(outcomes.get(row.id, {}), controls) for controls in COLUMNS.values()),
            _others(outcomes.get(row.id, {})),
            _counted(queries.findings_counted_in(look, cluster, row.id)),
        ]
        for row in queries.domains(look, cluster)
    ]
    return table(rows, ["domain", "level", *COLUMNS, "other controls", "findings"])


def _cell(outcomes: dict[str, str], controls: Sequence[str]) -> str:
    found = [outcomes[control] for control in controls if control in outcomes]
    return SYMBOLS[min(found, key=WORST_FIRST.index)] if found else "·"


def _others(outcomes: dict[str, str]) -> str:
    shown = {control for controls in COLUMNS.values() for control in controls}
    counted = Counter(outcome for control, outcome in outcomes.items() if control not in shown)
    return " ".join(f"{SYMBOLS[each]}{counted[each]}" for each in WORST_FIRST if counted[each]) or "·"


def _counted(findings: list[queries.FindingRow]) -> str:
    counted = Counter(row.severity for row in findings)
    words = [f"{counted[each]} {each}" for each in queries.SEVERITIES if counted[each]]
    waived = sum(row.state == "waived" for row in findings)
    return ", ".join(words) + (f" ({waived} waived)" if waived else "") if words else "–"


def finding(row: queries.FindingRow) -> str:
    """What is wrong with what and since when; what mends it."""
    state = row.state if row.state != "open" else "since"
    known = ", last known" if row.is_last_known else ""
    since = f"{state} {row.opened_at:%Y-%m-%d %H:%M:%S}{known}"
    lines = [
        f"{row.severity:9} {row.domain} · {row.control} · {row.subject}   {since}",
        f"          {row.sentence}",
    ]
    if row.waiver:
        lines.append(f"          waiver: {row.waiver}")
    if row.fix:
        lines.append(f"          fix: {row.fix}")
    return "\n".join(printable(line) for line in lines)


def transition(row: queries.TransitionRow, opened_at: datetime | None = None) -> str:
    """`12:04:31  opened    high      payments · default-deny-egress   what is wrong`."""
    sentence = row.sentence if row.transition in {"opened", "reopened", "changed"} else row.reason
    subject = "" if row.subject == row.domain or row.subject in sentence else f" · {row.subject}"
    if row.transition == "resolved" and opened_at is not None:
        sentence += f" after {(row.at - opened_at).total_seconds():.1f} s"
    line = (
        f"{row.at:%H:%M:%S}  {row.transition:9} {row.severity:9} "
        f"{row.domain.partition('/')[2]} · {row.control}{subject}   {sentence}"
    )
    return printable(line)


def effect(row: pairs.EffectRow) -> list[str]:
    """`12:04:31  widened   deleted payments/default-deny: outside -> payments all; …`; nothing if it did nothing."""
    name = f"{row.namespace}/{row.name}" if row.namespace else row.name
    return [
        printable(f"{row.at:%H:%M:%S}  {word:9} {row.change} {name}: {shortened(lines)}")
        for word, lines in (("widened", row.widened), ("closed", row.closed))
        if lines
    ]


def shortened(lines: Sequence[str], most: int = 3) -> str:
    more = len(lines) - most
    return "; ".join(lines[:most]) + (f"; and {more} more" if more > 0 else "")


def as_json(look: queries.Look, cluster: str) -> dict[str, Any]:
    """The same as data: stable names, documented in docs/command-line.md."""
    return {
        "cluster": cluster,
        "domains": [
            {
                "id": row.id,
                "level": row.level,
                "owner": row.owner,
                "workloads": row.workloads,
                "controls": {
                    status.control: {"outcome": status.outcome, "reason": status.reason, "counts": status.counts}
                    for status in queries.open_statuses(look, cluster)
                    if status.domain == row.id
                },
            }
            for row in queries.domains(look, cluster)
        ],
        "transitions": [
            {
                "at": row.at.isoformat(),
                "transition": row.transition,
                "severity": row.severity,
                "domain": row.domain,
                "control": row.control,
                "subject": row.subject,
                "sentence": row.sentence,
            }
            for row in queries.transitions_after(look, cluster, 0, limit=10_000)
        ],
        "policy_changes": [
            {
                "at": row.at.isoformat(),
                "kind": row.kind,
                "namespace": row.namespace,
                "name": row.name,
                "change": row.change,
                "widened": row.widened,
                "closed": row.closed,
            }
            for row in pairs.effects_after(look, cluster, 0, limit=10_000)
        ],
        "paths": [
            {
                "source": row.source,
                "destination": row.destination,
                "protocol": row.protocol,
                "port": row.port,
                "class": row.flow_class,
                "cause": row.cause,
                "count": row.count,
            }
            for row in queries.paths(look, cluster)
        ],
    }
