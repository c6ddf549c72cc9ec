from __future__ import annotations

from dataclasses import replace

from tests.unit.stream.fakes import CONFIG
from worker.stream import Clock, OutputRecord
from worker.stream.reaper import Reaper
from worker.stream.transaction import TransactionWriter

BATCH_BYTES = 1000


def _writer() -> TransactionWriter:
    config = replace(CONFIG, client={}, produce_batch_bytes_max=BATCH_BYTES)
    return TransactionWriter(config, 0, Clock(), Reaper())


async def test_batches_are_sent_one_of_each_topic_and_then_the_next_ones() -> None:
    writer = _writer()
    for topics in ("ab", "a", "aaba"):
        writer.append([OutputRecord(topic, b"key", b"v" * 400) for topic in topics])
    batches = writer.take()
    assert [(topic, batch.record_count()) for topic, batch in batches] == [("a", 2), ("b", 2), ("a", 2), ("a", 1)]
    assert writer.take() == []


async def test_a_batch_takes_its_first_record_however_large() -> None:
    writer = _writer()
    large = OutputRecord("a", b"key", b"v" * 10 * BATCH_BYTES)
    writer.append([large, large, OutputRecord("a", b"key", b"v")])
    assert [batch.record_count() for _, batch in writer.take()] == [1, 1, 1]
