"""How the model reads bytes, partitions and times. What it makes of events: `tests/examples`."""

from __future__ import annotations

import pytest

from schemas.catalogue import TYPES
from schemas.topics import LEDGER
from tests.model import reading
from tests.model.reading import ORDERS


def test_murmur2_gives_the_partitions_of_the_java_client() -> None:
    # Values of the Java client's own tests (UtilsTest.testMurmur2).
    known = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    assert {text: reading.murmur2(text.encode()) - 2**32 for text in known} == known


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "undecodable"),
        (b'{"type": "order.cancelled", "x": NaN}', "undecodable"),
        (b'{"type": "order.cancelled", "x": "\\ud800"}', "undecodable"),
        (b"[]", "undecodable"),
        (b'{"type": "sub_order.shipped"}', "unknown_type"),
        (b'{"type": "order.cancelled"}', "invalid"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_first_code_that_fits(value: bytes | None, code: str) -> None:
    with pytest.raises(reading.Refusal) as refused:
        reading.read(ORDERS, value)
    assert refused.value.code == code


def test_times_are_cut_to_the_millisecond_and_need_an_offset() -> None:
    assert reading.time_ms("1970-01-01T03:00:00.0019+03:00") == 1
    with pytest.raises(ValueError, match="1970"):
        reading.time_ms("1970-01-01T03:00:00")


def test_the_model_knows_the_types_that_there_are() -> None:
    assert {topic: set(types) for topic, types in reading.TYPES.items()} == {
        str(topic): set(TYPES[topic]) for topic in LEDGER.inputs
    }
