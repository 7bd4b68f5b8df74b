"""Calico's selector language, transcribed from policy_semantics.md section 3: slow, and on purpose not the product's.

`holds` walks the text once, left to right, and evaluates as it goes.
"""

import re

LABEL = re.compile(r"[A-Za-z0-9_./-]{1,512}")
BLANK = re.compile(r"[ \t]*")
OPERATORS = (
    ("==", r"=="),
    ("!=", r"!="),
    ("contains", r"contains"),
    ("starts with", r"starts[ \t]*with"),
    ("ends with", r"ends[ \t]*with"),
    ("not in", r"not[ \t]*in"),
    ("in", r"in"),
)


class WrongTextError(ValueError):
    """The text is no selector."""


class Reader:
    """A place in the text; labels and what all() and global() stand for are at hand."""

    def __init__(self, text, labels, prefix, everything, nothing_global):
        self.text, self.at = text, 0
        self.labels, self.prefix = labels, prefix
        self.everything, self.nothing_global = everything, nothing_global

    def blanks(self):
        self.at = BLANK.match(self.text, self.at).end()

    def took(self, literal):
        self.blanks()
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def expect(self, literal):
        if not self.took(literal):
            raise WrongTextError(f"{literal!r} expected at {self.at} in {self.text!r}")

    def either(self):
        found = self.both()
        while self.took("||"):
            other = self.both()
            found = found or other
        return found

    def both(self):
        found = self.one()
        while self.took("&&"):
            other = self.one()
            found = found and other
        return found

    def one(self):
        self.blanks()
        if self.text.startswith("!", self.at) and not self.text.startswith("!=", self.at):
            self.at += 1
            return not self.one()
        if self.took("("):
            found = self.either()
            self.expect(")")
            return found
        return self.word()

    def word(self):
        call = re.compile(r"(all|global|has)\([ \t]*").match(self.text, self.at)
        if call and call[1] == "has":
            self.at = call.end()
            key = self.key()
            self.expect(")")
            return key in self.labels
        if call:
            self.at = call.end()
            self.expect(")")
            return self.everything if call[1] == "all" else self.nothing_global
        return self.test(self.key())

    def key(self):
        self.blanks()
        found = LABEL.match(self.text, self.at)
        if not found:
            raise WrongTextError(f"label expected at {self.at} in {self.text!r}")
        self.at = found.end()
        return self.prefix + found[0]

    def test(self, key):
        self.blanks()
        for name, pattern in OPERATORS:
            found = re.compile(pattern).match(self.text, self.at)
            if found:
                self.at = found.end()
                return self.compare(key, name)
        raise WrongTextError(f"operator expected at {self.at} in {self.text!r}")

    def compare(self, key, operator):
        present, value = key in self.labels, self.labels.get(key, "")
        if operator in ("in", "not in"):
            members = self.members()
            return present and value in members if operator == "in" else not present or value not in members
        other = self.string()
        return {
            "==": present and value == other,
            "!=": not present or value != other,
            "contains": present and other in value,
            "starts with": present and value.startswith(other),
            "ends with": present and value.endswith(other),
        }[operator]

    def members(self):
        self.expect("{")
        found = []
        while not self.took("}"):
            found.append(self.string())
            if not self.took(","):
                self.expect("}")
                break
        return found

    def string(self):
        self.blanks()
        found = re.compile(r"'[^']*'|\"[^\"]*\"").match(self.text, self.at)
        if not found:
            raise WrongTextError(f"string expected at {self.at} in {self.text!r}")
        self.at = found.end()
        return found[0][1:-1]


def holds(text, labels, *, prefix="", everything=True, nothing_global=True):
    """Whether labels satisfy the text. `prefix` goes in front of every key of the text (4.3).

    everything, nothing_global: what all() and global() mean where the text stands (4.2, 5.1).
    """
    if not text.strip(" \t"):
        return True
    reader = Reader(text, labels, prefix, everything, nothing_global)
    found = reader.either()
    reader.blanks()
    if reader.at != len(text):
        raise WrongTextError(f"text left over at {reader.at} in {text!r}")
    return found
