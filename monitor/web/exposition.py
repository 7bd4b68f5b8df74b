"""The registry of one process: the families of `models.metrics` that its component exposes, and nothing else.

Law: a name that is not specified there cannot be counted; label sets known beforehand start at 0, so that the
first event is seen by rate().
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from models import metrics

_Family = Counter | Gauge | Histogram


class Exposition:
    """The families of one component. One per process."""

    def __init__(self, component: str, *, version: str, catalogue: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client left it untyped
        self.registry = CollectorRegistry()
        self.lock = threading.RLock()
        self.refreshers: list[Callable[[], None]] = []  # called before each scrape, in its thread
        specs = [spec for spec in metrics.METRICS if component in spec.by or component == "up"]
        self._families: dict[str, _Family] = {spec.name: _family(spec, self.registry) for spec in specs}
        self.gauge("segmon_build_info", version=version, component=component, catalogue=catalogue).set(1)

    def has(self, name: str) -> bool:
        return name in self._families

    def counter(self, name: str, **labels: str) -> Counter:
        family = self._families[name]
        assert isinstance(family, Counter), name
        return family.labels(**labels) if labels else family

    def gauge(self, name: str, **labels: str) -> Gauge:
        family = self._families[name]
        assert isinstance(family, Gauge), name
        return family.labels(**labels) if labels else family

    def histogram(self, name: str, **labels: str) -> Histogram:
        family = self._families[name]
        assert isinstance(family, Histogram), name
        return family.labels(**labels) if labels else family

    def show(self, name: str, labels: tuple[str, ...], value: float) -> None:
        """A gauge by its label values, in the order of its specification."""
        family = self._families[name]
        assert isinstance(family, Gauge), name
        (family.labels(*labels) if labels else family).set(value)

    def hide(self, name: str, labels: tuple[str, ...]) -> None:
        """Forget a label set."""
        self._families[name].remove(*labels)

    def initialise(self, name: str, label_sets: Iterable[Mapping[str, str]]) -> None:
        """Start known label sets at 0."""
        for labels in label_sets:
            self._families[name].labels(**labels)

    def text(self, encode: Callable[[Any], bytes] = generate_latest) -> bytes:
        """What a scrape gets; state gauges are read from the record for it, never on the way of a change."""
        with self.lock:
            for refresh in self.refreshers:
                refresh()
            return encode(self.registry)


def _family(spec: metrics.MetricSpec, registry: CollectorRegistry) -> _Family:
    match spec.type:
        case "counter":
            # prometheus_client adds the _total itself
            return Counter(spec.name.removesuffix("_total"), spec.help, spec.labels, registry=registry)
        case "gauge":
            return Gauge(spec.name, spec.help, spec.labels, registry=registry)
        case "histogram":
            return Histogram(spec.name, spec.help, spec.labels, buckets=spec.buckets, registry=registry)
