"""YAML documents that differ in words only are read once: rolled-out charts and generated policies repeat themselves.

A document's form is its text without the plain words that stand alone behind a key. It is read with marks in their
places, and tells where each word goes; the next document of that form is its words, put there.
Trusts: the reader, for what a text means. Law: `Forms.value` gives what the reader gives, whatever came before.
Why it holds: what a plain scalar alone behind a key means depends on nothing but itself, and the words taken here are
texts or decimal numbers in YAML 1.1 and 1.2 alike. A form counts only if each mark comes out once, in order, as a value
by itself: not where a line is part of a longer text, or an alias stands for it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

LONGEST: Final = 16_384
"""Documents above it are seldom alike."""
MOST_KNOWN: Final = 65_536
"""Forms and words that are remembered; then all are forgotten."""

_MARK: Final = "segmon-mark-"
_BEHIND_A_KEY = re.compile(r": ([^\s{}\[\]|>'\"&*!#%@`,]+)\n")
"""What may be a word. The blanks and the end of the line stay in the form."""
_TEXT = re.compile(r"[A-Za-z][\w./-]*(?::[\w./-]+)*", re.ASCII)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_RESOLVED: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
"""In small letters: words that are no texts to one of the two versions, or to both."""

_decoded = msgspec.json.Decoder().decode

T = TypeVar("T")
Form = tuple[str | None, ...]
"""What stands between the words; behind None each word that belongs to the form, or nothing where one does not."""


class Readers(NamedTuple):
    """`careful` for texts with a token that `differs`, `fast` for the others. Both give ValueError or the like."""

    fast: Callable[[str], Any]
    careful: Callable[[str], Any]
    differs: Callable[[str], bool]


class Forms:
    """The documents of one file."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._differs = _Known(readers.differs)
        self._written = _Known(_json)
        self._patterns: dict[Form, str | None] = {}
        self._seen: set[Form] = set()

    def value(self, text: str) -> Any:
        """What one document holds."""
        parts = _BEHIND_A_KEY.split(text) if len(text) <= LONGEST else [text]
        found = parts[1::2]
        words = list(map(self._written.__getitem__, found))
        form: Form = tuple(parts[::2])
        if "" in words:
            form += (None, *("" if word else part for part, word in zip(found, words, strict=True)))
            words = [word for word in words if word]
        pattern = self._patterns.get(form)
        if pattern is not None:
            return _decoded(pattern % tuple(words))
        reader = self._reader(form)
        if form not in self._seen:  # once alone is no form worth its price
            self._remember(form)
        elif form not in self._patterns:
            self._patterns[form] = self._pattern(parts, reader)
        return reader(text)

    def _reader(self, form: Form) -> Callable[[str], Any]:
        """Words that are no part of the form differ for nobody."""
        differs = any(map(self._differs.__getitem__, set(": ".join(filter(None, form)).split())))
        return self._readers.careful if differs else self._readers.fast

    def _remember(self, form: Form) -> None:
        if max(map(len, (self._seen, self._written, self._differs))) >= MOST_KNOWN:
            for known in (self._seen, self._patterns, self._written, self._differs):
                known.clear()
        self._seen.add(form)

    def _pattern(self, parts: list[str], reader: Callable[[str], Any]) -> str | None:
        """The JSON of a document with %s in the places of its words; None if it cannot be told where they go."""
        if any(_MARK in part for part in parts):
            return None
        marked = parts.copy()
        marks = 0
        for place in range(1, len(parts), 2):
            word = parts[place]
            if self._written[word]:
                word = _mark(marks)
                marks += 1
            marked[place] = f": {word}\n"
        try:
            value = reader("".join(marked))
            json = msgspec.json.encode(value).decode()
            if _decoded(json) != value:  # what JSON cannot say
                return None
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None
        return _with_gaps(json.replace("%", "%%"), marks)


class _Known(dict[str, T]):
    """What is said of each distinct text, asked once."""

    def __init__(self, say: Callable[[str], T]) -> None:
        self._say = say

    def __missing__(self, text: str) -> T:
        found = self[text] = self._say(text)
        return found


def _json(word: str) -> str:
    """The word as JSON; empty for what must be read where it stands."""
    if _TEXT.fullmatch(word):
        return f'"{word}"' if word.lower() not in _RESOLVED else ""
    return word if _NUMBER.fullmatch(word) else ""


def _mark(number: int) -> str:
    return f"{_MARK}{number}."


def _with_gaps(json: str, marks: int) -> str | None:
    place = 0
    for number in range(marks):
        mark = f'"{_mark(number)}"'
        place = json.find(mark, place)
        if place < 0 or json.count(_mark(number)) != 1 or json[place + len(mark)] == ":":
            return None
        json = json[:place] + "%s" + json[place + len(mark) :]
    return json
