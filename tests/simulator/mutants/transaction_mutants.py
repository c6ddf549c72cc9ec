"""Planted faults of transactions: what is committed together, and by whom."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.protocol.transaction import EndTxnRequest

from tests.simulator.mutants.seams import Mutant, Seam, edit, replace, wrap
from tests.simulator.mutants.start_mutants import unchanged_in_any_case
from worker.clock import Clock
from worker.stream import task as task_module
from worker.stream.clients import Answer
from worker.stream.config import EngineConfig
from worker.stream.errors import bounded
from worker.stream.kafka.open_batches import Filled
from worker.stream.kafka.producer import TransactionalProducer
from worker.stream.kafka.producer_state import ProducerState
from worker.stream.kafka.reaper import Reaper
from worker.stream.kafka.responses import Codes
from worker.stream.merge import Merge
from worker.stream.processor import Outcome, Processor
from worker.stream.records import InputRecord, Output
from worker.stream.session import Session
from worker.stream.start.restore import StateReader
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.memory import Memory
from worker.stream.state.positions import JournalEnd
from worker.stream.task import PartitionTask
from worker.stream.transactions.batch import Batch
from worker.stream.transactions.breaker import Breaker
from worker.stream.transactions.transaction import TransactionWriter

# -- what is committed together


@dataclass
class Transaction:
    """Stands in for the writer during one transaction: knows its records, and commits them in another way."""

    task: PartitionTask[Processor]
    writer: TransactionWriter
    progress: InputProgress
    committing: Callable[[Transaction, Mapping[str, int]], Awaitable[int]]
    records: list[Output] = field(default_factory=list)

    def append(self, records: Iterable[Output]) -> None:
        added = list(records)
        self.records += added
        self.writer.append(added)

    def journal_end(self) -> JournalEnd:
        return self.writer.journal_end()

    async def commit(self, offsets: Mapping[str, int]) -> int:
        return await self.committing(self, offsets)

    async def commit_only(self, records: Sequence[Output], offsets: Mapping[str, int]) -> int:
        """Commit these instead of all that was appended."""
        self.writer._batches.take()
        self.writer.append(records)
        return await self.writer.commit(offsets)


def committing(how: Callable[[Transaction, Mapping[str, int]], Awaitable[int]]) -> Seam:
    """The seam at which a task commits a transaction, with another way to do it."""

    async def transact(
        original: Callable[..., Awaitable[None]],
        self: PartitionTask[Processor],
        writer: TransactionWriter,
        merge: Merge,
        chunk: Sequence[InputRecord],
        progress: InputProgress,
        breaker: Breaker,
    ) -> None:
        await original(self, Transaction(self, writer, progress, how), merge, chunk, progress, breaker)

    return wrap(PartitionTask, "_transact", transact)


async def offsets_by_the_consumer(transaction: Transaction, offsets: Mapping[str, int]) -> int:
    consumer: AIOKafkaConsumer = transaction.task._feed._consumer
    partition = transaction.task.partition
    await consumer.commit({TopicPartition(topic, partition): offset for topic, offset in offsets.items()})
    return await transaction.writer.commit({})


async def positions_last(transaction: Transaction, offsets: Mapping[str, int]) -> int:
    *outputs, positions = transaction.records
    await transaction.commit_only(outputs, {})
    return await transaction.commit_only([positions], offsets)


async def in_halves(transaction: Transaction, offsets: Mapping[str, int]) -> int:
    half = len(transaction.records) // 2
    if half:
        await transaction.commit_only(transaction.records[:half], {})
    return await transaction.commit_only(transaction.records[half:], offsets)


async def dead_letters_first(transaction: Transaction, offsets: Mapping[str, int]) -> int:
    letters = [record for record in transaction.records if record[0].endswith("dead-letters.v1")]
    if not letters:
        return await transaction.writer.commit(offsets)
    partition, config = transaction.task.partition, transaction.task._config
    async with AIOKafkaProducer(**config.client) as plain:
        for topic, key, value, headers in letters:
            await plain.send_and_wait(topic, value, key, partition, headers=list(headers))
    return await transaction.commit_only([one for one in transaction.records if one not in letters], offsets)


async def as_if_committed(transaction: Transaction, offsets: Mapping[str, int]) -> int:
    try:
        return await transaction.writer.commit(offsets)
    except Exception:
        _remember(transaction.task, transaction.writer, transaction.progress, state_offset=1 << 40)
        raise


def _remember(
    task: PartitionTask[Processor], writer: TransactionWriter, progress: InputProgress, state_offset: int
) -> None:
    task._surroundings.memories[task.partition] = Memory(
        task.processor, progress, task._topics, writer.journal_end(), state_offset, task._partition_count
    )


async def state_kept_after_errors(
    original: Callable[..., Awaitable[None]],
    self: PartitionTask[Processor],
    writer: TransactionWriter,
    progress: InputProgress,
) -> None:
    try:
        await original(self, writer, progress)
    finally:
        _remember(self, writer, progress, self._state_offset)


# -- the producer


async def answers_not_awaited(
    original: Callable[..., Awaitable[dict[str, int]]],
    self: TransactionalProducer,
    rounds: Sequence[Sequence[Filled]],
    offsets: Mapping[str, int],
) -> dict[str, int]:
    writing = asyncio.ensure_future(original(self, rounds, offsets))
    writing.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({writing}, timeout=0.001 if offsets else None)
    return writing.result() if writing.done() else {}


async def end_asked_again(
    original: Callable[..., Awaitable[Answer]],
    self: TransactionalProducer,
    kind: CoordinationType,
    request: object,
    codes: Codes,
    *,
    again: bool = True,
) -> Answer:
    return await original(self, kind, request, codes, again=again or isinstance(request, EndTxnRequest))


async def epoch_not_taken(
    original: Callable[..., Awaitable[None]], self: TransactionalProducer, *, commit: bool
) -> None:
    producer_id, epoch, sequences = self._producer_id, self._epoch, self._sequences.copy()
    await original(self, commit=commit)
    self._producer_id, self._epoch, self._sequences = producer_id, epoch, sequences


def id_of_the_worker(
    original: Callable[..., None], self: TransactionalProducer, config: EngineConfig, partition: int
) -> None:
    original(self, config, partition)
    self._id = config.app_id


def id_of_the_moment(
    original: Callable[..., None], self: TransactionalProducer, config: EngineConfig, partition: int
) -> None:
    original(self, config, partition)
    self._id = f"{config.app_id}-{partition}-{asyncio.get_running_loop().time()}"


LIVING: ContextVar[PartitionTask[Processor]] = ContextVar("LIVING")
"""The task of the partition that an asyncio task runs."""


class ReusedWriter(TransactionWriter):
    """Starts once, and goes on after errors."""

    is_started = False

    async def start(self) -> None:
        if not self.is_started:
            await super().start()
            self.is_started = True

    async def discard(self) -> None:
        if LIVING.get()._stopping.is_set():
            await super().discard()
            return
        with contextlib.suppress(Exception):
            await bounded(self._producer.end(commit=False), self._config.abort_ms_max, "aborting")
        self._producer.state = ProducerState.READY if self.is_started else ProducerState.UNINITIALIZED


async def live_with_one_writer(original: Callable[..., Awaitable[None]], self: PartitionTask[Processor]) -> None:
    LIVING.set(self)
    await original(self)


def writer_of_the_task(config: EngineConfig, partition: int, clock: Clock, reaper: Reaper) -> TransactionWriter:
    kept = vars(LIVING.get())
    if "_writer" not in kept:
        kept["_writer"] = ReusedWriter(config, partition, clock, reaper)
    writer: TransactionWriter = kept["_writer"]
    return writer


# -- the tasks


async def revoked_in_vain(self: Session[Processor], revoked: object) -> None:
    del revoked
    self.joined = False
    self._began_at = self._clock.monotonic()


def running_ones_left(original: Callable[..., None], self: Session[Processor], partitions: Iterable[int]) -> None:
    original(self, [partition for partition in partitions if partition not in self.tasks])


class Forgiving:
    """A processor that takes what it fails at for stale."""

    def __init__(self, processor: Processor) -> None:
        self.processor = processor

    def __getattr__(self, name: str) -> object:
        return getattr(self.processor, name)

    def process(self, record: InputRecord) -> Outcome:
        try:
            return self.processor.process(record)
        except Exception:  # noqa: BLE001 - that is the fault
            return Outcome.STALE


async def decided_in_any_case(
    original: Callable[..., Awaitable[None]], self: Batch[Processor], chunk: Sequence[InputRecord]
) -> None:
    if not isinstance(self._processor, Forgiving):
        self._processor = Forgiving(self._processor)  # type: ignore[assignment] # it gives all that a processor has
    await original(self, chunk)


LEAVE_OUT = "left.pop(topic)"

TRANSACTION_MUTANTS = (
    Mutant(
        "offset-outside",
        "The group's offsets are committed by the consumer, before the transaction.",
        (committing(offsets_by_the_consumer),),
    ),
    Mutant(
        "positions-after",
        "The positions are written in a transaction of their own, after the outputs.",
        (committing(positions_last),),
    ),
    Mutant("batch-split", "A batch is committed in two halves.", (committing(in_halves),)),
    Mutant(
        "dead-letter-outside",
        "Dead letters are sent by a producer of their own, before the transaction is committed.",
        (committing(dead_letters_first),),
    ),
    Mutant(
        "commit-assumed",
        "After a commit that failed, processing goes on from memory, as if it had succeeded.",
        (committing(as_if_committed), replace(StateReader, "unchanged", unchanged_in_any_case)),
    ),
    Mutant(
        "state-kept",
        "The state is kept in memory after a transaction that failed.",
        (wrap(PartitionTask, "_process", state_kept_after_errors),),
    ),
    Mutant(
        "future-not-awaited",
        "A transaction is committed without looking at the answers to its records.",
        (wrap(TransactionalProducer, "write", answers_not_awaited),),
    ),
    Mutant(
        "refused-batch-ignored",
        "Batches that the broker rejects are taken for written.",
        (edit(TransactionalProducer, "_produce", "raise error_of(code, topic, self._config.app_id)", LEAVE_OUT),),
    ),
    Mutant(
        "commit-asked-again",
        "A commit that nobody answered is sent again, and the producer goes on.",
        (wrap(TransactionalProducer, "_ask", end_asked_again),),
    ),
    Mutant(
        "epoch-kept",
        "The epoch that the end of a transaction brings is not taken.",
        (wrap(TransactionalProducer, "end", epoch_not_taken),),
    ),
    Mutant(
        "producer-reused",
        "After an error the transaction is aborted, and the producer is used again.",
        (
            wrap(PartitionTask, "_live", live_with_one_writer),
            replace(task_module, "TransactionWriter", writer_of_the_task),
        ),
    ),
    Mutant(
        "shared-producer",
        "All partitions of a worker share a transactional id.",
        (wrap(TransactionalProducer, "__init__", id_of_the_worker),),
    ),
    Mutant(
        "unfenced",
        "The transactional id is new at every start, so nobody is fenced.",
        (wrap(TransactionalProducer, "__init__", id_of_the_moment),),
    ),
    Mutant(
        "stale-task",
        "A rebalance keeps the tasks that run.",
        (
            replace(Session, "on_partitions_revoked", revoked_in_vain),
            wrap(Session, "_start_tasks", running_ones_left),
        ),
    ),
    Mutant(
        "poison-skipped",
        "A record at which the processor fails is counted as stale, and processing goes on.",
        (wrap(Batch, "decide", decided_in_any_case),),
    ),
)
