"""The log's progress: readiness when it changes, and the rate while something happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from worker.ops.progress import INTERVAL_SECONDS, REMINDER_SECONDS, Progress
from worker.stream.status import EngineStatus, PartitionState, PartitionStatus


class Scene:
    def __init__(self) -> None:
        self.now_seconds = 100.0
        self.records = 0
        self.dead: Counter[str] = Counter()
        self.status: EngineStatus | None = None
        self.progress = Progress(
            lambda: self.status,
            lambda: self.records,
            lambda: self.dead,
            role="ledger",
            monotonic=lambda: self.now_seconds,
        )

    def tell(self, *, after_seconds: float = 1.0) -> list[Mapping[str, Any]]:
        self.now_seconds += after_seconds
        with capture_logs() as logged:
            self.progress.log_changes()
        return list(logged)


def status(state: PartitionState, *, problem: str | None = None) -> EngineStatus:
    partition = PartitionStatus(state, reason="the breaker is open", lag={"orders": 3, "stock": 4})
    return EngineStatus(joined=True, problem=problem, partitions={2: partition})


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_readiness_is_logged_when_it_changes_and_only_then(scene: Scene) -> None:
    assert scene.tell() == []
    scene.status = status(PartitionState.RUNNING)
    (ready,) = scene.tell()
    assert (ready["event"], ready["partitions"], ready["seconds_since_start"]) == ("ready", [2], 2.0)
    assert ready["role"] == "ledger"
    assert scene.tell() == []
    scene.status = status(PartitionState.HALTED)
    (not_ready,) = scene.tell()
    assert (not_ready["event"], not_ready["partitions"]) == ("not ready", {2: "the breaker is open"})
    scene.status = None
    assert scene.tell() == []


def test_an_obstacle_is_logged_when_it_changes_and_while_it_lasts(scene: Scene) -> None:
    scene.status = status(PartitionState.STARTING, problem="no fetch was answered for 9 s")
    (told,) = scene.tell()
    assert (told["event"], told["problem"]) == ("not ready", "no fetch was answered for 9 s")
    scene.status = status(PartitionState.STARTING, problem="no fetch was answered for 10 s")
    assert scene.tell(after_seconds=INTERVAL_SECONDS) == []
    scene.status = status(PartitionState.HALTED)
    (told,) = scene.tell()
    assert told["partitions"] == {2: "the breaker is open"}
    scene.status = status(PartitionState.HALTED, problem="topics are missing")
    assert scene.tell() == [], "what changes all the time does not fill the log"
    (told,) = scene.tell(after_seconds=INTERVAL_SECONDS)
    assert told["problem"] == "topics are missing"
    assert scene.tell(after_seconds=REMINDER_SECONDS - 1) == []
    assert len(scene.tell()) == 1


def test_a_worker_that_only_starts_logs_nothing(scene: Scene) -> None:
    partitions = {0: PartitionStatus(PartitionState.RESTORING)}
    scene.status = EngineStatus(joined=True, problem=None, partitions=partitions)
    assert scene.tell() == []


def test_dead_letters_are_logged_by_code_at_most_once_an_interval(scene: Scene) -> None:
    scene.dead["invalid"] += 2
    (told,) = scene.tell()
    assert (told["event"], told["log_level"], told["codes"]) == ("dead-lettered", "warning", {"invalid": 2})
    scene.dead.update(["invalid", "conflict"])
    assert scene.tell() == []
    (told,) = scene.tell(after_seconds=INTERVAL_SECONDS)
    assert told["codes"] == {"invalid": 1, "conflict": 1}
    assert scene.tell(after_seconds=INTERVAL_SECONDS) == []


def test_the_rate_is_logged_once_an_interval_while_records_come(scene: Scene) -> None:
    scene.status = status(PartitionState.RUNNING)
    scene.tell()
    scene.records = 500
    (told,) = scene.tell(after_seconds=INTERVAL_SECONDS - 1)
    assert told["event"] == "progress"
    assert told["records_per_second"] == 50
    assert told["records_since_start"] == 500
    assert told["lag_records"] == 7
    assert scene.tell() == []
    assert scene.tell(after_seconds=INTERVAL_SECONDS) == []
