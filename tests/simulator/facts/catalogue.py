"""Facts about a Kafka broker, as aiokafka's users meet them: each holds on Apache Kafka and on the simulated cluster.

They are what the engine's rules rest on. A fact is a coroutine that asserts; it knows nothing of which broker it is on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    OffsetOutOfRangeError,
)

from tests.brokers import Broker, Names

WAIT_SECONDS = 30.0
Value = bytes


class Bench:
    """One topic with one partition, and clients of it."""

    def __init__(self, broker: Broker, names: Names) -> None:
        self.broker = broker
        self.names = names
        self.topic = names.prefix + "topic"
        self.source = TopicPartition(self.topic, 0)

    async def create(self, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        await self.broker.create_topics([self.topic], partitions=partitions, config=config)

    @asynccontextmanager
    async def producer(self, **settings: object) -> AsyncIterator[Any]:
        """A producer; a transactional one by default, whose id is the application's."""
        producer: Any = AIOKafkaProducer(
            bootstrap_servers=self.broker.bootstrap_servers,
            **{"transactional_id": self.names.app_id, "retry_backoff_ms": 10, "max_request_size": 9 << 20, **settings},
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def consumer(self, isolation_level: str = "read_committed", **settings: object) -> AsyncIterator[Any]:
        """A consumer without a group, at the beginning of the partition."""
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap_servers,
            isolation_level=isolation_level,
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            **settings,
        )
        await consumer.start()
        try:
            consumer.assign([self.source])
            consumer.seek(self.source, 0)
            yield consumer
        finally:
            await consumer.stop()

    async def send(self, producer: Any, value: Value) -> int:  # noqa: ANN401 - aiokafka has no types
        """Send to the partition, and give the offset."""
        offset: int = (await producer.send_and_wait(self.topic, value, partition=0)).offset
        return offset

    async def seen(
        self, isolation_level: str = "read_committed", *, undecided: bool = False
    ) -> list[tuple[int, Value]]:
        """All that can be read, with its offset; once the last marker is written, unless something is `undecided`.

        A commit is answered before that.
        """
        async with self.consumer(isolation_level) as consumer:

            def is_decided() -> bool:
                high_watermark = consumer.highwater(self.source)
                return high_watermark is not None and consumer.last_stable_offset(self.source) == high_watermark

            if not undecided:
                await until_fetched(consumer, is_decided)
                consumer.seek(self.source, 0)
            end = (await consumer.end_offsets([self.source]))[self.source]
            records: list[tuple[int, Value]] = []
            while await consumer.position(self.source) < end:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    records.extend((record.offset, record.value) for record in batch)
            return records


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await condition():  # noqa: ASYNC110 - the broker sends no event for it
            await asyncio.sleep(0.02)


async def until_fetched(consumer: Any, condition: Callable[[], bool]) -> None:  # noqa: ANN401 - aiokafka has no types
    """Let a client fetch until it knows enough; what it hands out meanwhile is thrown away."""

    async def holds() -> bool:
        await consumer.getmany(timeout_ms=20)
        return condition()

    await until(holds)


async def offsets_in_a_transaction_are_there_when_it_is_committed_and_never_when_aborted(bench: Bench) -> None:
    await bench.create()
    group = bench.names.app_id
    async with bench.producer() as producer, bench.consumer(group_id=group) as consumer:
        assert await consumer.committed(bench.source) is None
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({bench.source: 7}, group)
        assert await consumer.committed(bench.source) is None
        await producer.commit_transaction()
        await until(lambda: _committed(consumer, bench, 7))
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({bench.source: 9}, group)
        await producer.abort_transaction()
        # The next begins only when the markers of the last one are written.
        await producer.begin_transaction()
        await bench.send(producer, b"next")
        await producer.commit_transaction()
        assert await consumer.committed(bench.source) == 7


async def _committed(consumer: Any, bench: Bench, offset: int) -> bool:  # noqa: ANN401 - aiokafka has no types
    return bool(await consumer.committed(bench.source) == offset)


async def offsets_of_an_open_transaction_are_answered_as_they_were_before_it(bench: Bench) -> None:
    """A read at the wrong moment gives old offsets, and nothing marks them as old."""
    await bench.create()
    group = bench.names.app_id
    async with bench.producer() as producer, bench.consumer(group_id=group) as consumer:
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({bench.source: 7}, group)
        await producer.commit_transaction()
        await until(lambda: _committed(consumer, bench, 7))
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({bench.source: 9}, group)
        assert await consumer.committed(bench.source) == 7
        await producer.commit_transaction()
        await until(lambda: _committed(consumer, bench, 9))


