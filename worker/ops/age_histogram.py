"""A histogram of how old records were when they were committed, by role.

The client library observes one value at a time, which costs more than all other metrics of a transaction together. So
this one sorts the timestamps of a whole transaction once, and finds each bucket by bisection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

MS_PER_S = 1000


class Ages:
    """The buckets of one role in an `AgeHistogram`."""

    def __init__(self, edges_seconds: Sequence[float]) -> None:
        """Start empty, with these upper bounds in seconds."""
        self._edges_seconds = tuple(edges_seconds)
        self._at_most = [0] * len(self._edges_seconds)
        self._count = 0
        self._sum_ms = 0

    def observe(self, timestamps_ms: Sequence[int], now_ms: int) -> None:
        """Count how old each timestamp is now; one of the future counts as 0 seconds old. -1: the record has none."""
        ordered = sorted(at_ms for at_ms in timestamps_ms if at_ms >= 0)
        count = len(ordered)
        past = bisect_right(ordered, now_ms)
        for position, edge_seconds in enumerate(self._edges_seconds):
            older = bisect_right(ordered, now_ms - edge_seconds * MS_PER_S - 0.5)
            self._at_most[position] += count - older
        self._count += count
        self._sum_ms += past * now_ms - sum(ordered[:past])

    def add_to(self, family: HistogramMetricFamily, role: str) -> None:
        """Expose the buckets as those of a role."""
        buckets = [(str(edge), float(count)) for edge, count in zip(self._edges_seconds, self._at_most, strict=True)]
        buckets.append(("+Inf", float(self._count)))
        family.add_metric([role], buckets, self._sum_ms / MS_PER_S)


class AgeHistogram(Collector):
    """A histogram that takes a whole batch of timestamps at a fraction of the cost of observing each."""

    def __init__(self, name: str, documentation: str, edges_seconds: Sequence[float]) -> None:
        """Begin without a role, with these upper bounds in seconds."""
        self._name = name
        self._documentation = documentation
        self._edges_seconds = edges_seconds
        self._ages: dict[str, Ages] = {}

    def labels(self, role: str) -> Ages:
        """The buckets of a role, empty at first."""
        return self._ages.setdefault(role, Ages(self._edges_seconds))

    def collect(self) -> Iterator[Metric]:
        """Expose the buckets of all roles."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=["role"])
        for role, ages in self._ages.items():
            ages.add_to(family, role)
        yield family
