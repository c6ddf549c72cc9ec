"""Reading topics on a broker: committed records only, to an end that is fixed beforehand, forwards and backwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from tests.brokers import Broker, Names
from worker.inspection import topic_reader
from worker.inspection.cluster import open_cluster
from worker.inspection.connecting import BrokerUnreachable
from worker.inspection.topic_reader import PartitionBounds, ReadStalled, Record, TopicReader, read_backwards


@pytest.fixture
async def topic(broker: Broker, names: Names) -> str:
    await broker.create_topics([f"{names.prefix}read"], partitions=1)
    return f"{names.prefix}read"


@pytest.fixture
async def producer(broker: Broker, names: Names) -> AsyncIterator[AIOKafkaProducer]:
    """A transactional producer."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, transactional_id=names.app_id) as producer:
        yield producer


async def write(producer: AIOKafkaProducer, topic: str, values: Sequence[int]) -> None:
    async with producer.transaction():
        for value in values:
            await producer.send_and_wait(topic, str(value).encode(), partition=0)


def numbers(records: Sequence[Record]) -> list[int]:
    return [int(record.value or b"-1") for record in records]


async def test_an_empty_topic_is_read_at_once(reader: TopicReader, topic: str) -> None:
    bounds = await reader.bounds(topic, 0)

    assert bounds == PartitionBounds(0, 0, 0)
    await reader.read(topic, 0, start=0, end=0, take=lambda _: pytest.fail("there is nothing"))


async def test_all_committed_records_up_to_the_end_are_given_in_order(
    reader: TopicReader, producer: AIOKafkaProducer, topic: str
) -> None:
    await write(producer, topic, range(10))
    await write(producer, topic, range(10, 15))
    bounds = await reader.bounds(topic, 0)
    await write(producer, topic, [99])
    held: list[Record] = []

    await reader.read(topic, 0, start=bounds.start, end=bounds.end, take=held.extend)

    assert numbers(held) == list(range(15))
    # The end counts the marker of a transaction, which no record has.
    assert bounds.end == held[-1].offset + 2


async def test_a_read_waits_for_a_transaction_that_is_open_before_its_end(
    reader: TopicReader, producer: AIOKafkaProducer, topic: str
) -> None:
    await write(producer, topic, [1])
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"2", partition=0)
    bounds = await reader.bounds(topic, 0)
    held: list[Record] = []
    first_came = asyncio.Event()

    def take(records: Sequence[Record]) -> None:
        held.extend(records)
        first_came.set()

    reading = asyncio.create_task(reader.read(topic, 0, start=0, end=bounds.end, take=take))
    await first_came.wait()
    waited = not reading.done()
    await producer.commit_transaction()
    await reading

    assert bounds.stable_end < bounds.end
    assert waited
    assert numbers(held) == [1, 2]


async def test_an_aborted_transaction_is_passed_over_even_at_the_end(
    reader: TopicReader, producer: AIOKafkaProducer, topic: str
) -> None:
    await write(producer, topic, [1])
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"2", partition=0)
    await producer.abort_transaction()
    bounds = await reader.bounds(topic, 0)
    held: list[Record] = []

    await reader.read(topic, 0, start=0, end=bounds.end, take=held.extend)

    assert numbers(held) == [1]


async def test_a_transaction_that_stays_open_ends_the_read_with_a_sentence(
    reader: TopicReader, producer: AIOKafkaProducer, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_reader, "STALL_SECONDS_MAX", 0.5)
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"1", partition=0)
    bounds = await reader.bounds(topic, 0)

    with pytest.raises(ReadStalled, match="could not be read beyond offset 0"):
        await reader.read(topic, 0, start=0, end=bounds.end, take=lambda _: None)

    await producer.abort_transaction()


async def test_reading_backwards_gives_whole_spans_until_enough(
    reader: TopicReader, producer: AIOKafkaProducer, topic: str
) -> None:
    for start in range(0, 60, 20):
        await write(producer, topic, range(start, start + 20))
    spans: list[list[int]] = []

    def take(records: Sequence[Record]) -> bool:
        spans.append(numbers(records))
        return len(spans) == 2

    await read_backwards(reader, topic, 0, bounds=await reader.bounds(topic, 0), span=10, take=take)

    assert spans == [list(range(51, 60)), list(range(32, 51))]


async def test_reading_backwards_ends_at_the_beginning(
    reader: TopicReader, producer: AIOKafkaProducer, topic: str
) -> None:
    await write(producer, topic, range(25))
    held: list[int] = []

    def take(records: Sequence[Record]) -> bool:
        held[:0] = numbers(records)
        return False

    await read_backwards(reader, topic, 0, bounds=await reader.bounds(topic, 0), span=10, take=take)

    assert held == list(range(25))


async def test_a_missing_broker_is_named_with_its_address_and_the_reason() -> None:
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1.*(refused|Connect call failed)"):
        async with TopicReader({"bootstrap_servers": "127.0.0.1:1"}):
            pytest.fail("connected to nothing")


async def test_what_a_group_has_committed_is_told(
    broker: Broker, names: Names, producer: AIOKafkaProducer, topic: str
) -> None:
    async with producer.transaction():
        await producer.send_and_wait(topic, b"1", partition=0)
        await producer.send_offsets_to_transaction({TopicPartition(topic, 0): 7}, names.app_id)

    place = (topic, 0)
    async with open_cluster({"bootstrap_servers": broker.bootstrap_servers}) as cluster, asyncio.timeout(10):
        # The marker that makes the offset visible is written after the commit was answered.
        while (answer := await cluster.committed(names.app_id)).get(place) is None:  # noqa: ASYNC110 # there is no event to await
            await asyncio.sleep(0.05)

        assert answer == {place: 7}
        assert await cluster.committed(f"{names.app_id}-nobody") == {}
