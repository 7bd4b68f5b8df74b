"""The files of a report, written row by row from the same values: JSON, CSV tables, HTML, and the manifest.

Nothing is kept: a row goes to its files and is let go, so that a month of a large cluster fits in memory. The time and
the release that made it stand in the manifest and in HTML and JSON, nowhere else.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from monitor.reports import cells, pieces, rendering
from monitor.reports.content import Report
from monitor.reports.counting import Counted
from monitor.reports.pieces import Domains, Part
from monitor.store.periods import ChangeRow
from monitor.store.queries import GapRow

MANIFEST = "manifest.json"
JOINED = 1 << 20
WRITERS = 2

_CHANGE = ("at", "kind", "namespace", "name", "change", "approval", "before", "after", "widened", "closed")
_WAIVER = (
    *("name", "control", "domain", "subject", "reason", "requester", "approver", "ticket", "compensating_control"),
    *("granted_at", "expires_at", "declared_at", "withdrawn_at", "findings", "seconds", "still_failing", "remarks"),
)
_GAP = ("input", "from_at", "to_at", "reason")

COLUMNS: dict[str, tuple[str, ...]] = {
    "results": (
        *("domain", "control", "result", "share"),
        *(f"{name.replace(', ', '_').replace(' ', '_')}_seconds" for name in pieces.SECONDS),
        *("gaps", "longest_gap_seconds", "worst_at", "worst_failing", "worst_of"),
    ),
    "statuses": ("domain", "control", "counts_as", "from", "to", "seconds", "reason", "began", "ended"),
    "findings": (*pieces.FINDING, *pieces.FINDING_TIMES),
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
        self._gathered = io.BufferedWriter(self._raw, pieces.BLOCK)
        self.put = self._gathered.write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._gathered.close()

    def end(self) -> str:
        """All of it is in the file; the digest."""
        self._gathered.flush()
        return self._raw.sha256.hexdigest()


class Pack(Domains):
    """A report's files in a folder. Lists are opened in the order in which they stand in the JSON."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[str, Digested] = {}
        self._pages: list[bytes] = []
        self._puts[pieces.PAGE] = self._pages.append

    def __enter__(self) -> Self:
        for name, columns in COLUMNS.items():
            self._open(f"{name}.csv").put(cells.joined(columns))
        self._open(pieces.JSON).put(b"{")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def _open(self, name: str) -> Digested:
        file = self._stack.enter_context(Digested(self._folder / name))
        self._files[name], self._puts[name] = file, file.put
        return file

    def changes(self, rows: Iterable[ChangeRow]) -> Iterator[ChangeRow]:
        """Written as they pass."""
        return self._listed("changes", rows, _CHANGE)

    def gaps(self, rows: Iterable[GapRow]) -> Iterator[GapRow]:
        return self._listed("gaps", rows, _GAP)

    def _listed(self, name: str, rows: Iterable[Any], columns: Sequence[str]) -> Iterator[Any]:
        put, values = self._table(name), attrgetter(*columns)
        with self._items(name) as items:
            for row in rows:
                items.add(row)
                put(cells.row(values(row)))
                yield row

    @contextmanager
    def domains(self) -> Iterator[None]:
        self._json(b'"domains":[')
        yield
        self._json(b"],\n")

    def part(self, number: int) -> Part:
        """A domain apart, to be joined later."""
        return Part(self._apart(number))

    def join(self, numbers: Sequence[int]) -> None:
        """Put what was written apart behind what is there: two files at once, as hashing and writing let others run."""
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(lambda name: self._join(name, numbers), pieces.NAMES))  # raises what one raised
        for number in numbers:
            shutil.rmtree(self._apart(number))

    def _join(self, name: str, numbers: Sequence[int]) -> None:
        for number in numbers:
            with (self._apart(number) / name).open("rb") as file:
                if name == pieces.PAGE:
                    self._pages.append(file.read())
                    continue
                while block := file.read(JOINED):
                    self._puts[name](block)

    def _apart(self, number: int) -> Path:
        return self._folder / f"domain-{number}"

    def finish(self, report: Report, counted: Counted) -> bytes:
        """The rest of JSON, the HTML, and the manifest with the digests of all; returns the manifest."""
        for waiver in report.waivers:
            self._table("waivers")(cells.row(getattr(waiver, name) for name in _WAIVER))
        self._json(b'"report":' + pieces.encode(report) + b"}\n")
        head, tail = rendering.frame(report, counted, self._files[pieces.JSON].end())
        page = self._open("report.html")
        for part in (head.encode(), *self._pages, tail.encode()):
            page.put(part)
        manifest = _manifest(report, {name: file.end() for name, file in sorted(self._files.items())})
        (self._folder / MANIFEST).write_bytes(manifest)
        return manifest


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
