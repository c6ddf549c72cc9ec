"""Facts of the protocol: how a broker answers to the transactions of Kafka 4 (KIP-890), which our client speaks alone.

As `protocol_facts`, with the requests that the engine has of its own.
"""

from __future__ import annotations

from typing import Any

from aiokafka.client import CoordinationType

from tests.simulator.facts.catalogue import Bench, until_fetched
from tests.simulator.facts.protocol_facts import RawProducer, raw_producer
from tests.simulator.kafka.codes import Code
from worker.stream.kafka.transaction_requests import (
    AGREED_VERSION_MIN,
    end_request,
    is_agreed,
    offsets_request,
    produce_request,
    transaction_version,
    versions_request,
)


class _Raw(RawProducer):
    """One transactional id, driven by hand with the requests of Kafka 4."""

    async def end(self, *, commit: bool, epoch: int = 0, producer_id: int = 0) -> int:
        """End the transaction, and go on with what that brings."""
        request = end_request(self.name, self.producer_id + producer_id, self.epoch + epoch, commit=commit)
        answer = await self.ask(request, CoordinationType.TRANSACTION)
        if answer.error_code == Code.NONE:
            self.producer_id, self.epoch = answer.producer_id, answer.producer_epoch
        return int(answer.error_code)

    async def produce(self, sequence: int, *, epoch: int = 0) -> tuple[int, int]:
        """Produce a record with a sequence number; the code and the offset."""
        request = produce_request(self.name, 5000, 0, [(self._bench.topic, self.batch(sequence, epoch))])
        ((_, ((_, code, offset, *_),), _),) = (await self.ask(request)).topics
        return int(code), int(offset)

    async def commit_offsets(self, *, epoch: int = 0) -> int:
        """Commit an offset in the transaction."""
        offsets = {self._bench.topic: 5}
        request = offsets_request(self.name, self.name, self.producer_id, self.epoch + epoch, 0, offsets)
        ((_, ((_, code, _),), _),) = (await self.ask(request, CoordinationType.GROUP)).errors
        return int(code)

    async def versions(self) -> Any:  # noqa: ANN401 - aiokafka has no types
        """How the coordinator describes the transaction."""
        return await self.ask(versions_request(), CoordinationType.TRANSACTION)


async def a_new_cluster_agrees_on_the_transactions_of_kafka_4(bench: Bench) -> None:
    async with raw_producer(bench, _Raw) as raw:
        versions = await raw.versions()
        assert transaction_version(versions) == AGREED_VERSION_MIN
        assert is_agreed(versions)


async def records_and_offsets_open_a_transaction_by_themselves(bench: Bench) -> None:
    async with raw_producer(bench, _Raw) as raw:
        assert await raw.produce(0) == (Code.NONE, 0)
        assert await raw.commit_offsets() == Code.NONE
        assert await raw.end(commit=True) == Code.NONE
        assert await raw.commit_offsets() == Code.NONE
        assert await raw.produce(0) == (Code.NONE, 2)
        assert await raw.end(commit=False) == Code.NONE
        assert await raw.produce(0) == (Code.NONE, 4)
        assert await raw.end(commit=True) == Code.NONE
    assert await bench.seen() == [(0, b"0"), (4, b"0")]


async def what_was_added_to_a_transaction_in_the_old_way_can_be_written_and_ended_in_the_new_one(bench: Bench) -> None:
    async with raw_producer(bench, _Raw) as raw:
        for number in range(2):
            epoch = raw.epoch
            assert await raw.add() == Code.NONE
            assert await raw.add_offsets() == Code.NONE
            assert await raw.commit_offsets() == Code.NONE
            assert await raw.produce(0) == (Code.NONE, 2 * number)
            assert await raw.end(commit=True) == Code.NONE
            assert await raw.end(commit=True, epoch=-1) == Code.NONE
            assert raw.epoch == epoch + 1
        assert await raw.add() == Code.NONE
        assert await raw.end(commit=True, epoch=-1) == Code.PRODUCER_FENCED
        assert await raw.end(commit=False) == Code.NONE
    assert await bench.seen() == [(0, b"0"), (2, b"0")]


async def each_end_brings_the_next_epoch_in_which_numbers_begin_again(bench: Bench) -> None:
    async with raw_producer(bench, _Raw) as raw:
        first = raw.producer_id, raw.epoch
        for number, commits in enumerate((True, False, True)):
            assert (raw.producer_id, raw.epoch) == (first[0], first[1] + number)
            assert (await raw.produce(0))[0] == Code.NONE
            assert (await raw.produce(0))[0] == Code.NONE, "the same once more"
            assert (await raw.produce(2))[0] == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
            assert (await raw.produce(1))[0] == Code.NONE
            assert await raw.end(commit=commits) == Code.NONE
        assert (await raw.produce(2))[0] == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert [offset for offset, _ in await bench.seen(undecided=True)] == [0, 1, 6, 7]


