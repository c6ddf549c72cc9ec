"""Facts about transactions: what readers see of them and when, and what happens to fenced or slow producers."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced

from tests.simulator.facts.catalogue import WAIT_SECONDS, Bench, until_fetched


async def a_marker_takes_an_offset_and_an_aborted_record_keeps_its_own(bench: Bench) -> None:
    await bench.create()
    async with bench.producer() as producer:
        offsets: list[int] = []
        for commits in (True, False, True):
            await producer.begin_transaction()
            offsets.append(await bench.send(producer, b"%d" % len(offsets)))
            await (producer.commit_transaction() if commits else producer.abort_transaction())
        assert offsets == [0, 2, 4]
    assert await bench.seen() == [(0, b"0"), (4, b"2")]
    assert await bench.seen("read_uncommitted") == [(0, b"0"), (2, b"1"), (4, b"2")]


async def transactions_back_to_back_lose_nothing(bench: Bench) -> None:
    await bench.create()
    async with bench.producer() as producer:
        for number in range(15):
            await producer.begin_transaction()
            await bench.send(producer, b"%d" % number)
            await producer.commit_transaction()
    assert [value for _, value in await bench.seen()] == [b"%d" % number for number in range(15)]


async def an_open_transaction_hides_what_comes_after_it(bench: Bench) -> None:
    await bench.create()
    async with bench.producer() as producer, bench.producer(transactional_id=None) as other:
        await producer.begin_transaction()
        await bench.send(producer, b"open")
        await bench.send(other, b"later")
        assert await bench.seen(undecided=True) == []
        assert await bench.seen("read_uncommitted", undecided=True) == [(0, b"open"), (1, b"later")]
        async with bench.consumer() as consumer:
            await until_fetched(consumer, lambda: consumer.highwater(bench.source) is not None)
            assert (consumer.highwater(bench.source), consumer.last_stable_offset(bench.source)) == (2, 0)
            assert (await consumer.end_offsets([bench.source]))[bench.source] == 0
            await producer.commit_transaction()
            first = await asyncio.wait_for(consumer.getone(), WAIT_SECONDS)
            second = await asyncio.wait_for(consumer.getone(), WAIT_SECONDS)
            assert (first.value, second.value) == (b"open", b"later")


async def transactions_among_each_other_are_each_seen_or_not_once_the_first_record_of_all_is_decided(
    bench: Bench,
) -> None:
    await bench.create()
    second = bench.names.app_id + "-2"
    async with (
        bench.producer() as one,
        bench.producer(transactional_id=second) as two,
        bench.producer(transactional_id=None) as plain,
    ):
        await one.begin_transaction()
        await two.begin_transaction()
        sent = [await bench.send(producer, b"%d" % number) for number, producer in enumerate((one, two, plain, one))]
        assert sent == [0, 1, 2, 3]
        await two.commit_transaction()
        async with bench.consumer() as consumer:
            await until_fetched(consumer, lambda: consumer.highwater(bench.source) == 5)
            assert consumer.last_stable_offset(bench.source) == 0, "the first holds back what is committed behind it"
        assert await bench.seen(undecided=True) == []
        await one.abort_transaction()
        assert await bench.seen() == [(1, b"1"), (2, b"2")]
        # An aborted transaction of a producer leaves its next one as it is.
        await one.begin_transaction()
        assert await bench.send(one, b"4") == 6
        await one.commit_transaction()
        assert await bench.seen() == [(1, b"1"), (2, b"2"), (6, b"4")]


async def a_new_producer_of_an_id_aborts_what_the_old_one_left_open(bench: Bench) -> None:
    await bench.create()
    async with bench.producer() as old:
        await old.begin_transaction()
        await bench.send(old, b"old")
        async with bench.producer() as new:
            assert await bench.seen() == []
            await new.begin_transaction()
            await bench.send(new, b"new")
            await new.commit_transaction()
        assert [value for _, value in await bench.seen()] == [b"new"]
        with pytest.raises(ProducerFenced):
            await old.commit_transaction()
    assert [value for _, value in await bench.seen()] == [b"new"]


async def an_epoch_grows_by_one_and_by_two_over_an_open_transaction(bench: Bench) -> None:
    await bench.create()
    epochs = []
    async with bench.producer() as first:
        epochs.append(first._txn_manager.producer_epoch)
        await first.begin_transaction()
        await bench.send(first, b"1")
        await first.commit_transaction()
    async with bench.producer() as second:
        epochs.append(second._txn_manager.producer_epoch)
        await second.begin_transaction()
        await bench.send(second, b"2")
        async with bench.producer() as third:
            epochs.append(third._txn_manager.producer_epoch)
            assert third._txn_manager.producer_id == first._txn_manager.producer_id
    assert epochs == [0, 1, 3]


async def a_fenced_producer_that_writes_is_told_so_and_can_never_begin_again(bench: Bench) -> None:
    await bench.create()
    async with bench.producer() as old:
        await old.begin_transaction()
        async with bench.producer():
            with pytest.raises((ProducerFenced, KafkaError)):
                await bench.send(old, b"late")
            with pytest.raises(AssertionError):
                await old.abort_transaction()
            with pytest.raises(AssertionError):
                await old.begin_transaction()
    assert await bench.seen() == []


async def a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(bench: Bench) -> None:
    await bench.create()
    async with bench.producer(transaction_timeout_ms=1000) as producer, bench.consumer() as consumer:
        await producer.begin_transaction()
        await bench.send(producer, b"late")
        # The marker moves the last stable offset past the record.
        await until_fetched(consumer, lambda: consumer.last_stable_offset(bench.source) == 2)
        with pytest.raises(ProducerFenced):
            await producer.commit_transaction()
    assert await bench.seen() == []


async def a_transaction_that_is_given_up_gives_back_what_lies_after_it(bench: Bench) -> None:
    await bench.create()
    async with (
        bench.producer(transaction_timeout_ms=1000) as producer,
        bench.producer(transactional_id=None) as plain,
        bench.consumer() as consumer,
    ):
        await bench.send(plain, b"before")
        await producer.begin_transaction()
        assert await bench.send(producer, b"given up") == 1
        await bench.send(plain, b"behind")
        assert (await consumer.getone()).value == b"before"
        assert (await asyncio.wait_for(consumer.getone(), WAIT_SECONDS)).value == b"behind"
        assert consumer.last_stable_offset(bench.source) == 4, "with the marker of who was given up"


async def a_commit_after_a_refused_batch_succeeds_without_it(bench: Bench) -> None:
    await bench.create(config={"max.message.bytes": str(8 * 1024 * 1024)})
    async with bench.producer() as producer:
        await producer.begin_transaction()
        await bench.send(producer, b"small")
        with pytest.raises(MessageSizeTooLargeError):
            await bench.send(producer, b"x" * (8 * 1024 * 1024 + 8192))
        await producer.commit_transaction()
    assert await bench.seen() == [(0, b"small")]


TRANSACTION_FACTS = (
    a_marker_takes_an_offset_and_an_aborted_record_keeps_its_own,
    transactions_back_to_back_lose_nothing,
    an_open_transaction_hides_what_comes_after_it,
    transactions_among_each_other_are_each_seen_or_not_once_the_first_record_of_all_is_decided,
    a_transaction_that_is_given_up_gives_back_what_lies_after_it,
    a_new_producer_of_an_id_aborts_what_the_old_one_left_open,
    an_epoch_grows_by_one_and_by_two_over_an_open_transaction,
    a_fenced_producer_that_writes_is_told_so_and_can_never_begin_again,
    a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced,
    a_commit_after_a_refused_batch_succeeds_without_it,
)
