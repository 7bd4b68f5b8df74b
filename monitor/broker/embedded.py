"""The embedded broker: librdkafka's mock cluster in a process of its own, for a trial on one machine.

Limits (dependencies.md section 2): everything is in memory; about 5 MiB or 100,000 batches per partition, the oldest
dropped in silence; 4 partitions per topic, made by mention; one member per group; no admin, no transactions. The guards
against each: `up` refuses more than one worker, the first offset read must be 0 or the tree restarts and relists,
and above some 5,000 objects it asks for Kafka.

Run as `python -m monitor.broker.embedded ADDRESS_FILE`. It looks every second whether the process that started it is
still its parent, and ends when it is not, however that one ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

PARTITIONS = 4  # fixed by the mock cluster for topics made by mention
RETENTION_BYTES = 5 * 1024 * 1024  # per partition, fixed in librdkafka
AHEAD_BYTES = 1024 * 1024  # so far the watch may be ahead of what is recorded: a fifth of what is held
OBJECTS_LIMIT = 5000  # above this one cluster's facts may not fit into a partition
READY_SECONDS = 10.0
PARENT_CHECK_SECONDS = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

BANNER = (
    "embedded broker: in memory, for a trial on this machine. One worker, about 5 MiB per partition "
    "(some 5,000 objects), everything in it is gone at the end. For more than that: docs/operating.md."
)


class EmbeddedBrokerError(RuntimeError):
    """The installed confluent-kafka has no mock cluster, or it did not start."""


def command(address_file: Path) -> list[str]:
    """How to start it as a child: the arguments of a Python."""
    return ["-m", "monitor.broker.embedded", str(address_file)]


def serve(address_file: Path) -> None:
    """Run until a stop signal or the parent's end. The address appears in the file when clients may connect."""
    parent = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    cluster = _mock_cluster()
    partial = address_file.with_suffix(".partial")
    partial.write_text(_address(cluster))
    partial.replace(address_file)
    try:
        while os.getppid() == parent:
            if signal.sigtimedwait(STOP_SIGNALS, PARENT_CHECK_SECONDS):
                return
    finally:
        address_file.unlink(missing_ok=True)


def _mock_cluster() -> Any:
    """A client whose presence keeps the mock cluster alive."""
    try:
        from confluent_kafka import KafkaException, Producer  # noqa: PLC0415 - an extra: only `up` needs it
    except ImportError as error:
        raise EmbeddedBrokerError(
            "the embedded broker needs confluent-kafka, which is not installed\n"
            "       fix: pip install 'segmon[embedded]'"
        ) from error
    try:
        return Producer({"test.mock.num.brokers": 1, "log_level": 0, "statistics.interval.ms": 0})
    except KafkaException as error:
        raise EmbeddedBrokerError(f"this confluent-kafka has no mock cluster: {error}") from error


def _address(cluster: Any) -> str:
    brokers = list(cluster.list_topics(timeout=READY_SECONDS).brokers.values())
    address = f"{brokers[0].host}:{brokers[0].port}"
    if brokers[0].host not in {"127.0.0.1", "localhost"}:
        raise EmbeddedBrokerError(f"the mock cluster listens on {address}, not on loopback")
    return address


if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]))
    except EmbeddedBrokerError as problem:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201 - the log of a child: its parent tells it
        sys.exit(2)
    # librdkafka's threads must not hold up the end: there is nothing to flush.
    os._exit(0)
