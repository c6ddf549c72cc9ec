"""A system with a long past, written straight to its topics: what `verify` is measured on.

The past is orders of five lines that were placed, and cancelled a while later, so every movement and level has the
balance that follows from the one before, event ids and offsets are as the worker gives them, and each order's last
status has that it may have left the state, as it has. The present is processed by the worker's own rules: orders that
are still open. So `verify` must find nothing wrong, however long the past.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.encoding import envelope_of, json_string, key_of, level_changed, moved, status_changed, stock_json
from schemas.topics import LEDGER, RECORD_BYTES_MAX, Topic
from tests.bench.load import accounts, open_orders
from tests.bench.system import PARTITIONS, System
from tests.offline import NOW_MS, OfflinePartition, record
from worker.stream.partitioning import partition_of
from worker.stream.records import OutputRecord
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.positions import NO_STREAM_TIME, Position

SKUS: Final = 500
LINES: Final = 5
"""Movements of an event."""

OPEN_FOR_EVENTS: Final = 1000
"""How many orders are placed before the first of them is cancelled."""

TRANSACTION_EVENTS: Final = 1000
OPEN_ORDERS: Final = 2000
"""Of the present, in all partitions."""

WAREHOUSE: Final = "main"
_TIME: Final = "2025-01-01T00:00:00.000Z"
_BATCH_BYTES: Final = 1 << 20


async def write_past_and_present(system: System, movements: int) -> int:
    """Write so many movements, shared by all partitions, and what belongs to them. Gives how many records `verify` has
    to read.
    """
    orders = movements // (2 * LINES * PARTITIONS)
    return sum(await asyncio.gather(*(_write_partition(system, partition, orders) for partition in range(PARTITIONS))))


async def _write_partition(system: System, partition: int, orders: int) -> int:
    producer = AIOKafkaProducer(
        bootstrap_servers=system.bootstrap_servers,
        transactional_id=f"{system.app_id}-{partition}",
        max_batch_size=_BATCH_BYTES,
        max_request_size=RECORD_BYTES_MAX,
        transaction_timeout_ms=60_000,
    )
    own = [account for account in accounts() if partition_of(account, PARTITIONS) == partition]
    written = 0
    async with producer:
        for transaction in _Past(system, partition, own).transactions(orders):
            written += await _commit(producer, partition, transaction)
        present, offsets = _present(system, partition, own, 2 * orders)
        # The worker's records are judged by what came of them: their inputs need only be there.
        orders_topic = system.topic(Topic.ORDERS)
        inputs = repeat(OutputRecord(orders_topic, b"-", b"-"), offsets[TopicPartition(orders_topic, partition)])
        await _commit(producer, partition, inputs)
        written += await _commit(producer, partition, present)
        async with producer.transaction():
            await producer.send_offsets_to_transaction(offsets, system.app_id)
    return written


async def _commit(producer: AIOKafkaProducer, partition: int, records: Iterable[OutputRecord]) -> int:
    """Write records in a transaction, in batches made here: that is far cheaper than sending each. Gives how many."""
    pending: list[asyncio.Future[object]] = []
    count = 0
    async with producer.transaction():
        for topic, batch in _batches(producer, records):
            count += batch.record_count()
            pending.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*pending)
    return count


def _batches(producer: AIOKafkaProducer, records: Iterable[OutputRecord]) -> Iterator[tuple[str, Any]]:
    batches: dict[str, Any] = {}
    for topic, key, value, _ in records:
        batch = batches.get(topic)
        if batch is None or batch.append(timestamp=NOW_MS, key=key, value=value) is None:
            if batch is not None:
                yield topic, batch
            batch = batches[topic] = producer.create_batch()
            batch.append(timestamp=NOW_MS, key=key, value=value)
    yield from batches.items()


class _Past:
    """What a partition's worker would have written of orders that came and went."""

    def __init__(self, system: System, partition: int, own: Sequence[str]) -> None:
        self._movements, self._levels, self._statuses = (
            system.topic(topic) for topic in (Topic.MOVEMENTS, Topic.LEVELS, Topic.STATUS)
        )
        self._source = f"{system.topic(Topic.ORDERS)}/{partition}/"
        self._accounts = own
        self._skus = [f"sku-{number:05d}" for number in range(SKUS)]
        self._stock = [stock_json(WAREHOUSE, sku) for sku in self._skus]
        self._frozen = [[0] * SKUS for _ in own]
        self._offset = 0

    def transactions(self, orders: int) -> Iterator[Iterator[OutputRecord]]:
        """The past in transactions; each must be read to its end before the next is asked for."""
        turns = _turns(orders)
        while chunk := list(islice(turns, TRANSACTION_EVENTS)):
            yield self._transaction(chunk)

    def _transaction(self, turns: Sequence[tuple[int, bool]]) -> Iterator[OutputRecord]:
        touched: dict[tuple[int, int], tuple[str, int, str]] = {}
        for order, is_placed in turns:
            yield from self._event(order, touched, is_placed=is_placed)
        for (owner, place), (source, number, envelope) in touched.items():
            frozen = self._frozen[owner][place]
            value = level_changed(source, number, envelope, self._stock[place], None, frozen, None, None, None)
            yield OutputRecord(self._levels, key_of(self._accounts[owner], WAREHOUSE, self._skus[place]), value)

    def _event(
        self, order: int, touched: dict[tuple[int, int], tuple[str, int, str]], *, is_placed: bool
    ) -> Iterator[OutputRecord]:
        owner = order % len(self._accounts)
        account, frozen = self._accounts[owner], self._frozen[owner]
        source = f"{self._source}{self._offset}"
        self._offset += 1
        order_id = f"past-{order:08d}"
        envelope = envelope_of(json_string(account), _TIME, json_string(f"{order_id}/{is_placed:d}"))
        of_order = f',"order_id":{json_string(order_id)}'
        movement, delta = ("freeze", 1) if is_placed else ("unfreeze", -1)
        key = account.encode()
        for line in range(LINES):
            place = (order * LINES + line) % SKUS
            frozen[place] += delta
            value = moved(
                source, line, envelope, movement, self._stock[place], 1, delta, 0, None, frozen[place], None, of_order
            )
            yield OutputRecord(self._movements, key, value)
            touched[owner, place] = source, LINES + line, envelope
        status = "processing" if is_placed else "cancelled"
        units = [(None, WAREHOUSE, self._skus[(order * LINES + line) % SKUS], 1, 0, 0) for line in range(LINES)]
        value = status_changed(
            source,
            2 * LINES,
            envelope,
            json_string(order_id),
            status,
            True,  # noqa: FBT003 # placed
            not is_placed,
            {},
            units if is_placed else [],
        )
        yield OutputRecord(self._statuses, key_of(account, order_id), value)


def _turns(orders: int) -> Iterator[tuple[int, bool]]:
    """The numbers of orders as they are placed (True) and, a while later, cancelled."""
    for number in range(orders + OPEN_FOR_EVENTS):
        if number < orders:
            yield number, True
        if number >= OPEN_FOR_EVENTS:
            yield number - OPEN_FOR_EVENTS, False


def _present(
    system: System, partition: int, own: Sequence[str], past: int
) -> tuple[list[OutputRecord], dict[TopicPartition, int]]:
    """Open orders, processed by the worker's rules after so many events of the past; and what the group commits."""
    worker = OfflinePartition(partition, PARTITIONS, system.topic_prefix)
    orders = system.topic(Topic.ORDERS)
    positions = {system.topic(topic): Position(0) for topic in LEDGER.inputs}
    worker.positions = InputProgress.of({**positions, orders: Position(past, applied=past)}, NO_STREAM_TIME)
    loaded = (load for load in open_orders(OPEN_ORDERS, NOW_MS) if load.key.decode() in own)
    given = [record(orders, partition, past + n, load.key, load.value) for n, load in enumerate(loaded)]
    written = worker.process(given)
    return written, {TopicPartition(topic, partition): offset for topic, offset in worker.committed().items()}
