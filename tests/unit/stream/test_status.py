from __future__ import annotations

import pytest

from worker.stream import EngineStatus, PartitionState, PartitionStatus


def _status(*states: PartitionState, joined: bool = True, problem: str | None = None) -> EngineStatus:
    return EngineStatus(joined, problem, {number: PartitionStatus(state) for number, state in enumerate(states)})


def test_a_worker_whose_partitions_all_run_is_ready() -> None:
    assert _status(PartitionState.RUNNING, PartitionState.RUNNING).ready


def test_a_worker_that_was_given_no_partition_is_ready() -> None:
    assert _status().ready


@pytest.mark.parametrize("state", [state for state in PartitionState if state is not PartitionState.RUNNING])
def test_a_worker_with_a_partition_that_does_not_run_is_not_ready(state: PartitionState) -> None:
    assert not _status(PartitionState.RUNNING, state).ready


def test_a_worker_outside_the_group_or_with_a_problem_is_not_ready() -> None:
    assert not _status(joined=False).ready
    assert not _status(PartitionState.RUNNING, problem="the broker is gone").ready
