"""Every metric of a worker: name, labels and meaning. The page docs/reference/metrics.md comes from this module.

Counters of the domain (movements, dead letters, drift) are counted by a partition's processor and taken over here when
its transaction was committed, so that a batch that is aborted and done again counts once. What has a present value
(lag, states, sizes) is read when Prometheus asks, so that a partition that moved away leaves no stale series. Units are
Prometheus' base units.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, cast, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.dead_letters import DEAD_LETTER_CODES
from schemas.inputs import Origin
from schemas.outputs import Alert, Movement
from worker.ops.health import is_ready
from worker.stream.errors import CAUSES
from worker.stream.observer import BatchReport
from worker.stream.processor import Outcome
from worker.stream.status import EngineStatus, PartitionState

# A series `…_created` beside each counter says nothing that Prometheus does not know.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library's only function without types that we call

MS_PER_S = 1000

LATENCY_EDGES_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
TRANSACTION_EDGES_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
RESTORE_EDGES_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
LOOP_EDGES_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
BATCH_EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Spec(NamedTuple):
    """A metric as it is documented and made."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str

    @property
    def exposed_name(self) -> str:
        """What it is called where it is read: the client adds `_total` to a counter's name."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


RECORDS = Spec(
    "stockfreeze_records",
    "counter",
    ("topic", "outcome"),
    "Input records, by how they ended: applied, duplicate, stale, dead_lettered.",
)
OUTPUTS = Spec("stockfreeze_outputs", "counter", (), "Records written, those of the state included.")
MOVEMENTS = Spec("stockfreeze_movements", "counter", ("movement",), "Movements written to the journal.")
DEAD_LETTERS = Spec("stockfreeze_dead_letters", "counter", ("code",), "Records that were dead-lettered, by their code.")
DRIFT_CHECKED = Spec(
    "stockfreeze_drift_checked",
    "counter",
    ("origin",),
    "SKUs of complete snapshots that had something to be compared with.",
)
DRIFT_FOUND = Spec("stockfreeze_drift_found", "counter", ("origin",), "SKUs of complete snapshots that drifted.")
ALERTS = Spec("stockfreeze_alerts", "counter", ("alert",), "Alerts raised.")
ARCHIVE = Spec("stockfreeze_archive_events", "counter", ("event",), "Archive events: eligible, revoked, rejected.")
END_TO_END = Spec(
    "stockfreeze_end_to_end_seconds", "histogram", (), "From a record's timestamp to the commit of what it caused."
)
TRANSACTION = Spec(
    "stockfreeze_transaction_seconds", "histogram", (), "From the begin of a transaction to the answer of its commit."
)
TRANSACTION_RECORDS = Spec("stockfreeze_transaction_records", "histogram", (), "Input records of a transaction.")
RESTORE = Spec("stockfreeze_restore_seconds", "histogram", (), "Time that the restore of a partition's state took.")
RESTORE_RECORDS = Spec("stockfreeze_restore_records", "counter", (), "State records read by restores that ended.")
RESTORE_PROGRESS = Spec(
    "stockfreeze_restore_progress_ratio",
    "gauge",
    ("partition",),
    "How far a restore that is going on has come, 0 to 1.",
)
PENDING = Spec(
    "stockfreeze_dead_letters_pending",
    "gauge",
    ("partition", "code"),
    "Dead letters that hold an order back, by the code they were refused with last.",
)
LAG = Spec(
    "stockfreeze_lag_records",
    "gauge",
    ("topic", "partition"),
    "Input records that are not yet processed, as the broker told last.",
)
PARTITIONS = Spec("stockfreeze_partitions", "gauge", ("state",), "Partitions of this worker, by state.")
READY = Spec("stockfreeze_ready", "gauge", (), "1 if `/health/ready` answers 200, else 0.")
RESTARTS = Spec(
    "stockfreeze_partition_restarts",
    "counter",
    ("cause",),
    "Partitions that started again: fenced, timeout, lost (an offset that cannot be read), breach (state and topics do "
    "not belong together), defect or broker.",
)
HALTS = Spec(
    "stockfreeze_partition_halts",
    "counter",
    (),
    "How often a partition halted here; `stockfreeze_partitions` tells whether one is now.",
)
MADE_ANEW = Spec(
    "stockfreeze_topics_made_anew",
    "counter",
    (),
    "Topics that were deleted and made anew, once for each partition that goes on; the log names them.",
)
REBALANCES = Spec("stockfreeze_rebalances", "counter", (), "Rebalances of the consumer group that gave us partitions.")
ACCOUNTS = Spec("stockfreeze_state_accounts", "gauge", ("partition",), "State size: accounts.")
ORDERS = Spec("stockfreeze_state_orders", "gauge", ("partition",), "State size: orders, open and eligible.")
ORDERS_OPEN = Spec(
    "stockfreeze_orders_open", "gauge", ("partition",), "Orders that are not yet eligible for the archive."
)
ORDERS_RETIRED = Spec(
    "stockfreeze_state_orders_retired",
    "gauge",
    ("partition",),
    "State size: ids of orders that left it, still remembered.",
)
STOCK_KEYS = Spec("stockfreeze_state_stock_keys", "gauge", ("partition",), "State size: SKUs of warehouses.")
LOOP_LAG = Spec("stockfreeze_event_loop_lag_seconds", "histogram", (), "How late the event loop wakes a sleeping task.")
BUILD = Spec("stockfreeze_build_info", "gauge", ("version",), "1; the version that runs.")

METRICS = (
    *(RECORDS, OUTPUTS, MOVEMENTS, DEAD_LETTERS, PENDING, DRIFT_CHECKED, DRIFT_FOUND, ALERTS, ARCHIVE),
    *(END_TO_END, TRANSACTION, TRANSACTION_RECORDS, LAG, READY, PARTITIONS),
    *(RESTORE, RESTORE_RECORDS, RESTORE_PROGRESS, RESTARTS, HALTS, MADE_ANEW, REBALANCES),
    *(ORDERS_OPEN, ORDERS, ORDERS_RETIRED, STOCK_KEYS, ACCOUNTS, LOOP_LAG, BUILD),
)
"""All of them, in the order of the reference page."""

TALLIES: Mapping[str, Spec] = {
    "movement": MOVEMENTS,
    "dead_letter": DEAD_LETTERS,
    "drift_checked": DRIFT_CHECKED,
    "drift_found": DRIFT_FOUND,
    "alert": ALERTS,
    "archive": ARCHIVE,
}
"""What a processor's tally counts, by the first part of its keys; the other part is the label."""

