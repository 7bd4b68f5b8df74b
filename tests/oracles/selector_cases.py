"""calico-selector: parsing, evaluation, canonical text, prefixing, and where global() may stand."""

import json
from collections.abc import Iterator
from pathlib import Path

from oracles.outcomes import Case, each

from models.facts import Rejected
from monitor.cluster.normalise import Door, normalise
from monitor.policy import selectors

INDEX_ONLY = "what an expression implies about single labels is only of use for an index (README)"
TOKENS_WITH_TEXT = {"label", "string", "has"}


def cases(folder: Path) -> Iterator[Case]:
    data = json.loads((folder / "selectors.json").read_text())
    checks = {
        "evaluate": evaluates,
        "derived_evaluate": evaluates,
        "parse_errors": is_refused,
        "derived_parse_errors": is_refused,
        "valid": is_accepted,
        "canonical": is_canonical,
        "tokens": has_tokens,
        "prefix_rewrite": is_prefixed,
        "label_restrictions": is_left_out,
        "global_scope_validation": is_in_scope,
    }
    for name, items in data.items():
        if isinstance(items, list):
            yield from each(items, checks[name])


def evaluates(case: Case, item: dict) -> None:
    case.same(item["expression"], item["match"], selectors.parse(item["expression"]).matches(item["labels"]))


def parses(expression: str) -> bool:
    try:
        selectors.parse(expression)
    except selectors.SelectorError:
        return False
    return True


def is_refused(case: Case, item: dict) -> None:
    case.same(f"parses {item['expression']!r}", expected=False, found=parses(item["expression"]))


def is_accepted(case: Case, item: dict) -> None:
    case.same(f"parses {item['expression']!r}", expected=True, found=parses(item["expression"]))


def is_canonical(case: Case, item: dict) -> None:
    case.same(item["expression"], item["canonical"], selectors.parse(item["expression"]).text())


def is_prefixed(case: Case, item: dict) -> None:
    prefixed = selectors.prefixed(selectors.parse(item["expression"]), item["prefix"])
    case.same(item["expression"], item["canonical_after_prefix"], prefixed.text())


def has_tokens(case: Case, item: dict) -> None:
    """Kinds are named differently; the texts of labels and strings, in order, are what tokens carry."""
    expected = [value for _, value in item["tokens"] if isinstance(value, str) and value]
    found = [token.value for token in selectors._tokens(item["expression"]) if token.kind in TOKENS_WITH_TEXT]
    case.same(item["expression"], expected, [value for value in found if value])


def is_left_out(case: Case, item: dict) -> None:
    case.skipped = INDEX_ONLY


def is_in_scope(case: Case, item: dict) -> None:
    """The object that holds this expression in this field, at the door of Calico's validators."""
    metadata = {"name": "p"} if "Global" in item["kind"] else {"name": "p", "namespace": "n"}
    place, *steps = item["field"].split(".")
    holder: dict = {"action": "Allow"} if place == "rule" else {}
    target = holder
    for step in steps[:-1]:
        target = target.setdefault(step, {})
    target[steps[-1]] = item["expression"]
    spec = {"ingress": [holder], "egress": [holder]} if place == "rule" else holder
    obj = {"apiVersion": "projectcalico.org/v3", "kind": item["kind"], "metadata": metadata, "spec": spec}
    fact = normalise(obj, door=Door.VALIDATORS)

    case.same(f"{item['field']} {item['expression']!r}", item["accepted"], not isinstance(fact, Rejected))
