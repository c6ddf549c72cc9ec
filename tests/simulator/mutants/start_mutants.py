"""Planted faults of a partition's start: fencing the predecessor, restoring the state, and where to go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace as with_changes

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.simulator.mutants.guard_mutants import JOURNAL_NOT_GUARDED
from tests.simulator.mutants.seams import Mutant, replace, wrap
from worker.stream.errors import StepTimeout
from worker.stream.feed import Feed, Inlet
from worker.stream.processor import Processor
from worker.stream.session import Session
from worker.stream.start import partition_reader
from worker.stream.start.guards import Bounds
from worker.stream.start.partition_reader import PartitionReader, StateRecord
from worker.stream.start.partition_start import PartitionStart, Standing, _State
from worker.stream.start.restore import StateReader
from worker.stream.state.memory import Memory
from worker.stream.task import PartitionTask
from worker.stream.transactions.transaction import TransactionWriter


async def _end_of_state(start: PartitionStart[Processor]) -> int:
    state = TopicPartition(start._config.state_topic, start._partition)
    async with AIOKafkaConsumer(**start._config.client, enable_auto_commit=False) as looking:
        end: int = (await looking.end_offsets([state]))[state]
    return end - 1


async def fence_left_for_later(self: PartitionStart[Processor], writer: TransactionWriter) -> int:
    del writer
    self._fence_offset = await _end_of_state(self)
    return self._fence_offset


async def fenced_after_the_restore(
    original: Callable[..., Awaitable[None]],
    self: PartitionStart[Processor],
    state: _State[Processor],
    bounds: Mapping[str, Bounds],
    writer: TransactionWriter,
) -> None:
    await writer.start()
    await original(self, state, bounds, writer)


async def nothing_in_memory(
    self: PartitionStart[Processor], memory: Memory[Processor] | None, fence_offset: int
) -> None:
    del self, memory, fence_offset


async def fenced_without_a_record(self: PartitionStart[Processor], writer: TransactionWriter) -> int:
    self._fence_offset = await _end_of_state(self)
    await writer.start()
    return self._fence_offset


def uncommitted(original: Callable[..., object], **settings: object) -> object:
    """Make a consumer that reads uncommitted records, too."""
    return original(**settings | {"isolation_level": "read_uncommitted"})


async def read_until_silence(
    original: Callable[..., AsyncGenerator[tuple[Sequence[StateRecord], int], None]],
    self: PartitionReader,
    topic: str,
    begin: int,
    end: int,
    poll_ms: int = 1,
) -> AsyncGenerator[tuple[Sequence[StateRecord], int], None]:
    config, self._config = self._config, with_changes(self._config, restore_silence_ms_max=0)
    try:
        async with aclosing(original(self, topic, begin, end, poll_ms)) as steps:
            async for step in steps:
                yield step
    except StepTimeout:
        return
    finally:
        self._config = config


async def unchanged_in_any_case(self: StateReader, since_offset: int, fence_offset: int) -> bool:
    del self, since_offset, fence_offset
    return True


async def memories_kept(
    original: Callable[..., Awaitable[None]], self: Session[Processor], assigned: Collection[TopicPartition]
) -> None:
    memories = self._surroundings.memories
    kept = dict(memories)
    await original(self, assigned)
    memories.update(kept)


async def group_asked_first(
    original: Callable[..., Awaitable[Standing[Processor]]],
    self: PartitionTask[Processor],
    writer: TransactionWriter,
    memory: Memory[Processor] | None,
) -> Standing[Processor]:
    consumer: AIOKafkaConsumer = self._feed._consumer
    sources = [TopicPartition(topic, self.partition) for topic in self._config.inputs]
    in_group = {source: await consumer.committed(source) for source in sources}
    standing = await original(self, writer, memory)
    positions = standing.progress.positions()
    for source, offset in in_group.items():
        vars(self._feed)[source] = offset or positions[source.topic].gaps  # where the group has none: from the first on
    return standing


def open_at_the_group_offsets(
    original: Callable[..., None], self: Feed, partition: int, inlet: Inlet, offsets: Mapping[str, int]
) -> None:
    original(self, partition, inlet, {topic: vars(self)[TopicPartition(topic, partition)] for topic in offsets})


START_MUTANTS = (
    Mutant(
        "start-from-group",
        "Processing begins at the group's offsets as they were at the assignment, not at the state's.",
        (
            wrap(PartitionTask, "_start", group_asked_first),
            wrap(Feed, "open", open_at_the_group_offsets),
        ),
    ),
    Mutant(
        "restore-before-fence",
        "The state is restored first, and the predecessor is fenced afterwards.",
        (
            replace(PartitionStart, "fence", fence_left_for_later),
            wrap(PartitionStart, "_check", fenced_after_the_restore),
            replace(PartitionStart, "_resume", nothing_in_memory),
            *JOURNAL_NOT_GUARDED,
        ),
        with_loss=False,
    ),
    Mutant(
        "no-fence-record",
        "The restore goes to the end that the state topic had before the predecessor was fenced; no record is written.",
        (replace(PartitionStart, "fence", fenced_without_a_record), *JOURNAL_NOT_GUARDED),
        with_loss=False,
    ),
    Mutant(
        "restore-uncommitted",
        "The state is restored up to the high watermark: what was aborted is restored, too.",
        (wrap(partition_reader, "AIOKafkaConsumer", uncommitted),),
    ),
    Mutant(
        "restore-to-silence",
        "A restore that reads nothing in one short poll is taken to be complete.",
        (wrap(PartitionReader, "read", read_until_silence),),
    ),
    Mutant(
        "memory-trusted",
        "A partition that comes back is resumed from memory, without looking whether another worker had it meanwhile.",
        (
            replace(StateReader, "unchanged", unchanged_in_any_case),
            wrap(Session, "on_partitions_assigned", memories_kept),
            *JOURNAL_NOT_GUARDED,
        ),
        with_loss=False,
    ),
)
