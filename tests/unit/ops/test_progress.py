"""The log's progress: readiness when it changes, and the rate while something happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from worker.ops.progress import INTERVAL_S, Progress
from worker.stream.status import EngineStatus, PartitionState, PartitionStatus


class Scene:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.records = 0
        self.status: EngineStatus | None = None
        self.progress = Progress(lambda: self.status, lambda: self.records, monotonic=lambda: self.now_s)

    def tell(self, *, after_s: float = 1.0) -> list[Mapping[str, Any]]:
        self.now_s += after_s
        with capture_logs() as logged:
            self.progress.tell()
        return list(logged)


def status(state: PartitionState, *, problem: str | None = None) -> EngineStatus:
    partition = PartitionStatus(state, reason="the breaker is open", lag={"orders": 3, "stock": 4})
    return EngineStatus(joined=True, problem=problem, partitions={2: partition})


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_readiness_is_told_when_it_changes_and_only_then(scene: Scene) -> None:
    assert scene.tell() == []
    scene.status = status(PartitionState.RUNNING)
    (ready,) = scene.tell()
    assert (ready["event"], ready["partitions"], ready["seconds_since_start"]) == ("ready", [2], 2.0)
    assert scene.tell() == []
    scene.status = status(PartitionState.HALTED)
    (not_ready,) = scene.tell()
    assert (not_ready["event"], not_ready["partitions"]) == ("not ready", {2: "the breaker is open"})
    scene.status = None
    assert scene.tell() == []


def test_the_rate_is_told_once_an_interval_while_records_are_processed(scene: Scene) -> None:
    scene.status = status(PartitionState.RUNNING)
    scene.tell()
    scene.records = 500
    (told,) = scene.tell(after_s=INTERVAL_S - 1)
    assert told["event"] == "progress"
    assert told["records_per_second"] == 50
    assert told["records_since_start"] == 500
    assert told["lag_records"] == 7
    assert scene.tell() == []
    assert scene.tell(after_s=INTERVAL_S) == []