LABELS: Mapping[str, Sequence[str]] = {
    MOVEMENTS.name: get_args(Movement),
    DEAD_LETTERS.name: DEAD_LETTER_CODES,
    DRIFT_CHECKED.name: get_args(Origin),
    DRIFT_FOUND.name: get_args(Origin),
    ALERTS.name: get_args(Alert),
    ARCHIVE.name: ("eligible", "revoked", "rejected"),
    RESTARTS.name: CAUSES,
}
"""The values of the one label of a counter. Each is there from the beginning, at 0: Prometheus sees no increase from
nothing to 1.
"""

SIZES: Mapping[str, Spec] = {
    "accounts": ACCOUNTS,
    "orders": ORDERS,
    "orders_open": ORDERS_OPEN,
    "orders_retired": ORDERS_RETIRED,
    "stock_keys": STOCK_KEYS,
}
"""What a processor's `gauges` tells, by name."""


class Counted(Protocol):
    """What metrics need of a partition's processor."""

    @property
    def tally(self) -> dict[tuple[str, ...], int]:
        """Counted since it was last taken: (kind of `TALLIES`, label) and how many."""

    def gauges(self) -> Mapping[str, float]:
        """Present sizes, by the names of `SIZES`."""

    def pending(self) -> Mapping[str, int]:
        """Dead letters that hold an order back, by code."""


class AgeHistogram(Collector):
    """A histogram that takes a whole batch of timestamps at a fraction of the cost of observing each."""

    def __init__(self, spec: Spec, edges_seconds: Sequence[float]) -> None:
        """Start empty, with these upper bounds in seconds."""
        self._spec = spec
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

    def collect(self) -> Iterator[Metric]:
        """Expose the buckets."""
        buckets = [(str(edge), float(count)) for edge, count in zip(self._edges_seconds, self._at_most, strict=True)]
        buckets.append(("+Inf", float(self._count)))
        yield HistogramMetricFamily(
            self._spec.name, self._spec.help, buckets=buckets, sum_value=self._sum_ms / MS_PER_S
        )


class LiveCollector(Collector):
    """Reads what has a present value when Prometheus asks."""

    def __init__(
        self, status: Callable[[], EngineStatus | None], processors: Callable[[], Mapping[int, Counted]]
    ) -> None:
        """Read from these."""
        self._status = status
        self._processors = processors

    def collect(self) -> Iterator[Metric]:
        """Expose lag, states, restores and sizes of the partitions that are here now."""
        status = self._status()
        lag, restore, partitions = _gauge(LAG), _gauge(RESTORE_PROGRESS), _gauge(PARTITIONS)
        present = {} if status is None else status.partitions
        for number, partition in present.items():
            for topic, records in partition.lag.items():
                lag.add_metric([topic, str(number)], records)
            if partition.state is PartitionState.RESTORING and partition.restore is not None:
                end = partition.restore.target_offset + 1
                restore.add_metric([str(number)], min(1.0, partition.restore.offset / end))
        states = [partition.state for partition in present.values()]
        for state in PartitionState:
            partitions.add_metric([state.value], states.count(state))
        yield from (lag, restore, partitions)
        yield GaugeMetricFamily(READY.name, READY.help, value=float(is_ready(status)))
        yield from self._sizes()

    def _sizes(self) -> Iterator[Metric]:
        pending = _gauge(PENDING)
        families = {name: _gauge(spec) for name, spec in SIZES.items()}
        for number, processor in self._processors().items():
            for name, value in processor.gauges().items():
                families[name].add_metric([str(number)], value)
            for code, count in processor.pending().items():
                pending.add_metric([str(number), code], count)
        yield from (*families.values(), pending)


