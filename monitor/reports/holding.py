"""Which domains a finding counts in: its own, those that hold its subject, those that hold all that its own holds.

A finding belongs to the smallest domain and is counted in the larger ones (controls.md section 2); a policy is no
member of anything, so it counts where all that its domain holds counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.state.domains import LEVELS


class Holding:
    """Over a whole period: who was ever held by whom."""

    def __init__(self, whole: str, held: Iterable[tuple[str, str]]) -> None:
        self._whole = whole  # the cluster's own domain: everything lies within
        self._holders: dict[str, set[str]] = {}
        self._subjects: dict[str, set[str]] = {}
        for domain, subject in held:
            self._holders.setdefault(subject, set()).add(domain)
            self._subjects.setdefault(domain, set()).add(subject)
        self._around: dict[str, frozenset[str]] = {}

    def around(self, domain: str) -> frozenset[str]:
        """Other domains that held everything this one held. What held nothing lies within the cluster only."""
        if domain not in self._around:
            subjects = self._subjects.get(domain, set())
            found = set.intersection(*(self._holders[each] for each in subjects)) if subjects else set()
            self._around[domain] = frozenset((found | {self._whole}) - {domain})
        return self._around[domain]

    def counts(self, domain: str, owner: str, subject: str) -> bool:
        """Whether a finding of `owner` counts in `domain`."""
        if domain == owner:
            return True
        if subject == owner:
            return False  # about that domain itself
        return domain in self._holders.get(subject, ()) or domain in self.around(owner)

    def owners(self, domain: str) -> list[str]:
        """Other domains whose findings may count in this one: a subject's owner is the smallest that holds it."""
        if domain == self._whole:
            return sorted(self._subjects.keys() - {domain})
        within = {each for each in self._subjects if domain in self.around(each)}
        sharing = {each for subject in self._subjects.get(domain, ()) for each in self._holders[subject]}
        return sorted(each for each in (within | sharing) - {domain} if _rank(each) <= _rank(domain))


def _rank(domain: str) -> int:
    """Smallest level first; the level is the beginning of a domain's id."""
    return LEVELS.index(domain.partition("/")[0])
