"""Documents that differ in words only are read once, and each still holds what it holds when it is read alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.cluster import documents
from monitor.cluster.documents import Document
from monitor.cluster.yaml_forms import Forms, Readers

POLICY = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {0}
spec:
  podSelector:
    matchLabels:
      app: {0}
  ingress:
  - ports:
    - port: {1}
"""

PLAIN = ("web", "a", "8080", "0", "nginx:1.25")
ODD = (
    "010", "0x1F", "1_000", "1e3", "1.5", ".5", "yes", "No", "y", "null", "~", "True", "<<", "=", "http://x/y",
    "foo:no", "foo:", "10.0.0.0/8", "2001-01-01", "-1", "'q'", '"q"', "&x", "*x", "é", "segmon-mark-0.", "%s",
    "100%", "|", ">", "{", "[", "#no", "nan", ".nan", ".inf", "123456789012345678901",
)  # fmt: skip
LINES = (
    "a: ?", "  b: ?", "  c: ?", "- ?", "- d: ?", "  - ?", "- - ?", "a:", "  ?", "  # a: ?", "text: |",
    "      b: ?", "{", "}", "[", "]", " ? , x", "e: ? # said", "f: *x", "g: &x ?", "? h", ": ?", "'i': ?",
    "<<: *x", "a : ?", "a:  ?", "h: &x", "%: ?", '"%s": ?', "j: .inf", "k: 'segmon-mark-0.'",
    "010: ?", "8080: ?", "no: ?",
)  # fmt: skip
GAP = "?"


@st.composite
def alike(draw):
    """Documents of the same lines with other words."""
    parts = "\n".join(draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=6))).split(GAP)

    def filled(words):
        several = st.lists(st.sampled_from(words), min_size=len(parts) - 1, max_size=len(parts) - 1)
        return parts[0] + "".join(word + part for word, part in zip(draw(several), parts[1:], strict=True))

    return [filled(PLAIN), filled(PLAIN), filled(PLAIN), filled(PLAIN + draw(st.sampled_from([(), ODD])))]


def read(text):
    return list(documents.documents("x", text.encode()))


def told(text, *, behind=""):
    """What a document holds, or why not and in which of its lines, when it stands behind others."""
    above = behind.count("\n")
    return [
        repr(one.body) if isinstance(one, Document) else (one.place.line - above, LINE.sub("", one.reason))
        for one in read(f"{behind}---\n{text}\n")[len(read(behind)) :]
    ]


LINE = re.compile(r"line \d+")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(alike())
def test_a_document_holds_what_it_holds_when_it_is_read_alone(texts):
    *before, last = texts

    assert told(last, behind="".join(f"---\n{text}\n" for text in before)) == told(last)


@pytest.mark.parametrize(
    "text",
    [
        "h: &x\n  i: ?\nf: *x",
        "j: .inf\na: ?",
        "j: .nan\na: ?",
        "text: |\n  a: ?\nk: 'segmon-mark-0.'",
        "a: ?\n  more",
        "{\na: ?\n}",
        "010: x\na: ?",
        "8080: ?",
        "true: ?\nnull: x",
        "a: ?\nno",
        "- ?\n- b: ?",
        "a: ?\na: ?",
        "<<:\n  a: ?\na: \"x\"\nk: 'segmon-mark-0.'",
        "a: ?\nb: %s\n100%: c",
    ],
)
@pytest.mark.parametrize("word", ["last", "7", "010", "00", "no", "1e3"])
def test_a_word_goes_only_where_the_reader_would_put_it(text, word):
    behind = "".join(f"---\n{text.replace(GAP, each)}\n" for each in ("first", "second", "third"))

    assert told(text.replace(GAP, word), behind=behind) == told(text.replace(GAP, word))


def test_documents_of_one_form_are_read_three_times_at_most():
    asked = []

    def reader(text):
        asked.append(text)
        return documents._fast(text)

    forms = Forms(Readers(reader, reader, lambda token: token == "yes"))

    values = [forms.value(POLICY.format(f"app-{number}", 80 + number)) for number in range(100)]

    assert len(asked) == 3
    assert values[70]["metadata"]["name"] == "app-70"
    assert values[70]["spec"]["ingress"][0]["ports"] == [{"port": 150}]


def test_a_word_that_is_no_text_is_a_part_of_the_form():
    forms = Forms(Readers(documents._fast, documents._slow, lambda token: token == "on"))

    values = [forms.value(f"a: {word}\n") for word in ("x", "y1", "on", "z", "on", "on")]

    assert [value["a"] for value in values] == ["x", "y1", True, "z", True, True]


def test_words_of_the_form_are_told_apart_by_their_places():
    forms = Forms(Readers(documents._fast, documents._slow, lambda token: False))
    written = [("x", "null"), ("y", "null"), ("z", "null"), ("null", "x"), ("null", "y"), ("null", "z"), ("u", "null")]

    values = [forms.value(f"a: {first}\nb: {second}\n") for first, second in written]

    assert [(value["a"] or "null", value["b"] or "null") for value in values] == written
