"""Reading the state of one partition, on a connection of its own, up to the fence record of its new owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from worker.stream.clients import Consumer
from worker.stream.config import Clock, EngineConfig
from worker.stream.errors import Halt, StepTimeout, bounded
from worker.stream.fetched import Unreadable
from worker.stream.positions import (
    ENGINE_KEYS,
    FORMAT_KEY,
    NO_STREAM_TIME,
    POSITIONS_KEY,
    Position,
    decode_format,
    decode_positions,
)
from worker.stream.processor import Processor, StateVersionError
from worker.stream.reaper import Reaper
from worker.stream.status import RestoreProgress

RECORDS_PER_STEP = 1000
POLL_MS = 500
RESTORE_FETCH_BYTES_MAX = 4 << 20


class StateRecord(Protocol):
    """A record of the state topic."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def key(self) -> bytes:
        """Its key: a state topic is compacted, so every record has one."""

    @property
    def value(self) -> bytes | None:
        """Its value; None: the key is gone."""


class Restored:
    """What the engine's own records of the state say."""

    def __init__(self) -> None:
        self.partition_count: int | None = None
        self.positions: dict[str, Position] = {}
        self.stream_time_ms = NO_STREAM_TIME

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take one record with an engine key, in order."""
        if value is None:
            return
        if key == POSITIONS_KEY:
            self.positions, self.stream_time_ms = decode_positions(value)
        elif key == FORMAT_KEY:
            self.partition_count = decode_format(value)


class StateReader:
    """Reads the state topic of one partition into a processor."""

    def __init__(self, config: EngineConfig, partition: int, clock: Clock, reaper: Reaper) -> None:
        self._config = config
        self._clock = clock
        self._reaper = reaper
        self._source = TopicPartition(config.state_topic, partition)

    async def restore(
        self, processor: Processor, fence_offset: int, progressed: Callable[[RestoreProgress], None]
    ) -> Restored:
        """Give every committed state record to `processor`, until the position is beyond `fence_offset`.

        Raises Halt when the state cannot be understood, StepTimeout when nothing arrives for too long, and errors of
        the broker.
        """
        restored = Restored()
        count = 0
        async with aclosing(self._read(None, fence_offset)) as steps:
            async for records, offset in steps:
                self._take(records, processor, restored)
                count += len(records)
                progressed(RestoreProgress(count, offset, fence_offset))
        return restored

    async def unchanged(self, since_offset: int, fence_offset: int) -> bool:
        """Whether the state topic has no committed record between those two."""
        try:
            async with aclosing(self._read(since_offset + 1, fence_offset)) as steps:
                async for records, _ in steps:
                    if any(record.offset != fence_offset for record in records):
                        return False
        except OffsetOutOfRangeError:
            return False
        return True

    async def _read(
        self, begin_offset: int | None, fence_offset: int
    ) -> AsyncGenerator[tuple[Sequence[StateRecord], int], None]:
        """The records from `begin_offset` (None: the first one there is) to the fence, each with the offset reached."""
        config = self._config
        consumer: Consumer = AIOKafkaConsumer(
            **config.client,
            client_id=f"{config.app_id}-restore-{self._source.partition}",
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            fetch_max_wait_ms=config.fetch_wait_ms_max,
            max_partition_fetch_bytes=RESTORE_FETCH_BYTES_MAX,
            request_timeout_ms=config.request_timeout_ms,
            metadata_max_age_ms=config.metadata_age_ms_max,
        )
        try:
            await bounded(consumer.start(), config.step_ms_max, "starting the restore")
            consumer.assign([self._source])
            if begin_offset is None:
                asked = consumer.beginning_offsets([self._source])
                offsets = await bounded(asked, config.step_ms_max, "finding the state's beginning")
                begin_offset = offsets[self._source]
            consumer.seek(self._source, begin_offset)
            offset = begin_offset
            moved_at = self._clock.monotonic()
            while offset <= fence_offset:
                batches = await consumer.getmany(self._source, timeout_ms=POLL_MS, max_records=RECORDS_PER_STEP)
                position = await consumer.position(self._source)
                now = self._clock.monotonic()
                records = batches.get(self._source, ())
                if records and type(records[-1]) is Unreadable:
                    raise records[-1].error
                if position > offset:
                    offset, moved_at = position, now
                    yield records, offset
                elif now - moved_at > config.restore_silence_ms_max / 1000:
                    raise StepTimeout(f"the restore read nothing for {config.restore_silence_ms_max} ms")
                await asyncio.sleep(0)
        finally:
            self._reaper.bury(consumer)

    def _take(self, records: Sequence[StateRecord], processor: Processor, restored: Restored) -> None:
        restore = processor.restore
        try:
            for record in records:
                key = record.key
                if key.startswith(ENGINE_KEYS):
                    restored.take(key, record.value)
                else:
                    restore(key, record.value)
        except StateVersionError as error:
            raise Halt(
                f"the state of partition {self._source.partition} was written by a newer version ({error}): "
                "run that version, or a newer one"
            ) from error
        except Exception as error:
            raise Halt(
                f"the state of partition {self._source.partition} in {self._source.topic} cannot be read "
                f"({type(error).__name__}: {error})"
            ) from error
