"""Where a partition stands in its inputs, as its state records it: the types and their encoding. Pure.

The position is part of the state, written in the transaction that has the outputs: it is the only truth about what has
been processed. Every offset below `next_offset` is counted once, as an outcome or as a gap. The same record says what
the topics must still hold when the partition starts again (`worker.stream.start.guards` compares).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from worker.stream.processor import StateVersionError
from worker.stream.records import InputRecord

ENGINE_KEYS: Final = b"stream/"
POSITIONS_KEY: Final = b"stream/positions"
FENCE_KEY: Final = b"stream/fence"
FORMAT_KEY: Final = b"stream/format"
TOPICS_KEY: Final = b"stream/topics"

VERSION: Final = 2
"""Version 1 had neither the last records nor what the journal and the state must hold."""
NO_STREAM_TIME: Final = -1
FORMAT_VERSION: Final = 1
"""Of the records `stream/format`, `stream/fence` and `stream/topics`."""
UNKNOWN: Final = -1
FIRST_GENERATION: Final = 1


class LastRecord(NamedTuple):
    """The last record that was processed of an input: proof that a topic is still the one that was read."""

    offset: int
    timestamp_ms: int
    crc: int
    """CRC-32 of the key followed by the value."""

    @classmethod
    def of(cls, record: InputRecord) -> LastRecord:
        """The proof that a record gives."""
        return cls(record.offset, record.timestamp, crc32(record.value or b"", crc32(record.key or b"")))


class Position(NamedTuple):
    """What became of one input of a partition up to `next_offset`."""

    next_offset: int
    applied: int = 0
    duplicate: int = 0
    stale: int = 0
    dead_lettered: int = 0
    gaps: int = 0
    """Offsets without a record to process: where reading began, markers, aborted and compacted records."""
    generation: int = FIRST_GENERATION
    """How many topics of this name were read, one after the other: an operator accepts a new one."""
    last: LastRecord | None = None
    """None: nothing was processed of this generation, or a version 1 processed it."""
    dead_lettered_before: int = 0
    """Records of all earlier generations that were dead-lettered."""

    @property
    def counts(self) -> tuple[int, int, int, int, int, int]:
        """The next offset, and what became of those before it: they add up to it."""
        return self.next_offset, self.applied, self.duplicate, self.stale, self.dead_lettered, self.gaps


def begun_at(offset: int, generation: int = FIRST_GENERATION) -> Position:
    """The position of an input whose reading begins at `offset`: what lies before is a gap."""
    return Position(next_offset=offset, gaps=offset, generation=generation)


def last_records(positions: Mapping[str, Position]) -> dict[str, LastRecord]:
    """The last record of each input that has one."""
    return {topic: position.last for topic, position in positions.items() if position.last is not None}


class JournalEnd(NamedTuple):
    """Where the journal ends, by the state. -1: there is none, or a version 1 wrote the record."""

    last_offset: int = UNKNOWN
    """Of its last record."""
    next_offset: int = UNKNOWN
    """Where it goes on: behind the marker of that record's transaction, or behind what was aborted since."""


class Checkpoint(NamedTuple):
    """What the state says of a partition as of a transaction: where it stands, and what the topics must hold."""

    positions: dict[str, Position]
    stream_time_ms: int
    """The greatest timestamp of a processed record, in milliseconds since the epoch; -1: none."""
    journal: JournalEnd = JournalEnd()
    state_records: int = UNKNOWN
    """How many keys of the processor the state has; -1: a version 1 wrote the record."""


_Row = tuple[int, int, int, int, int, int]
_CheckpointV1 = tuple[int, dict[str, _Row], int]
_CheckpointV2 = tuple[int, dict[str, Position], int, JournalEnd, int]


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The value of the state record `stream/positions`."""
    return msgspec.msgpack.encode((VERSION, *checkpoint))


def decode_checkpoint(value: bytes) -> Checkpoint:
    """The meaning of that value. Raises StateVersionError for a record of a newer version."""
    if check_version(value, POSITIONS_KEY) == 1:
        _, rows, stream_time_ms = msgspec.msgpack.decode(value, type=_CheckpointV1)
        return Checkpoint({topic: Position(*row) for topic, row in rows.items()}, stream_time_ms)
    _, positions, stream_time_ms, journal, state_records = msgspec.msgpack.decode(value, type=_CheckpointV2)
    return Checkpoint(positions, stream_time_ms, journal, state_records)


def encode_format(partition_count: int) -> bytes:
    """The value of the state record `stream/format`, written once, first of all."""
    return msgspec.msgpack.encode((FORMAT_VERSION, partition_count))


def decode_format(value: bytes) -> int:
    """The partition count the state was begun with.

    Raises StateVersionError for a record of a newer version.
    """
    check_version(value, FORMAT_KEY, FORMAT_VERSION)
    return msgspec.msgpack.decode(value, type=tuple[int, int])[1]


def encode_fence(at_ms: int) -> bytes:
    """The value of the state record `stream/fence`: only its offset matters, the time is for people who look."""
    return msgspec.msgpack.encode((FORMAT_VERSION, at_ms))


def check_version(value: bytes, key: bytes, known: int = VERSION) -> int:
    """The version of a record of the engine. Raises StateVersionError for one that is newer than `known`."""
    head = msgspec.msgpack.decode(value)
    version = head[0] if isinstance(head, list) and head else None
    if not isinstance(version, int) or version > known:
        raise StateVersionError(f"the state record {key.decode()} has version {version}, known is {known}")
    return version
