"""Restoring the state of one partition from its topic, up to the fence record of its new owner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from aiokafka.errors import OffsetOutOfRangeError

from worker.stream.config import EngineConfig
from worker.stream.errors import Halt
from worker.stream.processor import StateVersionError
from worker.stream.start.guards import BEGIN_ANEW
from worker.stream.start.partition_reader import PartitionReader, StateRecord
from worker.stream.state.known_topics import KnownTopics, decode_known_topics
from worker.stream.state.positions import (
    ENGINE_KEYS,
    FORMAT_KEY,
    NO_STREAM_TIME,
    POSITIONS_KEY,
    TOPICS_KEY,
    Checkpoint,
    Position,
    decode_checkpoint,
    decode_format,
)
from worker.stream.status import RestoreProgress


class Restored:
    """The engine's own records of the state: format, positions, topics."""

    def __init__(self) -> None:
        self.partition_count: int | None = None
        self.checkpoint: Checkpoint | None = None
        """None if the state has no positions."""
        self.known_topics = KnownTopics()

    @property
    def positions(self) -> dict[str, Position]:
        """The position of each input."""
        return {} if self.checkpoint is None else self.checkpoint.positions

    @property
    def stream_time_ms(self) -> int:
        """The greatest timestamp of a processed record, -1 if there is none."""
        return NO_STREAM_TIME if self.checkpoint is None else self.checkpoint.stream_time_ms

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take one record with a key of the engine, in order."""
        if value is None:
            return
        if key == POSITIONS_KEY:
            self.checkpoint = decode_checkpoint(value)
        elif key == TOPICS_KEY:
            self.known_topics = decode_known_topics(value)
        elif key == FORMAT_KEY:
            self.partition_count = decode_format(value)


class Restorable(Protocol):
    """Takes the records of the state that are not the engine's own, as a processor does."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one record. Called for each in offset order, as in `worker.stream.processor.RestorableState`."""


class StateReader:
    """Reads the state topic of one partition into a processor, with a reader of that partition."""

    def __init__(self, config: EngineConfig, partition: int, reader: PartitionReader) -> None:
        self._state_topic = config.state_topic
        self._partition = partition
        self._reader = reader

    async def restore(
        self,
        processor: Restorable,
        begin_offset: int,
        fence_offset: int,
        progressed: Callable[[RestoreProgress], None],
    ) -> Restored:
        """Pass every committed record of the state to `processor`, up to `fence_offset`.

        Raises Halt if the state cannot be decoded, StepTimeout if nothing arrives for too long, and errors of the
        broker.
        """
        restored = Restored()
        count = 0
        async with aclosing(self._reader.read(self._state_topic, begin_offset, fence_offset + 1)) as steps:
            async for records, offset in steps:
                self._take(records, processor, restored)
                count += len(records)
                progressed(RestoreProgress(count, offset, fence_offset))
        return restored

    async def unchanged(self, since_offset: int, fence_offset: int) -> bool:
        """Whether the state topic has no committed record between `since_offset` and the fence record.

        If the fence record does not have the greater offset, the topic was recreated and is shorter, so the answer is
        no.
        """
        if fence_offset <= since_offset:
            return False
        try:
            first = await self._reader.first_record(self._state_topic, since_offset + 1, fence_offset)
        except OffsetOutOfRangeError:
            return False
        return first is None

    def _take(self, records: Sequence[StateRecord], processor: Restorable, restored: Restored) -> None:
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
                f"the state of partition {self._partition} was written by a newer version ({error}): "
                "run that version, or a newer one"
            ) from error
        except Exception as error:
            raise Halt(
                f"the state of partition {self._partition} in {self._state_topic} cannot be read "
                f"({type(error).__name__}: {error}): restore the topic from a backup, or {BEGIN_ANEW}"
            ) from error