async def an_offset_that_is_not_there_is_out_of_range(bench: Bench) -> None:
    await bench.create()
    async with bench.producer(transactional_id=None) as producer:
        for number in range(4):
            await bench.send(producer, b"%d" % number)
    async with bench.consumer() as consumer:
        consumer.seek(bench.source, 5)
        with pytest.raises(OffsetOutOfRangeError):
            await consumer.getmany(timeout_ms=10_000)
        consumer.seek(bench.source, 4)
        assert await consumer.getmany(timeout_ms=200) == {}
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=bench.broker.bootstrap_servers)
    await admin.start()
    await admin.delete_records({bench.source: RecordsToDelete(before_offset=2)})
    await admin.close()
    async with bench.consumer() as consumer:
        assert (await consumer.beginning_offsets([bench.source]))[bench.source] == 2
        with pytest.raises(OffsetOutOfRangeError):
            await consumer.getmany(timeout_ms=10_000)


async def a_topic_gets_more_partitions_and_every_client_sees_them(bench: Bench) -> None:
    await bench.create()
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=bench.broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({bench.topic: NewPartitions(total_count=3)})
        await until(lambda: _partitions(admin, bench, 3))
    finally:
        await admin.close()


async def _partitions(admin: Any, bench: Bench, count: int) -> bool:  # noqa: ANN401 - aiokafka has no types
    described = await admin.describe_topics()
    (topic,) = (topic for topic in described if topic["topic"] == bench.topic)
    return len(topic["partitions"]) == count


@asynccontextmanager
async def _member(bench: Bench, **settings: object) -> AsyncIterator[Any]:
    consumer: Any = AIOKafkaConsumer(
        bench.topic,
        bootstrap_servers=bench.broker.bootstrap_servers,
        group_id=bench.names.app_id,
        partition_assignment_strategy=(RangePartitionAssignor,),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=300,
        **settings,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _has(consumer: Any, *partitions: int) -> bool:  # noqa: ANN401 - aiokafka has no types
    await consumer.getmany(timeout_ms=20)
    return bool({source.partition for source in consumer.assignment()} == set(partitions))


async def members_share_the_partitions_and_who_leaves_gives_them_back(bench: Bench) -> None:
    await bench.create(partitions=4)
    async with _member(bench) as first:
        await until(lambda: _has(first, 0, 1, 2, 3))
        generation = first._coordinator.generation
        async with _member(bench) as second:
            await until(lambda: _both(first, second))
            assert first._coordinator.generation == second._coordinator.generation == generation + 1
        await until(lambda: _has(first, 0, 1, 2, 3))
        assert first._coordinator.generation == generation + 2


async def _both(first: Any, second: Any) -> bool:  # noqa: ANN401 - aiokafka has no types
    halves = [await _has(first, 0, 1), await _has(second, 2, 3)], [await _has(first, 2, 3), await _has(second, 0, 1)]
    return any(all(half) for half in halves)


async def a_static_member_that_comes_back_disturbs_nobody(bench: Bench) -> None:
    await bench.create(partitions=2)
    async with _member(bench, group_instance_id="one") as first:
        second: Any
        async with _member(bench, group_instance_id="two") as second:
            await until(lambda: _one_each(first, second))
            generation = first._coordinator.generation
            had = second.assignment()
        async with _member(bench, group_instance_id="two") as second:
            await until(lambda: _one_each(first, second))
            assert second.assignment() == had
            assert first._coordinator.generation == second._coordinator.generation == generation


async def _one_each(first: Any, second: Any) -> bool:  # noqa: ANN401 - aiokafka has no types
    await asyncio.gather(first.getmany(timeout_ms=20), second.getmany(timeout_ms=20))
    return len(first.assignment()) == len(second.assignment()) == 1


async def who_is_no_member_cannot_commit_for_a_group_that_has_some(bench: Bench) -> None:
    await bench.create()
    async with _member(bench) as member, bench.consumer(group_id=bench.names.app_id) as stranger:
        await until(lambda: _has(member, 0))
        with pytest.raises(CommitFailedError):
            await stranger.commit({bench.source: 3})
        await member.commit({bench.source: 2})
        assert await stranger.committed(bench.source) == 2
        member._coordinator.generation -= 1
        with pytest.raises(CommitFailedError):
            await member.commit({bench.source: 1})
        assert await stranger.committed(bench.source) == 2


FACTS = (
    offsets_in_a_transaction_are_there_when_it_is_committed_and_never_when_aborted,
    offsets_of_an_open_transaction_are_answered_as_they_were_before_it,
    an_offset_that_is_not_there_is_out_of_range,
    a_topic_gets_more_partitions_and_every_client_sees_them,
    members_share_the_partitions_and_who_leaves_gives_them_back,
    a_static_member_that_comes_back_disturbs_nobody,
    who_is_no_member_cannot_commit_for_a_group_that_has_some,
)
