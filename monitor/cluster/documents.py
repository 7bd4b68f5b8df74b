"""Text that people have, to API objects with the place where each one stands: YAML and JSON, many documents, lists.

Trusts nothing. Law 1: a document that cannot be read is a `Problem` with file and line; the others are still read.
Law 2: a scalar means what kubectl takes it for (YAML 1.1: `yes`, `on` and `010`; no dates, no base 60).
Law 3: size, depth and aliases are bounded before they cost anything.
The fast reader (yaml-rs) reads YAML 1.2: documents in which the two versions could differ, or where it is not
installed, go to libyaml. It is also fed nothing deep, since it descends on the stack without a limit of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct

from monitor.cluster.yaml_forms import Forms, Readers

try:
    import yaml_rs
except ImportError:  # no wheel for this machine: the slower reader gives the same answers
    yaml_rs = None  # type: ignore[assignment]  # a module that is not there

MOST_BYTES: Final = 512 * 1024 * 1024
"""Of one file: twice the dump of a cluster of 20,000 pods."""
DEEPEST: Final = 64
WIDEST_INDENT: Final = 400
MOST_ALIASED: Final = 100_000
"""Nodes of a document once its aliases are written out."""
SHALLOW_BYTES: Final = 4096
"""A document this short cannot be deep enough to hurt."""

_MARKERS = tuple(re.compile(rf"\n{mark}(?=[ \t\n]|\Z)") for mark in ("---", r"\.\.\."))
"""One for each: a pattern that begins with fixed text is looked for far faster. Text is read after a line's end."""
_REMARKS = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL_BYTES = bytes(number for number in range(128) if _CONTROL.match(chr(number)))
_RUN_OF_INDICATORS = re.compile(rf"(?:[-?:][ \t]+){{{DEEPEST}}}")
_DIFFERS = re.compile(
    r"(?:^|[\[{,:])(?:[yYnN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF|[-+]?0[0-9bo_][0-9_]*|<<|=)(?:$|[\]},:])|!|^%"
    r"|^(?:[-+]?[0-9][0-9_.]*|true|True|TRUE|false|False|FALSE|null|~):"
)
"""A token that YAML 1.1 and 1.2 may read differently, or a key that is no text as it stands."""
_AT_LINE = re.compile(r"line (\d+)")
_LINE_OF_MARK = re.compile(r"YAML parse error at line \d+(?:, column \d+)?|^line \d+: ")


class Place(Struct, frozen=True, order=True):
    """Where an object stands. `item`: its place in a List, `items[3]`."""

    source: str
    line: int
    item: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" + (f" {self.item}" if self.item else "")


class Document(Struct, frozen=True):
    place: Place
    body: dict[str, Any]


