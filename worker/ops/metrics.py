"""Every metric of a worker: name, labels and meaning. The page docs/reference/metrics.md comes from this module.

Counters of the domain (movements, dead letters, drift) are counted by a partition's processor and taken over here when
its transaction was committed, so that a batch that is aborted and done again counts once. What has a present value
(lag, states, sizes) is read when Prometheus asks, so that a partition that moved away leaves no stale series. Units are
Prometheus' base units.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.dead_letters import DEAD_LETTER_CODES
from schemas.inputs import Origin
from schemas.outputs import Alert, Movement
from worker.ops.age_histogram import AgeHistogram
from worker.ops.health import all_ready, is_ready
from worker.stream.errors import CAUSES
from worker.stream.observer import BatchReport
from worker.stream.processor import Outcome, Processor
from worker.stream.status import EngineStatus, PartitionState

# A series `…_created` beside each counter would be nothing new to Prometheus.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library's only function without types that we call

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
    ("role", "topic", "outcome"),
    "Input records, by how they ended: applied, duplicate, stale, dead_lettered.",
)
OUTPUTS = Spec("stockfreeze_outputs", "counter", ("role",), "Records written, those of the state included.")
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
    "stockfreeze_end_to_end_seconds",
    "histogram",
    ("role",),
    "From a record's timestamp to the commit of what it caused.",
)
TRANSACTION = Spec(
    "stockfreeze_transaction_seconds",
    "histogram",
    ("role",),
    "From the begin of a transaction to the answer of its commit.",
)
TRANSACTION_RECORDS = Spec("stockfreeze_transaction_records", "histogram", ("role",), "Input records of a transaction.")
RESTORE = Spec(
    "stockfreeze_restore_seconds", "histogram", ("role",), "Time that the restore of a partition's state took."
)
RESTORE_RECORDS = Spec(
    "stockfreeze_restore_records", "counter", ("role",), "State records read by restores that ended."
)
RESTORE_PROGRESS = Spec(
    "stockfreeze_restore_progress_ratio",
    "gauge",
    ("role", "partition"),
    "How far a restore that is going on has come, 0 to 1.",
)
PENDING = Spec(
    "stockfreeze_dead_letters_pending",
    "gauge",
    ("partition", "code"),
    "Dead letters that hold an order back, by the code they were refused with last.",
)
ALERTS_OPEN = Spec(
    "stockfreeze_alerts_open",
    "gauge",
    ("partition", "alert"),
    "Alerts whose condition holds, by name; `conflict` is about one record, so it never does.",
)
LAG = Spec(
    "stockfreeze_lag_records",
    "gauge",
    ("role", "topic", "partition"),
    "Input records that are not yet processed, by the broker's last answer.",
)
PARTITIONS = Spec("stockfreeze_partitions", "gauge", ("role", "state"), "Partitions of this worker, by state.")
READY = Spec("stockfreeze_ready", "gauge", (), "1 if `/health/ready` answers 200, else 0.")
ROLE_READY = Spec("stockfreeze_role_ready", "gauge", ("role",), "1 if the role does its work, else 0.")
RESTARTS = Spec(
    "stockfreeze_partition_restarts",
    "counter",
    ("role", "cause"),
    "Partitions that started again: fenced, timeout, lost (an offset that cannot be read), breach (state and topics do "
    "not belong together), defect or broker.",
)
HALTS = Spec(
    "stockfreeze_partition_halts",
    "counter",
    ("role",),
    "How often a partition halted here; `stockfreeze_partitions` has those that are halted now.",
)
MADE_ANEW = Spec(
    "stockfreeze_topics_made_anew",
    "counter",
    ("role",),
    "Topics that were deleted and made anew, once for each partition that goes on; the log names them.",
)
REBALANCES = Spec(
    "stockfreeze_rebalances", "counter", ("role",), "Rebalances of the consumer group that gave us partitions."
)
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
    *(RECORDS, OUTPUTS, MOVEMENTS, DEAD_LETTERS, PENDING, DRIFT_CHECKED, DRIFT_FOUND, ALERTS),
    *(ALERTS_OPEN, ARCHIVE),
    *(END_TO_END, TRANSACTION, TRANSACTION_RECORDS, LAG, READY, ROLE_READY, PARTITIONS),
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
}
"""The values of the one label of a counter. Each is there from the beginning, at 0: Prometheus sees no increase from
nothing to 1. What has a role, too, begins with its role.
"""

SIZES: Mapping[str, Spec] = {
    "accounts": ACCOUNTS,
    "orders": ORDERS,
    "orders_open": ORDERS_OPEN,
    "orders_retired": ORDERS_RETIRED,
    "stock_keys": STOCK_KEYS,
}
"""What a processor's `gauges` gives, by name."""


