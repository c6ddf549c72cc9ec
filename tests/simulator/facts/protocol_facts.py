"""Facts of the protocol: which code a broker answers to requests that no well-behaved client sends.

A woken zombie sends them, and a client whose last answer was lost. What keeps it from harm are these codes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import CoordinatorNotAvailableError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tests.simulator.facts.catalogue import WAIT_SECONDS, Bench
from tests.simulator.kafka.codes import Code


class RawProducer:
    """One transactional id, driven by hand: the test sends each request, and gets the error code of each answer."""

    def __init__(self, client: Any, bench: Bench) -> None:  # noqa: ANN401 - aiokafka has no types
        self._client = client
        self._bench = bench
        self.name = bench.names.app_id
        """Of the transactional id, and of the group."""
        self.producer_id = -1
        self.epoch = -1

    async def ask(self, request: Any, kind: CoordinationType | None = None) -> Any:  # noqa: ANN401 - aiokafka has no types
        """Ask the node that a request is for, again as long as it is not ready for it."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                if kind is None:
                    node_id = self._client.cluster.leader_for_partition(self._bench.source)
                else:
                    node_id = await self._coordinator(kind)
                answer = await self._client.send(node_id, request)
                if not _not_ready(answer):
                    return answer
                await asyncio.sleep(0.02)

    async def _coordinator(self, kind: CoordinationType) -> int:
        while True:
            try:
                node_id: int = await self._client.coordinator_lookup(kind, self.name)
            except CoordinatorNotAvailableError:
                await asyncio.sleep(0.05)
            else:
                return node_id

    async def begin_epoch(self, timeout_ms: int = 60_000) -> None:
        """Take the next epoch of the id."""
        answer = await self.ask(InitProducerIdRequest(self.name, timeout_ms), CoordinationType.TRANSACTION)
        assert answer.error_code == Code.NONE
        self.producer_id, self.epoch = answer.producer_id, answer.producer_epoch

    async def add(self, *, epoch: int = 0, producer_id: int = 0) -> int:
        """Add the partition to the transaction; the epoch and the id may be off by so much."""
        request = AddPartitionsToTxnRequest(
            self.name,
            self.producer_id + producer_id,
            self.epoch + epoch,
            [(self._bench.topic, [0])],
        )
        answer = await self.ask(request, CoordinationType.TRANSACTION)
        return int(answer.errors[0][1][0][1])

    async def end(self, *, commit: bool, epoch: int = 0, producer_id: int = 0) -> int:
        """End the transaction."""
        request = EndTxnRequest(self.name, self.producer_id + producer_id, self.epoch + epoch, commit)
        return int((await self.ask(request, CoordinationType.TRANSACTION)).error_code)

    async def produce(self, sequence: int, *, epoch: int = 0) -> tuple[int, int]:
        """Produce a record with a sequence number; the code and the offset."""
        batch = self.batch(sequence, epoch)
        answer = await self.ask(ProduceRequest(self.name, -1, 5000, [(self._bench.topic, [(0, batch)])]))
        return int(answer.topics[0][1][0][1]), int(answer.topics[0][1][0][2])

    def batch(self, sequence: int, epoch: int) -> bytes:
        """A record whose value is its sequence number; the epoch may be off by so much."""
        builder = DefaultRecordBatchBuilder(2, 0, 1, self.producer_id, self.epoch + epoch, sequence, 1 << 20)
        builder.append(0, 1, None, b"%d" % sequence, [])
        return bytes(builder.build())

    async def commit_offsets(self, *, epoch: int = 0) -> int:
        """Commit an offset in the transaction."""
        request = TxnOffsetCommitRequest(
            self.name,
            self.name,
            self.producer_id,
            self.epoch + epoch,
            [(self._bench.topic, [(0, 5, "")])],
        )
        answer = await self.ask(request, CoordinationType.GROUP)
        return int(answer.errors[0][1][0][1])

    async def add_offsets(self, *, epoch: int = 0) -> int:
        """Make the offsets of the group part of the transaction."""
        request = AddOffsetsToTxnRequest(self.name, self.producer_id, self.epoch + epoch, self.name)
        return int((await self.ask(request, CoordinationType.TRANSACTION)).error_code)


NOT_READY = (
    Code.CONCURRENT_TRANSACTIONS,
    Code.COORDINATOR_LOAD_IN_PROGRESS,
    Code.COORDINATOR_NOT_AVAILABLE,
    Code.NOT_COORDINATOR,
    Code.NOT_ENOUGH_REPLICAS,
    Code.NOT_LEADER_OR_FOLLOWER,
    Code.UNKNOWN_TOPIC_OR_PARTITION,
)


def _not_ready(answer: Any) -> bool:  # noqa: ANN401 - aiokafka has no types
    """Whether a client would ask again."""
    if hasattr(answer, "error_code"):
        return answer.error_code in NOT_READY
    partitions = answer.topics if hasattr(answer, "topics") else answer.errors
    return any(entry[1] in NOT_READY for _, entries, *_ in partitions for entry in entries)


Raw = TypeVar("Raw", bound=RawProducer)


