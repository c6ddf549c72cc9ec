from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from tests.named import named
from tests.unit.stream.fakes import CONFIG, Obedient, Time
from tests.unit.stream.records import record
from worker.stream import Outcome, OutputRecord
from worker.stream.errors import Halt
from worker.stream.records import Output
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.positions import (
    POSITIONS_KEY,
    JournalEnd,
    LastRecord,
    Position,
    begun_at,
    decode_checkpoint,
)
from worker.stream.transactions.batch import Batch
from worker.stream.transactions.breaker import Breaker

APPLIED, BAD, BOOM = b"applied", b"dead_lettered", b"boom"
STEPS = 50


class _Rig:
    def __init__(self, bad_max: int = 0) -> None:
        self.time = Time()
        self.processor = Obedient()
        self.progress = InputProgress.of({"a": begun_at(0), "b": begun_at(0)}, -1)
        self.batch = Batch(CONFIG, self.time.clock, 7, self.processor, self.progress, Breaker(bad_max, 10))

    def steps(self, *, boom: bool = False) -> Iterator[None]:
        """Each as long as a slice."""
        for number in range(STEPS):
            self.time.seconds += CONFIG.chunk_time_ms_max / 1000
            if boom and number == STEPS - 1:
                raise ValueError("the last key does not add up")
            yield

    async def flush(self) -> list[OutputRecord]:
        parts: list[Sequence[Output]] = []
        await self.batch.flush(parts.append, lambda: JournalEnd(28, 30))
        return named(parts)

    async def decide(self, *values: bytes) -> None:
        await self.batch.decide([record("a", offset, 100 + offset, value) for offset, value in enumerate(values)])


class _Others:
    """Whoever else lives on the event loop: how often it had its turn, and what it could see of the batch."""

    def __init__(self, rig: _Rig) -> None:
        self.turns = 0
        self.counted_meanwhile = 0
        self._rig = rig
        self._go_on()

    def _go_on(self) -> None:
        self.turns += 1
        self.counted_meanwhile = max(self.counted_meanwhile, self._rig.progress.positions()["a"].next_offset)
        if self.turns < STEPS:
            asyncio.get_running_loop().call_soon(self._go_on)


async def test_a_batch_writes_what_the_processor_says_and_then_the_positions() -> None:
    rig = _Rig()
    rig.processor.flushed = [OutputRecord("out", b"key", b"value")]
    rig.processor.state_records = 4
    await rig.decide(APPLIED, BAD)
    first, last = await rig.flush()
    assert first == OutputRecord("out", b"key", b"value")
    assert (last.topic, last.key) == ("state", POSITIONS_KEY)
    checkpoint = decode_checkpoint(last.value or b"")
    assert checkpoint.positions["a"].counts == Position(2, applied=1, dead_lettered=1).counts
    assert checkpoint.positions["a"].last == LastRecord.of(record("a", 1, 101, BAD))
    assert checkpoint.positions["b"] == Position(0)
    assert checkpoint[1:] == (101, JournalEnd(28, 30), 4)


async def test_a_report_tells_this_batch_alone() -> None:
    rig = _Rig()
    rig.progress.count(record("b", 0, 50), Outcome.STALE)
    rig.batch = Batch(CONFIG, rig.time.clock, 7, rig.processor, rig.progress, Breaker(0, 10))
    await rig.decide(APPLIED, APPLIED)
    await rig.flush()
    rig.time.seconds += 0.25
    report = rig.batch.report()
    assert report.outcomes == {("a", Outcome.APPLIED): 2}
    assert report.timestamps_ms == [100, 101]
    assert (report.partition, report.outputs) == (7, 1)
    assert report.transaction_seconds == pytest.approx(0.25)
    assert report.committed_at_ms == 1_000_250


async def test_a_processor_that_raises_halts_and_names_the_record() -> None:
    with pytest.raises(Halt, match="partition 7 stopped at a/0/1: ValueError: it does not add up"):
        await _Rig().decide(APPLIED, BOOM, APPLIED)


async def test_a_flush_that_raises_halts() -> None:
    rig = _Rig()
    rig.processor.flushed = ValueError("units are missing")
    with pytest.raises(Halt, match="at the end of a batch: ValueError: units are missing"):
        await rig.flush()


async def test_the_rest_of_a_record_is_done_before_the_next_one_in_steps() -> None:
    rig = _Rig()
    rig.processor.rest = rig.steps()
    others = _Others(rig)
    await rig.decide(APPLIED)
    assert next(rig.processor.rest, "done") == "done"
    assert others.turns >= STEPS
    assert others.counted_meanwhile == 0, "a record that is half done is not counted"
    assert rig.progress.positions()["a"].counts == Position(1, applied=1).counts


async def test_a_rest_that_raises_halts_and_names_the_record() -> None:
    rig = _Rig()
    rig.processor.rest = rig.steps(boom=True)
    with pytest.raises(Halt, match="partition 7 stopped at a/0/0: ValueError: the last key does not add up"):
        await rig.decide(APPLIED)
    assert rig.progress.positions()["a"].counts == Position(0).counts


async def test_a_flush_lets_others_go_on_between_its_steps() -> None:
    rig = _Rig()
    await rig.decide(APPLIED)
    rig.processor.flushing = rig.steps()
    others = _Others(rig)
    await rig.flush()
    assert others.turns >= STEPS


async def test_a_step_of_a_flush_that_raises_halts() -> None:
    rig = _Rig()
    rig.processor.flushing = rig.steps(boom=True)
    with pytest.raises(Halt, match="at the end of a batch: ValueError: the last key does not add up"):
        await rig.flush()


async def test_nothing_is_decided_after_the_breaker_opened() -> None:
    rig = _Rig(bad_max=2)
    await rig.decide(BAD, BAD, APPLIED)
    assert rig.batch.tripped
    assert rig.batch.room == 0
    assert rig.progress.positions()["a"].counts == Position(2, dead_lettered=2).counts


async def test_a_batch_is_bounded_in_records_bytes_and_time() -> None:
    rig = _Rig()
    assert rig.batch.room == 3, "a chunk"
    await rig.decide(APPLIED, APPLIED, APPLIED)
    assert rig.batch.room == 2, "what is left of the batch"
    rig.time.seconds += 0.5
    assert rig.batch.room == 0
    long = _Rig()
    await long.batch.decide([record("a", 0, 0, APPLIED, b"k" * 100)])
    assert long.batch.room == 0
