"""What a process tells about itself while it works: a port, filled by gauges and counters, or by nothing in tests.

`recorded` and `adopted` are called in threads, as they may ask the database; what they raise is logged, never fatal.

State gauges come only from a cluster's owner: `adopted` loads them, `recorded` sets them, `released` removes them
(architecture.md section 4).
"""

from __future__ import annotations

from typing import Protocol

from models.recording import Recorded, Recording


class Observer(Protocol):
    def recorded(self, recording: Recording, recorded: Recorded, *, seconds: float) -> None:
        """One transaction of assess is committed."""

    def adopted(self, cluster: str) -> None:
        """The cluster is ours and its state is built."""

    def released(self, cluster: str) -> None:
        """The cluster is not ours any more, or its state is being built again."""

    def evaluated(self, cluster: str, *, seconds: float) -> None: ...

    def lag(self, topic: str, partition: int, records: int) -> None: ...

    def dead_letter(self, topic: str, reason: str) -> None: ...

    def database_error(self, kind: str) -> None:
        """`kind` is transient or permanent."""

    def follows(self, cluster: str) -> None:
        """Flow records of the cluster may come to us: what will be counted of them is known."""

    def flows(self, cluster: str, flow_class: str, records: int) -> None:
        """Records judged and counted."""

    def building(self, what: str, why: str) -> None:
        """Not ready yet: `what` is being built."""

    def built(self, what: str) -> None: ...


class Silent:
    """Tells nobody."""

    def recorded(self, recording: Recording, recorded: Recorded, *, seconds: float) -> None: ...

    def adopted(self, cluster: str) -> None: ...

    def released(self, cluster: str) -> None: ...

    def evaluated(self, cluster: str, *, seconds: float) -> None: ...

    def lag(self, topic: str, partition: int, records: int) -> None: ...

    def dead_letter(self, topic: str, reason: str) -> None: ...

    def database_error(self, kind: str) -> None: ...

    def follows(self, cluster: str) -> None: ...

    def flows(self, cluster: str, flow_class: str, records: int) -> None: ...

    def building(self, what: str, why: str) -> None: ...

    def built(self, what: str) -> None: ...
