"""Where a partition stands in its inputs, and how every offset got there. Pure; and the codec of the engine's records.

The position is part of the state, written in the transaction that has the outputs: it is the only truth about what has
been processed. Every offset below `next_offset` is counted once, as an outcome or as a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from worker.stream.processor import Outcome, StateVersionError
from worker.stream.records import InputRecord

ENGINE_KEYS: Final = b"stream/"
POSITIONS_KEY: Final = b"stream/positions"
FENCE_KEY: Final = b"stream/fence"
FORMAT_KEY: Final = b"stream/format"

VERSION: Final = 1
NO_STREAM_TIME: Final = -1


class Position(NamedTuple):
    """What became of one input of a partition up to `next_offset`."""

    next_offset: int
    applied: int = 0
    duplicate: int = 0
    stale: int = 0
    dead_lettered: int = 0
    gaps: int = 0
    """Offsets without a record to process: where reading began, markers, aborted and compacted records."""


def begun_at(offset: int) -> Position:
    """The position of an input whose reading begins at `offset`: what lies before is a gap."""
    return Position(next_offset=offset, gaps=offset)


_COLUMN: Final = {outcome: column for column, outcome in enumerate(Outcome, start=1)}
_GAPS: Final = Position._fields.index("gaps")


@dataclass
class InputProgress:
    """The positions of a partition while it is being processed: mutable, thrown away with the state on any error."""

    _columns: dict[str, list[int]] = field(default_factory=dict)
    stream_time_ms: int = NO_STREAM_TIME

    @classmethod
    def of(cls, positions: dict[str, Position], stream_time_ms: int) -> InputProgress:
        """The running form of `positions`."""
        return cls({topic: list(position) for topic, position in positions.items()}, stream_time_ms)

    def count(self, record: InputRecord, outcome: Outcome) -> None:
        """Count a processed record, and the offsets jumped over to reach it."""
        columns = self._columns[record.topic]
        offset = record.offset
        if offset != columns[0]:
            columns[_GAPS] += offset - columns[0]
        columns[0] = offset + 1
        columns[_COLUMN[outcome]] += 1
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
        return {topic: Position(*columns) for topic, columns in self._columns.items()}


def outcomes_between(before: Mapping[str, Position], after: Mapping[str, Position]) -> dict[tuple[str, Outcome], int]:
    """How many records ended as what between two moments, by topic and outcome; zeros are left out."""
    counts = {
        (topic, outcome): position[column] - before[topic][column]
        for topic, position in after.items()
        for outcome, column in _COLUMN.items()
    }
    return {key: count for key, count in counts.items() if count}


_PositionsValue = tuple[int, dict[str, Position], int]


def encode_positions(positions: dict[str, Position], stream_time_ms: int) -> bytes:
    """The value of the state record `stream/positions`."""
    return msgspec.msgpack.encode((VERSION, positions, stream_time_ms))


def decode_positions(value: bytes) -> tuple[dict[str, Position], int]:
    """The positions by input topic, and the stream time in milliseconds (-1: none).

    Raises StateVersionError for a record of a newer version.
    """
    _check_version(value, POSITIONS_KEY)
    _, positions, stream_time_ms = msgspec.msgpack.decode(value, type=_PositionsValue)
    return positions, stream_time_ms


def encode_format(partition_count: int) -> bytes:
    """The value of the state record `stream/format`, written once, first of all."""
    return msgspec.msgpack.encode((VERSION, partition_count))


def decode_format(value: bytes) -> int:
    """The partition count the state was begun with.

    Raises StateVersionError for a record of a newer version.
    """
    _check_version(value, FORMAT_KEY)
    return msgspec.msgpack.decode(value, type=tuple[int, int])[1]


def encode_fence(at_ms: int) -> bytes:
    """The value of the state record `stream/fence`: only its offset matters, the time is for whoever looks."""
    return msgspec.msgpack.encode((VERSION, at_ms))


def _check_version(value: bytes, key: bytes) -> None:
    head = msgspec.msgpack.decode(value)
    version = head[0] if isinstance(head, list) and head else None
    if not isinstance(version, int) or version > VERSION:
        raise StateVersionError(f"the state record {key.decode()} has version {version}, known is {VERSION}")
