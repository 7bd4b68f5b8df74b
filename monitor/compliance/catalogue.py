"""The controls that are evaluated, in the order in which they are shown. A control is its file and one line here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from models.compliance import Control, SubjectResult
from monitor.compliance.controls import (
    default_deny_egress,
    default_deny_ingress,
    dns_label_spoof,
    evidence_complete,
    flow_escaped,
    host_network_bypass,
    policy_invalid,
    policy_selects_nothing,
    system_exclusion,
    unprotected_endpoint,
)
from monitor.compliance.snapshot import Snapshot
from monitor.state.domains import Definition

Subjects = Callable[[Snapshot, Definition], Iterable[str]]


class Entry(Struct, frozen=True):
    """A control, the subjects that a domain holds for it, and its check of one subject."""

    control: Control
    subjects: tuple[Subjects, ...]
    check: Callable[[Snapshot, str], SubjectResult]
    basis: Callable[[Snapshot], object] | None = None
    """What is said of policies rests on this beside the policies themselves; None: judged at every evaluation."""

    @property
    def is_of_workloads(self) -> bool:
        """Whether workloads are among them: what is said of one rests on nothing that does not touch it."""
        return Snapshot.workloads in self.subjects

    def others(self, snapshot: Snapshot, definition: Definition) -> Iterator[str]:
        """Subjects that are no workloads."""
        for each in self.subjects:
            if each is not Snapshot.workloads:
                yield from each(snapshot, definition)


CATALOGUE: tuple[Entry, ...] = tuple(
    Entry(module.CONTROL, module.subjects, module.check, getattr(module, "basis", None))
    for module in (
        default_deny_ingress,
        default_deny_egress,
        unprotected_endpoint,
        flow_escaped,
        policy_invalid,
        policy_selects_nothing,
        dns_label_spoof,
        system_exclusion,
        host_network_bypass,
        evidence_complete,
    )
)

CONTROLS: tuple[Control, ...] = tuple(entry.control for entry in CATALOGUE)


def digest(controls: Iterable[Control]) -> str:
    """Of what the controls demand: under another one, results are not comparable line by line."""
    text = "\x00".join(f"{each.id}\x00{each.statement}\x00{each.severity.value}" for each in controls)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
