"""The task of a partition walks through its states, and halts rather than take a transition that is not allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from tests.unit.stream.fakes import Obedient
from tests.unit.stream.records import record
from tests.unit.stream.stage import Stage
from worker.stream import InputRecord, Outcome, PartitionState, Processor
from worker.stream.errors import Halt, StepTimeout
from worker.stream.feed import Inlet
from worker.stream.status import PARTITION_TRANSITIONS
from worker.stream.task import PartitionTask

S = PartitionState


class _Broken(Obedient):
    """Fails at one of its methods, by its name."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def waits(self, record: InputRecord) -> bool:
        if self._place == "waits":
            raise TypeError("the program is wrong")
        return super().waits(record)

    def process(self, record: InputRecord) -> Outcome:
        if self._place == "process":
            raise TypeError("the program is wrong")
        return super().process(record)


def _a_record_comes(stage: Stage) -> None:
    def scene(inlet: Inlet, offsets: Mapping[str, int]) -> None:
        inlet.merge.put("a", [record("a", offsets["a"], 1, b"applied")])
        inlet.wake.set()

    stage.scene = scene


async def _commit(stage: Stage) -> None:
    _a_record_comes(stage)
    stage.commits.append(None)
    await stage.until(stage.committed)


async def _fail_once(stage: Stage) -> None:
    _a_record_comes(stage)
    stage.commits.extend([StepTimeout("committing"), None])
    await stage.until(stage.committed)


async def _fail_to_start(stage: Stage) -> None:
    stage.starts.append(StepTimeout("starting the producer"))
    await _commit(stage)


async def _breach_twice(stage: Stage) -> None:
    stage.ends = {"a": 5}
    await stage.until_halted()


async def _break_at(stage: Stage, place: str) -> None:
    _a_record_comes(stage)
    stage.make = lambda: _Broken(place)
    await stage.until_halted()


async def _break_before_a_transaction(stage: Stage) -> None:
    await _break_at(stage, "waits")


async def _break_in_a_transaction(stage: Stage) -> None:
    await _break_at(stage, "process")


async def _break_the_producer(stage: Stage) -> None:
    stage.starts.append(Halt("a broken invariant"))
    await stage.until_halted()


async def _stop_at_once(stage: Stage) -> None:
    stage.task._stopping.set()
    stage.task.start()
    await asyncio.sleep(0)


async def _stop_while_restoring(stage: Stage) -> None:
    stage.may_restore.clear()
    stage.task.start()
    for _ in range(10):
        await asyncio.sleep(0)
    await stage.task.stop()


async def _stop_while_backing_off(stage: Stage) -> None:
    failed = asyncio.Event()
    stage.starts.append(StepTimeout("starting the producer"))

    def stop(partition: int, cause: str) -> None:
        assert (partition, cause) == (3, "timeout")
        stage.task._stopping.set()
        failed.set()

    stage.eye.task_restarted = stop  # type: ignore[method-assign]
    await stage.until(failed)


Walk = Callable[[Stage], Awaitable[None]]
STARTED = [S.RESTORING, S.RUNNING]
WALKS: list[tuple[Walk, list[PartitionState]]] = [
    (_commit, [*STARTED, S.STOPPED]),
    (_fail_once, [*STARTED, S.BACKING_OFF, S.STARTING, *STARTED, S.STOPPED]),
    (_fail_to_start, [S.BACKING_OFF, S.STARTING, *STARTED, S.STOPPED]),
    (_breach_twice, [S.RESTORING, S.BACKING_OFF, S.STARTING, S.RESTORING, S.HALTED]),
    (_break_before_a_transaction, [*STARTED, S.HALTED]),
    (_break_in_a_transaction, [*STARTED, S.BACKING_OFF, S.HALTED]),
    (_break_the_producer, [S.HALTED]),
    (_stop_at_once, [S.STOPPED]),
    (_stop_while_restoring, [S.RESTORING, S.STOPPED]),
    (_stop_while_backing_off, [S.BACKING_OFF, S.STOPPED]),
]


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


@pytest.mark.parametrize(("walk", "states"), WALKS)
async def test_a_task_walks_through_its_states(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, walk: Walk, states: list[PartitionState]
) -> None:
    entered = []
    enter = PartitionTask._enter

    def note(task: PartitionTask[Processor], state: PartitionState) -> None:
        enter(task, state)
        entered.append(state)

    monkeypatch.setattr(PartitionTask, "_enter", note)
    await walk(stage)
    assert entered == states


def test_the_walks_take_every_transition_of_the_table() -> None:
    walked = {pair for _, states in WALKS for pair in zip([S.STARTING, *states], states, strict=False)}
    assert walked == {(now, wanted) for now, after in PARTITION_TRANSITIONS.items() for wanted in after}


async def test_a_forbidden_transition_halts_before_anything_commits(stage: Stage) -> None:
    def make() -> Processor:
        stage.task.state = S.BACKING_OFF  # as a defect would
        return Obedient()

    _a_record_comes(stage)
    stage.make = make
    reason = await stage.until_halted()
    assert reason.startswith("partition 3 cannot go from backing_off to running: this is a defect of the worker")
    assert stage.task.state is S.HALTED
    assert not stage.committed.is_set()
