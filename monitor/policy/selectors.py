"""Calico's selector language: text -> tree -> true or false for a set of labels.

Trusts: nothing; any text may come. Law 1: what parses is accepted, no more and no less than Calico accepts.
Law 2: parse(print(tree)) is the tree. Law 3: work is linear in the length of the text.
Source: policy_semantics.md section 3 (projectcalico/calico libcalico-go/lib/selector).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from msgspec import Struct, structs

Labels = Mapping[str, str]

LONGEST_LABEL = 512
MAX_LENGTH = 100_000  # characters; an object in etcd is at most 1.5 MiB, a real selector some hundred
MAX_DEPTH = 200  # nested brackets; deeper ones are written by fuzzers


class SelectorError(ValueError):
    """The text is no selector; the message says where."""


class Node(Struct, frozen=True, gc=False, cache_hash=True):
    """A selector. Nodes compare by structure, so equal selectors are equal values."""

    def matches(self, labels: Labels) -> bool:
        raise NotImplementedError

    def text(self) -> str:
        """Canonical text: sets sorted, groups in brackets."""
        raise NotImplementedError

    def mapped(self, change: Callable[[Node], Node]) -> Node:
        """The tree with every leaf replaced by `change(leaf)`."""
        return change(self)

    def leaves(self) -> tuple[Node, ...]:
        return (self,)


class All(Node, frozen=True):
    def matches(self, labels: Labels) -> bool:  # noqa: ARG002 - true for any
        return True

    def text(self) -> str:
        return "all()"


class Global(Node, frozen=True):
    """True where evaluated plainly; its meaning comes from rewriting (policy_semantics.md 5.1)."""

    def matches(self, labels: Labels) -> bool:  # noqa: ARG002 - true for any
        return True

    def text(self) -> str:
        return "global()"


class KeyTest(Node, frozen=True):
    """A test of one label."""

    key: str


class Has(KeyTest, frozen=True):
    def matches(self, labels: Labels) -> bool:
        return self.key in labels

    def text(self) -> str:
        return f"has({self.key})"


class Equals(KeyTest, frozen=True):
    value: str

    def matches(self, labels: Labels) -> bool:
        return labels.get(self.key) == self.value

    def text(self) -> str:
        return f"{self.key} == {_quoted(self.value)}"


class NotEquals(KeyTest, frozen=True):
    """True where the label is missing."""

    value: str

    def matches(self, labels: Labels) -> bool:
        return labels.get(self.key) != self.value

    def text(self) -> str:
        return f"{self.key} != {_quoted(self.value)}"


class In(KeyTest, frozen=True):
    values: frozenset[str]

    def matches(self, labels: Labels) -> bool:
        return labels.get(self.key) in self.values

    def text(self) -> str:
        return f"{self.key} in {_set(self.values)}"


class NotIn(KeyTest, frozen=True):
    """True where the label is missing."""

    values: frozenset[str]

    def matches(self, labels: Labels) -> bool:
        return labels.get(self.key) not in self.values

    def text(self) -> str:
        return f"{self.key} not in {_set(self.values)}"


class Contains(KeyTest, frozen=True):
    value: str

    def matches(self, labels: Labels) -> bool:
        found = labels.get(self.key)
        return found is not None and self.value in found

    def text(self) -> str:
        return f"{self.key} contains {_quoted(self.value)}"


class StartsWith(KeyTest, frozen=True):
    value: str

    def matches(self, labels: Labels) -> bool:
        found = labels.get(self.key)
        return found is not None and found.startswith(self.value)

    def text(self) -> str:
        return f"{self.key} starts with {_quoted(self.value)}"


class EndsWith(KeyTest, frozen=True):
    value: str

    def matches(self, labels: Labels) -> bool:
        found = labels.get(self.key)
        return found is not None and found.endswith(self.value)

    def text(self) -> str:
        return f"{self.key} ends with {_quoted(self.value)}"


class Not(Node, frozen=True):
    term: Node

    def matches(self, labels: Labels) -> bool:
        return not self.term.matches(labels)

    def text(self) -> str:
        return f"!{self.term.text()}"

    def mapped(self, change: Callable[[Node], Node]) -> Node:
        return Not(self.term.mapped(change))

    def leaves(self) -> tuple[Node, ...]:
        return self.term.leaves()


class _Group(Node, frozen=True):
    terms: tuple[Node, ...]

    def mapped(self, change: Callable[[Node], Node]) -> Node:
        return type(self)(tuple(term.mapped(change) for term in self.terms))

    def leaves(self) -> tuple[Node, ...]:
        return tuple([leaf for term in self.terms for leaf in term.leaves()])


class And(_Group, frozen=True):
    def matches(self, labels: Labels) -> bool:
        for term in self.terms:  # noqa: SIM110 - all() with a generator takes twice the time, here and below
            if not term.matches(labels):
                return False
        return True

    def text(self) -> str:
        return f"({' && '.join(term.text() for term in self.terms)})"


class Or(_Group, frozen=True):
    def matches(self, labels: Labels) -> bool:
        for term in self.terms:  # noqa: SIM110
            if term.matches(labels):
                return True
        return False

    def text(self) -> str:
        return f"({' || '.join(term.text() for term in self.terms)})"


ALL = All()


def conjunction(*terms: Node) -> Node:
    """All of them; what `all()` adds is nothing."""
    return terms[0] if len(terms) == 1 else And(terms)


def prefixed(node: Node, prefix: str) -> Node:
    """Every label key with the prefix in front; `all()` and `global()` stay (4.3)."""

    def change(leaf: Node) -> Node:
        return structs.replace(leaf, key=prefix + leaf.key) if isinstance(leaf, KeyTest) else leaf

    return node.mapped(change)


def is_label(key: str) -> bool:
    """Whether a selector can name it."""
    return len(key) <= LONGEST_LABEL and _LABEL.fullmatch(key) is not None


def keys(node: Node) -> frozenset[str]:
    """The label keys that the selector looks at."""
    return frozenset(leaf.key for leaf in node.leaves() if isinstance(leaf, KeyTest))


@lru_cache(maxsize=65_536)
def parse(text: str) -> Node:
    """The tree of a selector. Empty or blank text is `all()`. SelectorError says where it is wrong."""
    if len(text) > MAX_LENGTH:
        raise SelectorError(f"a selector has at most {MAX_LENGTH} characters, this one has {len(text)}")
    tokens = list(_tokens(text))
    if not tokens:
        return ALL
    return _Parser(tokens).whole()


# --- text -> tokens ----------------------------------------------------------------------------------------------

_LABEL = re.compile(r"[A-Za-z0-9_./-]+")
_SIMPLE = re.compile(r"==|!=|&&|\|\||[(){},!]")
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
_CALL = re.compile(r"(all|global)\([ \t]*\)|has\([ \t]*([A-Za-z0-9_./-]+)[ \t]*\)")
_CALL_BEGUN = re.compile(r"(?:all|global|has)\(")
_OPERATOR = re.compile(r"contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in")
_BLANK = re.compile(r"[ \t]*")


class _Token(Struct, frozen=True):
    kind: str  # the token itself, or label, string, has
    value: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = _skip(text, 0)
    after_label = False
    while at < len(text):
        token, end = _next(text, at, after_label=after_label)
        yield token
        after_label = token.kind == "label"
        at = _skip(text, end)


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _next(text: str, at: int, *, after_label: bool) -> tuple[_Token, int]:
    if found := _SIMPLE.match(text, at):
        return _Token(found.group(), "", at), found.end()
    if found := _STRING.match(text, at):
        return _Token("string", found.group()[1:-1], at), found.end()
    if after_label:
        return _operator(text, at)
    if _CALL_BEGUN.match(text, at):
        return _call(text, at)
    if found := _LABEL.match(text, at):
        return _Token("label", _short(found.group(), at), at), found.end()
    raise SelectorError(f"unexpected character at {at + 1}: {text[at : at + 20]!r}")


def _short(label: str, at: int) -> str:
    if len(label) > LONGEST_LABEL:
        raise SelectorError(f"the label at {at + 1} is longer than {LONGEST_LABEL} characters")
    return label


def _operator(text: str, at: int) -> tuple[_Token, int]:
    """`contains`, `in` and the like are operators only after a label; elsewhere they are labels."""
    found = _OPERATOR.match(text, at)
    if not found:
        raise SelectorError(f"expected an operator at {at + 1}: {text[at : at + 20]!r}")
    return _Token(found.group().replace(" ", "").replace("\t", ""), "", at), found.end()


def _call(text: str, at: int) -> tuple[_Token, int]:
    found = _CALL.match(text, at)
    if not found:
        raise SelectorError(f"no closing bracket or no label name at {at + 1}: {text[at : at + 20]!r}")
    if found.group(2):
        return _Token("has", _short(found.group(2), at), at), found.end()
    return _Token(found.group(1), "", at), found.end()


# --- tokens -> tree ----------------------------------------------------------------------------------------------

_VALUE_TESTS: dict[str, Callable[[str, str], Node]] = {
    "==": Equals,
    "!=": NotEquals,
    "contains": Contains,
    "startswith": StartsWith,
    "endswith": EndsWith,
}
_SET_TESTS: dict[str, Callable[[str, frozenset[str]], Node]] = {"in": In, "notin": NotIn}
_END = _Token("end", "", -1)


def _negated(node: Node) -> Node:
    """Twice is not at all, also across brackets: the printed text could not keep the two apart."""
    return node.term if isinstance(node, Not) else Not(node)


class _Level:
    """An open bracket, or the whole: the terms so far, of the groups joined by || and of the one joined by &&."""

    def __init__(self, *, is_negated: bool) -> None:
        self.is_negated = is_negated
        self._alternatives: list[Node] = []
        self._terms: list[Node] = []

    def add(self, term: Node) -> None:
        self._terms.append(term)

    def end_group(self) -> None:
        terms, self._terms = self._terms, []
        self._alternatives.append(terms[0] if len(terms) == 1 else And(tuple(terms)))

    def closed(self) -> Node:
        self.end_group()
        node = self._alternatives[0] if len(self._alternatives) == 1 else Or(tuple(self._alternatives))
        return _negated(node) if self.is_negated else node


class _Parser:
    """The grammar of 3.1, with a stack of its own: no text makes Python's run over."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._levels = [_Level(is_negated=False)]

    def whole(self) -> Node:
        while True:
            self._operand()
            found = self._after_operand()
            if found is not None:
                return found

    def _operand(self) -> None:
        """Opens brackets up to a term, and takes the term in."""
        while True:
            is_negated = False
            while self._took("!"):
                is_negated = not is_negated
            if not self._took("("):
                break
            if len(self._levels) > MAX_DEPTH:
                raise SelectorError(f"brackets are nested deeper than {MAX_DEPTH}")
            self._levels.append(_Level(is_negated=is_negated))
        term = self._term()
        self._levels[-1].add(_negated(term) if is_negated else term)

    def _after_operand(self) -> Node | None:
        """Closes brackets up to an operator; the tree where there is nothing more."""
        while not self._took("&&"):
            if self._took("||"):
                self._levels[-1].end_group()
                return None
            if len(self._levels) == 1:
                if self._peek().kind != "end":
                    raise self._wrong("the end, && or ||")
                return self._levels[0].closed()
            if not self._took(")"):
                raise self._wrong("a closing bracket")
            node = self._levels.pop().closed()
            self._levels[-1].add(node)
        return None

    def _term(self) -> Node:
        token = self._take()
        match token.kind:
            case "all":
                return ALL
            case "global":
                return Global()
            case "has":
                return Has(token.value)
            case "label":
                return self._test(token.value)
        raise self._wrong_at(token, "a label, has(), all(), global() or a bracket")

    def _test(self, key: str) -> Node:
        operator = self._take()
        if operator.kind in _VALUE_TESTS:
            return _VALUE_TESTS[operator.kind](key, self._string())
        if operator.kind in _SET_TESTS:
            return _SET_TESTS[operator.kind](key, self._set())
        raise self._wrong_at(operator, f"an operator after label {key!r}")

    def _set(self) -> frozenset[str]:
        if not self._took("{"):
            raise self._wrong("a set in braces")
        values = []
        while self._peek().kind == "string":
            values.append(self._string())
            if not self._took(","):
                break
        if not self._took("}"):
            raise self._wrong("a closing brace")
        return frozenset(values)

    def _string(self) -> str:
        token = self._take()
        if token.kind != "string":
            raise self._wrong_at(token, "a string in quotes")
        return token.value

    def _peek(self) -> _Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._peek()
        self._next += 1
        return token

    def _took(self, kind: str) -> bool:
        if self._peek().kind != kind:
            return False
        self._next += 1
        return True

    def _wrong(self, expected: str) -> SelectorError:
        return self._wrong_at(self._peek(), expected)

    def _wrong_at(self, token: _Token, expected: str) -> SelectorError:
        place = "at the end" if token.at < 0 else f"at {token.at + 1}"
        return SelectorError(f"expected {expected} {place}")


def _quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'


def _set(values: frozenset[str]) -> str:
    return "{" + ", ".join(_quoted(value) for value in sorted(values)) + "}"
