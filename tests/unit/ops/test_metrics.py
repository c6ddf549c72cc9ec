"""Metrics: each is documented and exposed, counted once per commit, and gone with its partition."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.stream.fakes import Obedient
from worker.domain.policies import Policies
from worker.ops.age_histogram import AgeHistogram
from worker.ops.metrics import (
    END_TO_END,
    LABELS,
    LATENCY_EDGES_SECONDS,
    METRICS,
    SIZES,
    TALLIES,
    Metrics,
    RoleMetrics,
)
from worker.processors.ledger import PartitionProcessor
from worker.stream.errors import CAUSES
from worker.stream.observer import BatchReport
from worker.stream.processor import Outcome
from worker.stream.status import EngineStatus, PartitionState, PartitionStatus, RestoreProgress

NOW_MS = 1_800_000_000_000


class FakeProcessor(Obedient):
    def __init__(self) -> None:
        super().__init__()
        self.tally: dict[tuple[str, ...], int] = {}

    def pending(self) -> Mapping[str, int]:
        return {"invalid": 2, "future": 0}

    def alerts_open(self) -> Mapping[str, int]:
        return {"oversold": 4}

    def gauges(self) -> Mapping[str, float]:
        return dict.fromkeys(SIZES, 3.0)


def status_of(**partitions: PartitionStatus) -> EngineStatus:
    numbered = {int(name.removeprefix("p")): status for name, status in partitions.items()}
    return EngineStatus(joined=True, problem=None, partitions=numbered)


def report(processor: FakeProcessor) -> BatchReport[FakeProcessor]:
    return BatchReport(
        partition=0,
        outcomes={("orders", Outcome.APPLIED): 2, ("orders", Outcome.STALE): 1},
        timestamps_ms=[NOW_MS - 5, NOW_MS - 50, NOW_MS - 500],
        committed_at_ms=NOW_MS,
        transaction_seconds=0.01,
        outputs=7,
        processor=processor,
    )


class Worker:
    """Metrics of a worker with the partition 0, and what Prometheus sees of them."""

    def __init__(self) -> None:
        self.processors = {0: FakeProcessor()}
        self.status: EngineStatus | None = status_of(p0=PartitionStatus(PartitionState.RUNNING, lag={"orders": 4}))
        self.process = Metrics(version="1.2.3")
        self.metrics = RoleMetrics(
            self.process,
            role="ledger",
            inputs=["orders", "commands"],
            processors=lambda: self.processors,
            status=lambda: self.status,
        )

    def sample(self, name: str, **labels: str) -> float | None:
        """The value with these labels, and of the role `ledger` where the metric has roles."""
        base = name.removesuffix("_count")
        spec = next(spec for spec in METRICS if base in (spec.name, spec.exposed_name))
        role = {"role": "ledger"} if "role" in spec.labels else {}
        return self.process.registry.get_sample_value(name, {**role, **labels})


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_every_documented_metric_is_exposed_and_no_other(worker: Worker) -> None:
    text = generate_latest(worker.process.registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    ours = {name for name in families if not name.startswith("process_")}
    assert ours == {spec.name for spec in METRICS}
    for spec in METRICS:
        assert families[spec.name].type == spec.kind
        assert families[spec.name].documentation == spec.help
        assert spec.help.endswith(".")


def test_the_contracts_names_are_the_exposed_ones(worker: Worker) -> None:
    worker.processors[0].tally["movement", "freeze"] = 5
    worker.metrics.batch_committed(report(worker.processors[0]))
    worker.metrics.restore_finished(0, 10, 0.3)
    assert worker.sample("stockfreeze_records_total", topic="orders", outcome="applied") == 2
    assert worker.sample("stockfreeze_records_total", topic="orders", outcome="stale") == 1
    assert worker.sample("stockfreeze_movements_total", movement="freeze") == 5
    assert worker.sample("stockfreeze_lag_records", topic="orders", partition="0") == 4
    assert worker.sample("stockfreeze_end_to_end_seconds_count") == 3
    assert worker.sample("stockfreeze_transaction_seconds_count") == 1
    assert worker.sample("stockfreeze_restore_seconds_count") == 1


def test_what_a_processor_tallied_is_counted_once_and_only_at_its_commit(worker: Worker) -> None:
    tally = worker.processors[0].tally
    tally["dead_letter", "invalid"] = 2
    assert worker.sample("stockfreeze_dead_letters_total", code="invalid") == 0
    worker.metrics.batch_committed(report(worker.processors[0]))
    worker.metrics.batch_committed(report(worker.processors[0]))
    assert worker.sample("stockfreeze_dead_letters_total", code="invalid") == 2
    tally["dead_letter", "invalid"] = 1
    worker.metrics.batch_committed(report(worker.processors[0]))
    assert worker.sample("stockfreeze_dead_letters_total", code="invalid") == 3
    assert worker.metrics.dead_lettered == {"invalid": 3}


def test_what_has_not_happened_yet_is_there_and_counted_as_0(worker: Worker) -> None:
    assert worker.sample("stockfreeze_records_total", topic="commands", outcome="dead_lettered") == 0
    assert all(worker.sample("stockfreeze_partition_restarts_total", cause=cause) == 0 for cause in CAUSES)
    for spec in METRICS:
        if spec.kind == "counter" and spec.labels == ("role",):
            assert worker.sample(spec.exposed_name) == 0, spec.name
    labelled = [
        spec for spec in METRICS if spec.kind == "counter" and len(spec.labels) == 1 and "role" not in spec.labels
    ]
    for spec in labelled:
        assert LABELS[spec.name], spec.name
        assert all(worker.sample(spec.exposed_name, **{spec.labels[0]: value}) == 0 for value in LABELS[spec.name])


def test_a_transaction_of_gaps_alone_does_not_make_the_others_look_quick(worker: Worker) -> None:
    worker.metrics.batch_committed(report(worker.processors[0])._replace(outcomes={}, timestamps_ms=[]))
    assert worker.sample("stockfreeze_transaction_seconds_count") == 0
    assert worker.sample("stockfreeze_transaction_records_count") == 0
    assert worker.metrics.records_committed == 0


def test_the_drift_rate_of_an_origin_can_be_computed(worker: Worker) -> None:
    worker.processors[0].tally.update({("drift_checked", "erp"): 8, ("drift_found", "erp"): 2})
    worker.metrics.batch_committed(report(worker.processors[0]))
    assert worker.sample("stockfreeze_drift_checked_total", origin="erp") == 8
    assert worker.sample("stockfreeze_drift_found_total", origin="erp") == 2


def test_a_partition_that_moved_away_leaves_no_series(worker: Worker) -> None:
    assert worker.sample("stockfreeze_orders_open", partition="0") == 3
    worker.processors.clear()
    worker.status = status_of(p1=PartitionStatus(PartitionState.RUNNING, lag={"orders": 0}))
    assert worker.sample("stockfreeze_orders_open", partition="0") is None
    assert worker.sample("stockfreeze_lag_records", topic="orders", partition="0") is None
    assert worker.sample("stockfreeze_lag_records", topic="orders", partition="1") == 0


def test_states_and_the_progress_of_a_restore_are_told(worker: Worker) -> None:
    worker.status = status_of(
        p0=PartitionStatus(PartitionState.RESTORING, restore=RestoreProgress(records=40, offset=50, target_offset=99)),
        p1=PartitionStatus(PartitionState.RUNNING, restore=RestoreProgress(records=90, offset=100, target_offset=99)),
        p2=PartitionStatus(PartitionState.HALTED, reason="the breaker is open"),
    )
    assert worker.sample("stockfreeze_restore_progress_ratio", partition="0") == 0.5
    assert worker.sample("stockfreeze_restore_progress_ratio", partition="1") is None
    counts = {state: worker.sample("stockfreeze_partitions", state=state.value) for state in PartitionState}
    assert {state for state, count in counts.items() if count == 1} == {
        PartitionState.RESTORING,
        PartitionState.RUNNING,
        PartitionState.HALTED,
    }
    assert sum(count or 0 for count in counts.values()) == 3
    assert worker.sample("stockfreeze_ready") == 0


def test_before_there_is_an_engine_metrics_are_told_all_the_same(worker: Worker) -> None:
    worker.status = None
    assert worker.sample("stockfreeze_ready") == 0
    assert worker.sample("stockfreeze_partitions", state="running") == 0


def test_restarts_halts_and_rebalances_are_counted(worker: Worker) -> None:
    worker.metrics.task_restarted(0, "fenced")
    worker.metrics.partition_halted(0, "the breaker is open")
    worker.metrics.partitions_assigned(frozenset({0}))
    assert worker.sample("stockfreeze_partition_restarts_total", cause="fenced") == 1
    assert worker.sample("stockfreeze_partition_halts_total") == 1
    assert worker.sample("stockfreeze_rebalances_total") == 1


def test_two_roles_that_read_the_same_topics_are_counted_apart(worker: Worker) -> None:
    partitions = {0: PartitionStatus(PartitionState.HALTED, lag={"orders": 9})}
    tally = RoleMetrics(
        worker.process,
        role="tally",
        inputs=["orders"],
        processors=dict[int, FakeProcessor],
        status=lambda: EngineStatus(joined=True, problem=None, partitions=partitions),
    )
    worker.metrics.batch_committed(report(worker.processors[0]))
    tally.batch_committed(report(worker.processors[0])._replace(outcomes={("orders", Outcome.APPLIED): 5}))
    applied = "stockfreeze_records_total"
    assert worker.sample(applied, topic="orders", outcome="applied") == 2
    assert worker.sample(applied, topic="orders", outcome="applied", role="tally") == 5
    assert worker.sample("stockfreeze_lag_records", topic="orders", partition="0") == 4
    assert worker.sample("stockfreeze_lag_records", topic="orders", partition="0", role="tally") == 9
    assert worker.sample("stockfreeze_role_ready") == 1
    assert worker.sample("stockfreeze_role_ready", role="tally") == 0
    assert worker.sample("stockfreeze_ready") == 0, "the worker is ready only if all its roles are"
    text = generate_latest(worker.process.registry).decode()
    series = [line.split(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series)), "Prometheus refuses a series that comes twice"


def test_the_real_processor_tells_the_sizes_that_are_documented() -> None:
    processor = PartitionProcessor(partition=0, partition_count=1, prefix="", policies=Policies())
    assert set(processor.gauges()) == set(SIZES)
    assert not processor.tally


def test_every_tally_has_one_label() -> None:
    assert all(len(spec.labels) == 1 for spec in TALLIES.values())


@given(st.lists(st.lists(st.integers(-10_000, 4_000_000), max_size=40), max_size=5))
def test_a_batch_of_ages_makes_the_same_histogram_as_each_of_them(batches: list[list[int]]) -> None:
    registry = CollectorRegistry()
    fast, slow = (
        AgeHistogram(END_TO_END.name, END_TO_END.help, LATENCY_EDGES_SECONDS),
        Histogram("slow", "Each observed.", buckets=LATENCY_EDGES_SECONDS, registry=registry),
    )
    registry.register(fast)
    fast.labels("ledger")
    for ages_ms in batches:
        without_a_timestamp = [-1] * len(ages_ms)
        fast.labels("ledger").observe([*without_a_timestamp, *(NOW_MS - age_ms for age_ms in ages_ms)], NOW_MS)
        for age_ms in ages_ms:
            slow.observe(max(0, age_ms) / 1000)
    for edge in [*map(str, LATENCY_EDGES_SECONDS), "+Inf"]:
        expected = registry.get_sample_value("slow_bucket", {"le": edge})
        assert registry.get_sample_value(f"{END_TO_END.name}_bucket", {"le": edge, "role": "ledger"}) == expected
    expected_sum = registry.get_sample_value("slow_sum")
    assert registry.get_sample_value(f"{END_TO_END.name}_sum", {"role": "ledger"}) == pytest.approx(expected_sum)
