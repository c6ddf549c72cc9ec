from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.unit.stream.fakes import CONFIG
from worker.stream import Clock, OutputRecord
from worker.stream.reaper import Reaper
from worker.stream.transaction import RECORDS_PER_STEP, TransactionWriter

BATCH_BYTES = 1000


def _writer(slice_ms: int = 20) -> TransactionWriter:
    config = replace(CONFIG, client={}, produce_batch_bytes_max=BATCH_BYTES, chunk_time_ms_max=slice_ms)
    return TransactionWriter(config, 0, Clock(), Reaper())


async def test_batches_are_sent_one_of_each_topic_and_then_the_next_ones() -> None:
    records = [OutputRecord(topic, b"key", b"v" * 400) for topic in ("a", "b", "a", "a", "a", "b", "a")]
    batches = await _writer()._batches(records)
    assert [(topic, batch.record_count()) for topic, batch in batches] == [("a", 2), ("b", 2), ("a", 2), ("a", 1)]


async def test_a_batch_takes_its_first_record_however_large() -> None:
    large = OutputRecord("a", b"key", b"v" * 10 * BATCH_BYTES)
    batches = await _writer()._batches([large, large, OutputRecord("a", b"key", b"v")])
    assert [batch.record_count() for _, batch in batches] == [1, 1, 1]


async def test_appending_many_records_lets_others_go_on() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await _writer(slice_ms=0)._batches([OutputRecord("a", b"key", b"v")] * (10 * RECORDS_PER_STEP))
    task.cancel()
    assert turns >= 10
