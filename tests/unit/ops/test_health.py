"""Health: ready is a worker that processes all it was given; whatever keeps it from that is told."""

from __future__ import annotations

import pytest

from worker.ops.health import is_ready, readiness
from worker.stream.status import EngineState, EngineStatus, PartitionState, PartitionStatus, RestoreProgress

RUNNING = PartitionStatus(PartitionState.RUNNING, lag={"orders": 2})


def test_a_worker_with_all_its_partitions_running_is_ready() -> None:
    told = readiness({"ledger": EngineStatus(joined=True, problem=None, partitions={1: RUNNING, 0: RUNNING})})
    assert told["ready"] is True
    assert told["problem"] is None
    assert [partition["partition"] for partition in told["partitions"]] == [0, 1]
    assert told["partitions"][0] == {
        "role": "ledger",
        "partition": 0,
        "state": "running",
        "reason": None,
        "lag": {"orders": 2},
    }


def test_a_worker_that_the_group_gave_nothing_is_ready() -> None:
    assert is_ready(EngineStatus(joined=True, problem=None, partitions={}))


@pytest.mark.parametrize("state", [state for state in PartitionState if state is not PartitionState.RUNNING])
def test_one_partition_that_does_not_run_makes_the_worker_not_ready(state: PartitionState) -> None:
    other = PartitionStatus(state, reason="because")
    told = readiness({"ledger": EngineStatus(joined=True, problem=None, partitions={0: RUNNING, 1: other})})
    assert told["ready"] is False
    assert told["partitions"][1]["state"] == state.value
    assert told["partitions"][1]["reason"] == "because"


def test_a_restore_that_goes_on_shows_its_progress() -> None:
    restoring = PartitionStatus(PartitionState.RESTORING, restore=RestoreProgress(5, 6, 9))
    told = readiness({"ledger": EngineStatus(joined=True, problem=None, partitions={0: restoring})})
    assert told["partitions"][0]["restore"] == {"records": 5, "offset": 6, "target_offset": 9}


def test_what_keeps_the_whole_worker_from_its_work_is_shown() -> None:
    problem = readiness({"ledger": EngineStatus(joined=True, problem="the broker is away", partitions={0: RUNNING})})
    assert (problem["ready"], problem["problem"]) == (False, "the broker is away")
    joining = readiness({"ledger": EngineStatus(joined=False, problem=None, partitions={})})
    assert joining["ready"] is False
    assert "group" in joining["problem"]
    starting = readiness({"ledger": None})
    assert starting["ready"] is False
    assert starting["problem"]


def test_a_worker_is_ready_only_if_all_its_roles_are() -> None:
    ready = EngineStatus(joined=True, problem=None, partitions={0: RUNNING})
    away = EngineStatus(joined=False, problem="the broker is away", partitions={}, state=EngineState.BACKING_OFF)
    health = readiness({"ledger": ready, "tally": away})
    assert (health["ready"], health["problem"]) == (False, "tally: the broker is away")
    assert health["roles"] == [
        {"role": "ledger", "ready": True, "state": "in_session", "problem": None},
        {"role": "tally", "ready": False, "state": "backing_off", "problem": "the broker is away"},
    ]
    assert readiness({"ledger": ready, "tally": ready})["ready"] is True


def test_each_partition_of_several_roles_has_its_role() -> None:
    halted = PartitionStatus(PartitionState.HALTED, reason="because")
    roles = {
        "ledger": EngineStatus(joined=True, problem=None, partitions={0: RUNNING}),
        "tally": EngineStatus(joined=True, problem=None, partitions={0: halted}),
    }
    partitions = readiness(roles)["partitions"]
    assert [(one["role"], one["partition"], one["state"]) for one in partitions] == [
        ("ledger", 0, "running"),
        ("tally", 0, "halted"),
    ]


def test_each_problem_of_several_roles_has_its_role() -> None:
    joining = EngineStatus(joined=False, problem=None, partitions={})
    problem = readiness({"ledger": joining, "tally": None})["problem"]
    assert problem == "ledger: the worker is joining its consumer group; tally: the engine is being started"
