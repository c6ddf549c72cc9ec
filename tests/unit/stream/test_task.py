from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping

import pytest
from aiokafka.errors import CorruptRecordException, KafkaConnectionError, OffsetOutOfRangeError

from tests.unit.stream.fakes import CONFIG, Obedient, Time, surroundings_at
from tests.unit.stream.records import record
from tests.unit.stream.stage import Stage
from worker.clock import Chance
from worker.stream import InputRecord, Outcome, OutputRecord, PartitionState, Processor
from worker.stream.errors import StepTimeout
from worker.stream.feed import Feed, Inlet
from worker.stream.task import PartitionTask

GONE = OffsetOutOfRangeError()


class _Feed(Feed):
    """Returns the lags and ends that the test sets."""

    def __init__(self) -> None:
        self.lags_now: dict[str, int] = {}
        self.ends_now: dict[str, int] | None = None

    async def lags(self, partition: int) -> dict[str, int]:
        assert partition == 3
        return self.lags_now

    async def ends(self, partition: int) -> dict[str, int]:
        assert partition == 3
        if self.ends_now is None:
            raise KafkaConnectionError
        return self.ends_now


def _running(time: Time) -> tuple[PartitionTask[Processor], _Feed]:
    feed = _Feed()
    surroundings = surroundings_at(time)
    task = PartitionTask(surroundings, feed, 3, 8)
    task.state = PartitionState.RUNNING
    return task, feed


async def test_a_partition_that_stands_still_with_lag_is_stalled() -> None:
    time = Time()
    task, feed = _running(time)
    feed.lags_now = {"a": 0, "b": 5}
    await task.measure(feed)
    time.seconds += 15
    await task.measure(feed)
    assert task.status().state is PartitionState.RUNNING
    time.seconds += 1
    status = task.status()
    assert status.state is PartitionState.STALLED
    assert status.reason is not None
    assert status.reason.startswith("partition 3 has records to process, but has committed none for 16 s: ")
    assert status.lag == {"a": 0, "b": 5}


async def test_a_partition_without_lag_may_stand_still() -> None:
    time = Time()
    task, feed = _running(time)
    feed.lags_now = {"a": 0, "b": 0}
    time.seconds += 100
    await task.measure(feed)
    assert task.status().state is PartitionState.RUNNING
    feed.lags_now = {"a": 1, "b": 0}
    await task.measure(feed)
    assert task.status().state is PartitionState.RUNNING, "the lag has only just begun"


@pytest.mark.parametrize("state", [state for state in PartitionState if state is not PartitionState.RUNNING])
async def test_the_lag_of_a_partition_that_is_not_read_is_known(state: PartitionState) -> None:
    task, feed = _running(Time())
    task.state = state
    feed.ends_now = {"a": 17, "b": 5}
    await task.measure(feed)
    assert task.status().lag == {}, "it has never been read"
    task._offsets = {"a": 10, "b": 5}
    feed.ends_now = {"a": 17, "b": 5}
    await task.measure(feed)
    assert task.status().lag == {"a": 7, "b": 0}
    feed.ends_now = None
    await task.measure(feed)
    assert task.status().lag == {"a": 7, "b": 0}, "the broker does not answer"


def test_retries_are_spread() -> None:
    chance = Chance(random.Random(1))
    waits = {chance.spread(1000) for _ in range(100)}
    assert len(waits) > 50
    assert all(0.5 <= wait <= 1 for wait in waits)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


async def test_a_missing_offset_does_not_halt_if_the_state_is_beyond_it(stage: Stage) -> None:
    went_on = asyncio.Event()

    def scene(inlet: Inlet, offsets: Mapping[str, int]) -> None:
        if offsets["a"] < 30:
            # While this task slept, another worker processed ten records, which were deleted thereafter.
            stage.state["a"] += 10
            inlet.lost("a", offsets["a"], GONE)
        else:
            went_on.set()

    stage.scene = scene
    await stage.until(went_on)
    assert [offsets["a"] for offsets in stage.opened] == [10, 20, 30]
    assert stage.eye.causes == ["lost", "lost"]
    assert stage.waits_ms == [CONFIG.fenced_backoff_ms] * 2, "the group may give the partition to its owner first"