class Counted(Protocol):
    """What metrics need of a partition's processor."""

    @property
    def tally(self) -> dict[tuple[str, ...], int]:
        """Counted since it was last taken: (kind of `TALLIES`, label) and how many."""

    def gauges(self) -> Mapping[str, float]:
        """Present sizes, by the names of `SIZES`."""

    def pending(self) -> Mapping[str, int]:
        """Dead letters that hold an order back, by code."""

    def alerts_open(self) -> Mapping[str, int]:
        """Alerts that hold, by name."""


class CountedProcessor(Processor, Counted, Protocol):
    """A processor that counts for metrics, as that of every role does."""


C = TypeVar("C", bound=CountedProcessor)


class LiveRole(NamedTuple):
    """Where the present values of a role are read."""

    name: str
    status: Callable[[], EngineStatus | None]
    processors: Callable[[], Mapping[int, Counted]]


class LiveCollector(Collector):
    """Reads what has a present value when Prometheus asks."""

    def __init__(self) -> None:
        """Begin without a role."""
        self._roles: list[LiveRole] = []

    def add(self, role: LiveRole) -> None:
        """Expose a role, too."""
        self._roles.append(role)

    def collect(self) -> Iterator[Metric]:
        """Expose lag, states, restores and sizes of the partitions that are here now."""
        lag, restore, partitions, ready = (_gauge(spec) for spec in (LAG, RESTORE_PROGRESS, PARTITIONS, ROLE_READY))
        statuses = {role.name: role.status() for role in self._roles}
        for role, status in statuses.items():
            ready.add_metric([role], float(is_ready(status)))
            present = {} if status is None else status.partitions
            for number, partition in present.items():
                for topic, records in partition.lag.items():
                    lag.add_metric([role, topic, str(number)], records)
                if partition.state is PartitionState.RESTORING and partition.restore is not None:
                    end = partition.restore.target_offset + 1
                    restore.add_metric([role, str(number)], min(1.0, partition.restore.offset / end))
            states = [partition.state for partition in present.values()]
            for state in PartitionState:
                partitions.add_metric([role, state.value], states.count(state))
        yield from (lag, restore, partitions, ready)
        yield GaugeMetricFamily(READY.name, READY.help, value=float(all_ready(statuses)))
        yield from self._sizes()

    def _sizes(self) -> Iterator[Metric]:
        pending, alerts = _gauge(PENDING), _gauge(ALERTS_OPEN)
        families = {name: _gauge(spec) for name, spec in SIZES.items()}
        for role in self._roles:
            for number, processor in role.processors().items():
                for name, value in processor.gauges().items():
                    families[name].add_metric([str(number)], value)
                for code, count in processor.pending().items():
                    pending.add_metric([str(number), code], count)
                for alert, count in processor.alerts_open().items():
                    alerts.add_metric([str(number), alert], count)
        yield from (*families.values(), pending, alerts)


