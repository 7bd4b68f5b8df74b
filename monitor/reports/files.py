"""The files of a report, written row by row from the same values: JSON, CSV tables, HTML, and the manifest.

Nothing is kept: a row goes to its files and is let go, so that a month of a large cluster fits in memory. The time and
the release that made it stand in the manifest and in HTML and JSON, nowhere else.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from monitor.reports import cells, rendering
from monitor.reports.content import ControlSection, DomainSection, Finding, Report
from monitor.reports.counting import Counted
from monitor.store.periods import ChangeRow, DomainSpan, MemberSpan
from monitor.store.queries import GapRow

MANIFEST = "manifest.json"
BLOCK = 1 << 18
_encode = msgspec.json.Encoder(order="deterministic").encode

_FINDING = ("id", "domain", "control", "subject", "severity", "state", "sentence", "proof", "fix", "owner", "waiver")
_FINDING_TIMES = ("opened_at", "resolved_at", "open_seconds", "detected_seconds", "resolved_after_seconds", "reopened")
_CHANGE = ("at", "kind", "namespace", "name", "change", "approval", "before", "after", "widened", "closed")
_WAIVER = (
    *("name", "control", "domain", "subject", "reason", "requester", "approver", "ticket", "compensating_control"),
    *("granted_at", "expires_at", "declared_at", "withdrawn_at", "findings", "seconds", "still_failing", "remarks"),
)
_GAP = ("input", "from_at", "to_at", "reason")
_finding = attrgetter(*_FINDING, *_FINDING_TIMES)
_SECONDS = ("met", "not met", "not met, waived", "not evaluated", "not applicable")

COLUMNS: dict[str, tuple[str, ...]] = {
    "results": (
        *("domain", "control", "result", "share"),
        *(f"{name.replace(', ', '_').replace(' ', '_')}_seconds" for name in _SECONDS),
        *("gaps", "longest_gap_seconds", "worst_at", "worst_failing", "worst_of"),
    ),
    "statuses": ("domain", "control", "counts_as", "from", "to", "seconds", "reason", "began", "ended"),
    "findings": (*_FINDING, *_FINDING_TIMES),
    "transitions": (
        *("finding", "domain", "control", "subject"),
        *("at", "transition", "severity", "sentence", "reason", "position"),
    ),
    "members": ("domain", "workload", "pods", "from", "to"),
    "changes": _CHANGE,
    "waivers": _WAIVER,
    "gaps": _GAP,
}
"""The CSV files and their columns (docs/reports.md)."""


class _Digesting(io.RawIOBase):
    """Bytes on their way to a file; hashed as they pass."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._file = place.open("xb", buffering=0)
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        written = self._file.write(content)
        self.sha256.update(memoryview(content)[:written])
        return written

    def close(self) -> None:
        super().close()
        self._file.close()


class Digested:
    """A file whose digest is known at its end. Rows are small and many: they are gathered before they are hashed."""

    def __init__(self, place: Path) -> None:
        self._raw = _Digesting(place)
        self._gathered = io.BufferedWriter(self._raw, BLOCK)
        self.put = self._gathered.write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._gathered.close()

    def end(self) -> str:
        """All of it is in the file; the digest."""
        self._gathered.flush()
        return self._raw.sha256.hexdigest()


class Items:
    """A JSON array, one element a line."""

    def __init__(self, file: Digested) -> None:
        self._file = file
        self._before = b"\n"

    def add(self, value: Any) -> None:
        self._file.put(self._before + _encode(value))
        self._before = b",\n"


