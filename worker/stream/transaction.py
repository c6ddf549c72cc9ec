"""The transactional producer of one partition: its fence, its transactions, and its end.

The stable transactional id is the fence: aiokafka does not pass group metadata, so only the epoch of the id tells a
zombie from the rightful owner. A producer is never shared, and never used again after an error: the sequence numbers of
a failed produce are unusable, and a commit without an answer is decided by the state topic alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition

from worker.stream.clients import BatchBuilder, Metadata, Producer
from worker.stream.config import Clock, EngineConfig
from worker.stream.errors import bounded
from worker.stream.positions import FENCE_KEY, encode_fence
from worker.stream.reaper import Reaper
from worker.stream.records import Output, OutputRecord
from worker.stream.steps import take_steps

log = logging.getLogger(__name__)

RECORDS_PER_STEP: Final = 500
"""How many are appended at a step: about 1 ms."""


class TransactionWriter:
    """Writes transactions of one partition. Any exception from it means: discard it."""

    def __init__(self, config: EngineConfig, partition: int, clock: Clock, reaper: Reaper) -> None:
        self._config = config
        self._partition = partition
        self._clock = clock
        self._reaper = reaper
        self._open = False
        self._producer: Producer = AIOKafkaProducer(
            **config.client,
            client_id=f"{config.app_id}-{partition}",
            transactional_id=f"{config.app_id}-{partition}",
            transaction_timeout_ms=config.transaction_timeout_ms,
            max_batch_size=config.produce_batch_bytes_max,
            request_timeout_ms=config.request_timeout_ms,
            metadata_max_age_ms=config.metadata_age_ms_max,
            retry_backoff_ms=config.retry_backoff_ms,
        )

    async def start(self) -> None:
        """Connect, fence whoever wrote for this partition before, and have the broker end what they left open."""
        await bounded(self._producer.start(), self._config.step_ms_max, "starting the producer")

    async def fence(self) -> int:
        """Commit a record in the state topic, and give its offset.

        Whoever has read the state up to it has read all that predecessors ever committed, and they commit no more.
        """
        value = encode_fence(self._clock.now_ms())
        await self.begin()
        return await self.commit([OutputRecord(self._config.state_topic, FENCE_KEY, value)], {})

    async def begin(self) -> None:
        """Begin a transaction. Nothing reaches the broker yet."""
        await bounded(self._producer.begin_transaction(), self._config.step_ms_max, "beginning a transaction")
        self._open = True

    async def commit(self, records: Sequence[Output], offsets: Mapping[str, int]) -> int:
        """Write all records and the next offsets by input topic, and commit them together.

        Gives the offset of the last record in the state topic (-1 when the broker did not tell): nothing of this
        partition's state lies behind it.
        """
        step_ms = self._config.step_ms_max
        batches = await self._batches(records)  # no wait for the broker, so its bound is none of it
        sent = await bounded(self._send(batches), step_ms, "sending records")
        # A failed batch does not make the transaction abortable, and a commit then succeeds without it. Offsets are
        # added after the answers: added while a first produce is under way they make the broker refuse it.
        state_offset = await bounded(self._acknowledged(sent), step_ms, "writing records")
        if offsets:
            committed = {TopicPartition(topic, self._partition): offset for topic, offset in offsets.items()}
            adding = self._producer.send_offsets_to_transaction(committed, self._config.app_id)
            await bounded(adding, step_ms, "adding offsets to the transaction")
        await bounded(self._producer.commit_transaction(), step_ms, "committing")
        self._open = False
        return state_offset

    async def discard(self) -> None:
        """Abort what is open, if that can be done quickly, and let the producer end in the background."""
        try:
            if self._open:
                self._open = False
                await bounded(self._producer.abort_transaction(), self._config.abort_ms_max, "aborting")
        except Exception as error:  # noqa: BLE001 - whatever it is, the next producer of this id aborts
            log.debug("abort left to the successor", extra={"partition": self._partition, "error": repr(error)})
        finally:
            self._reaper.bury(self._producer)

    async def _send(
        self, batches: Sequence[tuple[str, BatchBuilder]]
    ) -> list[tuple[str, int, asyncio.Future[Metadata]]]:
        sent: list[tuple[str, int, asyncio.Future[Metadata]]] = []
        for topic, batch in batches:
            future = await self._producer.send_batch(batch, topic, partition=self._partition)
            future.add_done_callback(_retrieve)
            sent.append((topic, batch.record_count(), future))
        return sent

    async def _acknowledged(self, sent: Sequence[tuple[str, int, asyncio.Future[Metadata]]]) -> int:
        state_offset = -1
        for topic, count, future in sent:
            metadata = await future
            if topic == self._config.state_topic:
                state_offset = metadata.offset + count - 1 if metadata.offset >= 0 else -1
        return state_offset

    async def _batches(self, records: Sequence[Output]) -> list[tuple[str, BatchBuilder]]:
        """Full batches by topic, in the order in which they are to be sent: one of each topic, then the next ones.

        A batch always takes its first record, however large: so a record may exceed the batch size, up to what the
        topic allows.
        """
        by_topic: dict[str, list[BatchBuilder]] = {}
        await take_steps(self._append(records, by_topic), self._clock, self._config.chunk_time_ms_max)
        rounds = zip_longest(*([(topic, batch) for batch in batches] for topic, batches in by_topic.items()))
        return [entry for entries in rounds for entry in entries if entry is not None]

    def _append(self, records: Sequence[Output], by_topic: dict[str, list[BatchBuilder]]) -> Iterator[None]:
        """Append records to the last batch of their topic, or to a new one where it is full; a few at a step."""
        now_ms = self._clock.now_ms()
        last: dict[str, BatchBuilder] = {}
        for first in range(0, len(records), RECORDS_PER_STEP):
            for topic, key, value, headers in records[first : first + RECORDS_PER_STEP]:
                batch = last.get(topic)
                # The client's builder wants a list; an empty one may be shared.
                tags = list(headers) if headers else _NO_HEADERS
                if batch is not None and batch.append(timestamp=now_ms, key=key, value=value, headers=tags) is not None:
                    continue
                batch = last[topic] = self._producer.create_batch()
                batch.append(timestamp=now_ms, key=key, value=value, headers=tags)
                by_topic.setdefault(topic, []).append(batch)
            yield


_NO_HEADERS: list[tuple[str, bytes | None]] = []


def _retrieve(future: asyncio.Future[Metadata]) -> None:
    """Look at a result nobody may wait for any more, so that its error is not reported as lost."""
    if not future.cancelled():
        future.exception()