class Metrics:
    """All metrics of a process, in a registry of their own. Each of its roles counts in a `RoleMetrics`."""

    def __init__(self, *, version: str) -> None:
        """Begin without a role."""
        self.registry = CollectorRegistry()
        self.records = self._counter(RECORDS)
        self.outputs = self._counter(OUTPUTS)
        self.tallies = {kind: self._counter(spec) for kind, spec in TALLIES.items()}
        self.end_to_end = AgeHistogram(END_TO_END.name, END_TO_END.help, LATENCY_EDGES_SECONDS)
        self.registry.register(self.end_to_end)
        self.transaction = self._histogram(TRANSACTION, TRANSACTION_EDGES_SECONDS)
        self.transaction_records = self._histogram(TRANSACTION_RECORDS, BATCH_EDGES)
        self.restore = self._histogram(RESTORE, RESTORE_EDGES_SECONDS)
        self.restore_records = self._counter(RESTORE_RECORDS)
        self.restarts = self._counter(RESTARTS)
        self.halts = self._counter(HALTS)
        self.made_anew = self._counter(MADE_ANEW)
        self.rebalances = self._counter(REBALANCES)
        self._loop_lag = self._histogram(LOOP_LAG, LOOP_EDGES_SECONDS)
        Gauge(BUILD.name, BUILD.help, BUILD.labels, registry=self.registry).labels(version).set(1)
        self.live = LiveCollector()
        self.registry.register(self.live)
        ProcessCollector(registry=self.registry)

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


class RoleMetrics(Generic[C]):
    """The metrics of one role. It is the observer of the role's engine, whose signatures it keeps."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        role: str,
        inputs: Sequence[str],
        processors: Callable[[], Mapping[int, C]],
        status: Callable[[], EngineStatus | None],
    ) -> None:
        """Count for the processors of the partitions that are here, and for the engine with this status.

        `inputs` are the full names of the input topics. Every series is there from now on, at 0.
        """
        metrics.live.add(LiveRole(role, status, processors))
        self._records = {
            (topic, outcome): metrics.records.labels(role, topic, outcome.value)
            for topic in inputs
            for outcome in Outcome
        }
        self._outputs = metrics.outputs.labels(role)
        self._tallies = metrics.tallies
        self._end_to_end = metrics.end_to_end.labels(role)
        self._transaction = metrics.transaction.labels(role)
        self._transaction_records = metrics.transaction_records.labels(role)
        self._restore = metrics.restore.labels(role)
        self._restore_records = metrics.restore_records.labels(role)
        self._restarts = {cause: metrics.restarts.labels(role, cause) for cause in CAUSES}
        self._halts = metrics.halts.labels(role)
        self._made_anew = metrics.made_anew.labels(role)
        self._rebalances = metrics.rebalances.labels(role)
        self.records_committed = 0
        """Input records since the start, for the progress in the log."""
        self.dead_lettered: Tally[str] = Tally()
        """Dead letters since the start, by code, likewise."""

    def batch_committed(self, report: BatchReport[C]) -> None:
        """Count a committed transaction, and what its processor tallied in it."""
        for source, count in report.outcomes.items():
            self._records[source].inc(count)
        self._outputs.inc(report.outputs)
        if report.timestamps_ms:  # one that only passes over gaps would make the others look quick and small
            self._transaction.observe(report.transaction_seconds)
            self._transaction_records.observe(len(report.timestamps_ms))
        self._end_to_end.observe(report.timestamps_ms, report.committed_at_ms)
        self.records_committed += len(report.timestamps_ms)
        tally = report.processor.tally
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
        self._restarts[cause].inc()

    def partition_halted(self, partition: int, reason: str) -> None:  # noqa: ARG002 - see above
        """Count a partition that stopped for good."""
        self._halts.inc()

    def topic_made_anew(self, partition: int, topic: str) -> None:  # noqa: ARG002 - see above
        """Count a topic that is another one than the state of a partition knew."""
        self._made_anew.inc()

    def partitions_assigned(self, partitions: frozenset[int]) -> None:  # noqa: ARG002 - see above
        """Count a rebalance."""
        self._rebalances.inc()


def _gauge(spec: Spec) -> GaugeMetricFamily:
    return GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
