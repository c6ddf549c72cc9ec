from __future__ import annotations

import msgspec
import pytest

from tests.unit.stream.records import record
from worker.stream import InputRecord, StateVersionError
from worker.stream.state.positions import (
    UNKNOWN,
    Checkpoint,
    JournalEnd,
    LastRecord,
    Position,
    decode_checkpoint,
    decode_format,
    encode_checkpoint,
    encode_format,
)


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
