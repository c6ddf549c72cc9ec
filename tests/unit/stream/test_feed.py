"""What the client hands over reaches its partition, and what it does not is never taken for read."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaConnectionError, OffsetOutOfRangeError

from tests.unit.stream.fakes import CONFIG
from tests.unit.stream.records import record
from worker.stream import InputRecord
from worker.stream.feed import Feed, Inlet
from worker.stream.kafka.fetched import Unreadable
from worker.stream.merge import Merge

BAD = CorruptRecordException("Invalid CRC")
Batches = dict[TopicPartition, list[InputRecord | Unreadable]]


class _Consumer:
    """Hands over what it is given, and is then as far as that, or `further`."""

    def __init__(self) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.revoked: set[TopicPartition] = set()
        self.batches: Batches = {}
        self.further: dict[TopicPartition, int] = {}
        self.error: Exception | None = None

    def seek(self, source: TopicPartition, offset: int) -> None:
        self.positions[source] = offset

    def resume(self, source: TopicPartition) -> None:
        self.paused.discard(source)

    def pause(self, source: TopicPartition) -> None:
        self.paused.add(source)

    def last_stable_offset(self, _source: TopicPartition) -> int:
        return 100

    def highwater(self, _source: TopicPartition) -> int:
        return 100

    def last_poll_timestamp(self, _source: TopicPartition) -> int:
        return 1

    def assignment(self) -> set[TopicPartition]:
        return self.positions.keys() - self.revoked

    async def position(self, source: TopicPartition) -> int:
        return self.positions[source]

    async def getmany(self, *_sources: TopicPartition, timeout_ms: int, max_records: int) -> Batches:
        assert timeout_ms < max_records
        self.positions |= self.further
        if self.error is not None:
            raise self.error
        return self.batches


class _Reading:
    """Partitions 0 and 1 of one input, `a`, read from its beginning."""

    def __init__(self) -> None:
        self.consumer = _Consumer()
        self.feed = Feed(replace(CONFIG, inputs=("a",)), self.consumer)
        self.merges = [Merge(("a",), lambda _record: False) for _ in range(2)]
        self.lost: list[tuple[int, str, int, Exception]] = []
        for partition, merge in enumerate(self.merges):
            inlet = Inlet(merge, asyncio.Event(), lambda *what, number=partition: self.lost.append((number, *what)))
            self.feed.open(partition, inlet, {"a": 0})

    def source(self, partition: int) -> TopicPartition:
        return TopicPartition("a", partition)

    async def read_to(self) -> list[dict[str, int]]:
        for partition in range(2):
            await self.feed.observe(partition)
        return [merge.read_to for merge in self.merges]


async def test_what_the_client_took_out_before_an_error_does_not_count_as_read() -> None:
    reading = _Reading()
    await reading.read_to()
    reading.consumer.further = {reading.source(0): 10}
    reading.consumer.error = KafkaConnectionError()
    with pytest.raises(KafkaConnectionError):
        await reading.feed.poll()
    assert await reading.read_to() == [{"a": 0}, {"a": 0}]


async def test_a_corrupt_batch_concerns_its_own_partition_alone() -> None:
    reading = _Reading()
    reading.consumer.batches = {
        reading.source(0): [record("a", 0, 1), Unreadable(1, BAD)],
        reading.source(1): [record("a", 0, 1, partition=1), record("a", 1, 2, partition=1)],
    }
    reading.consumer.further = {reading.source(0): 1, reading.source(1): 2}
    await reading.feed.poll()
    assert reading.lost == [(0, "a", 1, BAD)]
    assert [merge.records_of("a") for merge in reading.merges] == [1, 2]
    assert reading.consumer.paused == {reading.source(0)}, "it would be fetched again and again"


async def test_an_offset_out_of_range_is_told_to_its_partition_alone() -> None:
    reading = _Reading()
    error = reading.consumer.error = OffsetOutOfRangeError({reading.source(1): 7})
    await reading.feed.poll()
    assert reading.lost == [(1, "a", 7, error)]
    assert reading.consumer.paused == {reading.source(1)}
    assert await reading.read_to() == [{"a": 0}, {"a": 0}]


async def test_a_closed_partition_is_paused_if_it_is_still_assigned() -> None:
    reading = _Reading()
    reading.consumer.revoked = {reading.source(1)}
    for partition in (0, 1, 7):
        reading.feed.close(partition)
    assert reading.consumer.paused == {reading.source(0)}
    reading.consumer.batches = {reading.source(0): [record("a", 0, 1)]}
    await reading.feed.poll()
    assert [merge.records_of("a") for merge in reading.merges] == [0, 0]


async def test_the_lag_counts_unread_records_and_those_not_taken() -> None:
    reading = _Reading()
    reading.consumer.batches = {reading.source(0): [record("a", 0, 1), record("a", 1, 2)]}
    reading.consumer.further = {reading.source(0): 40}
    await reading.feed.poll()
    assert await reading.feed.lags(0) == {"a": 62}
    reading.consumer.further = {reading.source(0): 130}
    await reading.feed.poll()
    assert await reading.feed.lags(0) == {"a": 4}, "the client may be further than its latest answer"
    reading.consumer.revoked = {reading.source(0)}
    assert await reading.feed.lags(0) == {}
    assert await reading.feed.lags(7) == {}
