"""What one control last said in one domain, kept so that one changed workload costs one judgement, not a thousand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from models.compliance import ControlResult, Domain, Outcome, SubjectResult


class Basis:
    """What was looked at: `policies` and `definition` are those very objects, `more` is equal."""

    def __init__(self, policies: object, definition: object, more: object) -> None:
        self._policies = policies
        self._definition = definition
        self._more = more

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Basis)
            and self._policies is other._policies
            and self._definition is other._definition
            and self._more == other._more
        )

    __hash__ = None  # type: ignore[assignment]  # compared, never looked up


class Told(Struct, frozen=True):
    """A domain as it was last told: described, and summed up by control."""

    domain: Domain
    results: dict[str, ControlResult]


class Tally(Struct):
    """Results by subject, workloads apart from whatever else is judged; and how many there are of each outcome."""

    workloads: dict[str, SubjectResult] = field(default_factory=dict)
    others: dict[str, SubjectResult] = field(default_factory=dict)
    counts: Counter[Outcome] = field(default_factory=Counter)
    waived: int = 0
    basis: Basis | None = None  # what the others were judged by

    def put(self, workload: str, result: SubjectResult | None) -> bool:
        """What is said of a workload now; None: it is not held any more. Whether that is another thing than before."""
        former = self.workloads.get(workload)
        if former == result:
            return False
        self._count(self.workloads.pop(workload, None), -1)
        if result is not None:
            self.workloads[workload] = result
            self._count(result, 1)
        return True

    def replace_others(self, results: Mapping[str, SubjectResult], basis: Basis | None) -> set[str]:
        """What is said of everything else; returns those of which another thing was said, or nothing, before."""
        former, self.others, self.basis = self.others, dict(results), basis
        changed = {each for each in former.keys() | results.keys() if former.get(each) != results.get(each)}
        for subject in changed:
            self._count(former.get(subject), -1)
            self._count(results.get(subject), 1)
        return changed

    def of(self, subjects: Iterable[str]) -> Iterator[SubjectResult]:
        """What is said of these, as far as they are there."""
        for subject in subjects:
            result = self.workloads.get(subject) or self.others.get(subject)
            if result is not None:
                yield result

    def all(self) -> Iterator[SubjectResult]:
        """Workloads by name, the others as they were listed."""
        yield from (self.workloads[subject] for subject in sorted(self.workloads))
        yield from self.others.values()

    def _count(self, result: SubjectResult | None, by: int) -> None:
        if result is not None:
            self.counts[result.outcome] += by
            self.waived += by * bool(result.waiver)