async def an_end_that_is_asked_for_again_is_done_once_and_never_to_the_next_transaction(bench: Bench) -> None:
    async with raw_producer(bench, _Raw) as raw:
        assert (await raw.produce(0))[0] == Code.NONE
        assert await raw.end(commit=True) == Code.NONE
        following = raw.epoch
        assert await raw.end(commit=True, epoch=-1) == Code.NONE
        assert raw.epoch == following
        assert await raw.end(commit=False, epoch=-1) == Code.INVALID_TXN_STATE
        assert (await raw.produce(0))[0] == Code.NONE
        for commits in (True, False):
            assert await raw.end(commit=commits, epoch=-1) == Code.PRODUCER_FENCED
        assert [offset for offset, _ in await bench.seen(undecided=True)] == [0]
        assert await raw.end(commit=True) == Code.NONE
    assert [offset for offset, _ in await bench.seen()] == [0, 2]


async def nothing_that_comes_late_becomes_part_of_the_next_transaction(bench: Bench) -> None:
    async with raw_producer(bench, _Raw) as raw:
        for commits in (True, False):
            assert (await raw.produce(0))[0] == Code.NONE
            assert await raw.commit_offsets() == Code.NONE
            assert await raw.end(commit=commits) == Code.NONE
            assert [offset for offset, _ in await bench.seen()] == [0], "and its markers are written"
            assert (await raw.produce(1, epoch=-1))[0] == Code.INVALID_PRODUCER_EPOCH
            assert await raw.commit_offsets(epoch=-1) == Code.INVALID_PRODUCER_EPOCH
    assert [offset for offset, _ in await bench.seen()] == [0]


async def nothing_cannot_be_committed_and_its_abort_brings_an_epoch(bench: Bench) -> None:
    async with raw_producer(bench, _Raw) as raw:
        first = raw.epoch
        assert await raw.end(commit=True) == Code.INVALID_TXN_STATE
        assert await raw.end(commit=False) == Code.NONE
        assert raw.epoch == first + 1
        assert (await raw.produce(0))[0] == Code.NONE
        assert await raw.end(commit=True) == Code.NONE
        assert await raw.end(commit=True) == Code.INVALID_TXN_STATE
        assert await raw.end(commit=False) == Code.NONE
        assert raw.epoch == first + 3
    assert await bench.seen() == [(0, b"0")]


async def another_producer_can_do_nothing_in_its_name(bench: Bench) -> None:
    async with raw_producer(bench, _Raw) as raw:
        assert (await raw.produce(0))[0] == Code.NONE
        assert await raw.end(commit=True, producer_id=1000) == Code.INVALID_PRODUCER_ID_MAPPING
        assert await raw.end(commit=True, epoch=1) == Code.PRODUCER_FENCED
        assert (await raw.produce(0, epoch=1))[0] == Code.INVALID_PRODUCER_EPOCH
        assert await raw.commit_offsets(epoch=1) == Code.INVALID_PRODUCER_EPOCH
        old_epoch = raw.epoch
        await raw.begin_epoch()
        assert raw.epoch == old_epoch + 2, "one for the abort of what was open"
        late = old_epoch - raw.epoch
        assert (await raw.produce(1, epoch=late))[0] == Code.INVALID_PRODUCER_EPOCH
        assert await raw.end(commit=True, epoch=late) == Code.PRODUCER_FENCED
    assert await bench.seen() == []


async def who_took_too_long_has_committed_nothing(bench: Bench) -> None:
    async with raw_producer(bench, _Raw, timeout_ms=1000) as raw, bench.consumer() as consumer:
        assert (await raw.produce(0))[0] == Code.NONE
        await until_fetched(consumer, lambda: consumer.last_stable_offset(bench.source) == 2)
        assert await raw.end(commit=True) == Code.INVALID_TXN_STATE
    assert await bench.seen() == []


KAFKA_4_FACTS = (
    a_new_cluster_agrees_on_the_transactions_of_kafka_4,
    records_and_offsets_open_a_transaction_by_themselves,
    what_was_added_to_a_transaction_in_the_old_way_can_be_written_and_ended_in_the_new_one,
    each_end_brings_the_next_epoch_in_which_numbers_begin_again,
    an_end_that_is_asked_for_again_is_done_once_and_never_to_the_next_transaction,
    nothing_that_comes_late_becomes_part_of_the_next_transaction,
    nothing_cannot_be_committed_and_its_abort_brings_an_epoch,
    another_producer_can_do_nothing_in_its_name,
    who_took_too_long_has_committed_nothing,
)
