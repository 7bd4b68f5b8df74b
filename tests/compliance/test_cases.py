"""Every control, by example: a cluster in YAML, what else is known in case.yaml, and the findings that come of it.

`cases/<control>/<outcome>-<reason>/`: cluster.yaml is what a cluster holds; case.yaml may give `facts` (in their wire
form), `states` of inputs and their `reason`, `seconds` after the listing, and `flows: silent|never`. The folder's name
begins with the outcome of the worst domain. Run with --update-cases to rewrite findings.json.
"""

import json
from pathlib import Path

import msgspec
import pytest
import yaml
from scenes.log import CLUSTER, Log, evaluated, heard, heartbeat, seconds

from models.compliance import ROLL_UP
from models.facts import Fact, SilentSource, Sync, Tick
from monitor import compliance
from monitor.cluster import manifests

CASES = Path(__file__).parent / "cases"
FOUND = sorted(path.parent.relative_to(CASES) for path in CASES.glob("*/*/cluster.yaml"))


@pytest.mark.parametrize("case", FOUND, ids=str)
def test_what_a_control_says_of_a_cluster(case, golden):
    results = judged(CASES / case, case.parts[0])
    worst = next(each for each in ROLL_UP if any(result["outcome"] == each for result in results.values()))

    golden(f"cases/{case}/findings.json", json.dumps(results, indent=2, sort_keys=True) + "\n")

    assert case.name.startswith(worst.value)


@pytest.mark.parametrize("control", compliance.CONTROLS, ids=lambda control: control.id)
def test_every_control_has_an_example_of_each_outcome(control):
    outcomes = {case.name.partition("-")[0] for case in FOUND if case.parts[0] == control.id}

    assert outcomes >= {"pass", "fail", "error"} or outcomes >= {"pass", "warn", "error"}


def judged(folder, control):
    """What the control says of every domain for which it says anything."""
    more = folder / "case.yaml"
    case = yaml.safe_load(more.read_text()) if more.exists() else {}
    read = manifests.read([str(folder / "cluster.yaml")], cluster=CLUSTER)
    facts = [*read.facts.values(), *msgspec.convert(case.get("facts", []), list[Fact], strict=False)]
    log = Log().add(Sync(scope="all", phase="begun", instance="w"), *facts)
    log.add(Sync(scope="all", phase="done", instance="w"))
    at = seconds(case.get("seconds", 1))
    if case.get("watch") != "silent":
        log.add(heartbeat(**case.get("states", {}), reason=case.get("reason", "forbidden")), at=at)
    silent = (SilentSource(source="kmsg@n9", silent_seconds=60),) if case.get("flows") == "silent" else ()
    if case.get("flows") != "never":
        log.add(heard(silent), at=at)
    evaluation = evaluated(log.add(Tick(partition=0), at=at).state())
    return {
        posture.domain.id: told(result)
        for posture in evaluation.postures
        for result in posture.results
        if result.control == control and (result.counts or result.outcome == "error")
    }


def told(result):
    subjects = [msgspec.to_builtins(each) for each in result.subjects if each.outcome != "pass"]
    return {"outcome": result.outcome, "reason": result.reason, "counts": result.counts, "subjects": subjects}