class Problem(Struct, frozen=True, order=True):
    """Something that was not read, or not wholly."""

    place: Place
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class _UnreadableError(Exception):
    """`line` counts from 1 inside the document; 0 = not known."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


def documents(source: str, data: bytes) -> Iterator[Document | Problem]:
    """All API objects of one file, Lists opened, in order. Empty documents are passed over."""
    try:
        text = _text(data)
    except _UnreadableError as wrong:
        yield Problem(Place(source, 1), str(wrong))
        return
    for line, read in _values(text):
        try:
            value = read()
        except _UnreadableError as wrong:
            yield Problem(Place(source, line + max(wrong.line - 1, 0)), str(wrong))
            continue
        if value is not None:
            yield from _objects(Place(source, line), value)


def _text(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise _UnreadableError(f"larger than {MOST_BYTES >> 20} MiB: split it")
    try:
        text = data.decode("utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _UnreadableError(f"is not UTF-8 text (byte {error.start})") from None
    text = text.replace("\r\n", "\n") if "\r" in text else text
    if len(data.translate(None, _CONTROL_BYTES)) != len(data) and (control := _CONTROL.search(text)):
        line = text.count("\n", 0, control.start()) + 1
        raise _UnreadableError(f"holds the control character {control[0]!r} in line {line}: is this a text file?")
    return text


def _values(text: str) -> Iterator[tuple[int, Callable[[], Any]]]:
    """(line, how to read it) for every document."""
    if text.lstrip()[:1] in {"{", "["}:
        whole = _json_or_none(text)
        if whole is not None:
            yield _line_of_first(text), lambda: whole
            return
        if _looks_like_json_stream(text):
            yield from _json_stream(text)
            return
    forms = Forms(_readers())
    for line, chunk in _chunks(text):
        yield line, lambda chunk=chunk: forms.value(chunk)  # type: ignore[misc]  # mypy has no type for a default in a lambda


# --- JSON --------------------------------------------------------------------------------------------------------


def _json_or_none(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _looks_like_json_stream(text: str) -> bool:
    """The first value is JSON: so the file is, unless it is YAML in flow style."""
    try:
        json.JSONDecoder().raw_decode(text, len(text) - len(text.lstrip()))
    except (ValueError, RecursionError):
        return False
    return not any(marker.search("\n" + text) for marker in _MARKERS)


def _json_stream(text: str) -> Iterator[tuple[int, Callable[[], Any]]]:
    """Values one after the other, as `kubectl get --watch -o json` and log pipelines write them."""
    decoder = json.JSONDecoder()
    place, line, counted = _blank_end(text, 0), 1, 0
    while place < len(text):
        line += text.count("\n", counted, place)
        counted = place
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            yield line, _failing(f"JSON: {error}" if isinstance(error, ValueError) else "JSON: nested too deep")
            return
        yield line, lambda value=value: value  # type: ignore[misc]  # as above
        place = _blank_end(text, place)


def _failing(reason: str) -> Callable[[], Any]:
    def fail() -> Any:
        raise _UnreadableError(reason)

    return fail


def _blank_end(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _line_of_first(text: str) -> int:
    return text.count("\n", 0, len(text) - len(text.lstrip())) + 1


# --- YAML --------------------------------------------------------------------------------------------------------


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """(line of its first content, text) of each document. A marker at column 0 always ends one, in a block too."""
    text = "\n" + text
    starts = sorted({1, *(found.start() + 1 for marker in _MARKERS for found in marker.finditer(text))})
    line = 1
    for start, stop in pairwise((*starts, len(text))):
        begun = start + 3 if text.startswith(("---", "..."), start) else start
        remarks = _REMARKS.match(text, begun, stop)
        first = remarks.end() if remarks else begun
        content = text[first:stop]
        if content and not content.isspace() and not _is_only_directives(content):
            yield line + text.count("\n", start, first), content
        line += text.count("\n", start, stop)


def _is_only_directives(content: str) -> bool:
    """%YAML and its like stand before their marker."""
    return content[0] == "%" and all(line[:1] in {"", "#", "%"} for line in content.split("\n"))


def _readers() -> Readers:
    if yaml_rs is None:
        return Readers(_slow, _slow, lambda _: False)
    return Readers(_fast, _slow, lambda token: _DIFFERS.search(token) is not None)


def _fast(chunk: str) -> Any:
    _check_depth(chunk)
    assert yaml_rs is not None
    try:
        return yaml_rs.loads(
            chunk, parse_datetime=False, alias_limits=yaml_rs.AliasLimits(max_total_replayed_events=MOST_ALIASED)
        )
    except ValueError as error:
        raise _told(chunk, str(error)) from None


def _check_depth(chunk: str) -> None:
    if len(chunk) <= SHALLOW_BYTES:
        return
    if " " * WIDEST_INDENT in chunk and re.search(rf"^ {{{WIDEST_INDENT}}}", chunk, re.MULTILINE):
        raise _UnreadableError(f"indented past {WIDEST_INDENT} columns: no API object is that deep")
    if _RUN_OF_INDICATORS.search(chunk):
        raise _UnreadableError(f"nested deeper than {DEEPEST} levels in one line: no API object is that deep")


def _slow(chunk: str) -> Any:
    from monitor.cluster import kubectl_yaml  # noqa: PLC0415 - most runs never need it

    _check_depth(chunk)
    try:
        return kubectl_yaml.load(chunk)
    except ValueError as error:
        raise _told(chunk, str(error)) from None


def _told(chunk: str, message: str) -> _UnreadableError:
    """The reader's message in one line, its line number taken out, a template recognised."""
    at = _AT_LINE.search(message)
    line = int(at[1]) if at else 0
    lines = [part for part in _LINE_OF_MARK.sub("", message).splitlines() if part.strip() and "|" not in part[:8]]
    reason = "; ".join(part.strip() for part in lines) or "cannot be read"
    if "{{" in chunk:
        return _UnreadableError(
            f"is a template, not YAML ({reason}): render it first (helm template … | segmon … --manifests -)", line
        )
    return _UnreadableError(f"YAML: {reason}", line)


# --- objects -----------------------------------------------------------------------------------------------------


def _objects(place: Place, value: Any, item: str = "", depth: int = 0) -> Iterator[Document | Problem]:
    """The object, or those of a List; a bare sequence of objects is taken as one."""
    here = Place(place.source, place.line, item) if item else place
    if isinstance(value, list):
        value = {"kind": "List", "items": value}
    if not isinstance(value, dict):
        yield Problem(here, f"is {_kind_of_value(value)}, not a Kubernetes object")
        return
    items, kind = value.get("items"), value.get("kind")
    if kind == "List" and not isinstance(items, list | None):
        yield Problem(here, f"items is {_kind_of_value(items)}, not a list of objects")
        return
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list | None) and "spec" not in value):
        yield Document(here, value)
        return
    if depth == 4:
        yield Problem(here, "Lists inside Lists inside Lists: write the objects one by one")
        return
    for number, member in enumerate(items or ()):
        yield from _objects(place, _of_list(member, value, kind), f"{item}items[{number}]", depth + 1)


def _of_list(member: Any, whole: dict[str, Any], kind: str) -> Any:
    """A member of a typed list may leave out what the list says: PodList holds v1 Pods."""
    if isinstance(member, dict) and kind != "List" and "kind" not in member:
        return {"apiVersion": whole.get("apiVersion"), "kind": kind.removesuffix("List"), **member}
    return member


def _kind_of_value(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict):
        return "a mapping"
    return "a number" if isinstance(value, int | float) else "a text" if isinstance(value, str) else "a set"
