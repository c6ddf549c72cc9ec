from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatch

from worker.stream import OutputRecord
from worker.stream.kafka.open_batches import OpenBatches

BATCH_BYTES = 1000
NOW_MS = 1_790_000_000_000


@pytest.fixture
def batches() -> OpenBatches:
    return OpenBatches(BATCH_BYTES, lambda: NOW_MS)


def _records(topics: str, value: bytes) -> list[OutputRecord]:
    return [OutputRecord(topic, b"key", value) for topic in topics]


def test_batches_are_sent_one_of_each_topic_and_then_the_next_ones(batches: OpenBatches) -> None:
    for topics in ("ab", "a", "aaba"):
        batches.append(_records(topics, b"v" * 400))
    taken = [[(topic, record_count) for topic, _, record_count in in_round] for in_round in batches.take()]
    assert taken == [[("a", 2), ("b", 2)], [("a", 2)], [("a", 1)]]
    assert batches.take() == []


def test_a_batch_takes_its_first_record_however_large(batches: OpenBatches) -> None:
    batches.append([*_records("aa", b"v" * 10 * BATCH_BYTES), *_records("a", b"v")])
    assert [record_count for ((_, _, record_count),) in batches.take()] == [1, 1, 1]


def test_a_batch_holds_its_records_in_order_with_all_their_fields(batches: OpenBatches) -> None:
    headers = [("name", b"value"), ("none", None), ("name", b"")]
    records = [
        ("a", b"key", b"value", ()),
        OutputRecord("a", b"key", None),
        OutputRecord("a", None, b"value", headers),
        ("a", b"", b"", tuple(headers)),
    ]
    batches.append(records)
    (((topic, batch, record_count),),) = batches.take()
    decoded = [
        (topic, record.key, record.value, tuple(record.headers), record.offset, record.timestamp)
        for record in DefaultRecordBatch(bytes(batch.build()))
    ]
    assert decoded == [(*record[:3], tuple(record[3]), n, NOW_MS) for n, record in enumerate(records)]
    assert record_count == len(records)


def test_what_was_taken_is_not_filled_on(batches: OpenBatches) -> None:
    batches.append(_records("a", b"v"))
    (((_, first, first_count),),) = batches.take()
    batches.append(_records("a", b"v"))
    (((_, second, second_count),),) = batches.take()
    assert first is not second
    assert (first_count, second_count) == (1, 1)
