"""The task of one partition: fence, restore, seek, then batch after batch, each one transaction.

Whatever goes wrong on the broker ends the same way: the producer and the state are thrown away, and the start is done
again, because only the state topic knows what was committed. What goes wrong in the processor stops the partition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from aiokafka.errors import KafkaError

from worker.stream.errors import Breached, Halt, Loss, NotAssigned, OffsetLost, StateTaken, StepTimeout, cause_of
from worker.stream.feed import Feed, Lane
from worker.stream.merge import Merge
from worker.stream.processor import P
from worker.stream.records import InputRecord, OutputRecord
from worker.stream.start.starting import PartitionStart, Standing
from worker.stream.state.known_topics import NO_ANCHORS, KnownTopics, encode_known_topics
from worker.stream.state.memory import Memory
from worker.stream.state.positions import TOPICS_KEY, LastRecord, last_records
from worker.stream.state.progress import InputProgress
from worker.stream.status import PartitionState, PartitionStatus, RestoreProgress
from worker.stream.surroundings import Surroundings
from worker.stream.transactions.batch import Batch
from worker.stream.transactions.breaker import Breaker
from worker.stream.transactions.transaction import TransactionWriter

log = logging.getLogger(__name__)

T = TypeVar("T")

WAIT_SECONDS = 0.01
"""How often a task that holds records back looks at the client again."""
EXPECTED = (KafkaError, StepTimeout, OffsetLost, Breached, StateTaken)
"""Errors whose sentence says all there is: their trace is not logged."""
NO_IDS: Final[Mapping[str, bytes]] = {}
RUN_MS_LONG = 30_000
"""A task that ran so long worked, though it may have had nothing to commit: what ended it is a new failure."""


class PartitionTask(Generic[P]):
    """Processes one partition from `start` to `stop`."""

    def __init__(
        self,
        surroundings: Surroundings[P],
        feed: Feed,
        partition: int,
        partition_count: int,
        ids: Mapping[str, bytes] = NO_IDS,
    ) -> None:
        self.partition = partition
        self._surroundings = surroundings
        self._config = surroundings.config
        self._clock = surroundings.clock
        self._feed = feed
        self._partition_count = partition_count
        self._ids = ids
        """Of the topics, as they were when the session began."""

        self.state = PartitionState.STARTING
        self.reason: str | None = None
        self.processor: P
        """What holds the state; there is none before a restore begins."""
        self.restore_progress: RestoreProgress | None = None
        self.lags: dict[str, int] = {}
        self._offsets: Mapping[str, int] = {}
        """Where each input goes on, as it was committed last; empty: not known yet."""
        self._moved_at = self._clock.monotonic()

        self._running: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._between = asyncio.Lock()
        """Held during a transaction: whoever has it sees only what was committed."""
        self._lost: Loss | None = None
        self._losses: dict[str, int] = {}
        """By topic: the offset whose loss made this task start again."""
        self._failures = 0
        """Since it last worked: that it could begin to read says nothing, as the next transaction may fail again."""
        self._ran_at: float | None = None
        """Since when it reads; None: it does not yet."""
        self._state_offset = -1
        self._breached_topic: str | None = None
        """The topic that did not fit at the start before this one."""
        self._topics = KnownTopics()
        """As they are in the state, with the transaction in hand."""
        self._anchors: Mapping[str, LastRecord] = NO_ANCHORS
        """What was read last when the ids were confirmed for the last time but one, for the next transaction."""
        self._candidates: Mapping[str, LastRecord] = NO_ANCHORS
        """What was read last when they were confirmed for the last time."""
        self._progress: InputProgress | None = None

    # -- from outside

    def start(self) -> None:
        """Begin."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name=f"partition {self.partition}")

    async def stop(self) -> None:
        """Finish or abort the batch in hand, within the bounds, and end."""
        running = self._running
        self._stopping.set()
        self._wake.set()
        if running is None or running.done():
            return
        if self.state is PartitionState.RUNNING:
            await asyncio.wait({running}, timeout=self._config.revoke_ms_max / 1000)
        running.cancel()
        await asyncio.wait({running}, timeout=2 * self._config.abort_ms_max / 1000)

    async def read(self, look: Callable[[P], T]) -> T:
        """Let `look` see the committed state. Raises NotAssigned while there is none."""
        async with self._between:
            if self.state is not PartitionState.RUNNING:
                raise NotAssigned(f"partition {self.partition} is {self.state.value} here")
            return look(self.processor)

    async def measure(self, feed: Feed) -> None:
        """Take the lag, note whether the partition moves, and have it look for gaps: they wake nobody.

        `feed` is the present session's: a halted task outlives its own.
        """
        if self.state is not PartitionState.RUNNING:
            await self._measure_what_waits(feed)
            return
        self.lags = await feed.lags(self.partition)
        if not any(self.lags.values()):
            self._moved_at = self._clock.monotonic()
        self._wake.set()

    async def _measure_what_waits(self, feed: Feed) -> None:
        """The lag of a partition that nobody reads, halted or starting again: it may be piling up."""
        if not self._offsets:
            return
        try:
            ends = await feed.ends(self.partition)
        except (KafkaError, StepTimeout):
            return  # what was found last stands
        self.lags = {topic: max(0, ends[topic] - offset) for topic, offset in self._offsets.items()}

    def confirm_topics(self) -> None:
        """The topics still have the ids that this task began with: what was read before can be relied on.

        An answer about ids may be a little old, so it is taken to confirm what was read at the answer before it.
        """
        if self.state is PartitionState.RUNNING and self._progress is not None:
            self._anchors = self._candidates
            self._candidates = last_records(self._progress.positions())

    def status(self) -> PartitionStatus:
        """What is told to the outside."""
        state, reason = self.state, self.reason
        still_seconds = self._clock.monotonic() - self._moved_at
        if state is PartitionState.RUNNING and any(self.lags.values()) and still_seconds > self._config.stall_ms / 1000:
            state = PartitionState.STALLED
            reason = f"partition {self.partition} stands still for {still_seconds:.0f} s with records to process"
        return PartitionStatus(state, reason, dict(self.lags), self.restore_progress)

    # -- the life of a task

    async def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    await self._live()
                except Halt as halt:
                    self._halt(halt)
                    return
                except Exception as error:  # noqa: BLE001 - its class decides the log and the back-off, nothing else
                    await self._back_off(error)
        finally:
            if self.state is not PartitionState.HALTED:
                self.state = PartitionState.STOPPED

    async def _live(self) -> None:
        """From a new producer to the first error."""
        self.state, self.reason, self._lost, self._ran_at = PartitionState.STARTING, None, None, None
        memory = self._surroundings.memories.pop(self.partition, None)
        writer = TransactionWriter(self._config, self.partition, self._clock, self._surroundings.reaper)
        try:
            standing = await self._start(writer, memory)
            self.processor, self._topics = standing.processor, standing.known_topics
            self._state_offset = standing.state_offset
            await self._process(writer, standing.progress)
            if self._state_offset >= 0:
                self._surroundings.memories[self.partition] = Memory(
                    self.processor,
                    standing.progress,
                    self._topics,
                    writer.journal_end(),
                    self._state_offset,
                    self._partition_count,
                )
        finally:
            self._feed.close(self.partition)
            await writer.discard()

    async def _start(self, writer: TransactionWriter, memory: Memory[P] | None) -> Standing[P]:
        """Find out where to go on. Raises Halt where state and topics do not belong together, by two looks."""
        start = PartitionStart(self._surroundings, self.partition, self._partition_count, self._ids, self._progressed)
        await start.fence(writer)
        self.state = PartitionState.RESTORING
        try:
            standing = await start.run(writer, memory)
        except Breached as breach:
            # A node that slept may have answered as things were: what it said is believed when it is said again.
            if self._breached_topic == breach.topic:
                raise Halt(str(breach)) from None
            self._breached_topic = breach.topic
            raise
        self._breached_topic = None
        return standing

    def _progressed(self, progress: RestoreProgress) -> None:
        self.restore_progress = progress
        if self._surroundings.complaints.passes(("restore", self.partition)) is not None:
            log.info(
                "restoring",
                extra={
                    "partition": self.partition,
                    "records": progress.records,
                    "offset": progress.offset,
                    "target_offset": progress.target_offset,
                },
            )

    async def _process(self, writer: TransactionWriter, progress: InputProgress) -> None:
        merge = Merge(self._config.inputs, self.processor.waits)
        breaker = Breaker(self._config.breaker_bad_max, self._config.breaker_window, self.processor.parties)
        self._progress = progress
        self._anchors, self._candidates = self._topics.anchors, last_records(progress.positions())
        next_offsets = progress.next_offsets()
        offsets = {topic: next_offsets[topic] for topic in self._config.inputs}
        self._offsets = offsets
        self._feed.open(self.partition, Lane(merge, self._wake, self._lose), offsets)
        self.state = PartitionState.RUNNING
        self._moved_at = self._ran_at = self._clock.monotonic()
        log.info("partition running", extra={"partition": self.partition, "offsets": offsets})
        patient_until: float | None = None
        while not self._stopping.is_set():
            self._check_lost(merge, offsets)
            self._wake.clear()
            await self._feed.observe(self.partition)
            chunk = merge.take(self._config.chunk_records_max)
            if chunk:
                patient_until = None
                await self._transact(writer, merge, chunk, progress, breaker)
            elif merge.empty:
                patient_until = None
                read_to = merge.read_to
                await self._wake.wait()
                if merge.read_to == read_to and progress.is_behind(read_to):
                    # Nothing but markers, and nothing has come since: the group's offsets must not stay before them.
                    await self._transact(writer, merge, chunk, progress, breaker)
            else:
                now = self._clock.monotonic()
                patient_until = patient_until or now + self._config.fetch_patience_ms / 1000
                if now >= patient_until:
                    merge.excuse()
                await self._wait_a_little()

    async def _transact(
        self,
        writer: TransactionWriter,
        merge: Merge,
        chunk: Sequence[InputRecord],
        progress: InputProgress,
        breaker: Breaker,
    ) -> None:
        """One transaction, begun with `chunk`, and with what else can be taken meanwhile; it may be of gaps alone."""
        async with self._between:
            try:
                batch = Batch(self._config, self._clock, self.partition, self.processor, progress, breaker)
                while chunk:
                    await batch.decide(chunk)
                    room = 0 if self._stopping.is_set() else batch.room
                    if room:
                        await self._feed.observe(self.partition)
                    chunk = merge.take(room)
                if not batch.tripped:  # then what was taken is not decided to its end
                    progress.pass_over(merge.read_to)
                topics = self._anchor(writer)
                await batch.flush(writer.append, writer.journal_end)
                offsets = progress.next_offsets()
                await asyncio.sleep(0)
                self._state_offset = await writer.commit(offsets)
                self._offsets, self._topics = offsets, topics
            except BaseException:
                # Before the lock is given back: what the processor holds now was not committed.
                self.state = PartitionState.BACKING_OFF
                raise
        self._moved_at, self._failures = self._clock.monotonic(), 0
        self._surroundings.observer.batch_committed(batch.report())
        if batch.tripped:
            bad_max, window = self._config.breaker_bad_max, self._config.breaker_window
            raise Halt(
                f"partition {self.partition}: {bad_max} of its last {window} records were dead-lettered, so it was "
                "stopped rather than dead-letter the topic; look at the dead letters, correct the cause at its "
                "producer, and restart the worker"
            )

    def _anchor(self, writer: TransactionWriter) -> KnownTopics:
        """Write what was read by topics whose ids were confirmed since; gives what the state says then."""
        if self._anchors == self._topics.anchors:
            return self._topics
        topics = replace(self._topics, anchors=self._anchors)
        writer.append([OutputRecord(self._config.state_topic, TOPICS_KEY, encode_known_topics(topics))])
        return topics

    async def _wait_a_little(self) -> None:
        """Until records come, or the client may know more."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return

    # -- what goes wrong

    def _lose(self, topic: str, offset: int, error: Exception) -> None:
        self._lost = Loss(topic, offset, error)
        self._wake.set()

    def _check_lost(self, merge: Merge, begun_at: Mapping[str, int]) -> None:
        """Whether an input can be read where the task goes on. Raises Halt, or OffsetLost where it may be yet.

        What was read before it is processed first. Then the state is asked once more: who slept may find gone what
        another worker has processed meanwhile, and what cannot be read may be whole the next time.
        """
        lost = self._lost
        if lost is None or merge.records_of(lost.topic):
            return
        # An offset that is gone may have been read ahead to in a log that was cut: only the state's own proves a loss.
        is_sure = begun_at[lost.topic] == lost.offset or not lost.is_gone
        if is_sure and self._losses.get(lost.topic) == lost.offset:
            raise lost.for_good(self.partition)
        self._losses[lost.topic] = lost.offset
        raise lost.for_now()

    def _halt(self, halt: Halt) -> None:
        self.state, self.reason = PartitionState.HALTED, str(halt)
        log.error(
            "partition halted",
            extra={"partition": self.partition, "reason": self.reason},
            exc_info=halt if halt.__cause__ is not None else None,
        )
        self._surroundings.observer.partition_halted(self.partition, self.reason)

    async def _back_off(self, error: Exception) -> None:
        cause = cause_of(error)
        self.state = PartitionState.BACKING_OFF
        self.reason = f"partition {self.partition} starts again: {self._surroundings.explain(error)}"
        self._surroundings.observer.task_restarted(self.partition, cause)
        if self._ran_at is not None and (self._clock.monotonic() - self._ran_at) * 1000 > RUN_MS_LONG:
            self._failures = 0
        if cause in ("fenced", "lost", "breach"):
            # The rightful owner may be another worker, which is not to be fenced before the group tells.
            wait_ms = self._config.fenced_backoff_ms
        else:
            wait_ms = min(self._config.backoff_ms_max, self._config.backoff_ms_min << min(self._failures, 10))
        self._failures += 1
        if self._surroundings.complaints.passes((cause, type(error), self.partition)) is not None:
            log.warning(
                "partition starts again",
                extra={"partition": self.partition, "cause": cause, "error": repr(error), "wait_ms": wait_ms},
                exc_info=None if isinstance(error, EXPECTED) else error,
            )
        try:
            async with asyncio.timeout(self._surroundings.chance.spread(wait_ms)):
                await self._stopping.wait()
        except TimeoutError:
            return
