"""calico-policy-strings: the policy strings of flow logs, of both namings."""

import json
from collections.abc import Iterator
from pathlib import Path

from oracles.outcomes import Case, each

from monitor.policy import naming

SHORT_KINDS = {short: kind for kind, short in naming.SHORT_KINDS.items()}
PROFILE_TIER = "__PROFILE__"


def cases(folder: Path) -> Iterator[Case]:
    data = json.loads((folder / "policy_strings.json").read_text())
    yield from each(data["valid"], is_read)
    yield from each(data["invalid"], is_refused)
    legacy = data.get("legacy_examples", {}).get("items", [])
    yield from each([{"id": f"legacy-{number}", **item} for number, item in enumerate(legacy)], is_read)


def is_read(case: Case, item: dict) -> None:
    """Calico leaves the tier of a profile empty; its text has one."""
    expected, found = item["parsed"], naming.parse(item["text"])
    of_profile = found.kind == "Profile"
    ours = {
        "index": found.index,
        "tier": "" if of_profile else found.tier,
        "short_kind": naming.SHORT_KINDS[found.kind],
        "kind": str(found.kind),
        "namespace": found.namespace,
        "name": found.name,
        "action": found.action,
        "rule_index": found.rule,
        "end_of_tier": found.is_end_of_tier,
        "staged": found.is_staged,
    }
    for name, value in expected.items():
        if name != "note":
            case.same(f"{name} of {item['text']}", value, ours[name])
    if "short_kind" in expected:
        again = naming.policy_string(found.index, found.hit(), is_named_by_kind=True)
        case.same("written again", item["text"], again)


def is_refused(case: Case, item: dict) -> None:
    try:
        found: object = naming.parse(item["text"])
    except naming.PolicyStringError:
        found = "refused"
    case.same(item["text"], "refused", found)
