"""What a report says of its domains, written row by row: JSON, CSV tables, and a page of HTML for each domain.

Domains are told one after the other, each in all files, so that another process can write some of them apart (`Part`),
to be put behind the others (`sharing`). Nothing is kept but the pages: a row goes to its files and is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from monitor.reports import cells
from monitor.reports.content import ControlSection, DomainSection, Finding
from monitor.store.periods import DomainSpan, MemberSpan

JSON = "report.json"
PAGE = "page.html"
TABLES = ("members", "findings", "transitions", "results", "statuses")
BLOCK = 1 << 18

encode = msgspec.json.Encoder(order="deterministic").encode

FINDING = ("id", "domain", "control", "subject", "severity", "state", "sentence", "proof", "fix", "owner", "waiver")
FINDING_TIMES = ("opened_at", "resolved_at", "open_seconds", "detected_seconds", "resolved_after_seconds", "reopened")
SECONDS = ("met", "not met", "not met, waived", "not evaluated", "not applicable")

_finding = attrgetter(*FINDING, *FINDING_TIMES)

Put = Callable[[bytes], Any]


class Items:
    """A JSON array, one element a line."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._before = b"\n"

    def add(self, value: Any) -> None:
        self._put(self._before + encode(value))
        self._before = b",\n"


class Domains:
    """Of one report: `puts` takes what goes to each file, by its name."""

    def __init__(self) -> None:
        self._puts: dict[str, Put] = {}

    def _json(self, content: bytes) -> None:
        self._puts[JSON](content)

    def _table(self, name: str) -> Put:
        return self._puts[f"{name}.csv"]

    @contextmanager
    def _items(self, name: str) -> Iterator[Items]:
        self._json(encode(name) + b":[")
        yield Items(self._puts[JSON])
        self._json(b"],\n")

    @contextmanager
    def domain(self, identity: str, described: Sequence[DomainSpan], *, is_first: bool) -> Iterator[None]:
        self._json(b"\n{" if is_first else b",\n{")
        self._json(b'"id":' + encode(identity) + b',"described":' + encode(described) + b",\n")
        yield
        self._json(b"}")

    def members(self, rows: Iterable[MemberSpan]) -> Iterator[MemberSpan]:
        put = self._table("members")
        with self._items("members") as items:
            for row in rows:
                items.add(row)
                put(cells.row((row.domain, row.subject, row.pods, row.from_at, row.to_at)))
                yield row

    def findings(self, rows: Iterable[Finding]) -> Iterator[Finding]:
        put, put_moves = self._table("findings"), self._table("transitions")
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
            self._json(encode(name) + b":" + encode(count) + b",")
        self._json(b'\n"controls":[')
        items = Items(self._puts[JSON])
        for control in section.controls:
            items.add(control)
            worst = (control.worst.at, control.worst.failing, control.worst.of) if control.worst else (None, None, None)
            seconds = (control.seconds[name] for name in SECONDS)
            said = (section.id, control.control, control.result.value, control.share)
            gaps = (control.gaps, control.longest_gap_seconds)
            self._table("results")(cells.row((*said, *seconds, *gaps, *worst)))
            self._table("statuses")(_spans(section.id, control))
        self._json(b"]")
        self._puts[PAGE](page.encode())


class Part(Domains):
    """One domain, or several, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir()
        for name in NAMES:
            self._puts[name] = self._stack.enter_context((self._folder / name).open("xb", buffering=BLOCK)).write
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()


NAMES = (*(f"{name}.csv" for name in TABLES), JSON, PAGE)
"""The files that have something of a domain."""


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
    ended, end = None, ""
    for span in control.spans:
        begin = end if span.from_at == ended else cells.time(span.from_at)
        ended, end = span.to_at, cells.time(span.to_at)
        lasted = f"{begin},{end},{cells.number(span.seconds)}"
        why = f"{cells.text(span.reason)},{cells.lines(span.began)},{cells.lines(span.ended)}"
        rows.append(f"{about},{cells.text(span.met)},{lasted},{why}\r\n")
    return "".join(rows).encode()