class Pack:
    """A report's files in a folder. Lists are opened in the order in which they stand in the JSON."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[str, Digested] = {}
        self._pages: list[str] = []

    def __enter__(self) -> Self:
        for name, columns in COLUMNS.items():
            self._open(f"{name}.csv").put(cells.joined(columns))
        self._open("report.json").put(b"{")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def _open(self, name: str) -> Digested:
        self._files[name] = self._stack.enter_context(Digested(self._folder / name))
        return self._files[name]

    @property
    def _json(self) -> Digested:
        return self._files["report.json"]

    def _table(self, name: str) -> Digested:
        return self._files[f"{name}.csv"]

    @contextmanager
    def _items(self, name: str) -> Iterator[Items]:
        self._json.put(_encode(name) + b":[")
        yield Items(self._json)
        self._json.put(b"],\n")

    def changes(self, rows: Iterable[ChangeRow]) -> Iterator[ChangeRow]:
        """Written as they pass."""
        return self._listed("changes", rows, _CHANGE)

    def gaps(self, rows: Iterable[GapRow]) -> Iterator[GapRow]:
        return self._listed("gaps", rows, _GAP)

    def _listed(self, name: str, rows: Iterable[Any], columns: Sequence[str]) -> Iterator[Any]:
        put, values = self._table(name).put, attrgetter(*columns)
        with self._items(name) as items:
            for row in rows:
                items.add(row)
                put(cells.row(values(row)))
                yield row

    @contextmanager
    def domains(self) -> Iterator[None]:
        self._json.put(b'"domains":[')
        yield
        self._json.put(b"],\n")

    @contextmanager
    def domain(self, identity: str, described: Sequence[DomainSpan], *, is_first: bool) -> Iterator[None]:
        self._json.put(b"\n{" if is_first else b",\n{")
        self._json.put(b'"id":' + _encode(identity) + b',"described":' + _encode(described) + b",\n")
        yield
        self._json.put(b"}")

    def members(self, rows: Iterable[MemberSpan]) -> Iterator[MemberSpan]:
        put = self._table("members").put
        with self._items("members") as items:
            for row in rows:
                items.add(row)
                put(cells.row((row.domain, row.subject, row.pods, row.from_at, row.to_at)))
                yield row

    def findings(self, rows: Iterable[Finding]) -> Iterator[Finding]:
        put, put_moves = self._table("findings").put, self._table("transitions").put
        with self._items("findings") as items:
            for row in rows:
                items.add(row)
                put(cells.row(_finding(row)))
                put_moves(_moves(row))
                yield row

    def section(self, section: DomainSection, page: str) -> None:
        """The end of a domain: its controls."""
        counts = (section.workloads_at_start, section.workloads_at_end, section.workloads_ever)
        for name, count in zip(("workloads_at_start", "workloads_at_end", "workloads_ever"), counts, strict=True):
            self._json.put(_encode(name) + b":" + _encode(count) + b",")
        self._json.put(b'\n"controls":[')
        items = Items(self._json)
        for control in section.controls:
            items.add(control)
            worst = (control.worst.at, control.worst.failing, control.worst.of) if control.worst else (None, None, None)
            seconds = (control.seconds[name] for name in _SECONDS)
            said = (section.id, control.control, control.result.value, control.share)
            gaps = (control.gaps, control.longest_gap_seconds)
            self._table("results").put(cells.row((*said, *seconds, *gaps, *worst)))
            self._table("statuses").put(_spans(section.id, control))
        self._json.put(b"]")
        self._pages.append(page)

    def finish(self, report: Report, counted: Counted) -> bytes:
        """The rest of JSON, the HTML, and the manifest with the digests of all; returns the manifest."""
        for waiver in report.waivers:
            self._table("waivers").put(cells.row(getattr(waiver, name) for name in _WAIVER))
        self._json.put(b'"report":' + _encode(report) + b"}\n")
        head, tail = rendering.frame(report, counted, self._json.end())
        page = self._open("report.html")
        for part in (head, *self._pages, tail):
            page.put(part.encode())
        manifest = _manifest(report, {name: file.end() for name, file in sorted(self._files.items())})
        (self._folder / MANIFEST).write_bytes(manifest)
        return manifest


def _moves(finding: Finding) -> bytes:
    """Rows of transitions.csv. A million of them: what repeats is made a cell once."""
    about = ",".join(map(cells.text, (finding.id, finding.domain, finding.control, finding.subject)))
    sentence, rows = "", []
    for move in finding.history:
        if move.sentence:
            sentence = cells.text(move.sentence)
        moved = f"{cells.time(move.at)},{move.transition},{move.severity}"
        rows.append(f"{about},{moved},{sentence},{cells.text(move.reason)},{move.position}\r\n")
    return "".join(rows).encode()


def _spans(domain: str, control: ControlSection) -> bytes:
    """Rows of statuses.csv."""
    about = f"{cells.text(domain)},{cells.text(control.control)}"
    rows = []
    for span in control.spans:
        lasted = f"{cells.time(span.from_at)},{cells.time(span.to_at)},{cells.number(span.seconds)}"
        why = f"{cells.text(span.reason)},{cells.lines(span.began)},{cells.lines(span.ended)}"
        rows.append(f"{about},{cells.text(span.met)},{lasted},{why}\r\n")
    return "".join(rows).encode()


def _manifest(report: Report, digests: dict[str, str]) -> bytes:
    said = {
        "report": report.id,
        "cluster": report.cluster,
        "domain": report.domain,
        "from": report.from_at,
        "to": report.to_at,
        "made_at": report.made_at,
        "release": report.release,
        "catalogue": report.catalogue,
        "chain": report.chain,
        "files": digests,
    }
    return msgspec.json.format(msgspec.json.encode(said, order="sorted"), indent=1) + b"\n"
