"""The start of a partition: fence earlier producers, restore the state, and compare it with the topics.

Every question is asked after fencing, when no other worker writes for this partition any more. The comparison itself
is pure (`worker.stream.start.guards`). If state and topics do not belong together, the partition must not be processed.

A worked example: worker A is paused, and the group gives its partition to worker B.

    state topic, by offset
    40  positions: next offset 10       the last transaction that A committed
    41  (marker)
    42  fence record of B               B took the next epoch first, so A can commit nothing after 42
    43  (marker)

    1. B fences A. If A had left a transaction open, the broker aborts it now.
    2. B asks where its inputs, the journal and the state begin and end.
    3. B restores the records up to offset 42, and so has all that A ever committed: the next offset is 10.
       If B had this partition before, up to offset 40, nothing was committed between 40 and 42. Then it takes the state
       from memory instead (`_resume`).
    4. B compares: does the journal end where the state expects it, are the input's records the ones that were read?
    5. B records what the state lacks, such as the ids of topics, and processes from offset 10.

    When A wakes up, its producer is fenced (`worker.stream.errors.RestartCause.FENCED`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic

from worker.stream.config import EngineConfig
from worker.stream.errors import Breached, Halt, halt_at
from worker.stream.processor import P
from worker.stream.records import OutputRecord
from worker.stream.start.guards import ANOTHER_SYSTEM, Bounds, Found, Guards
from worker.stream.start.partition_reader import PartitionReader
from worker.stream.start.restore import Restored, StateReader
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.known_topics import KnownTopics, encode_known_topics
from worker.stream.state.memory import Memory
from worker.stream.state.positions import (
    FORMAT_KEY,
    NO_STREAM_TIME,
    POSITIONS_KEY,
    TOPICS_KEY,
    UNKNOWN,
    Checkpoint,
    JournalEnd,
    Position,
    begun_at,
    encode_checkpoint,
    encode_format,
    last_records,
)
from worker.stream.status import RestoreProgress
from worker.stream.surroundings import Surroundings
from worker.stream.time_slices import take_steps
from worker.stream.transactions.transaction import TransactionWriter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing(Generic[P]):
    """What a partition continues with: its state, its positions, and the topics they belong to."""

    processor: P
    progress: InputProgress
    known_topics: KnownTopics
    state_offset: int
    """The offset of the last record of the state."""


@dataclass(frozen=True)
class _State(Generic[P]):
    """The state of a partition, from its topic or from memory."""

    processor: P
    checkpoint: Checkpoint | None
    known_topics: KnownTopics
    partition_count: int | None
    """The count that the state was begun with; None if it is new."""
    state_records: int | None
    """How many records the restore found; None if the state came from memory, which does not count them."""


class PartitionStart(Generic[P]):
    """Starts one partition, once: first `fence`, then `run`. `ids` are the known ids of the topics."""

    def __init__(
        self,
        surroundings: Surroundings[P],
        partition: int,
        partition_count: int,
        ids: Mapping[str, bytes],
        progressed: Callable[[RestoreProgress], None],
    ) -> None:
        config = surroundings.config
        self._surroundings = surroundings
        self._config = config
        self._clock = surroundings.clock
        self._partition = partition
        self._partition_count = partition_count
        self._ids = ids
        self._progressed = progressed
        self._records = 0
        self._fence_offset = -1
        self._guards = Guards(partition, config.inputs, config.journal_topic, config.state_topic)

    async def fence(self, writer: TransactionWriter) -> int:
        """Fence earlier producers, so that only `writer` writes here. Return the fence record's offset."""
        await writer.start()
        self._fence_offset = await writer.fence()
        log.info("earlier workers fenced off", extra={"partition": self._partition, "fence_offset": self._fence_offset})
        return self._fence_offset

    async def run(self, writer: TransactionWriter, memory: Memory[P] | None) -> Standing[P]:
        """Restore or resume the state after fencing, and compare it with the topics.

        Raises Breached if they do not belong together, Halt if the state cannot be used, and errors of the broker.
        """
        fence_offset = self._fence_offset
        # Created only now, because aiokafka warns of a client that was never started or closed.
        reader = PartitionReader(self._config, self._partition, self._clock, self._surroundings.reaper)
        self._reader, self._state_reader = reader, StateReader(self._config, self._partition, reader)
        try:
            await reader.start()
            bounds = await self._reader.bounds(
                dict.fromkeys((*self._config.inputs, self._config.journal_topic, self._config.state_topic))
            )
            state = await self._resume(memory, fence_offset)
            if state is None:
                state = await self._restore(bounds[self._config.state_topic].begin, fence_offset)
            await self._check(state, bounds, writer)
        finally:
            reader.close()
        last_offset = UNKNOWN if state.checkpoint is None else state.checkpoint.journal.last_offset
        writer.note_journal_end(JournalEnd(last_offset, bounds[self._config.journal_topic].end))
        return await self._record(state, bounds, writer, fence_offset)

    # -- the state

    async def _resume(self, memory: Memory[P] | None, fence_offset: int) -> _State[P] | None:
        """Use the state that this process has in memory, if no other worker has changed it meanwhile."""
        if memory is None or memory.partition_count != self._partition_count:
            return None
        if memory.known_topics.changed(self._ids):
            return None
        if not await self._state_reader.unchanged(memory.state_offset, fence_offset):
            return None
        log.info("partition resumed from memory", extra={"partition": self._partition})
        progress = memory.progress
        checkpoint = Checkpoint(progress.positions(), progress.stream_time_ms, memory.journal)
        return _State(memory.processor, checkpoint, memory.known_topics, self._partition_count, state_records=None)

    async def _restore(self, begin_offset: int, fence_offset: int) -> _State[P]:
        try:
            processor = self._surroundings.processors(self._partition, self._partition_count)
        except Exception as error:
            raise halt_at(self._partition, "the making of its processor", error) from error
        began_at = self._clock.monotonic()
        restored = await self._state_reader.restore(processor, begin_offset, fence_offset, self._note_progress)
        if restored.partition_count not in (None, self._partition_count):
            raise Halt(
                f"the state of partition {self._partition} was begun with {restored.partition_count} partitions, but "
                f"the topics have {self._partition_count}; {ANOTHER_SYSTEM}"
            )
        await self._finish_restore(processor, restored)
        seconds = self._clock.monotonic() - began_at
        self._surroundings.observer.restore_finished(self._partition, self._records, seconds)
        log.info(
            "partition restored",
            extra={"partition": self._partition, "records": self._records, "seconds": round(seconds, 3)},
        )
        return _State(
            processor, restored.checkpoint, restored.known_topics, restored.partition_count, processor.state_records
        )

    async def _finish_restore(self, processor: P, restored: Restored) -> None:
        """Let the processor derive what is not stored, while other tasks run in between."""
        generations = {topic: position.generation for topic, position in restored.positions.items()}
        try:
            steps = processor.finish_restore(restored.stream_time_ms, generations)
            await take_steps(steps, self._clock, self._config.chunk_time_ms_max)
        except Exception as error:
            raise halt_at(self._partition, "the end of its restore", error) from error

    def _note_progress(self, progress: RestoreProgress) -> None:
        self._records = progress.records
        self._progressed(progress)

    # -- the comparison

    async def _check(self, state: _State[P], bounds: Mapping[str, Bounds], writer: TransactionWriter) -> None:
        checkpoint, known = state.checkpoint, state.known_topics
        proofs = {} if checkpoint is None else self._guards.proofs(checkpoint.positions, known, self._ids)
        found = Found(
            bounds=bounds,
            ids=self._ids,
            records=await self._reader.lying_at(proofs, bounds),
            has_journal_end=checkpoint is None or await self._has_journal_end(checkpoint, bounds),
            journal_beyond=None if checkpoint is None else await self._journal_beyond(checkpoint, bounds),
            state_records=state.state_records,
            group_offsets=await writer.committed_offsets() if checkpoint is None else {},
        )
        breach = self._guards.breach(checkpoint, known, found)
        if breach is not None:
            raise Breached(breach.topic, breach.sentence)
        for topic in known.changed(self._ids):
            self._surroundings.observer.topic_made_anew(self._partition, topic)
            log.warning(
                "topic recreated",
                extra={"partition": self._partition, "topic": topic, "meaning": self._meaning_of_anew(topic)},
            )

    def _meaning_of_anew(self, topic: str) -> str:
        if topic in self._config.inputs or topic in (self._config.journal_topic, self._config.state_topic):
            return "its records match the state, so the partition continues"
        return "its old records are gone; run `stockfreeze topics republish` to write levels and statuses again"

    async def _has_journal_end(self, checkpoint: Checkpoint, bounds: Mapping[str, Bounds]) -> bool:
        """Whether the journal has its last record. Without one, or if it has expired, the answer is yes."""
        journal, last = self._config.journal_topic, checkpoint.journal.last_offset
        begin, end = bounds[journal]
        if not begin <= last < end:
            return last < begin
        if (await self._reader.records_at({journal: last}))[journal] is not None:
            return True
        # A broker may still list an aborted transaction whose marker lies before the requested offset. The client then
        # skips all records of its producer. So the record is missing only if a read from further back skips it too.
        return await self._reader.has_record(journal, begin, last)

    async def _journal_beyond(self, checkpoint: Checkpoint, bounds: Mapping[str, Bounds]) -> int | None:
        """The offset of the first committed record after the journal's end as the state has it; None without one."""
        journal = self._config.journal_topic
        begin, end = checkpoint.journal.next_offset, bounds[journal].end
        if begin == UNKNOWN or begin >= end:
            return None
        return await self._reader.first_record(journal, max(begin, bounds[journal].begin), end)

    # -- what the state records from now on

    async def _record(
        self, state: _State[P], bounds: Mapping[str, Bounds], writer: TransactionWriter, fence_offset: int
    ) -> Standing[P]:
        """Commit what the state lacks, if anything."""
        beginning = _beginning_of(self._config, self._partition_count, state, self._ids, bounds)
        state_offset = fence_offset
        if beginning.records is not None:
            positions, stream_time_ms = beginning.positions, beginning.stream_time_ms
            checkpoint = Checkpoint(positions, stream_time_ms, writer.journal_end(), state.processor.state_records)
            last = OutputRecord(self._config.state_topic, POSITIONS_KEY, encode_checkpoint(checkpoint))
            writer.append([*beginning.records, last])
            offsets = {topic: positions[topic].next_offset for topic in self._config.inputs}
            state_offset = await writer.commit(offsets)
        progress = InputProgress.of(beginning.positions, beginning.stream_time_ms)
        return Standing(state.processor, progress, beginning.known_topics, state_offset)


