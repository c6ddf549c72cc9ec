"""One membership in the consumer group, from the consumer's start to its end, with the tasks of its partitions.

The callbacks of a rebalance only start and stop tasks. The session ends with an error if nothing may be processed any
more, or if the client does not recover by itself. Then the engine begins another session.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable
from typing import Generic

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from worker.stream.clients import Consumer
from worker.stream.errors import NotReady, bounded
from worker.stream.feed import Feed
from worker.stream.kafka.assignor import assignor_with
from worker.stream.processor import P
from worker.stream.start.topic_check import TopicCheck, TopicsSeen
from worker.stream.state.known_topics import KnownTopics
from worker.stream.status import PartitionState
from worker.stream.surroundings import Surroundings
from worker.stream.task import PartitionTask

log = logging.getLogger(__name__)

MEASURE_SECONDS = 1.0
CHECKS_FAILED_MAX = 2
"""How many checks in a row must fail. While a broker starts, one answer may lack a topic."""
DUPLICATE_REBALANCES = 6
DUPLICATE_SECONDS = 30.0
"""So many rebalances within this time suggest that two workers have the same member id."""
SILENCE_FACTOR_MAX = 4
"""The worker reconnects after so many times the silence at which it reports a problem: a broker may come back."""


def pair_topics(assigned: Iterable[TopicPartition], inputs: Collection[str]) -> tuple[set[int], list[str]]:
    """Find the partitions of which all inputs are assigned. The others are returned as sorted topic/partition."""
    topics_by_partition: dict[int, set[str]] = {}
    for source in assigned:
        topics_by_partition.setdefault(source.partition, set()).add(source.topic)
    paired = {partition for partition, topics in topics_by_partition.items() if topics == set(inputs)}
    unpaired = sorted(
        f"{topic}/{partition}"
        for partition, topics in topics_by_partition.items()
        if partition not in paired
        for topic in topics
    )
    return paired, unpaired


class Session(ConsumerRebalanceListener, Generic[P]):  # type: ignore[misc] # aiokafka has no types
    """One membership in the group. `halted` outlives it, because a halted partition stays halted in this process."""

    def __init__(
        self,
        surroundings: Surroundings[P],
        check: TopicCheck,
        topics: TopicsSeen,
        halted: dict[int, PartitionTask[P]],
    ) -> None:
        config = surroundings.config
        self._surroundings = surroundings
        self._config = config
        self._clock = surroundings.clock
        self._check = check
        self._partition_count = topics.partition_count
        self._ids = topics.ids
        self._halted = halted
        self._consumer: Consumer = AIOKafkaConsumer(
            **config.client,
            client_id=f"{config.app_id}-inputs",
            group_id=config.app_id,
            group_instance_id=config.group_instance_id,
            partition_assignment_strategy=(assignor_with(config.member_data),),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            fetch_max_wait_ms=config.fetch_wait_ms_max,
            max_partition_fetch_bytes=config.fetch_partition_bytes_max,
            request_timeout_ms=config.request_timeout_ms,
            metadata_max_age_ms=config.metadata_age_ms_max,
            session_timeout_ms=config.session_timeout_ms,
            heartbeat_interval_ms=config.heartbeat_interval_ms,
            rebalance_timeout_ms=config.rebalance_timeout_ms,
            max_poll_interval_ms=config.poll_interval_ms_max,
        )
        self._feed = Feed(config, self._consumer)
        self._unpaired: list[str] = []
        self._broker_problem: str | None = None
        self._rebalances: deque[float] = deque(maxlen=DUPLICATE_REBALANCES)
        self._began_at = self._clock.monotonic()
        self._answer: tuple[int | None, float] = (None, self._began_at)
        self.tasks: dict[int, PartitionTask[P]] = {}
        self.joined = False
        self._closed = False

    async def run(self) -> None:
        """Process until cancelled. Raises NotReady or an error of the broker if another session must begin."""
        await bounded(self._consumer.start(), self._config.step_ms_max, "connecting")
        self._began_at = self._clock.monotonic()
        self._consumer.subscribe(list(self._config.inputs), listener=self)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(), name="reader")
            group.create_task(self._watch(), name="watch")
            group.create_task(self._measure(), name="measure")

    async def close(self) -> None:
        """Stop the tasks, then leave the group in the background.

        A rebalance under way may still assign partitions. They are ignored, because no one would stop their tasks.
        """
        self._closed = True
        self.joined = False
        await self._stop_tasks()
        self._surroundings.reaper.close_later(self._consumer)

    @property
    def problem(self) -> str | None:
        """What keeps this worker from processing, as a sentence; None if nothing does."""
        if self._broker_problem is not None:
            return self._broker_problem
        if self._unpaired:
            return (
                "the group assigned this worker only some topics of a partition "
                f"({', '.join(self._unpaired)}): stop every member of the group that reads other topics"
            )
        now = self._clock.monotonic()
        if (
            self._config.group_instance_id is not None
            and len(self._rebalances) == DUPLICATE_REBALANCES
            and now - self._rebalances[0] < DUPLICATE_SECONDS
        ):
            return (
                f"the group keeps rebalancing, perhaps because two workers have the member id "
                f"{self._config.group_instance_id} (group_instance_id): give each worker its own"
            )
        if not self.joined and now - self._began_at > self._config.join_ms_max / 1000:
            return f"the group {self._config.app_id} has not assigned this worker its partitions yet"
        return None

    # -- rebalances

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Stop all tasks. The client's protocol revokes every partition, and assigns some of them again."""
        self.joined = False
        self._began_at = self._clock.monotonic()
        if revoked:
            log.info("partitions revoked", extra={"partitions": sorted({source.partition for source in revoked})})
        await self._stop_tasks()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Start a task for each partition of which all input topics are assigned."""
        if self._closed:
            return
        self._feed.hold(assigned)
        paired, self._unpaired = pair_topics(assigned, self._config.inputs)
        log.info("partitions assigned", extra={"partitions": sorted(paired), "unpaired": self._unpaired})
        for partition in self._surroundings.memories.keys() - paired:
            del self._surroundings.memories[partition]
        self._surroundings.observer.partitions_assigned(frozenset(paired))
        self._start_tasks(paired)
        self._rebalances.append(self._clock.monotonic())
        self.joined = True

    def _start_tasks(self, partitions: Iterable[int]) -> None:
        for partition in sorted(partitions):
            if partition in self._halted:
                self.tasks[partition] = self._halted[partition]
                continue
            task = PartitionTask(self._surroundings, self._feed, partition, self._partition_count, self._ids)
            self.tasks[partition] = task
            task.start()

    async def _stop_tasks(self) -> None:
        await asyncio.gather(*(task.stop() for task in self.tasks.values()))
        for partition, task in self.tasks.items():
            if task.state is PartitionState.HALTED:
                self._halted[partition] = task
        self.tasks = {}

    # -- what goes on beside the tasks

    async def _read(self) -> None:
        while True:
            await self._feed.poll()
            await asyncio.sleep(0)  # while the client has records, `poll` does not let other tasks run

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_SECONDS)
            # All together, because a broker that does not answer for one partition must not delay the others.
            await asyncio.gather(*(task.measure(self._feed) for task in self.tasks.values()))
            self._note_silence()

    def _note_silence(self) -> None:
        """Check that fetches are answered, because the client retries them without end and reports nothing.

        Raises NotReady after a long silence.
        """
        answered_at = self._feed.answered_at_ms()
        now = self._clock.monotonic()
        if answered_at is None or answered_at != self._answer[0]:
            self._answer = (answered_at, now)
            return
        silence_ms = (now - self._answer[1]) * 1000
        if silence_ms > SILENCE_FACTOR_MAX * self._config.silence_ms_max:
            raise NotReady(f"no fetch was answered for {silence_ms / 1000:.0f} s; the worker reconnects")
        if silence_ms > self._config.silence_ms_max and self._broker_problem is None:
            self._complain(f"no fetch was answered for {silence_ms / 1000:.0f} s")

    async def _watch(self) -> None:
        """Check again and again that the topics are as they were when this worker joined the group."""
        failed = 0
        while True:
            await asyncio.sleep(self._config.topic_check_interval_ms / 1000)
            try:
                await self._check_topics()
            except NotReady as error:
                failed += 1
                self._complain(str(error))
                if failed >= CHECKS_FAILED_MAX:
                    raise
            except Exception as error:  # noqa: BLE001 - the tasks find out by themselves whether they can continue
                self._complain(self._surroundings.explain(error))
            else:
                failed = 0
                self._broker_problem = None

    async def _check_topics(self) -> None:
        count, ids = await self._check.look()
        changed = KnownTopics(self._ids).changed(ids)
        if changed:
            raise NotReady(
                f"{', '.join(changed)} was deleted and recreated: every partition starts again, and compares its state "
                "with the topics"
            )
        for task in self.tasks.values():
            task.confirm_topics()
        await self._check.check_policies()
        if count != self._partition_count:
            raise NotReady(f"the topics had {self._partition_count} partitions and now have {count}")
        known = {topic: self._consumer.partitions_for_topic(topic) or () for topic in self._config.inputs}
        unknown = [topic for topic, partitions in known.items() if len(partitions) < count]
        if unknown:
            # The client asks for metadata on a connection that it never closes, even if the other end is gone. Without
            # metadata of a partition it cannot read it.
            raise NotReady(f"the client has no metadata for partitions of {', '.join(unknown)}; it reconnects")

    def _complain(self, problem: str) -> None:
        self._broker_problem = problem
        self._surroundings.client_log.explained()  # so the client's own lines about it may be left out
        if self._surroundings.complaints.passes(("session", problem.split("(", maxsplit=1)[0])) is not None:
            log.warning("problem", extra={"problem": problem})
