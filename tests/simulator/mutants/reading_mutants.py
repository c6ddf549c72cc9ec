"""Planted faults of reading: in which order the inputs are taken, and what counts as read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping

from aiokafka import TopicPartition

from tests.simulator.mutants.seams import Mutant, replace, wrap
from tests.simulator.mutants.start_mutants import uncommitted
from worker.stream import merge, session
from worker.stream.clients import Consumer
from worker.stream.config import EngineConfig
from worker.stream.feed import Feed, Inlet
from worker.stream.kafka.fetched import FetchedPartition, Unreadable
from worker.stream.merge import Merge, Reading
from worker.stream.processor import Outcome, Processor
from worker.stream.records import InputRecord
from worker.stream.start.guards import Bounds
from worker.stream.start.partition_start import PartitionStart, Standing, _State
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.positions import Position
from worker.stream.transactions.transaction import TransactionWriter

GAPS = Position._fields.index("gaps")


def nothing_waits(self: Merge, record: InputRecord) -> bool:
    del self, record
    return False


async def begun_at_the_end(
    original: Callable[..., Awaitable[Standing[Processor]]],
    self: PartitionStart[Processor],
    state: _State[Processor],
    bounds: Mapping[str, Bounds],
    writer: TransactionWriter,
    fence_offset: int,
) -> Standing[Processor]:
    ends = {topic: Bounds(end, end) for topic, (_, end) in bounds.items()}
    return await original(self, state, ends, writer, fence_offset)


def counted_without_gaps(
    original: Callable[..., None], self: InputProgress, record: InputRecord, outcome: Outcome
) -> None:
    columns = self._columns[record.topic]
    gaps = columns[GAPS]
    original(self, record, outcome)
    columns[GAPS] = gaps


def never_behind(self: InputProgress, read_to: Mapping[str, int]) -> bool:
    del self, read_to
    return False


def nothing_passed_over(self: InputProgress, read_to: Mapping[str, int]) -> None:
    del self, read_to


def raised(self: FetchedPartition) -> Iterator[InputRecord | Unreadable]:
    yield from self._records_iterator


class KeptInlets(dict[int, Inlet]):
    """The inlets of a feed that goes on after any error."""

    def clear(self) -> None:
        pass


def feed_that_keeps_inlets(original: Callable[..., None], self: Feed, config: EngineConfig, consumer: Consumer) -> None:
    original(self, config, consumer)
    self._inlets = KeptInlets()


def read_to_of_all(self: Merge) -> dict[str, int]:
    return {entry.topic: entry.reading.position for entry in self._inputs}


class LateConsumer:
    """Gives what it fetched a while after it took it out of the client."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    def __getattr__(self, name: str) -> object:
        return getattr(self.consumer, name)

    async def getmany(self, *sources: TopicPartition, timeout_ms: int, max_records: int) -> object:
        batches = await self.consumer.getmany(*sources, timeout_ms=timeout_ms, max_records=max_records)
        await asyncio.sleep(0.05)
        return batches


def feed_that_is_late(original: Callable[..., None], self: Feed, config: EngineConfig, consumer: Consumer) -> None:
    original(self, config, LateConsumer(consumer))


READING_MUTANTS = (
    Mutant(
        "count-does-not-wait",
        "A count is taken in its turn, without waiting for the other inputs.",
        (replace(Merge, "_must_wait", nothing_waits),),
    ),
    Mutant(
        "count-waits-for-one-answer",
        "A count waits for one fetch answer of the other inputs, which may have been under way before.",
        (replace(merge, "ANSWERS_NEEDED", 0),),
    ),
    Mutant(
        "begins-at-the-end",
        "A partition without a state begins at the end of its inputs.",
        (wrap(PartitionStart, "_record", begun_at_the_end),),
    ),
    Mutant(
        "inputs-uncommitted",
        "The inputs are read up to the high watermark: what is aborted is processed, and what is not committed yet.",
        (wrap(session, "AIOKafkaConsumer", uncommitted),),
    ),
    Mutant(
        "gaps-not-counted",
        "Offsets without a record are not counted.",
        (wrap(InputProgress, "count", counted_without_gaps),),
    ),
    Mutant(
        "end-not-committed",
        "Markers and aborted records behind the last record are left until another one comes.",
        (
            replace(InputProgress, "is_behind", never_behind),
            replace(InputProgress, "pass_over", nothing_passed_over),
        ),
    ),
    Mutant(
        "counts-ahead-of-open-transactions",
        "A count does not wait for what lies behind a transaction that is open.",
        (replace(Reading, "at_end", property(lambda reading: reading.handed_out)),),
    ),
    Mutant(
        "drained-passed-over",
        "A batch that cannot be read is an error of the whole fetch, and what came with it counts as read.",
        (
            replace(FetchedPartition, "_hand_out", raised),
            wrap(Feed, "__init__", feed_that_keeps_inlets),
        ),
    ),
    Mutant(
        "unread-passed-over",
        "Records that were fetched and not taken yet count as gaps.",
        (replace(Merge, "read_to", property(read_to_of_all)),),
    ),
    Mutant(
        "read-before-assignment",
        "Records that were fetched before a rebalance are handed over after it.",
        (wrap(Feed, "__init__", feed_that_is_late),),
    ),
)
