"""`make oracles`: every case of every oracle folder, a pass matrix, and build/oracles.json.

Exit code 1 on any disagreement, 2 when there are no oracles or a name is unknown. Folders can be named as arguments.
"""

# ruff: noqa: T201 - the matrix is what it is run for

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT)]

from oracles import (  # noqa: E402 - the path comes first when this file is run as a script
    conformance_cases,
    dataplane_cases,
    decision_trace_cases,
    differential_cases,
    equivalence_cases,
    np_guard_cases,
    policy_string_cases,
    rule_match_cases,
    selector_cases,
)
from oracles.outcomes import Case, Loader  # noqa: E402

LOADERS: dict[str, Loader] = {
    "calico-selector": selector_cases.cases,
    "calico-policy-strings": policy_string_cases.cases,
    "calico-rule-match": rule_match_cases.cases,
    "calico-decision-trace": decision_trace_cases.cases,
    "cnp-conformance": conformance_cases.cases,
    "np-guard": np_guard_cases.cases,
    "calico-equivalence": equivalence_cases.cases,
    "calico-differential": differential_cases.cases,
    "calico-dataplane": dataplane_cases.cases,
}
REPORT = CHECKOUT / "build" / "oracles.json"
MOST_PRINTED = 20


@dataclass
class Result:
    """What became of the cases of one folder."""

    folder: str
    passed: list[Case] = field(default_factory=list)
    failed: list[Case] = field(default_factory=list)
    skipped: list[Case] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, case: Case) -> None:
        (self.failed if case.disagreements else self.skipped if case.skipped else self.passed).append(case)

    @property
    def cases(self) -> list[Case]:
        return [*self.passed, *self.failed, *self.skipped]

    def report(self) -> dict:
        return {
            "passed": len(self.passed),
            "failed": len(self.failed),
            "skipped": len(self.skipped),
            "checks": sum(case.checks for case in self.cases),
            "seconds": round(self.seconds, 2),
            "passed_ids": [case.id for case in self.passed],
            "failed_ids": {case.id: case.reason for case in self.failed},
            "skipped_ids": {case.id: case.reason for case in self.skipped},
        }


def place() -> Path:
    """Where the oracles lie: SEGMON_ORACLES, else beside the checkout."""
    return Path(os.environ.get("SEGMON_ORACLES") or CHECKOUT.parent / "shared" / "oracles")


def run(folder: str) -> Result:
    """All cases of one folder. Index files that cannot be read are a failure of the folder."""
    result = Result(folder)
    begun = time.perf_counter()
    try:
        for case in LOADERS[folder](place() / folder):
            result.add(case)
    except (OSError, ValueError, KeyError) as error:
        result.add(Case("index", disagreements=[f"{type(error).__name__}: {error}"]))
    result.seconds = time.perf_counter() - begun
    return result


def unknown_folders() -> list[str]:
    """Folders that lie there and that no loader reads: not to be passed over in silence."""
    return sorted(path.name for path in place().iterdir() if path.is_dir() and path.name not in LOADERS)


def show(results: Sequence[Result]) -> None:
    print(f"{'folder':24}{'cases':>7}{'passed':>8}{'failed':>8}{'skipped':>9}{'checks':>10}{'seconds':>9}")
    for result in results:
        told = result.report()
        print(
            f"{result.folder:24}{len(result.cases):>7}{told['passed']:>8}{told['failed']:>8}"
            f"{told['skipped']:>9}{told['checks']:>10}{told['seconds']:>9.1f}"
        )
    for result in results:
        for case in result.failed[:MOST_PRINTED]:
            print(f"FAILED  {result.folder} {case.id}: {case.reason}")
        if len(result.failed) > MOST_PRINTED:
            print(f"FAILED  {result.folder}: and {len(result.failed) - MOST_PRINTED} more, see {REPORT.name}")
        for case in result.skipped:
            print(f"skipped {result.folder} {case.id}: {case.reason}")


def main(names: Sequence[str]) -> int:
    if not place().is_dir():
        print(f"no oracles at {place()}: set SEGMON_ORACLES to their folder", file=sys.stderr)
        return 2
    wrong = sorted(set(names) - set(LOADERS)) + unknown_folders()
    if wrong:
        print(f"no loader for {', '.join(wrong)}; there are: {', '.join(LOADERS)}", file=sys.stderr)
        return 2
    results = [run(folder) for folder in names or LOADERS if names or (place() / folder).is_dir()]
    show(results)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({result.folder: result.report() for result in results}, indent=1) + "\n")
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
