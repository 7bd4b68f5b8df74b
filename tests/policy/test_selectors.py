"""Calico's selector language: what is true of a label that is missing, what is refused, what no text can do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.policy import selectors
from monitor.policy.selectors import MAX_DEPTH, And, Equals, Has, Node, Not, Or, SelectorError

KEYS = st.sampled_from(["a", "in", "has", "not", "contains", "projectcalico.org/name", "x-1_y.z"])
VALUES = st.text(alphabet="ab '", max_size=3)
LEAVES = st.one_of(
    st.just(selectors.ALL),
    st.builds(Has, KEYS),
    *(
        st.builds(kind, KEYS, VALUES)
        for kind in (
            Equals,
            selectors.NotEquals,
            selectors.Contains,
            selectors.StartsWith,
            selectors.EndsWith,
        )
    ),
    *(st.builds(kind, KEYS, st.frozensets(VALUES, max_size=3)) for kind in (selectors.In, selectors.NotIn)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda term: Not(term) if not isinstance(term, Not) else term, inner),
        *(st.builds(kind, st.lists(inner, min_size=2, max_size=3).map(tuple)) for kind in (And, Or)),
    ),
    max_leaves=12,
)


@given(TREES)
def test_what_is_printed_parses_to_the_same_tree(tree):
    assert selectors.parse(tree.text()) == tree


@given(TREES, st.dictionaries(KEYS, VALUES, max_size=3))
def test_prefixing_keys_and_labels_alike_changes_no_answer(tree, labels):
    prefixed = {f"pcns.{key}": value for key, value in labels.items()}

    assert selectors.prefixed(tree, "pcns.").matches(prefixed) == tree.matches(labels)


@given(st.text(alphabet="abins(){},'\"!=&|hasl otwcgd\t\n.", max_size=60))
def test_any_text_is_a_selector_or_is_refused(text):
    try:
        found = selectors.parse(text)
    except SelectorError:
        return

    assert isinstance(found, Node)
    assert selectors.parse(found.text()) == found


@pytest.mark.parametrize(
    ("text", "is_true"),
    [
        ("k == 'v'", False),
        ("k != 'v'", True),
        ("k in {'v'}", False),
        ("k not in {'v'}", True),
        ("k contains ''", False),
        ("k starts with ''", False),
        ("has(k)", False),
        ("!has(k)", True),
        ("all()", True),
        ("", True),
        ("a in {}", False),
        ("a not in {}", True),
        ("! a == 'y' && k != 'z'", True),
        ("a == 'x' || k == 'z' && k == 'y'", True),
        ("!!has(a)", True),
    ],
)
def test_a_missing_label_is_unequal_and_has_nothing_else(text, is_true):
    assert selectors.parse(text).matches({"a": "x"}) is is_true


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a ==", "at the end"),
        ("a == 'x' b", "at 10"),
        ("(a == 'x'", "a closing bracket"),
        ("a == 'x')", "the end"),
        ("a = 'x'", "at 3"),
        ("has (a)", "has"),
        ("a in {'x' 'y'}", "closing brace"),
        ("a == 'x'\n", "unexpected character"),
        ("()", "a label"),
        ("!", "at the end"),
        ("'x'", "a label"),
        (f"a == 'x' && {'k' * 513} == 'y'", "at 13"),
        (f"has({'k' * 513})", "at 1"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_refused_is_refused_with_its_place(text, place):
    with pytest.raises(SelectorError, match=place):
        selectors.parse(text)


def test_a_label_has_up_to_512_characters():
    """libcalico-go/lib/selector/tokenizer: MaxLabelLength."""
    longest = "k" * 512

    assert selectors.parse(f"has({longest}) && {longest} == 'x'").matches({longest: "x"})


@pytest.mark.parametrize("bracket", ["(", "!(", "a == 'b' && (", "a == 'b' || !("])
def test_deep_nesting_works_to_its_limit_and_is_refused_beyond(bracket):
    def nested(depth):
        return bracket * depth + "has(a)" + ")" * depth

    found = selectors.parse(nested(MAX_DEPTH))

    assert selectors.parse(found.text()) == found
    assert found.matches({"a": "b"}) in (True, False)
    assert selectors.keys(selectors.prefixed(found, "p.")) <= {"p.a"}
    with pytest.raises(SelectorError, match="nested deeper"):
        selectors.parse(nested(MAX_DEPTH + 1))


def test_a_text_that_is_too_long_is_refused_before_it_is_read():
    with pytest.raises(SelectorError, match="at most 100000 characters"):
        selectors.parse("a" * 100_001)
