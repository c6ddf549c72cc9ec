"""The transactions of one partition: first the one with the fence record, then one transaction per batch.

Offsets are committed without the group's metadata. So an old worker that still runs is fenced by one thing alone: its
successor took the next epoch of the transactional id. A writer is never shared, because both users would have one
epoch, and neither could be fenced. It is never used again after an error, for two reasons.
The sequence numbers of a failed produce cannot be reused. And if a commit was not answered, only the state topic proves
whether it succeeded.

The epoch does not stop a system with another APP_ID on the same topics. And a topic may be deleted and recreated while
a worker runs. So each commit also checks that its records begin exactly at the next offsets of the state and
the journal.

A worked example of that check, for the journal. Each transaction ends with one marker, which takes an offset:

    offset    10 11 12   13       14 15   16       17
              records    marker   records marker   the next transaction begins

    The transaction that begins at 14 appends two records, so the broker must report 15 for the last one. Then its
    marker takes 16, and the journal continues at 17. If the broker reports 18 instead, another system has taken the
    offsets 14 to 16: StateTaken is raised, and the transaction is aborted.
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
"""How many offsets the end of a transaction takes in each partition it wrote to."""


class TransactionWriter:
    """Writes the transactions of one partition. After any exception, `discard` is the only method to call."""

    def __init__(self, config: EngineConfig, partition: int, clock: Clock, reaper: Reaper) -> None:
        self._config = config
        self._partition = partition
        self._clock = clock
        self._reaper = reaper
        self._producer = TransactionalProducer(config, partition)
        self._batches = OpenBatches(config.produce_batch_bytes_max, clock.now_ms)
        self._next: dict[str, int] = {}
        """The next offset of the state and of the journal, once known: after the previous transaction's marker."""
        self._journal_last = UNKNOWN
        """The offset of the last record of the journal."""

    async def start(self) -> None:
        """Connect and fence earlier producers of this partition. The broker aborts the transaction they left open."""
        await bounded(self._producer.start(), self._config.step_ms_max, "starting the producer")

    async def fence(self) -> int:
        """Commit a fence record in the state topic, and return its offset.

        All commits of earlier producers lie before it, and they can commit no more. So a reader that has reached this
        offset has the whole state. Raises KafkaError if the broker does not report the offset.
        """
        value = encode_fence(self._clock.now_ms())
        self.append([OutputRecord(self._config.state_topic, FENCE_KEY, value)])
        offset = await self.commit({})
        if offset < 0:
            raise KafkaError("the broker did not report the offset of the fence record")
        return offset

    def note_journal_end(self, end: JournalEnd) -> None:
        """Note where the journal ends after the fence record, because the next transaction continues there."""
        self._journal_last = end.last_offset
        self._next[self._config.journal_topic] = end.next_offset

    def journal_end(self) -> JournalEnd:
        """Where the journal will end once the records appended so far are committed."""
        journal = self._config.journal_topic
        count = self._batches.count(journal)
        last_offset = self._next[journal] + count - 1 if count else self._journal_last
        return JournalEnd(last_offset, self._next_after(journal, count))

    async def committed_offsets(self) -> dict[str, int]:
        """The group's committed offsets of this partition, by input topic."""
        step_ms = self._config.step_ms_max
        return await bounded(self._producer.committed_offsets(), step_ms, "finding the group's offsets")

    def append(self, records: Iterable[Output]) -> None:
        """Add records to the next transaction. They are sent by `commit`."""
        self._batches.append(records)

    async def commit(self, offsets: Mapping[str, int]) -> int:
        """Write the appended records and the next offsets by input topic in one transaction, and commit it.

        Return the offset of the last record of the state topic, -1 if the broker did not report it. Raises StateTaken
        if the state or the journal does not continue where the previous transaction ended.
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
        if end >= 0:  # of the first transaction, no next offset was known: it is where its records begin
            self._next.setdefault(config.state_topic, end + 1 - counts[config.state_topic])
        if config.journal_topic in self._next and (journal_count := counts[config.journal_topic]):
            self._journal_last = self._next[config.journal_topic] + journal_count - 1
        self._next = {topic: self._next_after(topic, counts[topic]) for topic in self._next}
        return end

    def _next_after(self, topic: str, record_count: int) -> int:
        """The next offset of a topic after one transaction's records and its marker."""
        return self._next[topic] + (record_count + MARKERS if record_count else 0)

    def _check_places(self, ends: Mapping[str, int], counts: Mapping[str, int]) -> None:
        """Check that the records begin where the previous transaction ended, in the state and in the journal."""
        for topic, begin in self._next.items():
            end = ends.get(topic, -1)
            if end >= 0 and end != begin + counts[topic] - 1:
                raise StateTaken(
                    f"{topic}/{self._partition} does not continue at offset {begin}: it was recreated, or a worker "
                    f"with another APP_ID than {self._config.app_id} writes to the same topics; stop that worker, or "
                    "give it topics of its own (TOPIC_PREFIX)"
                )

    async def discard(self) -> None:
        """Abort the open transaction within a short time limit, and close the producer in the background."""
        try:
            await bounded(self._producer.end(commit=False), self._config.abort_ms_max, "aborting")
        except Exception as error:  # noqa: BLE001 - after any error, the next producer of this id aborts
            log.debug("the next producer must abort", extra={"partition": self._partition, "error": repr(error)})
        finally:
            self._reaper.close_later(self._producer)
