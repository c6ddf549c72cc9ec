"""Reads what a partition needs to start, with a consumer of its own: state, first and last offsets, single records.

The engine's consumer cannot be used, because it reads many partitions, and other requests wait until its fetches are
answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.clock import Clock
from worker.stream.clients import Consumer
from worker.stream.config import EngineConfig
from worker.stream.errors import StepTimeout, bounded
from worker.stream.kafka.fetched import Unreadable
from worker.stream.kafka.reaper import Reaper
from worker.stream.records import InputRecord
from worker.stream.start.guards import Bounds
from worker.stream.state.positions import LastRecord

RECORDS_PER_STEP = 1000
POLL_MS = 500
LOOK_MS = 10
"""The poll time where perhaps only aborted records lie, because such a poll always takes its whole time."""
LOOK_BACK_OFFSETS = 100_000
FETCH_BYTES_MAX = 4 << 20


class StateRecord(Protocol):
    """A record of the state topic."""

    @property
    def offset(self) -> int:
        """The record's offset."""

    @property
    def key(self) -> bytes:
        """The record's key. Every record has one, because the state topic is compacted."""

    @property
    def value(self) -> bytes | None:
        """The record's value; None deletes the key."""


class PartitionReader:
    """Reads committed records of one partition of any topic. Call `start` before use, and `close` at the end."""

    def __init__(self, config: EngineConfig, partition: int, clock: Clock, reaper: Reaper) -> None:
        self._config = config
        self._partition = partition
        self._clock = clock
        self._reaper = reaper
        self._consumer: Consumer = AIOKafkaConsumer(
            **config.client,
            client_id=f"{config.app_id}-restore-{partition}",
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            fetch_max_wait_ms=config.fetch_wait_ms_max,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            request_timeout_ms=config.request_timeout_ms,
            metadata_max_age_ms=config.metadata_age_ms_max,
        )

    async def start(self) -> None:
        """Connect, and load the metadata of all topics together, because each later topic costs 100 ms."""
        config = self._config
        self._consumer._client.set_topics([*config.inputs, config.journal_topic, config.state_topic])  # noqa: SLF001
        await bounded(self._consumer.start(), self._config.step_ms_max, "starting the restore")

    def close(self) -> None:
        """Disconnect, in the background."""
        self._reaper.close_later(self._consumer)

    async def bounds(self, topics: Iterable[str]) -> dict[str, Bounds]:
        """The first and the last offset of this partition of each topic."""
        sources = [self._source(topic) for topic in topics]
        step_ms = self._config.step_ms_max
        begins = await bounded(self._consumer.beginning_offsets(sources), step_ms, "finding where topics begin")
        ends = await bounded(self._consumer.end_offsets(sources), step_ms, "finding where topics end")
        return {source.topic: Bounds(begins[source], ends[source]) for source in sources}

    async def read(
        self, topic: str, begin: int, end: int, poll_ms: int = POLL_MS
    ) -> AsyncGenerator[tuple[Sequence[StateRecord], int], None]:
        """Yield the records from `begin` until the position has reached `end`, each time with the position.

        Raises StepTimeout if nothing arrives for too long, and errors of the broker.
        """
        source = self._source(topic)
        self._consumer.assign([source])
        self._consumer.seek(source, begin)
        offset, moved_at = begin, self._clock.monotonic()
        while offset < end:
            batches = await self._consumer.getmany(source, timeout_ms=poll_ms, max_records=RECORDS_PER_STEP)
            position = await self._consumer.position(source)
            now = self._clock.monotonic()
            records = batches.get(source, ())
            if records and type(records[-1]) is Unreadable:
                raise records[-1].error
            if position > offset:
                offset, moved_at = position, now
                yield records, offset
            elif now - moved_at > self._config.restore_silence_ms_max / 1000:
                raise StepTimeout(f"the restore read nothing for {self._config.restore_silence_ms_max} ms")
            await asyncio.sleep(0)

    async def first_record(self, topic: str, begin: int, end: int) -> int | None:
        """The offset of the first committed record from `begin` on and before `end`, None if there is none."""
        async with aclosing(self.read(topic, begin, end, LOOK_MS)) as steps:
            async for records, _ in steps:
                offset = next((record.offset for record in records if record.offset < end), None)
                if offset is not None:
                    return offset
        return None

    async def has_record(self, topic: str, begin: int, offset: int) -> bool:
        """Whether a committed record lies at `offset`, found by reading from an earlier offset on."""
        async with aclosing(self.read(topic, max(begin, offset - LOOK_BACK_OFFSETS), offset + 1, LOOK_MS)) as steps:
            async for records, _ in steps:
                if any(record.offset == offset for record in records):
                    return True
        return False

    async def records_at(self, offsets: Mapping[str, int]) -> dict[str, LastRecord | None]:
        """The record at one offset of each topic, None if none can be read there. No offset may be a topic's end."""
        pending = {self._source(topic): offset for topic, offset in offsets.items()}
        if not pending:
            return {}
        self._consumer.assign(list(pending))
        for source, offset in pending.items():
            self._consumer.seek(source, offset)
        found: dict[str, LastRecord | None] = {}
        moved_at = self._clock.monotonic()
        while pending:
            batches = await self._consumer.getmany(*pending, timeout_ms=LOOK_MS, max_records=RECORDS_PER_STEP)
            now = self._clock.monotonic()
            for source, offset in list(pending.items()):
                records = batches.get(source, ())
                if records or await self._consumer.position(source) > offset:
                    found[source.topic] = _proof_at(records, offset)
                    del pending[source]
                    moved_at = now
            if now - moved_at > self._config.restore_silence_ms_max / 1000:
                raise StepTimeout(f"the last records were not read for {self._config.restore_silence_ms_max} ms")
            await asyncio.sleep(0)
        return found

    async def lying_at(
        self, proofs: Mapping[str, Sequence[LastRecord]], bounds: Mapping[str, Bounds]
    ) -> dict[str, dict[int, LastRecord | None]]:
        """The records that lie today at the offsets of these proofs, by topic and offset; None where none lies."""
        found: dict[str, dict[int, LastRecord | None]] = {topic: {} for topic in proofs}
        # The first proofs of all topics are read together, then the second ones.
        for number in range(max(map(len, proofs.values()), default=0)):
            offsets = {topic: given[number].offset for topic, given in proofs.items() if number < len(given)}
            there = {t: offset for t, offset in offsets.items() if bounds[t].begin <= offset < bounds[t].end}
            lying = await self.records_at(there)
            for topic, offset in offsets.items():
                found[topic][offset] = lying.get(topic)
        return found

    def _source(self, topic: str) -> TopicPartition:
        return TopicPartition(topic, self._partition)


def _proof_at(records: Sequence[InputRecord | Unreadable], offset: int) -> LastRecord | None:
    first = records[0] if records else None
    return LastRecord.of(first) if isinstance(first, InputRecord) and first.offset == offset else None