class Metrics:
    """All metrics of one worker, in a registry of their own. It is the engine's observer, whose signatures it keeps."""

    def __init__(
        self,
        *,
        version: str,
        inputs: Sequence[str],
        processors: Callable[[], Mapping[int, Counted]],
        status: Callable[[], EngineStatus | None],
    ) -> None:
        """Count for the processors of the partitions that are here, and for the engine with this status.

        `inputs` are the full names of the input topics.
        """
        self.registry = CollectorRegistry()
        self._records = self._counter(RECORDS)
        for topic in inputs:
            for outcome in Outcome:
                self._records.labels(topic, outcome.value)
        self._outputs = self._counter(OUTPUTS)
        self._tallies = {kind: self._counter(spec) for kind, spec in TALLIES.items()}
        self._end_to_end = AgeHistogram(END_TO_END, LATENCY_EDGES_SECONDS)
        self.registry.register(self._end_to_end)
        self._transaction = self._histogram(TRANSACTION, TRANSACTION_EDGES_SECONDS)
        self._transaction_records = self._histogram(TRANSACTION_RECORDS, BATCH_EDGES)
        self._restore = self._histogram(RESTORE, RESTORE_EDGES_SECONDS)
        self._restore_records = self._counter(RESTORE_RECORDS)
        self._restarts = self._counter(RESTARTS)
        self._halts = self._counter(HALTS)
        self._made_anew = self._counter(MADE_ANEW)
        self._rebalances = self._counter(REBALANCES)
        self._loop_lag = self._histogram(LOOP_LAG, LOOP_EDGES_SECONDS)
        Gauge(BUILD.name, BUILD.help, BUILD.labels, registry=self.registry).labels(version).set(1)
        self.registry.register(LiveCollector(status, processors))
        ProcessCollector(registry=self.registry)
        self.records_committed = 0
        """Input records since the start, for the progress in the log."""
        self.dead_lettered: Tally[str] = Tally()
        """Dead letters since the start, by code, likewise."""

    def batch_committed(self, report: BatchReport) -> None:
        """Count a committed transaction, and what its processor tallied in it."""
        for (topic, outcome), count in report.outcomes.items():
            self._records.labels(topic, outcome.value).inc(count)
        self._outputs.inc(report.outputs)
        if report.timestamps_ms:  # one that only passes over gaps would make the others look quick and small
            self._transaction.observe(report.transaction_seconds)
            self._transaction_records.observe(len(report.timestamps_ms))
        self._end_to_end.observe(report.timestamps_ms, report.committed_at_ms)
        self.records_committed += len(report.timestamps_ms)
        tally = cast("Counted", report.processor).tally  # the engine knows it as something that takes records
        for (kind, label), count in tally.items():
            self._tallies[kind].labels(label).inc(count)
            if kind == "dead_letter":
                self.dead_lettered[label] += count
        tally.clear()

    def restore_finished(self, partition: int, records: int, seconds: float) -> None:  # noqa: ARG002 - see above
        """Count a restore that ended."""
        self._restore.observe(seconds)
        self._restore_records.inc(records)

    def task_restarted(self, partition: int, cause: str) -> None:  # noqa: ARG002 - see above
        """Count a partition that starts again after an error."""
        self._restarts.labels(cause).inc()

    def partition_halted(self, partition: int, reason: str) -> None:  # noqa: ARG002 - see above
        """Count a partition that stopped for good."""
        self._halts.inc()

    def topic_made_anew(self, partition: int, topic: str) -> None:  # noqa: ARG002 - see above
        """Count a topic that is another one than the state of a partition knew."""
        self._made_anew.inc()

    def partitions_assigned(self, partitions: frozenset[int]) -> None:  # noqa: ARG002 - see above
        """Count a rebalance."""
        self._rebalances.inc()

    def loop_was_late(self, seconds: float) -> None:
        """Count one measurement of the event loop's lag."""
        self._loop_lag.observe(seconds)

    def _counter(self, spec: Spec) -> Counter:
        counter = Counter(spec.name, spec.help, spec.labels, registry=self.registry)
        for value in LABELS.get(spec.name, ()):
            counter.labels(value)
        return counter

    def _histogram(self, spec: Spec, edges: Sequence[float]) -> Histogram:
        return Histogram(spec.name, spec.help, spec.labels, buckets=edges, registry=self.registry)


def _gauge(spec: Spec) -> GaugeMetricFamily:
    return GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
