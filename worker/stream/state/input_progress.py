"""The positions of a partition while it is processed: counts every record, and every gap between offsets.

It is apart from `positions` because it is compiled. A compiled class keeps no types of its fields, which the codec in
`positions` needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from worker.stream.processor import Outcome
from worker.stream.records import InputRecord
from worker.stream.state.positions import NO_STREAM_TIME, LastRecord, Position

_COLUMN: Final = {outcome: column for column, outcome in enumerate(Outcome, start=1)}
_GAPS: Final = Position._fields.index("gaps")


@dataclass
class InputProgress:
    """The mutable positions of a partition. They are thrown away with the state after any error."""

    _columns: dict[str, list[int]] = field(default_factory=dict)
    stream_time_ms: int = NO_STREAM_TIME
    _begun: Mapping[str, Position] = field(default_factory=dict)
    """By topic: the position it began with, because the generation and its earlier counts do not change."""
    _last: dict[str, LastRecord | None] = field(default_factory=dict)
    _newest: dict[str, InputRecord] = field(default_factory=dict)
    """By topic: the record counted last, until its proof is needed."""

    @classmethod
    def of(cls, positions: Mapping[str, Position], stream_time_ms: int) -> InputProgress:
        """Make the mutable form of `positions`."""
        return cls(
            {topic: list(position.counts) for topic, position in positions.items()},
            stream_time_ms,
            positions,
            {topic: position.last for topic, position in positions.items()},
        )

    def count(self, record: InputRecord, outcome: Outcome) -> None:
        """Count a processed record, and the gap before it."""
        columns = self._columns[record.topic]
        offset = record.offset
        if offset != columns[0]:
            columns[_GAPS] += offset - columns[0]
        columns[0] = offset + 1
        columns[_COLUMN[outcome]] += 1
        self._newest[record.topic] = record
        self.stream_time_ms = max(self.stream_time_ms, record.timestamp)

    def is_behind(self, read_to: Mapping[str, int]) -> bool:
        """Whether any input was read further than it is counted."""
        return any(self._columns[topic][0] < offset for topic, offset in read_to.items())

    def pass_over(self, read_to: Mapping[str, int]) -> None:
        """Count the offsets before `read_to` that are not counted yet as gaps. All records there must be counted."""
        for topic, offset in read_to.items():
            columns = self._columns[topic]
            if columns[0] < offset:
                columns[_GAPS] += offset - columns[0]
                columns[0] = offset

    def positions(self) -> dict[str, Position]:
        """A copy of the positions, by input topic."""
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
        """The next offset of each input."""
        return {topic: columns[0] for topic, columns in self._columns.items()}

    def _proofs(self) -> dict[str, LastRecord | None]:
        for topic, record in self._newest.items():
            self._last[topic] = LastRecord.of(record)
        self._newest.clear()
        return self._last


def outcomes_between(before: Mapping[str, Position], after: Mapping[str, Position]) -> dict[tuple[str, Outcome], int]:
    """Count the records between two moments, by topic and outcome. Zeros are left out."""
    counts = {
        (topic, outcome): position.counts[column] - before[topic].counts[column]
        for topic, position in after.items()
        for outcome, column in _COLUMN.items()
    }
    return {key: count for key, count in counts.items() if count}
