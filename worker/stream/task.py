"""The task of one partition: fence earlier producers, restore the state, then process batch after batch.

Each batch is one transaction. After any error of the broker the task throws away its producer and its state, and starts
again, because only the state topic proves what was committed. `worker.stream.errors.RestartCause` lists these errors, a
fenced producer among them. An error of the processor halts the partition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from aiokafka.errors import KafkaError

from worker.stream.backoff import Backoff
from worker.stream.errors import Breached, Halt, Loss, NotAssigned, OffsetLost, StateTaken, StepTimeout, cause_of
from worker.stream.feed import Feed, Inlet
from worker.stream.merge import Merge
from worker.stream.processor import P
from worker.stream.records import InputRecord, OutputRecord
from worker.stream.start.partition_start import PartitionStart, Standing
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.known_topics import NO_ANCHORS, KnownTopics, encode_known_topics
from worker.stream.state.memory import Memory
from worker.stream.state.positions import TOPICS_KEY, LastRecord, last_records
from worker.stream.status import PARTITION_TRANSITIONS, PartitionState, PartitionStatus, RestoreProgress
from worker.stream.surroundings import Surroundings
from worker.stream.transactions.batch import Batch
from worker.stream.transactions.breaker import Breaker
from worker.stream.transactions.transaction import TransactionWriter
from worker.stream.transitions import next_state

log = logging.getLogger(__name__)

T = TypeVar("T")

WAIT_SECONDS = 0.01
"""How often a task that holds records back asks the client for news."""
EXPECTED = (KafkaError, StepTimeout, OffsetLost, Breached, StateTaken)
"""Errors whose sentence is enough, so their trace is not logged."""
NO_IDS: Final[Mapping[str, bytes]] = {}


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
        """The ids of the topics, as they were when the session began."""

        self.state = PartitionState.STARTING
        self.reason: str | None = None
        self.processor: P
        """It holds the state. The attribute is unset before the first restore."""
        self.restore_progress: RestoreProgress | None = None
        self.lags: dict[str, int] = {}
        self._offsets: Mapping[str, int] = {}
        """The next offset of each input, as last committed; empty before the first restore."""
        self._moved_at = self._clock.monotonic()

        self._running: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._between = asyncio.Lock()
        """Held during a transaction, so a reader that holds it sees only committed state."""
        self._lost: Loss | None = None
        self._losses: dict[str, int] = {}
        """By topic: the offset whose loss made this task start again."""
        self._backoff = Backoff(surroundings.config)
        self._ran_at: float | None = None
        """When it began to read; None: it does not read yet."""
        self._state_offset = -1
        self._breached_topic: str | None = None
        """The topic that did not fit at the previous start."""
        self._topics = KnownTopics()
        """The topics that the state belongs to, the current transaction included."""
        self._anchors: Mapping[str, LastRecord] = NO_ANCHORS
        """The last records at the confirmation of ids before the latest one. The next transaction writes them."""
        self._candidates: Mapping[str, LastRecord] = NO_ANCHORS
        """The last records at the latest confirmation of ids."""
        self._progress: InputProgress | None = None

    # -- from outside

    def start(self) -> None:
        """Begin to process. Called once."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name=f"partition {self.partition}")

    async def stop(self) -> None:
        """Finish or abort the current batch within the time limits, and end."""
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
        """Return what `look` makes of the committed state. Raises NotAssigned unless the partition runs."""
        async with self._between:
            if self.state is not PartitionState.RUNNING:
                raise NotAssigned(f"partition {self.partition} is {self.state.value} here")
            return look(self.processor)

    async def measure(self, feed: Feed) -> None:
        """Measure the lag, and wake the task so that it commits gaps, because gaps alone do not wake it.

        `feed` belongs to the current session, because a halted task outlives its own.
        """
        if self.state is not PartitionState.RUNNING:
            await self._measure_unread(feed)
            return
        self.lags = await feed.lags(self.partition)
        if not any(self.lags.values()):
            self._moved_at = self._clock.monotonic()
        self._wake.set()

    async def _measure_unread(self, feed: Feed) -> None:
        """Measure the lag of a partition that is halted or starts again: it may grow, although no task reads."""
        if not self._offsets:
            return
        try:
            ends = await feed.ends(self.partition)
        except (KafkaError, StepTimeout):
            return  # the lag measured before stays
        self.lags = {topic: max(0, ends[topic] - offset) for topic, offset in self._offsets.items()}

    def confirm_topics(self) -> None:
        """Note that the topics still have the ids that this task began with, so what it read came from them.

        An answer about ids may be slightly outdated. So it confirms only what was read before the previous answer.
        """
        if self.state is PartitionState.RUNNING and self._progress is not None:
            self._anchors = self._candidates
            self._candidates = last_records(self._progress.positions())

    def status(self) -> PartitionStatus:
        """The status for health, metrics and logs."""
        state, reason = self.state, self.reason
        still_seconds = self._clock.monotonic() - self._moved_at
        if state is PartitionState.RUNNING and any(self.lags.values()) and still_seconds > self._config.stall_ms / 1000:
            state = PartitionState.STALLED
            reason = (
                f"partition {self.partition} has records to process, but has committed none for {still_seconds:.0f} s: "
                "look at the worker's log for what the broker answers"
            )
        return PartitionStatus(state, reason, dict(self.lags), self.restore_progress)

    # -- the life of a task

    async def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    await self._live()
                except Halt:
                    raise
                except Exception as error:  # noqa: BLE001 - its class decides the log and the back-off, nothing else
                    await self._back_off(error)
        except Halt as halt:
            self._halt(halt)
        finally:
            if self.state is not PartitionState.HALTED:
                self._enter(PartitionState.STOPPED)

    def _enter(self, state: PartitionState) -> None:
        """Change the state. Raises ForbiddenTransition, which halts the partition, if that is a defect."""
        self.state = next_state(f"partition {self.partition}", self.state, state, PARTITION_TRANSITIONS)

    async def _live(self) -> None:
        """Process with a new producer, until an error or a stop."""
        if self.state is not PartitionState.STARTING:
            self._enter(PartitionState.STARTING)
        self.reason, self._lost, self._ran_at = None, None, None
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
        """Fence, restore, and find the next offsets. Raises Halt if state and topics do not fit twice in a row."""
        start = PartitionStart(self._surroundings, self.partition, self._partition_count, self._ids, self._progressed)
        await start.fence(writer)
        self._enter(PartitionState.RESTORING)
        try:
            standing = await start.run(writer, memory)
        except Breached as breach:
            # A broker that was paused may have answered with outdated facts, so only a second misfit counts.
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
        self._feed.open(self.partition, Inlet(merge, self._wake, self._lose), offsets)
        self._enter(PartitionState.RUNNING)
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
                    # Only markers lie there, and no record came since. The group's offsets must not stay before them.
                    await self._transact(writer, merge, chunk, progress, breaker)
            else:
                now = self._clock.monotonic()
                patient_until = patient_until or now + self._config.fetch_patience_ms / 1000
                if now >= patient_until:
                    merge.excuse()
                await self._wait_for_news()

    async def _transact(
        self,
        writer: TransactionWriter,
        merge: Merge,
        chunk: Sequence[InputRecord],
        progress: InputProgress,
        breaker: Breaker,
    ) -> None:
        """Commit one transaction: `chunk`, and the records that arrive meanwhile. Without records it commits gaps."""
        async with self._between:
            try:
                batch = Batch(self._config, self._clock, self.partition, self.processor, progress, breaker)
                while chunk:
                    await batch.decide(chunk)
                    room = 0 if self._stopping.is_set() else batch.room
                    if room:
                        await self._feed.observe(self.partition)
                    chunk = merge.take(room)
                if not batch.tripped:  # a breaker that opened leaves records of the chunk undecided
                    progress.pass_over(merge.read_to)
                topics = self._anchor(writer)
                await batch.flush(writer.append, writer.journal_end)
                offsets = progress.next_offsets()
                await asyncio.sleep(0)
                self._state_offset = await writer.commit(offsets)
                self._offsets, self._topics = offsets, topics
            except BaseException:
                # Before the lock is released, because the processor now holds what was not committed.
                self._enter(PartitionState.BACKING_OFF)
                raise
        self._moved_at = self._clock.monotonic()
        self._backoff.committed()
        self._surroundings.observer.batch_committed(batch.report())
        if batch.tripped:
            bad_max, window = self._config.breaker_bad_max, self._config.breaker_window
            raise Halt(
                f"partition {self.partition}: {bad_max} of its last {window} records were dead-lettered, so it was "
                "stopped: look at the dead letters, correct the cause in the system that sends the records, and "
                "restart the worker"
            )

    def _anchor(self, writer: TransactionWriter) -> KnownTopics:
        """Append the confirmed last records of the inputs if they changed. Return the topics as the state has them."""
        if self._anchors == self._topics.anchors:
            return self._topics
        topics = replace(self._topics, anchors=self._anchors)
        writer.append([OutputRecord(self._config.state_topic, TOPICS_KEY, encode_known_topics(topics))])
        return topics

    async def _wait_for_news(self) -> None:
        """Wait until records come, or until the client may know more."""
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
        """Check that every input can be read at its next offset. Raises OffsetLost the first time, then Halt.

        Records read before that offset are processed first. Then the state is restored once more: while this worker
        was paused, another one may have processed records that are deleted now. And what cannot be read once may be
        readable the next time.
        """
        lost = self._lost
        if lost is None or merge.records_of(lost.topic):
            return
        # If the log was truncated, the client may have read ahead to an offset that is gone. Only the loss of the
        # offset that the state has proves that records are lost.
        is_sure = begun_at[lost.topic] == lost.offset or not lost.is_gone
        if is_sure and self._losses.get(lost.topic) == lost.offset:
            raise lost.for_good(self.partition)
        self._losses[lost.topic] = lost.offset
        raise lost.for_now()

    def _halt(self, halt: Halt) -> None:
        self._enter(PartitionState.HALTED)
        self.reason = str(halt)
        log.error(
            "partition halted",
            extra={"partition": self.partition, "reason": self.reason},
            exc_info=halt if halt.__cause__ is not None else None,
        )
        self._surroundings.observer.partition_halted(self.partition, self.reason)

    async def _back_off(self, error: Exception) -> None:
        """Report why the partition starts again, and wait before it does. `RestartCause` lists the reasons."""
        cause = cause_of(error)
        if self.state is not PartitionState.BACKING_OFF:  # a transaction that failed has entered it already
            self._enter(PartitionState.BACKING_OFF)
        self.reason = f"partition {self.partition} starts again: {self._surroundings.explain(error)}"
        self._surroundings.observer.task_restarted(self.partition, cause)
        ran_ms = 0.0 if self._ran_at is None else (self._clock.monotonic() - self._ran_at) * 1000
        wait_ms = self._backoff.wait_ms(cause, ran_ms)
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
