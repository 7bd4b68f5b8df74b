"""The files of a report, written row by row from the same values: JSON, CSV tables, HTML, and the manifest.

Nothing is kept: a row goes to its files and is let go, so that a month of a large cluster fits in memory. The time and
the release that made it stand in the manifest and in HTML and JSON, nowhere else.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, Self

import msgspec

from monitor.reports import rendering
from monitor.reports.content import ControlSection, DomainSection, Finding, Report
from monitor.reports.counting import Counted
from monitor.store.periods import ChangeRow, DomainSpan, MemberSpan
from monitor.store.queries import GapRow

MANIFEST = "manifest.json"
BLOCK = 1 << 18
_RISKY = frozenset("=+-@\t\r\n")
_encode = msgspec.json.Encoder(order="deterministic").encode

_FINDING = ("id", "domain", "control", "subject", "severity", "state", "sentence", "proof", "fix", "owner", "waiver")
_FINDING_TIMES = ("opened_at", "resolved_at", "open_seconds", "detected_seconds", "resolved_after_seconds", "reopened")
_CHANGE = ("at", "kind", "namespace", "name", "change", "approval", "before", "after", "widened", "closed")
_WAIVER = (
    *("name", "control", "domain", "subject", "reason", "requester", "approver", "ticket", "compensating_control"),
    *("granted_at", "expires_at", "declared_at", "withdrawn_at", "findings", "seconds", "still_failing", "remarks"),
)
_GAP = ("input", "from_at", "to_at", "reason")
_rest_of_finding = attrgetter(*_FINDING[4:], *_FINDING_TIMES)
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
    """A file whose digest is known at its end. Rows are small and many: they are gathered before they are hashed.

    Bytes go by `put` or text by `text`, never both: each gathers for itself.
    """

    def __init__(self, place: Path) -> None:
        self._raw = _Digesting(place)
        gathered = io.BufferedWriter(self._raw, BLOCK)
        self.put = gathered.write
        self.text = io.TextIOWrapper(gathered, encoding="utf-8", newline="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.text.close()

    def end(self) -> str:
        """All of it is in the file; the digest."""
        self.text.flush()
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
        self._tables: dict[str, Any] = {}
        self._pages: list[str] = []

    def __enter__(self) -> Self:
        for name, columns in COLUMNS.items():
            self._tables[name] = csv.writer(self._open(f"{name}.csv").text, lineterminator="\r\n")
            self._tables[name].writerow(columns)
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

    def _row(self, table: str, values: Iterable[Any]) -> None:
        self._tables[table].writerow(map(_cell, values))

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
        with self._items(name) as items:
            for row in rows:
                items.add(row)
                self._row(name, (getattr(row, column) for column in columns))
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
        write = self._tables["members"].writerow
        with self._items("members") as items:
            for row in rows:
                items.add(row)
                ends = (_time(row.from_at), _cell(row.to_at))
                write((*_texts(row.domain, row.subject, "\n".join(row.pods)), *ends))
                yield row

    def findings(self, rows: Iterable[Finding]) -> Iterator[Finding]:
        write, write_moves = self._tables["findings"].writerow, self._tables["transitions"].writerows
        with self._items("findings") as items:
            for row in rows:
                items.add(row)
                about = _texts(row.id, row.domain, row.control, row.subject)
                write((*about, *map(_cell, _rest_of_finding(row))))
                write_moves(_moves(row, about))
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
            self._row("results", (*said, *seconds, control.gaps, control.longest_gap_seconds, *worst))
            self._tables["statuses"].writerows(_spans(control, _texts(section.id, control.control)))
        self._json.put(b"]")
        self._pages.append(page)

    def finish(self, report: Report, counted: Counted) -> bytes:
        """The rest of JSON, the HTML, and the manifest with the digests of all; returns the manifest."""
        for waiver in report.waivers:
            self._row("waivers", (getattr(waiver, name) for name in _WAIVER))
        self._json.put(b'"report":' + _encode(report) + b"}\n")
        head, tail = rendering.frame(report, counted, self._json.end())
        page = self._open("report.html")
        for part in (head, *self._pages, tail):
            page.text.write(part)
        manifest = _manifest(report, {name: file.end() for name, file in sorted(self._files.items())})
        (self._folder / MANIFEST).write_bytes(manifest)
        return manifest


def _moves(finding: Finding, about: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A million of them: what repeats is made safe once."""
    sentence = ""
    for move in finding.history:
        if move.sentence:
            sentence = _text(move.sentence)
        yield *about, _time(move.at), move.transition, move.severity, sentence, _text(move.reason), move.position


def _spans(control: ControlSection, about: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for span in control.spans:
        times = (_time(span.from_at), _time(span.to_at), _number(span.seconds))
        yield *about, span.met, *times, *_texts(span.reason, "\n".join(span.began), "\n".join(span.ended))


def _text(value: str) -> str:
    """A cell that a spreadsheet would take for a formula starts with an apostrophe instead."""
    return f"'{value}" if value[:1] in _RISKY else value


def _texts(*values: str) -> list[str]:
    return [_text(value) for value in values]


def _time(at: datetime) -> str:
    return f"{at.isoformat()[:-6]}Z"


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


_CELLS: dict[type, Callable[[Any], str]] = {
    str: _text,
    NoneType: lambda _: "",
    datetime: _time,
    float: _number,
    int: str,
    tuple: lambda value: _text("\n".join(value)),
    list: lambda value: _text("\n".join(value)),
}


def _cell(value: Any) -> str:
    return _CELLS[type(value)](value)


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