@asynccontextmanager
async def raw_producer(bench: Bench, kind: type[Raw], *, timeout_ms: int = 60_000) -> AsyncIterator[Raw]:
    """A topic, and a producer of it that has its first epoch."""
    await bench.create()
    client: Any = AIOKafkaClient(bootstrap_servers=bench.broker.bootstrap_servers)
    await client.bootstrap()
    try:
        await client._wait_on_metadata(bench.topic)
        raw = kind(client, bench)
        await raw.begin_epoch(timeout_ms)
        yield raw
    finally:
        await client.close()


async def a_commit_that_is_asked_for_again_is_done_and_nothing_else_is(bench: Bench) -> None:
    async with raw_producer(bench, RawProducer) as raw:
        assert await raw.end(commit=True) == Code.INVALID_TXN_STATE, "nothing was begun"
        assert await raw.add() == Code.NONE
        assert (await raw.produce(0))[0] == Code.NONE
        assert await raw.end(commit=True) == Code.NONE
        assert await raw.end(commit=True) == Code.NONE
        assert await raw.end(commit=False) == Code.INVALID_TXN_STATE
        assert await raw.add() == Code.NONE
        assert await raw.end(commit=False) == Code.NONE
        assert await raw.end(commit=False) == Code.NONE
        assert await raw.end(commit=True) == Code.INVALID_TXN_STATE
    assert await bench.seen() == [(0, b"0")]


async def an_epoch_that_is_not_the_last_one_can_do_nothing(bench: Bench) -> None:
    async with raw_producer(bench, RawProducer) as raw:
        await raw.begin_epoch()
        assert await raw.add(epoch=-1) == Code.INVALID_PRODUCER_EPOCH
        assert await raw.add_offsets(epoch=-1) == Code.INVALID_PRODUCER_EPOCH
        assert await raw.end(commit=True, epoch=-1) == Code.INVALID_PRODUCER_EPOCH
        assert await raw.add(epoch=1) == Code.INVALID_PRODUCER_EPOCH
        assert await raw.add(producer_id=1000) == Code.INVALID_PRODUCER_ID_MAPPING
        assert await raw.end(commit=True, producer_id=1000) == Code.INVALID_PRODUCER_ID_MAPPING
        assert await raw.add() == Code.NONE
        assert (await raw.produce(0))[0] == Code.NONE
        assert (await raw.produce(1, epoch=-1))[0] == Code.INVALID_PRODUCER_EPOCH
        assert await raw.add_offsets() == Code.NONE
        assert await raw.commit_offsets() == Code.NONE
        assert await raw.commit_offsets(epoch=-1) == Code.INVALID_PRODUCER_EPOCH
        assert await raw.end(commit=True) == Code.NONE


async def a_partition_that_a_fenced_producer_wrote_to_refuses_its_late_records(bench: Bench) -> None:
    async with raw_producer(bench, RawProducer) as raw:
        assert await raw.add() == Code.NONE
        assert (await raw.produce(0))[0] == Code.NONE
        old_epoch = raw.epoch
        await raw.begin_epoch()
        late = old_epoch - raw.epoch
        assert (await raw.produce(1, epoch=late))[0] == Code.INVALID_PRODUCER_EPOCH
    assert await bench.seen() == []


async def what_is_not_part_of_the_transaction_cannot_be_written(bench: Bench) -> None:
    async with raw_producer(bench, RawProducer) as raw:
        assert (await raw.produce(0))[0] == Code.INVALID_TXN_STATE
        assert await raw.add() == Code.NONE
        assert await raw.produce(0) == (Code.NONE, 0)
        assert await raw.end(commit=True) == Code.NONE
        assert await raw.end(commit=True) == Code.NONE, "asked again until all markers are written"
        assert (await raw.produce(1))[0] == Code.INVALID_TXN_STATE


async def a_batch_that_comes_twice_is_written_once_and_none_is_left_out(bench: Bench) -> None:
    async with raw_producer(bench, RawProducer) as raw:
        assert await raw.add() == Code.NONE
        assert await raw.produce(0) == (Code.NONE, 0)
        assert await raw.produce(1) == (Code.NONE, 1)
        assert await raw.produce(0) == (Code.NONE, 0)
        assert (await raw.produce(3))[0] == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert await raw.produce(2) == (Code.NONE, 2)
        assert await raw.end(commit=True) == Code.NONE
        # The sequence goes on over the end of a transaction.
        assert await raw.add() == Code.NONE
        assert (await raw.produce(4))[0] == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert await raw.produce(3) == (Code.NONE, 4)
        assert await raw.end(commit=True) == Code.NONE
        await raw.begin_epoch()
        assert await raw.add() == Code.NONE
        assert (await raw.produce(4))[0] == Code.OUT_OF_ORDER_SEQUENCE_NUMBER, "a new epoch begins anew"
        assert await raw.produce(0) == (Code.NONE, 6)
        assert await raw.end(commit=True) == Code.NONE
    assert [value for _, value in await bench.seen()] == [b"0", b"1", b"2", b"3", b"0"]


PROTOCOL_FACTS = (
    a_commit_that_is_asked_for_again_is_done_and_nothing_else_is,
    an_epoch_that_is_not_the_last_one_can_do_nothing,
    a_partition_that_a_fenced_producer_wrote_to_refuses_its_late_records,
    what_is_not_part_of_the_transaction_cannot_be_written,
    a_batch_that_comes_twice_is_written_once_and_none_is_left_out,
)
