from __future__ import annotations

import msgspec
import pytest

from tests.unit.stream.records import record
from worker.stream import InputRecord, Outcome, StateVersionError
from worker.stream.positions import (
    UNKNOWN,
    Checkpoint,
    InputProgress,
    JournalEnd,
    LastRecord,
    Position,
    begun_at,
    decode_checkpoint,
    decode_format,
    encode_checkpoint,
    encode_format,
    outcomes_between,
)


def test_every_offset_is_counted_once_as_an_outcome_or_as_a_gap() -> None:
    progress = InputProgress.of({"a": begun_at(10), "b": begun_at(0)}, -1)
    progress.count(record("a", 10, 500), Outcome.APPLIED)
    progress.count(record("a", 14, 400), Outcome.DUPLICATE)
    progress.count(record("a", 15, 300), Outcome.STALE)
    progress.count(record("a", 20, 600), Outcome.DEAD_LETTERED)
    next_offset, *counts = progress.positions()["a"].counts
    assert (next_offset, *counts) == (21, 1, 1, 1, 1, 17)
    assert sum(counts) == next_offset
    assert progress.positions()["b"] == Position(0)


def test_what_was_read_and_holds_no_record_is_a_gap() -> None:
    progress = InputProgress.of({"a": begun_at(0), "b": begun_at(7)}, -1)
    progress.count(record("a", 0, 500), Outcome.APPLIED)
    assert progress.is_behind({"a": 3, "b": 7})
    progress.pass_over({"a": 3, "b": 5})
    assert progress.positions()["a"].counts == Position(3, applied=1, gaps=2).counts
    assert progress.positions()["b"] == Position(7, gaps=7)
    assert not progress.is_behind({"a": 3, "b": 5})
    progress.count(record("a", 4, 600), Outcome.STALE)
    assert progress.positions()["a"].counts == Position(5, applied=1, stale=1, gaps=3).counts


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
    positions = {"a": Position(21, 1, 2, 3, 4, 11, 2, LastRecord(20, 790, 7), 9)}
    checkpoint = Checkpoint(positions, 800, JournalEnd(68, 70), state_records=5)
    value = encode_checkpoint(checkpoint)
    assert msgspec.msgpack.decode(value) == [2, {"a": [21, 1, 2, 3, 4, 11, 2, [20, 790, 7], 9]}, 800, [68, 70], 5]
    assert decode_checkpoint(value) == checkpoint


def test_a_state_record_of_version_1_says_nothing_of_what_the_topics_hold() -> None:
    value = msgspec.msgpack.encode([1, {"a": [21, 1, 2, 3, 4, 11]}, 800])
    assert decode_checkpoint(value) == Checkpoint(
        {"a": Position(21, 1, 2, 3, 4, 11)}, 800, JournalEnd(UNKNOWN, UNKNOWN), UNKNOWN
    )


def test_the_last_record_of_an_input_is_kept_as_a_proof() -> None:
    progress = InputProgress.of({"a": begun_at(0), "b": begun_at(0)}, -1)
    first, last = record("a", 0, 50, b"value", b"key"), record("a", 1, 60, b"value", b"other key")
    progress.count(first, Outcome.APPLIED)
    proof = progress.positions()["a"].last
    assert proof == LastRecord.of(first)
    progress.count(last, Outcome.STALE)
    assert progress.positions()["a"].last == LastRecord.of(last) != proof
    assert progress.positions()["b"].last is None


@pytest.mark.parametrize("other", [record("a", 1, 50, b"value"), record("a", 0, 51, b"value"), record("a", 0, 50)])
def test_a_proof_is_of_the_offset_the_time_and_the_content(other: InputRecord) -> None:
    assert LastRecord.of(other) != LastRecord.of(record("a", 0, 50, b"value"))


def test_the_format_record_holds_the_partition_count() -> None:
    assert msgspec.msgpack.decode(encode_format(8)) == [1, 8]
    assert decode_format(encode_format(8)) == 8


@pytest.mark.parametrize("value", [[3, {}, 0], ["1", {}, 0], [], {}])
def test_a_record_of_a_newer_or_no_version_is_refused(value: object) -> None:
    with pytest.raises(StateVersionError):
        decode_checkpoint(msgspec.msgpack.encode(value))
    with pytest.raises(StateVersionError):
        decode_format(msgspec.msgpack.encode(value))