async def test_a_missing_offset_that_the_restored_state_has_again_halts(stage: Stage) -> None:
    stage.scene = lambda inlet, offsets: inlet.lost("a", offsets["a"], GONE)
    reason = await stage.until_halted()
    assert reason.startswith("partition 3 must continue at offset 10 of a, which the topic does not have")
    assert "`stockfreeze topics accept a --from beginning`" in reason
    assert len(stage.opened) == 2


async def test_inputs_that_are_lost_in_turn_halt_too(stage: Stage) -> None:
    def scene(inlet: Inlet, offsets: Mapping[str, int]) -> None:
        topic = "ab"[len(stage.opened) % 2]
        inlet.lost(topic, offsets[topic], GONE)

    stage.scene = scene
    assert "at offset 10 of" in await stage.until_halted()
    assert len(stage.opened) == 3


async def test_an_offset_that_was_only_read_ahead_to_does_not_halt(stage: Stage) -> None:
    went_on = asyncio.Event()

    def scene(inlet: Inlet, _offsets: Mapping[str, int]) -> None:
        if len(stage.opened) < 4:
            # The log was cut by an unclean election: what the state has is there.
            inlet.lost("a", 15, GONE)
        else:
            went_on.set()

    stage.scene = scene
    await stage.until(went_on)
    assert stage.eye.causes == ["lost"] * 3


async def test_a_corrupt_batch_halts_after_the_records_before_it_and_a_retry(stage: Stage) -> None:
    def scene(inlet: Inlet, offsets: Mapping[str, int]) -> None:
        if offsets["a"] == 10:
            _a_record_comes(inlet, offsets)
            stage.state["a"] += 1
        inlet.lost("a", 11, CorruptRecordException("Invalid CRC"))

    stage.scene = scene
    stage.commits.append(None)
    reason = await stage.until_halted()
    assert [offsets["a"] for offsets in stage.opened] == [10, 11]
    assert reason.startswith("partition 3 must continue at offset 11 of a, which cannot be read (Corrupt")
    assert stage.eye.causes == ["lost"]
    assert stage.committed.is_set()


async def test_what_cannot_be_read_behind_a_gap_halts_too(stage: Stage) -> None:
    stage.scene = lambda inlet, _offsets: inlet.lost("a", 15, CorruptRecordException("Invalid CRC"))
    assert "offset 15 of a, which cannot be read" in await stage.until_halted()
    assert len(stage.opened) == 2


def _a_record_comes(inlet: Inlet, offsets: Mapping[str, int]) -> None:
    inlet.merge.put("a", [record("a", offsets["a"], 1, b"applied", partition=3)])
    inlet.wake.set()


async def test_each_failed_transaction_in_a_row_waits_longer(stage: Stage) -> None:
    stage.scene = _a_record_comes
    stage.commits.extend([StepTimeout("committing")] * 8)
    stage.commits.append(None)
    await stage.until(stage.committed)
    assert stage.waits_ms == [100, 200, 400, 800, 1600, 3200, CONFIG.backoff_ms_max, CONFIG.backoff_ms_max]


async def test_a_producer_that_does_not_start_is_made_anew_ever_more_seldom(stage: Stage) -> None:
    stage.scene = _a_record_comes
    stage.starts.extend([KafkaConnectionError("there is no broker"), StepTimeout("starting the producer")])
    stage.commits.append(None)
    await stage.until(stage.committed)
    assert (stage.eye.causes, stage.waits_ms) == (["broker", "timeout"], [100, 200])
    assert (stage.writers, stage.discarded) == (3, 3)


async def test_after_a_commit_the_back_off_begins_anew(stage: Stage) -> None:
    failed_again = asyncio.Event()

    def scene(inlet: Inlet, offsets: Mapping[str, int]) -> None:
        _a_record_comes(inlet, offsets)
        if stage.committed.is_set():
            failed_again.set()
        elif len(stage.opened) == 3:
            more = [record("a", offsets["a"] + number, 1, b"applied", partition=3) for number in range(1, 9)]
            inlet.merge.put("a", more)

    stage.scene = scene
    fails = StepTimeout("committing")
    stage.commits.extend([fails, fails, None, fails, fails, fails])
    await stage.until(failed_again)
    assert stage.waits_ms[:3] == [100, 200, 100]


