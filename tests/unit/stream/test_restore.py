from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import pytest

from tests.unit.stream.fakes import CONFIG, Obedient, Time
from worker.stream import StateVersionError
from worker.stream.errors import Halt
from worker.stream.positions import POSITIONS_KEY
from worker.stream.reaper import Reaper
from worker.stream.restore import StateReader, StateRecord
from worker.stream.status import RestoreProgress


class _Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None


class _Reader(StateReader):
    """Reads the records that it is given, not a topic."""

    def __init__(self, *records: _Record) -> None:
        super().__init__(CONFIG, 3, Time().clock, Reaper())
        self._records = records

    async def _read(
        self, begin_offset: int | None, fence_offset: int
    ) -> AsyncGenerator[tuple[Sequence[StateRecord], int], None]:
        assert begin_offset is None
        yield self._records, fence_offset + 1


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
        await _Reader(_Record(0, b"key", b"value")).restore(_Refusing(error), 1, _ignored)


async def test_positions_that_cannot_be_read_halt() -> None:
    with pytest.raises(Halt, match="the state of partition 3 in state cannot be read"):
        await _Reader(_Record(0, POSITIONS_KEY, b"\xc1")).restore(Obedient(), 1, _ignored)
