from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import pytest

from tests.unit.stream.fakes import CONFIG, Obedient
from worker.stream import StateVersionError
from worker.stream.errors import Halt
from worker.stream.start.partition_reader import PartitionReader, StateRecord
from worker.stream.start.restore import Restored, StateReader
from worker.stream.state.positions import FENCE_KEY, POSITIONS_KEY, Checkpoint, Position, encode_checkpoint
from worker.stream.status import RestoreProgress


class _Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None


class _Topic(PartitionReader):
    """Has the records that it is given."""

    def __init__(self, *records: _Record) -> None:
        self._records = records

    async def read(
        self, topic: str, begin: int, end: int, _poll_ms: int = 0
    ) -> AsyncGenerator[tuple[Sequence[StateRecord], int], None]:
        assert topic == CONFIG.state_topic
        yield [record for record in self._records if record.offset >= begin], end


def _reader(*records: _Record) -> StateReader:
    return StateReader(CONFIG, 3, _Topic(*records))


class _Refusing(Obedient):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def restore(self, key: bytes, value: bytes | None) -> None:
        assert (key, value) == (b"key", b"value")
        raise self._error


def _ignored(_progress: RestoreProgress) -> None:
    """Nobody looks."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TypeError("no such field"), r"partition 3 in state cannot be read \(TypeError: no such field\)"),
        (KeyError("order"), r"partition 3 in state cannot be read \(KeyError: 'order'\)"),
        (StateVersionError("version 9"), r"partition 3 was written by a newer version \(version 9\)"),
    ],
    ids=lambda given: type(given).__name__,
)
async def test_a_processor_that_cannot_take_its_state_halts(error: Exception, reason: str) -> None:
    with pytest.raises(Halt, match=reason):
        await _reader(_Record(0, b"key", b"value")).restore(_Refusing(error), 0, 1, _ignored)


async def test_positions_that_cannot_be_read_halt() -> None:
    with pytest.raises(Halt, match="the state of partition 3 in state cannot be read"):
        await _reader(_Record(0, POSITIONS_KEY, b"\xc1")).restore(Obedient(), 0, 1, _ignored)


async def test_a_memory_is_unchanged_where_nothing_lies_before_the_next_fence() -> None:
    records = [_Record(4, b"key", b"1"), _Record(6, FENCE_KEY, b"")]
    assert await _reader(*records).unchanged(4, 6)
    assert not await _reader(*records, _Record(5, b"key", b"2")).unchanged(4, 6)


async def test_a_fence_that_does_not_lie_behind_the_memory_is_of_another_topic() -> None:
    reader = _reader(_Record(0, FENCE_KEY, b""))
    assert not await reader.unchanged(4, 0)
    assert not await reader.unchanged(0, 0)


def test_an_engine_record_without_a_value_changes_nothing() -> None:
    restored = Restored()
    restored.take(POSITIONS_KEY, encode_checkpoint(Checkpoint({"a": Position(4)}, 500)))
    restored.take(POSITIONS_KEY, None)
    assert restored.positions == {"a": Position(4)}
    assert restored.stream_time_ms == 500
