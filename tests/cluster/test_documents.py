"""YAML and JSON as people have them: every document with its line, nothing hidden by a broken neighbour."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.cluster import documents
from monitor.cluster.documents import Document, Place, Problem

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n"


def read(text, source="x.yaml"):
    data = text if isinstance(text, bytes) else text.encode()
    return list(documents.documents(source, data))


def bodies(text):
    found = read(text)
    assert all(isinstance(one, Document) for one in found), found
    return [one.body for one in found]


def the_problem(text):
    [problem] = [one for one in read(text) if isinstance(one, Problem)]
    return problem


@pytest.fixture(params=["yaml-rs", "libyaml"])
def _either_reader(request, monkeypatch):
    if request.param == "libyaml":
        monkeypatch.setattr(documents, "yaml_rs", None)
    elif documents.yaml_rs is None:
        pytest.skip("yaml-rs is not installed")


@pytest.mark.usefixtures("_either_reader")
def test_a_broken_document_is_named_by_its_line_and_hides_no_other():
    found = read(f"{POD}---\n# second\nkind: [Pod\nname: x\n---\n{POD}")

    assert [type(one) for one in found] == [Document, Problem, Document]
    assert found[1].place.source == "x.yaml"
    assert 7 <= found[1].place.line <= 9
    assert found[2].place.line == 10


@pytest.mark.usefixtures("_either_reader")
def test_the_line_of_a_document_is_that_of_its_first_content_after_comments():
    found = read(f"# a comment\n\n---\n---\n\n# web\n{POD}...\n---\n{POD}")

    assert [one.place.line for one in found] == [7, 13]


@pytest.mark.usefixtures("_either_reader")
def test_a_repeated_key_is_an_error():
    assert "'app'" in the_problem("metadata:\n  labels: {app: a, app: b}\n").reason


@pytest.mark.usefixtures("_either_reader")
@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", True),
        ("on", True),
        ("Off", False),
        ("n", False),
        ("'yes'", "yes"),
        ("010", 8),
        ("0o10", 8),
        ("1_000", 1000),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
        ("0x1F", 31),
        ("~", None),
        ("0", 0),
        ("-7", -7),
        ("nothing", "nothing"),
    ],
)
def test_a_scalar_means_what_kubectl_takes_it_for(scalar, value):
    assert bodies(f"a: {scalar}\n") == [{"a": value}]


@pytest.mark.usefixtures("_either_reader")
def test_anchors_and_merge_keys_are_followed():
    assert bodies("x: &x {a: 1, b: 2}\nz:\n  <<: *x\n  b: 3\n")[0]["z"] == {"a": 1, "b": 3}


@pytest.mark.usefixtures("_either_reader")
def test_aliases_that_multiply_are_refused():
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )

    assert "alias" in the_problem(bomb).reason


@pytest.mark.usefixtures("_either_reader")
@pytest.mark.parametrize("deep", ["- " * 50_000, "? " * 50_000, "[" * 50_000, "{a: " * 50_000, "a: [" * 9_000])
def test_a_document_that_is_too_deep_is_refused(deep):
    assert the_problem(deep).reason


@pytest.mark.usefixtures("_either_reader")
def test_indentation_that_goes_too_deep_is_refused():
    deep = "\n".join(" " * level + "a:" for level in range(2_000))

    assert "deep" in the_problem(deep).reason


@pytest.mark.usefixtures("_either_reader")
def test_a_template_is_told_to_be_rendered_first():
    found = read("a: {{ .Values.x }}\nb: {{- if }}\n")

    assert "render it first" in found[0].reason


@pytest.mark.usefixtures("_either_reader")
def test_keys_are_texts_as_in_json():
    assert bodies("8080: a\ny: b\nnull: c\n") == [{"8080": "a", "true": "b", "null": "c"}]


def test_lists_are_opened_and_their_members_know_their_place():
    inner = {"apiVersion": "v1", "kind": "Pod"}
    whole = {"apiVersion": "v1", "kind": "List", "items": [inner, {"kind": "List", "items": [inner]}]}

    found = read(json.dumps(whole))

    assert [one.place for one in found] == [Place("x.yaml", 1, "items[0]"), Place("x.yaml", 1, "items[1]items[0]")]


def test_members_of_a_typed_list_get_its_kind():
    assert bodies("apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n") == [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    ]


def test_lists_inside_lists_end():
    whole = {"kind": "List", "items": []}
    for _ in range(50):
        whole = {"kind": "List", "items": [whole]}

    assert "one by one" in the_problem(json.dumps(whole)).reason


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "Pod"}\n{"kind": "Pod"}\n',
        '\n[{"kind": "Pod"}, {"kind": "Pod"}]',
        "{kind: Pod}\n---\n{kind: Pod}\n",
        '\ufeff{"kind": "Pod"}\n---\nkind: Pod\n',
    ],
)
def test_json_comes_alone_in_streams_and_between_yaml(text):
    assert bodies(text) == [{"kind": "Pod"}, {"kind": "Pod"}]


def test_windows_line_ends_and_utf_16_are_read():
    text = POD.replace("\n", "\r\n")

    assert bodies(text) == bodies(text.encode("utf-16")) == bodies(POD)


@pytest.mark.parametrize("data", [b"a: \xff\xfe", b"a: \x00b", b"\x7fELF\x02"])
def test_what_is_no_text_is_said_to_be_none(data):
    assert "text" in the_problem(data).reason


@pytest.mark.usefixtures("_either_reader")
def test_a_repeated_key_is_named_by_the_line_where_it_stands_again():
    wrong = the_problem("# two objects without a marker between them\nkind: Pod\nspec: {n: yes}\nkind: Pod\n")

    assert (wrong.place.line, "line" in wrong.reason) == (4, False)


@pytest.mark.parametrize("items", ["5", "text", "{a: 1}"])
def test_a_list_whose_items_are_no_list_is_a_problem(items):
    assert "not a list of objects" in the_problem(f"apiVersion: v1\nkind: List\nitems: {items}\n").reason


@pytest.mark.parametrize(
    ("text", "what"),
    [("5", "a number"), ("hello", "a text"), ("true", "a boolean"), ('{"kind": "List", "items": [null]}', "is empty")],
)
def test_a_value_that_is_no_object_is_a_problem(text, what):
    assert what in the_problem(text).reason


def test_a_file_without_content_holds_nothing():
    assert read("") == read("---\n---\n# nothing\n") == read("%YAML 1.1\n") == []


scalars = st.one_of(st.none(), st.booleans(), st.integers(-999, 99999), st.text("abc é:#-{}[]'\"\n ", max_size=8))
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text("ab-:# ", max_size=3), inner))
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.dictionaries(st.text("abc", min_size=1, max_size=3), values, min_size=1), min_size=1, max_size=3))
def test_both_readers_give_what_was_written(wholes):
    text = "---\n".join(yaml.safe_dump(whole) for whole in wholes)
    fast = documents.yaml_rs

    readings = []
    for reader in (fast, None):
        documents.yaml_rs = reader
        try:
            readings.append(bodies(text))
        finally:
            documents.yaml_rs = fast

    assert readings == [wholes, wholes]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text("-?:[]{}&*!|>'\"%@`#,ab1 \n\t", max_size=300).map(str.encode),
        st.lists(
            st.sampled_from(
                ["---\n", "a: ", "- ", "  ", "[", "]", "{", "}", "&a ", "*a", "<<: ", "yes", "\n", "|\n", "'"]
            ),
            max_size=60,
        )
        .map("".join)
        .map(str.encode),
    )
)
def test_no_input_crashes_the_reader(data):
    for found in read(data):
        assert isinstance(found, Document | Problem)
        assert str(found.place).startswith("x.yaml:")