@dataclass(frozen=True)
class _Beginning:
    """What a partition begins to process with."""

    positions: dict[str, Position]
    stream_time_ms: int
    known_topics: KnownTopics
    records: Sequence[OutputRecord] | None
    """What the state lacks, to be written before its positions; None if it lacks nothing."""


def _beginning_of(
    config: EngineConfig, partition_count: int, state: _State[P], ids: Mapping[str, bytes], bounds: Mapping[str, Bounds]
) -> _Beginning:
    """Decide where processing begins, and what the state lacks: its format, ids of topics, positions of new inputs."""
    positions = {} if state.checkpoint is None else dict(state.checkpoint.positions)
    stream_time_ms = NO_STREAM_TIME if state.checkpoint is None else state.checkpoint.stream_time_ms
    unknown = [topic for topic in config.inputs if topic not in positions]
    positions |= {topic: begun_at(bounds[topic].begin) for topic in unknown}
    known = state.known_topics.now(ids)
    if known != state.known_topics:
        # The guards have just found the last records in these very topics, so they are anchors.
        known = replace(known, anchors=last_records(positions))
    records = []
    if state.partition_count is None:
        records.append(OutputRecord(config.state_topic, FORMAT_KEY, encode_format(partition_count)))
    if known != state.known_topics:
        records.append(OutputRecord(config.state_topic, TOPICS_KEY, encode_known_topics(known)))
    is_old = state.checkpoint is not None and state.checkpoint.journal.next_offset == UNKNOWN
    lacks = bool(unknown or records or is_old)
    return _Beginning(positions, stream_time_ms, known, records if lacks else None)
