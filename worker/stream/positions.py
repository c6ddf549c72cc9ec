"""Where a partition stands in its inputs, and how every offset got there. Pure; and the codec of that state record.

The position is part of the state, written in the transaction that has the outputs: it is the only truth about what has
been processed. Every offset below `next_offset` is counted once, as an outcome or as a gap. The same record says what
the topics must still hold when the partition starts again (`worker.stream.guards` compares).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from worker.stream.processor import Outcome, StateVersionError
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


_COLUMN: Final = {outcome: column for column, outcome in enumerate(Outcome, start=1)}
_GAPS: Final = Position._fields.index("gaps")


@dataclass
class InputProgress:
    """The positions of a partition while it is being processed: mutable, thrown away with the state on any error."""

    _columns: dict[str, list[int]] = field(default_factory=dict)
    stream_time_ms: int = NO_STREAM_TIME
    _begun: Mapping[str, Position] = field(default_factory=dict)
    """By topic: the position that it was made of; the generation and what was before it do not change."""
    _last: dict[str, LastRecord | None] = field(default_factory=dict)
    _newest: dict[str, InputRecord] = field(default_factory=dict)
    """By topic: the record counted last, until its proof is asked for."""

    @classmethod
    def of(cls, positions: Mapping[str, Position], stream_time_ms: int) -> InputProgress:
        """The running form of `positions`."""
        return cls(
            {topic: list(position.counts) for topic, position in positions.items()},
            stream_time_ms,
            positions,
            {topic: position.last for topic, position in positions.items()},
        )

    def count(self, record: InputRecord, outcome: Outcome) -> None:
        """Count a processed record, and the offsets jumped over to reach it."""
        columns = self._columns[record.topic]
        offset = record.offset
        if offset != columns[0]:
            columns[_GAPS] += offset - columns[0]
        columns[0] = offset + 1
        columns[_COLUMN[outcome]] += 1
        self._newest[record.topic] = record
        self.stream_time_ms = max(self.stream_time_ms, record.timestamp)

    def is_behind(self, read_to: Mapping[str, int]) -> bool:
        """Whether any of these inputs was read further than what is counted."""
        return any(self._columns[topic][0] < offset for topic, offset in read_to.items())

    def pass_over(self, read_to: Mapping[str, int]) -> None:
        """Count what lies before these offsets and is not counted as gaps: all records before them must be counted."""
        for topic, offset in read_to.items():
            columns = self._columns[topic]
            if columns[0] < offset:
                columns[_GAPS] += offset - columns[0]
                columns[0] = offset

    def positions(self) -> dict[str, Position]:
        """A copy, by input topic."""
        last = self._proofs()
        positions = {}
        for topic, (next_offset, applied, duplicate, stale, dead_lettered, gaps) in self._columns.items():
            positions[topic] = Position(
                *(next_offset, applied, duplicate, stale, dead_lettered, gaps),
                generation=self._begun[topic].generation,
                last=last[topic],
                dead_lettered_before=self._begun[topic].dead_lettered_before,
            )
        return positions

    def next_offsets(self) -> dict[str, int]:
        """Where each input goes on."""
        return {topic: columns[0] for topic, columns in self._columns.items()}

    def _proofs(self) -> dict[str, LastRecord | None]:
        for topic, record in self._newest.items():
            self._last[topic] = LastRecord.of(record)
        self._newest.clear()
        return self._last


def last_records(positions: Mapping[str, Position]) -> dict[str, LastRecord]:
    """The last record of each input that has one."""
    return {topic: position.last for topic, position in positions.items() if position.last is not None}


def outcomes_between(before: Mapping[str, Position], after: Mapping[str, Position]) -> dict[tuple[str, Outcome], int]:
    """How many records ended as what between two moments, by topic and outcome; zeros are left out."""
    counts = {
        (topic, outcome): position.counts[column] - before[topic].counts[column]
        for topic, position in after.items()
        for outcome, column in _COLUMN.items()
    }
    return {key: count for key, count in counts.items() if count}


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
