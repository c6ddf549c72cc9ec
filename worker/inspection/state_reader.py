"""Reading the state of a partition without taking part: the ledger, the positions and the formats, as of one offset of
the state topic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from worker.domain.ledger import Ledger
from worker.domain.policies import Policies
from worker.inspection.topic_reader import Record, TopicReader
from worker.processors.ledger import PartitionProcessor, source_name
from worker.stream.processor import StateVersionError
from worker.stream.start.restore import Restored
from worker.stream.state.positions import (
    ENGINE_KEYS,
    FIRST_GENERATION,
    POSITIONS_KEY,
    Position,
    decode_checkpoint,
)

ALL: Final = 1 << 63
"""Beyond every offset."""
NewProcessor = Callable[[int], PartitionProcessor]
"""Makes the processor of a partition."""


class StateUnreadable(Exception):
    """A state record cannot be read, or is from a newer version; the message is one sentence that names the place."""


@dataclass(slots=True)
class StateAtOffset:
    """The state of a partition at offset `end` of the state topic; `engine`: the engine's own records."""

    ledger: Ledger
    end: int
    records: int = 0
    engine: Restored = field(default_factory=Restored)

    @property
    def cut(self) -> dict[str, int]:
        """The next offset of each source: see `cut_of`."""
        return cut_of(self.engine.positions)


def cut_of(positions: Mapping[str, Position]) -> dict[str, int]:
    """The next offset of each source, by the name that outputs call it by: the topic with its generation.

    Earlier generations have the offset ALL, because the state has read, or passed over, all that they had.
    """
    cut: dict[str, int] = {}
    for topic, position in positions.items():
        cut |= {source_name(topic, number): ALL for number in range(FIRST_GENERATION, position.generation)}
        cut[source_name(topic, position.generation)] = position.next_offset
    return cut


def processors(partition_count: int, prefix: str, policies: Policies) -> NewProcessor:
    """Return the function that makes the processors of a system."""
    return lambda partition: PartitionProcessor(
        partition=partition, partition_count=partition_count, prefix=prefix, policies=policies
    )


async def read_state(reader: TopicReader, topic: str, partition: int, new_processor: NewProcessor) -> StateAtOffset:
    """Read the committed state of a partition as it is now. Raises StateUnreadable."""
    bounds = await reader.bounds(topic, partition)
    processor = new_processor(partition)
    state = StateAtOffset(processor.ledger, bounds.stable_end)

    def take(records: Sequence[Record]) -> None:
        for record in records:
            try:
                _take(record, processor, state)
            except StateVersionError as error:
                raise _newer(f"{topic}/{partition}/{record.offset}", error) from error
            except (msgspec.DecodeError, ValueError, TypeError) as error:
                raise StateUnreadable(
                    f"{topic}/{partition}/{record.offset} (key {record.key!r}) cannot be read: {error}"
                ) from error
        state.records += len(records)

    await reader.read(topic, partition, start=bounds.start, end=bounds.stable_end, take=take)
    processor.restored(state.engine.stream_time_ms)
    return state


async def read_cut(reader: TopicReader, topic: str, partition: int, start: int) -> dict[str, int] | None:
    """The last positions written at or after offset `start` of the state topic, None without any.

    Raises StateUnreadable.
    """
    last: list[bytes] = []

    def take(records: Sequence[Record]) -> None:
        last[:] = [record.value for record in records if record.key == POSITIONS_KEY and record.value is not None][
            -1:
        ] or last

    bounds = await reader.bounds(topic, partition)
    # To the end of all, waiting for what is open: its outputs may be in other topics already.
    await reader.read(topic, partition, start=max(start, bounds.start), end=bounds.end, take=take)
    if not last:
        return None
    try:
        return cut_of(decode_checkpoint(last[0]).positions)
    except StateVersionError as error:
        raise _newer(f"{topic}/{partition}", error) from error


async def read_engine_state(reader: TopicReader, topic: str, partition: int) -> Restored:
    """Read the engine's own records of a partition's state. Raises StateUnreadable."""
    engine = Restored()

    def take(records: Sequence[Record]) -> None:
        for record in records:
            if record.key is not None and record.key.startswith(ENGINE_KEYS):
                engine.take(record.key, record.value)

    bounds = await reader.bounds(topic, partition)
    try:
        await reader.read(topic, partition, start=bounds.start, end=bounds.stable_end, take=take)
    except StateVersionError as error:
        raise _newer(f"{topic}/{partition}", error) from error
    return engine


def _newer(place: str, error: StateVersionError) -> StateUnreadable:
    return StateUnreadable(
        f"a newer version of stockfreeze wrote {place} ({error}): run that version, or a newer one, for this command"
    )


def _take(record: Record, processor: PartitionProcessor, state: StateAtOffset) -> None:
    key, value = record.key, record.value
    if key is None:
        raise ValueError("a state record must have a key")
    if key.startswith(ENGINE_KEYS):
        state.engine.take(key, value)
    else:
        processor.restore(key, value)
