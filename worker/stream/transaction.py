"""The transactions of one partition: the fence, one batch of records and offsets after the other, and the end.

The stable transactional id is the fence: the group's metadata is not passed with offsets, so only the epoch of the id
tells a zombie from the rightful owner. A writer is never shared, and never used again after an error: the sequence
numbers of a failed produce are unusable, and a commit without an answer is decided by the state topic alone.

Who has another transactional id is not fenced by that: a system that was given another name on the same topics. So each
commit also sees whether anybody else has written to the partition's state since the last one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka.errors import KafkaError

from worker.stream.config import Clock, EngineConfig
from worker.stream.errors import StateTaken, bounded
from worker.stream.open_batches import OpenBatches
from worker.stream.positions import FENCE_KEY, encode_fence
from worker.stream.producer import TransactionalProducer
from worker.stream.reaper import Reaper
from worker.stream.records import Output, OutputRecord

log = logging.getLogger(__name__)

MARKERS: Final = 1
"""How many offsets the end of a transaction takes in each partition."""


class TransactionWriter:
    """Writes transactions of one partition. Any exception from it means: discard it."""

    def __init__(self, config: EngineConfig, partition: int, clock: Clock, reaper: Reaper) -> None:
        self._config = config
        self._partition = partition
        self._clock = clock
        self._reaper = reaper
        self._producer = TransactionalProducer(config, partition)
        self._batches = OpenBatches(config.produce_batch_bytes_max, clock.now_ms)
        self._state_end = -1
        """Where the last record that this writer committed to the state lies; -1: not known."""

    async def start(self) -> None:
        """Connect, fence whoever wrote for this partition before, and have the broker end what they left open."""
        await bounded(self._producer.start(), self._config.step_ms_max, "starting the producer")

    async def fence(self) -> int:
        """Commit a record in the state topic, and give its offset.

        Whoever has read the state up to it has read all that predecessors ever committed, and they commit no more.
        Raises KafkaError where the broker does not tell the offset.
        """
        value = encode_fence(self._clock.now_ms())
        self.append([OutputRecord(self._config.state_topic, FENCE_KEY, value)])
        offset = await self.commit({})
        if offset < 0:
            raise KafkaError("the broker has not told where the fence record lies")
        return offset

    def append(self, records: Iterable[Output]) -> None:
        """Make records part of the next transaction. They are sent with its commit."""
        self._batches.append(records)

    async def commit(self, offsets: Mapping[str, int]) -> int:
        """Write what was appended and the next offsets by input topic, and commit them together.

        Gives the offset of the last record in the state topic (-1 when the broker did not tell): nothing of this
        partition's state lies behind it. Raises StateTaken where somebody else has written to the state.
        """
        step_ms = self._config.step_ms_max
        rounds = self._batches.take()
        topics = [topic for topic, _, _ in rounds[0]] if rounds else []
        beginning = self._producer.begin(topics, with_offsets=bool(offsets))
        await bounded(beginning, step_ms, "beginning a transaction")
        ends = await bounded(self._producer.write(rounds, offsets), step_ms, "writing records and offsets")
        state_topic = self._config.state_topic
        end = ends.get(state_topic, -1)
        self._check_alone(end, sum(count for batches in rounds for topic, _, count in batches if topic == state_topic))
        await bounded(self._producer.end(commit=True), step_ms, "committing")
        self._state_end = end
        return end

    def _check_alone(self, end: int, record_count: int) -> None:
        """Between the state's records of two transactions lies the marker of the first, and nothing else."""
        if min(end, self._state_end) >= 0 and end - record_count > self._state_end + MARKERS:
            raise StateTaken(
                f"somebody else writes to partition {self._partition} of {self._config.state_topic}: a worker with "
                f"another APP_ID than {self._config.app_id} reads the same topics; stop it, or give it topics of its "
                "own (TOPIC_PREFIX)"
            )

    async def discard(self) -> None:
        """Abort what is open, if that can be done quickly, and let the producer end in the background."""
        try:
            await bounded(self._producer.end(commit=False), self._config.abort_ms_max, "aborting")
        except Exception as error:  # noqa: BLE001 - whatever it is, the next producer of this id aborts
            log.debug("abort left to the successor", extra={"partition": self._partition, "error": repr(error)})
        finally:
            self._reaper.bury(self._producer)
