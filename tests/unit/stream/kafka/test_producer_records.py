"""How a producer writes batches: to which leaders, how often, and under which sequence numbers."""

from __future__ import annotations

import asyncio

from aiokafka.errors import (
    DuplicateSequenceNumber,
    NotEnoughReplicasError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
)

from tests.unit.stream.brokers import (
    PRODUCE,
    Brokers,
    topics_of,
)
from tests.unit.stream.kafka.producing import rounds, written
from worker.stream.kafka.producer import TransactionalProducer


async def test_batches_of_a_topic_are_written_in_order_with_rising_sequences(
    opened: TransactionalProducer, brokers: Brokers
) -> None:
    ends = await opened.write(rounds("aab", "aaa"), {})
    await opened.write(rounds("ab"), {})
    assert ends == {"a": brokers.base_offset + 2, "b": brokers.base_offset}
    numbers = [
        {topic: (batch.producer_id, batch.producer_epoch, batch.base_sequence) for topic, batch in each.items()}
        for each in map(written, brokers.requests[PRODUCE])
    ]
    assert numbers == [{"a": (7, 2, 0), "b": (7, 2, 0)}, {"a": (7, 2, 2)}, {"a": (7, 2, 5), "b": (7, 2, 1)}]


async def test_numbers_of_records_begin_again_at_zero_as_brokers_expect_them(
    opened: TransactionalProducer, brokers: Brokers
) -> None:
    """As `DefaultRecordBatch.incrementSequence` of Apache Kafka counts: the number after 2^31 - 1 is 0."""
    opened._sequences["a"] = 2**31 - 2
    for _ in range(3):
        await opened.write(rounds("aaa"), {})
    sequences = [written(request)["a"].base_sequence for request in brokers.requests[PRODUCE]]
    assert sequences == [2**31 - 2, 1, 4]


async def test_only_what_was_refused_is_produced_again_and_as_it_was(
    opened: TransactionalProducer, brokers: Brokers
) -> None:
    brokers.next[PRODUCE] += [{"b": NotLeaderForPartitionError}, RequestTimedOutError()]
    assert await opened.write(rounds("abb"), {}) == {"a": brokers.base_offset, "b": brokers.base_offset + 1}
    first, second, third = map(topics_of, brokers.requests[PRODUCE])
    assert list(first) == ["a", "b"]
    assert second == third == {"b": first["b"]}
    assert brokers.refreshed == 2


async def test_leaders_are_not_looked_for_where_the_right_one_refused(
    opened: TransactionalProducer, brokers: Brokers
) -> None:
    brokers.next[PRODUCE].append(NotEnoughReplicasError)
    await opened.write(rounds("a"), {})
    assert (len(brokers.requests[PRODUCE]), brokers.refreshed) == (2, 0)


async def test_a_repeated_batch_counts_as_written_even_without_an_offset(
    opened: TransactionalProducer, brokers: Brokers
) -> None:
    brokers.next[PRODUCE].append(DuplicateSequenceNumber)
    assert await opened.write(rounds("a"), {}) == {"a": brokers.base_offset}
    brokers.base_offset = -1
    brokers.next[PRODUCE].append(DuplicateSequenceNumber)
    assert await opened.write(rounds("aa"), {}) == {"a": -1}


async def test_each_leader_is_given_what_it_leads_and_who_has_none_is_waited_for(
    opened: TransactionalProducer, brokers: Brokers
) -> None:
    brokers.leaders = {"b": 2, "c": -1}
    writing = asyncio.ensure_future(opened.write(rounds("abc"), {}))
    await brokers.refreshed_twice.wait()
    assert [list(written(request)) for request in brokers.requests[PRODUCE]] == [["a"], ["b"]]
    brokers.leaders["c"] = 1
    assert await writing == dict.fromkeys("abc", brokers.base_offset)
