"""The transactional producer of one partition: its fence, its transactions, and its end.

The stable transactional id is the fence: aiokafka does not pass group metadata, so only the epoch of the id tells a
zombie from the rightful owner. A producer is never shared, and never used again after an error: the sequence numbers of
a failed produce are unusable, and a commit without an answer is decided by the state topic alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer import sender

from worker.stream.clients import Metadata, Producer
from worker.stream.config import Clock, EngineConfig
from worker.stream.errors import bounded
from worker.stream.open_batches import OpenBatches
from worker.stream.positions import FENCE_KEY, encode_fence
from worker.stream.reaper import Reaper
from worker.stream.records import Output, OutputRecord

log = logging.getLogger(__name__)

MARKER_SECONDS: Final = 0.003


def ask_soon_for_markers() -> None:
    """Make all producers of this process wait `MARKER_SECONDS` instead of 20 ms where a transaction cannot begin yet.

    That is when the broker has not written all markers of the last one, which takes it a few milliseconds. All that
    arrives meanwhile waits too.
    """
    sender.BACKOFF_OVERRIDE = MARKER_SECONDS


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
        self._batches = OpenBatches(self._producer.create_batch, clock.now_ms)

    async def start(self) -> None:
        """Connect, fence whoever wrote for this partition before, and have the broker end what they left open."""
        await bounded(self._producer.start(), self._config.step_ms_max, "starting the producer")

    async def fence(self) -> int:
        """Commit a record in the state topic, and give its offset.

        Whoever has read the state up to it has read all that predecessors ever committed, and they commit no more.
        Raises KafkaError where the broker does not tell the offset.
        """
        value = encode_fence(self._clock.now_ms())
        await self.begin()
        self.append([OutputRecord(self._config.state_topic, FENCE_KEY, value)])
        offset = await self.commit({})
        if offset < 0:
            raise KafkaError("the broker has not told where the fence record lies")
        return offset

    async def begin(self) -> None:
        """Begin a transaction. Nothing reaches the broker yet."""
        await bounded(self._producer.begin_transaction(), self._config.step_ms_max, "beginning a transaction")
        self._open = True

    def append(self, records: Iterable[Output]) -> None:
        """Make records part of the open transaction. They are sent with its commit."""
        self._batches.append(records)

    async def commit(self, offsets: Mapping[str, int]) -> int:
        """Write what was appended and the next offsets by input topic, and commit them together.

        Gives the offset of the last record in the state topic (-1 when the broker did not tell): nothing of this
        partition's state lies behind it.
        """
        step_ms = self._config.step_ms_max
        sent = await bounded(self._send(), step_ms, "sending records")
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

    async def _send(self) -> list[tuple[str, int, asyncio.Future[Metadata]]]:
        sent: list[tuple[str, int, asyncio.Future[Metadata]]] = []
        for topic, batch in self._batches.take():
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


def _retrieve(future: asyncio.Future[Metadata]) -> None:
    """Look at a result nobody may wait for any more, so that its error is not reported as lost."""
    if not future.cancelled():
        future.exception()
