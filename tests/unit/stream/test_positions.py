from __future__ import annotations

import msgspec
import pytest

from tests.unit.stream.records import record
from worker.stream import Outcome, StateVersionError
from worker.stream.positions import (
    InputProgress,
    Position,
    begun_at,
    decode_format,
    decode_positions,
    encode_format,
    encode_positions,
    outcomes_between,
)


def test_every_offset_is_counted_once_as_an_outcome_or_as_a_gap() -> None:
    progress = InputProgress.of({"a": begun_at(10), "b": begun_at(0)}, -1)
    progress.count(record("a", 10, 500), Outcome.APPLIED)
    progress.count(record("a", 14, 400), Outcome.DUPLICATE)
    progress.count(record("a", 15, 300), Outcome.STALE)
    progress.count(record("a", 20, 600), Outcome.DEAD_LETTERED)
    position = progress.positions()["a"]
    assert position == Position(21, applied=1, duplicate=1, stale=1, dead_lettered=1, gaps=17)
    assert sum(position[1:]) == position.next_offset
    assert progress.positions()["b"] == Position(0)


def test_what_was_read_and_holds_no_record_is_a_gap() -> None:
    progress = InputProgress.of({"a": begun_at(0), "b": begun_at(7)}, -1)
    progress.count(record("a", 0, 500), Outcome.APPLIED)
    assert progress.is_behind({"a": 3, "b": 7})
    progress.pass_over({"a": 3, "b": 5})
    assert progress.positions() == {"a": Position(3, applied=1, gaps=2), "b": Position(7, gaps=7)}
    assert not progress.is_behind({"a": 3, "b": 5})
    progress.count(record("a", 4, 600), Outcome.STALE)
    assert progress.positions()["a"] == Position(5, applied=1, stale=1, gaps=3)


def test_stream_time_is_the_greatest_timestamp_and_never_goes_back() -> None:
    progress = InputProgress.of({"a": begun_at(0)}, 700)
    progress.count(record("a", 0, 600), Outcome.APPLIED)
    assert progress.stream_time_ms == 700
    progress.count(record("a", 1, 800), Outcome.APPLIED)
    assert progress.stream_time_ms == 800


def test_outcomes_between_two_moments_are_the_differences() -> None:
    before = {"a": Position(10, applied=4, gaps=6), "b": Position(0)}
    after = {"a": Position(20, applied=9, stale=1, gaps=10), "b": Position(0)}
    assert outcomes_between(before, after) == {("a", Outcome.APPLIED): 5, ("a", Outcome.STALE): 1}


def test_positions_pass_through_the_state_record_as_documented() -> None:
    positions = {"a": Position(21, 1, 2, 3, 4, 11)}
    value = encode_positions(positions, 800)
    assert msgspec.msgpack.decode(value) == [1, {"a": [21, 1, 2, 3, 4, 11]}, 800]
    assert decode_positions(value) == (positions, 800)


def test_the_format_record_holds_the_partition_count() -> None:
    assert msgspec.msgpack.decode(encode_format(8)) == [1, 8]
    assert decode_format(encode_format(8)) == 8


@pytest.mark.parametrize("value", [[2, {}, 0], ["1", {}, 0], [], {}])
def test_a_record_of_a_newer_or_no_version_is_refused(value: object) -> None:
    with pytest.raises(StateVersionError):
        decode_positions(msgspec.msgpack.encode(value))
    with pytest.raises(StateVersionError):
        decode_format(msgspec.msgpack.encode(value))
