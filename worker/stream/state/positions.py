"""The position of a partition in each of its inputs, and its encoding in the state. Pure.

Positions are part of the state, and are written in the transaction that has the outputs. Only they prove what was
processed. Every offset below `next_offset` is counted once, as an outcome or as a gap. The same record has what the
topics must still hold when the partition starts again (`worker.stream.start.guards` compares it).
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
"""Version 1 lacked the last records, the journal's end, and the count of state records."""
NO_STREAM_TIME: Final = -1
FORMAT_VERSION: Final = 1
"""The version of the records `stream/format`, `stream/fence` and `stream/topics`."""
UNKNOWN: Final = -1
FIRST_GENERATION: Final = 1


class LastRecord(NamedTuple):
    """The last record that was processed of an input. It proves that a topic is still the one that was read."""

    offset: int
    timestamp_ms: int
    crc: int
    """CRC-32 of the key followed by the value."""

    @classmethod
    def of(cls, record: InputRecord) -> LastRecord:
        """Make the proof of a record."""
        return cls(record.offset, record.timestamp, crc32(record.value or b"", crc32(record.key or b"")))


class Position(NamedTuple):
    """The next offset of one input of a partition, and how the offsets before it ended."""

    next_offset: int
    applied: int = 0
    duplicate: int = 0
    stale: int = 0
    dead_lettered: int = 0
    gaps: int = 0
    """Offsets without a record to process: those before reading began, markers, aborted and compacted records."""
    generation: int = FIRST_GENERATION
    """How many topics of this name were read one after the other. An operator accepts each new one."""
    last: LastRecord | None = None
    """None if nothing of this generation was processed, or if version 1 wrote the positions."""
    dead_lettered_before: int = 0
    """How many records of all earlier generations were dead-lettered."""

    @property
    def counts(self) -> tuple[int, int, int, int, int, int]:
        """The next offset and the counts of the offsets before it, whose sum it is."""
        return self.next_offset, self.applied, self.duplicate, self.stale, self.dead_lettered, self.gaps


def begun_at(offset: int, generation: int = FIRST_GENERATION) -> Position:
    """The position of an input whose reading begins at `offset`. All offsets before it count as gaps."""
    return Position(next_offset=offset, gaps=offset, generation=generation)


def last_records(positions: Mapping[str, Position]) -> dict[str, LastRecord]:
    """The last record of each input that has one."""
    return {topic: position.last for topic, position in positions.items() if position.last is not None}


class JournalEnd(NamedTuple):
    """Where the journal ends, by the state. Offsets are -1 if there is no journal yet, or if version 1 wrote them."""

    last_offset: int = UNKNOWN
    """The offset of its last record."""
    next_offset: int = UNKNOWN
    """Its next offset: after the marker of that record's transaction, or after records aborted since."""


class Checkpoint(NamedTuple):
    """The positions of a partition after a transaction, and what its topics must hold."""

    positions: dict[str, Position]
    stream_time_ms: int
    """The greatest timestamp of a processed record in milliseconds since the epoch, -1 if there is none."""
    journal: JournalEnd = JournalEnd()
    state_records: int = UNKNOWN
    """How many keys of the processor the state has, -1 if version 1 wrote the record."""


_PositionRow = tuple[int, int, int, int, int, int]
_CheckpointV1 = tuple[int, dict[str, _PositionRow], int]
_CheckpointV2 = tuple[int, dict[str, Position], int, JournalEnd, int]


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Encode the value of the state record `stream/positions`."""
    return msgspec.msgpack.encode((VERSION, *checkpoint))


def decode_checkpoint(value: bytes) -> Checkpoint:
    """Decode the value of the state record `stream/positions`. Raises StateVersionError for a newer version."""
    if check_version(value, POSITIONS_KEY) == 1:
        _, rows, stream_time_ms = msgspec.msgpack.decode(value, type=_CheckpointV1)
        return Checkpoint({topic: Position(*row) for topic, row in rows.items()}, stream_time_ms)
    _, positions, stream_time_ms, journal, state_records = msgspec.msgpack.decode(value, type=_CheckpointV2)
    return Checkpoint(positions, stream_time_ms, journal, state_records)


def encode_format(partition_count: int) -> bytes:
    """Encode the value of the state record `stream/format`, which is written once, before all others."""
    return msgspec.msgpack.encode((FORMAT_VERSION, partition_count))


def decode_format(value: bytes) -> int:
    """Decode the partition count that the state was begun with. Raises StateVersionError for a newer version."""
    check_version(value, FORMAT_KEY, FORMAT_VERSION)
    return msgspec.msgpack.decode(value, type=tuple[int, int])[1]


def encode_fence(at_ms: int) -> bytes:
    """Encode the value of the state record `stream/fence`. Only its offset is used; the time helps operators."""
    return msgspec.msgpack.encode((FORMAT_VERSION, at_ms))


def check_version(value: bytes, key: bytes, known: int = VERSION) -> int:
    """Decode the version of a record of the engine. Raises StateVersionError if it is newer than `known`."""
    head = msgspec.msgpack.decode(value)
    version = head[0] if isinstance(head, list) and head else None
    if not isinstance(version, int) or version > known:
        raise StateVersionError(
            f"the state record {key.decode()} has version {version}, but this program knows {known}"
        )
    return version
