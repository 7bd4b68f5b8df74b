"""What became of one case of an oracle."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST_SHOWN = 4


@dataclass
class Case:
    """A case passes when nothing disagreed; `checks` counts the single comparisons that were made."""

    id: str
    checks: int = 0
    disagreements: list[str] = field(default_factory=list)
    skipped: str = ""

    def same(self, what: str, expected: object, found: object) -> None:
        """Compare once; what differs is kept with both sides."""
        self.checks += 1
        if expected != found:
            self.disagreements.append(f"{what}: expected {expected!r}, got {found!r}")

    def holds(self, what: str, *, is_true: bool) -> None:
        self.checks += 1
        if not is_true:
            self.disagreements.append(what)

    @property
    def reason(self) -> str:
        """Why it failed or was skipped, short enough for a line of a report."""
        more = len(self.disagreements) - MOST_SHOWN
        told = "; ".join(self.disagreements[:MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return re.sub(r"\s+", " ", self.skipped or told)


Loader = Callable[[Path], Iterable[Case]]


def guarded(case: Case, check: Callable[[Case], None]) -> Case:
    """Run a check on a case; an exception is a disagreement, never the end of the run."""
    try:
        check(case)
    except Exception as error:  # noqa: BLE001 - whatever the engine raises belongs to the case
        case.disagreements.append(f"{type(error).__name__}: {error}")
    if not case.checks and not case.disagreements and not case.skipped:
        case.disagreements.append("nothing was compared")
    return case


def only(found: dict, known: Iterable[str], what: str) -> None:
    """A field that a loader does not know must not be passed over in silence."""
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ValueError(f"{what} has fields that the runner does not know: {', '.join(unknown)}")


def each(items: Iterable[dict], check: Callable[[Case, dict], None]) -> Iterator[Case]:
    """One case per item, by its id."""
    for item in items:
        yield guarded(Case(item["id"]), lambda case, item=item: check(case, item))