async def test_a_task_that_ran_long_without_records_begins_its_back_off_anew(stage: Stage) -> None:
    ran_seconds = iter([30, 30, 31])
    ended = asyncio.Event()

    def look() -> None:
        stage.time.seconds += next(ran_seconds, 0)
        if len(stage.opened) == 4:
            ended.set()
        raise KafkaConnectionError("the broker is gone")

    stage.look = look
    await stage.until(ended)
    assert stage.waits_ms[:3] == [100, 200, 100]


class _Failing(Obedient):
    """Has a defect at a place of the test's choice."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def _may_fail(self, place: str) -> None:
        if place == self._place:
            raise TypeError("the program is wrong")

    def finish_restore(self, stream_time_ms: int, generations: Mapping[str, int]) -> Iterator[None]:
        self._may_fail("finish_restore")
        return self._steps(stream_time_ms, generations)

    def _steps(self, stream_time_ms: int, generations: Mapping[str, int]) -> Iterator[None]:
        yield
        self._may_fail("a step of finish_restore")
        yield from super().finish_restore(stream_time_ms, generations)

    def waits(self, record: InputRecord) -> bool:
        self._may_fail("waits")
        return super().waits(record)

    def process(self, record: InputRecord) -> Outcome:
        self._may_fail("process")
        return super().process(record)

    def flush(self) -> Iterator[list[OutputRecord]]:
        self._may_fail("flush")
        return super().flush()


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("finish_restore", "the end of its restore"),
        ("a step of finish_restore", "the end of its restore"),
        ("waits", "a/3/10"),
        ("process", "a/3/10"),
        ("flush", "the end of a batch"),
    ],
)
async def test_a_processor_with_a_defect_halts_its_partition_wherever_it_has_it(
    stage: Stage, place: str, named: str
) -> None:
    stage.scene = _a_record_comes
    stage.make = lambda: _Failing(place)
    reason = await stage.until_halted()
    assert reason.startswith(f"partition 3 stopped at {named}: TypeError: the program is wrong")
    assert stage.eye.causes == []
    assert not stage.committed.is_set()


async def test_a_processor_that_cannot_be_made_halts_its_partition(stage: Stage) -> None:
    def make() -> Processor:
        raise TypeError("the program is wrong")

    stage.make = make
    reason = await stage.until_halted()
    assert reason.startswith("partition 3 stopped at the making of its processor: TypeError: the program is wrong")
    assert stage.eye.causes == []


@pytest.mark.parametrize("halts", [False, True])
async def test_every_writer_is_discarded_however_the_task_ends(stage: Stage, *, halts: bool) -> None:
    if halts:
        stage.scene = lambda inlet, offsets: inlet.lost("a", offsets["a"], GONE)
        await stage.until_halted()
    else:
        stage.scene = _a_record_comes
        stage.commits.extend([StepTimeout("committing"), None])
        await stage.until(stage.committed)
    assert (stage.writers, stage.discarded) == (2, 2)


async def test_a_task_that_is_stopped_before_it_reads_ends_at_once(stage: Stage) -> None:
    stage.may_restore.clear()
    stage.task.start()
    for _ in range(10):
        await asyncio.sleep(0)
    assert stage.task.status().state is PartitionState.RESTORING
    await stage.task.stop()
    assert stage.task.status().state is PartitionState.STOPPED
    assert (stage.writers, stage.discarded) == (1, 1)


async def test_the_lag_of_a_partition_that_halted_before_a_commit_is_known(stage: Stage) -> None:
    stage.scene = lambda inlet, offsets: inlet.lost("a", offsets["a"], GONE)
    await stage.until_halted()
    feed = _Feed()
    feed.ends_now = {"a": 15, "b": 10}
    await stage.task.measure(feed)
    assert stage.task.status().lag == {"a": 5, "b": 0}


async def test_a_partition_that_starts_again_says_why(stage: Stage) -> None:
    stage.scene = _a_record_comes
    stage.commits.extend([StepTimeout("committing did not end within 9 ms"), None])
    await stage.until(stage.committed)
    (reason,) = stage.eye.reasons
    assert reason is not None
    assert reason.startswith("partition 3 starts again: ")
    assert "committing did not end within 9 ms" in reason


async def test_a_defect_of_the_task_itself_is_not_blamed_on_the_broker(stage: Stage) -> None:
    reported = asyncio.Event()

    def look() -> None:
        if stage.eye.causes:
            reported.set()
        raise TypeError("the program is wrong")

    stage.look = look
    await stage.until(reported)
    assert set(stage.eye.causes) == {"defect"}
