"""The records of one transaction: processed one by one, counted, and reported to the observer after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Generic

from worker.clock import Clock
from worker.stream.config import EngineConfig
from worker.stream.errors import halt_at
from worker.stream.observer import BatchReport
from worker.stream.processor import Outcome, P
from worker.stream.records import InputRecord, Output, OutputRecord
from worker.stream.state.input_progress import InputProgress, outcomes_between
from worker.stream.state.positions import POSITIONS_KEY, Checkpoint, JournalEnd, encode_checkpoint
from worker.stream.time_slices import take_steps
from worker.stream.transactions.breaker import Breaker


class Batch(Generic[P]):
    """The records, outcomes and outputs of one transaction. Progress and breaker outlive it."""

    def __init__(
        self,
        config: EngineConfig,
        clock: Clock,
        partition: int,
        processor: P,
        progress: InputProgress,
        breaker: Breaker,
    ) -> None:
        self._config = config
        self._clock = clock
        self._partition = partition
        self._processor = processor
        self._progress = progress
        self._breaker = breaker
        self._before = progress.positions()
        self._timestamps_ms: list[int] = []
        self._bytes = 0
        self._outputs = 0
        self._began_at = clock.monotonic()
        self.tripped = False
        """Whether the breaker opened. Then no further record is processed."""

    async def decide(self, chunk: Sequence[InputRecord]) -> None:
        """Process records in order, and let other tasks run in between. Raises Halt if the processor fails."""
        processor = self._processor
        process, count, monotonic = processor.process, self._progress.count, self._clock.monotonic
        bad = Outcome.DEAD_LETTERED  # looked up once, because access to a member of an enum calls a method
        slice_ms = self._config.chunk_time_ms_max
        slice_seconds = slice_ms / 1000
        yield_at = monotonic() + slice_seconds
        for record in chunk:
            try:
                outcome = process(record)
                if processor.rest is not None:
                    await asyncio.sleep(0)  # the record is large, so `process` took long already
                    await take_steps(processor.rest, self._clock, slice_ms)
            except Exception as error:
                raise halt_at(self._partition, f"{record.topic}/{record.partition}/{record.offset}", error) from error
            count(record, outcome)
            self._timestamps_ms.append(record.timestamp)
            self._bytes += record.size_bytes
            if self._breaker.open_after(bad=outcome is bad):
                self.tripped = True
                return
            if monotonic() >= yield_at:
                await asyncio.sleep(0)
                yield_at = monotonic() + slice_seconds
        await asyncio.sleep(0)

    @property
    def room(self) -> int:
        """How many records the next chunk may have; 0 if the batch is full."""
        if self.tripped or self._bytes >= self._config.batch_bytes_max:
            return 0
        if self._clock.monotonic() - self._began_at >= self._config.batch_time_ms_max / 1000:
            return 0
        left = self._config.batch_records_max - len(self._timestamps_ms)
        return min(left, self._config.chunk_records_max)

    async def flush(self, append: Callable[[Sequence[Output]], None], journal_end: Callable[[], JournalEnd]) -> None:
        """Append outputs, changed state, and the positions. Raises Halt if the processor fails.

        `journal_end` returns where the journal ends once the appended records are committed.
        """
        await take_steps(self._appended(append), self._clock, self._config.chunk_time_ms_max)
        progress = self._progress
        checkpoint = Checkpoint(
            progress.positions(), progress.stream_time_ms, journal_end(), self._processor.state_records
        )
        value = encode_checkpoint(checkpoint)
        append([OutputRecord(self._config.state_topic, POSITIONS_KEY, value)])
        self._outputs += 1

    def _appended(self, append: Callable[[Sequence[Output]], None]) -> Iterator[None]:
        for outputs in self._flushed():
            append(outputs)
            self._outputs += len(outputs)
            yield

    def _flushed(self) -> Iterator[Sequence[Output]]:
        try:
            yield from self._processor.flush()
        except Exception as error:
            raise halt_at(self._partition, "the end of a batch", error) from error

    def report(self) -> BatchReport[P]:
        """The report for the observer, once the transaction is committed."""
        return BatchReport(
            partition=self._partition,
            outcomes=outcomes_between(self._before, self._progress.positions()),
            timestamps_ms=self._timestamps_ms,
            committed_at_ms=self._clock.now_ms(),
            transaction_seconds=self._clock.monotonic() - self._began_at,
            outputs=self._outputs,
            processor=self._processor,
        )
