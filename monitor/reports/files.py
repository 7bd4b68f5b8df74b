"""The files of a report, all from the same values: JSON, CSV tables, HTML, and the manifest with their digests.

The time and the release that made it stand in the manifest and in HTML and JSON, nowhere else.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from monitor.reports import rendering
from monitor.reports.content import Report

MANIFEST = "manifest.json"
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")


def rendered(report: Report) -> dict[str, bytes]:
    """Every file by name, without the manifest."""
    files = {"report.html": rendering.html(report).encode(), "report.json": _json(report)}
    return files | {f"{name}.csv": table(report) for name, table in _TABLES.items()}


def manifest(report: Report, files: Mapping[str, bytes]) -> bytes:
    return _json(
        {
            "report": report.id,
            "cluster": report.cluster,
            "domain": report.domain,
            "from": report.from_at,
            "to": report.to_at,
            "made_at": report.made_at,
            "release": report.release,
            "chain": report.chain,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
    )


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1) + b"\n"


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    """A cell that a spreadsheet would take for a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = "\n".join(value) if isinstance(value, tuple | list) else str(value)
    return f"'{text}" if text.startswith(_RISKY) else text


def _findings(report: Report) -> bytes:
    columns = ("id", "domain", "control", "subject", "severity", "state", "sentence", "proof", "fix", "owner", "waiver")
    times = ("opened_at", "resolved_at", "open_seconds")
    return _csv((*columns, *times), ([getattr(each, name) for name in (*columns, *times)] for each in report.findings))


def _transitions(report: Report) -> bytes:
    columns = ("at", "transition", "severity", "sentence", "reason")
    rows = (
        [each.id, each.domain, each.control, each.subject, *(getattr(move, name) for name in columns)]
        for each in report.findings
        for move in each.history
    )
    return _csv(("finding", "domain", "control", "subject", *columns), rows)


def _statuses(report: Report) -> bytes:
    rows = (
        [domain.id, control.control, span.met.value, span.from_at, span.to_at, span.seconds, span.reason]
        for domain in report.domains
        for control in domain.controls
        for span in control.spans
    )
    return _csv(("domain", "control", "counts_as", "from", "to", "seconds", "reason"), rows)


def _members(report: Report) -> bytes:
    rows = (
        [member.domain, member.subject, member.pods, member.from_at, member.to_at]
        for domain in report.domains
        for member in domain.members
    )
    return _csv(("domain", "workload", "pods", "from", "to"), rows)


def _listed(name: str, columns: Sequence[str]) -> Callable[[Report], bytes]:
    def table(report: Report) -> bytes:
        return _csv(columns, ([getattr(each, column) for column in columns] for each in getattr(report, name)))

    return table


_TABLES: dict[str, Callable[[Report], bytes]] = {
    "findings": _findings,
    "transitions": _transitions,
    "statuses": _statuses,
    "members": _members,
    "changes": _listed(
        "changes", ("at", "kind", "namespace", "name", "change", "approval", "before", "after", "widened", "closed")
    ),
    "waivers": _listed(
        "waivers",
        (
            "name",
            "control",
            "domain",
            "subject",
            "reason",
            "requester",
            "approver",
            "ticket",
            "granted_at",
            "expires_at",
        ),
    ),
    "gaps": _listed("gaps", ("input", "from_at", "to_at", "reason")),
}
