"""The transactions of one partition: the fence, one batch of records and offsets after the other, and the end.

The stable transactional id is the fence: the group's metadata is not passed with offsets, so only the epoch of the id
tells a zombie from the rightful owner. A writer is never shared, and never used again after an error: the sequence
numbers of a failed produce are unusable, and a commit without an answer is decided by the state topic alone.

Who has another transactional id is not fenced by that: a system that was given another name on the same topics. And a
topic may be deleted and made anew under a running worker. So each commit also sees whether its records lie exactly
where the state and the journal went on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka.errors import KafkaError

from worker.clock import Clock
from worker.stream.config import EngineConfig
from worker.stream.errors import StateTaken, bounded
from worker.stream.kafka.open_batches import OpenBatches
from worker.stream.kafka.producer import TransactionalProducer
from worker.stream.kafka.reaper import Reaper
from worker.stream.records import Output, OutputRecord
from worker.stream.state.positions import FENCE_KEY, UNKNOWN, JournalEnd, encode_fence

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
        self._next: dict[str, int] = {}
        """Where the state and the journal go on, as far as it is known: behind the marker of the last transaction."""
        self._journal_last = UNKNOWN
        """Of the last record of the journal."""

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

    def journal_ends(self, end: JournalEnd) -> None:
        """Take note of where the journal ends after the fence: the next transaction goes on there."""
        self._journal_last = end.last_offset
        self._next[self._config.journal_topic] = end.next_offset

    def journal_end(self) -> JournalEnd:
        """Where the journal ends with the next transaction, with what was appended to it so far."""
        journal = self._config.journal_topic
        count = self._batches.count(journal)
        last_offset = self._next[journal] + count - 1 if count else self._journal_last
        return JournalEnd(last_offset, self._behind(journal, count))

    async def committed_offsets(self) -> dict[str, int]:
        """What the group has committed of this partition, by input topic."""
        step_ms = self._config.step_ms_max
        return await bounded(self._producer.committed_offsets(), step_ms, "finding the group's offsets")

    def append(self, records: Iterable[Output]) -> None:
        """Make records part of the next transaction. They are sent with its commit."""
        self._batches.append(records)

    async def commit(self, offsets: Mapping[str, int]) -> int:
        """Write what was appended and the next offsets by input topic, and commit them together.

        Gives the offset of the last record in the state topic (-1 when the broker did not tell): nothing of this
        partition's state lies behind it. Raises StateTaken where state or journal do not go on where they ended.
        """
        config, step_ms = self._config, self._config.step_ms_max
        rounds = self._batches.take()
        topics = [topic for topic, _, _ in rounds[0]] if rounds else []
        beginning = self._producer.begin(topics, with_offsets=bool(offsets))
        await bounded(beginning, step_ms, "beginning a transaction")
        ends = await bounded(self._producer.write(rounds, offsets), step_ms, "writing records and offsets")
        counts = Counter(dict.fromkeys(self._next, 0))
        for batches in rounds:
            for topic, _, count in batches:
                counts[topic] += count
        self._check_places(ends, counts)
        await bounded(self._producer.end(commit=True), step_ms, "committing")
        end = ends.get(config.state_topic, -1)
        if end >= 0:
            self._next.setdefault(config.state_topic, end + 1 - counts[config.state_topic])
        if config.journal_topic in self._next and (journal_count := counts[config.journal_topic]):
            self._journal_last = self._next[config.journal_topic] + journal_count - 1
        self._next = {topic: self._behind(topic, counts[topic]) for topic in self._next}
        return end

    def _behind(self, topic: str, record_count: int) -> int:
        """Where a topic goes on behind so many records of one transaction, and their marker."""
        return self._next[topic] + (record_count + MARKERS if record_count else 0)

    def _check_places(self, ends: Mapping[str, int], counts: Mapping[str, int]) -> None:
        """The records of a transaction begin where the one before ended, of the state and of the journal."""
        for topic, begin in self._next.items():
            end = ends.get(topic, -1)
            if end >= 0 and end != begin + counts[topic] - 1:
                raise StateTaken(
                    f"{topic}/{self._partition} does not go on at offset {begin}: it was made anew, or a worker with "
                    f"another APP_ID than {self._config.app_id} writes to the same topics; stop that one, or give it "
                    "topics of its own (TOPIC_PREFIX)"
                )

    async def discard(self) -> None:
        """Abort what is open, if that can be done quickly, and let the producer end in the background."""
        try:
            await bounded(self._producer.end(commit=False), self._config.abort_ms_max, "aborting")
        except Exception as error:  # noqa: BLE001 - whatever it is, the next producer of this id aborts
            log.debug("abort left to the successor", extra={"partition": self._partition, "error": repr(error)})
        finally:
            self._reaper.bury(self._producer)
