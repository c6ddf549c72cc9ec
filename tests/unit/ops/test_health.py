"""Health: ready is a worker that processes all it was given; whatever keeps it from that is told."""

from __future__ import annotations

import pytest

from worker.ops.health import is_ready, readiness
from worker.stream.status import EngineStatus, PartitionState, PartitionStatus, RestoreProgress

RUNNING = PartitionStatus(PartitionState.RUNNING, lag={"orders": 2})


def test_a_worker_with_all_its_partitions_running_is_ready() -> None:
    told = readiness(EngineStatus(joined=True, problem=None, partitions={1: RUNNING, 0: RUNNING}))
    assert told["ready"] is True
    assert told["problem"] is None
    assert [partition["partition"] for partition in told["partitions"]] == [0, 1]
    assert told["partitions"][0] == {"partition": 0, "state": "running", "reason": None, "lag": {"orders": 2}}


def test_a_worker_that_the_group_gave_nothing_is_ready() -> None:
    assert is_ready(EngineStatus(joined=True, problem=None, partitions={}))


@pytest.mark.parametrize("state", [state for state in PartitionState if state is not PartitionState.RUNNING])
def test_one_partition_that_does_not_run_makes_the_worker_not_ready(state: PartitionState) -> None:
    other = PartitionStatus(state, reason="because")
    told = readiness(EngineStatus(joined=True, problem=None, partitions={0: RUNNING, 1: other}))
    assert told["ready"] is False
    assert told["partitions"][1]["state"] == state.value
    assert told["partitions"][1]["reason"] == "because"


def test_a_restore_that_is_going_on_tells_its_progress() -> None:
    restoring = PartitionStatus(PartitionState.RESTORING, restore=RestoreProgress(5, 6, 9))
    told = readiness(EngineStatus(joined=True, problem=None, partitions={0: restoring}))
    assert told["partitions"][0]["restore"] == {"records": 5, "offset": 6, "target_offset": 9}


def test_what_keeps_the_whole_worker_from_its_work_is_told() -> None:
    problem = readiness(EngineStatus(joined=True, problem="the broker is away", partitions={0: RUNNING}))
    assert (problem["ready"], problem["problem"]) == (False, "the broker is away")
    joining = readiness(EngineStatus(joined=False, problem=None, partitions={}))
    assert joining["ready"] is False
    assert "group" in joining["problem"]
    starting = readiness(None)
    assert starting["ready"] is False
    assert starting["problem"]
