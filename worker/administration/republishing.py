"""Writing levels and statuses anew from the state, one record a key, after their topic was made anew.

Each partition is taken over as a worker takes it over, with the same checks. State and journal stay as they are. Event
ids derive from the state topic and the offset of the fence record that the take-over wrote. So two runs have different
ids, and no input has the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Final, NamedTuple

from schemas.encoding import envelope_of, json_string, key_of, level_changed, status_changed, stock_json
from schemas.times import timestamp_text
from schemas.topics import Topic
from worker.clock import Chance, Clock
from worker.domain.ledger import Ledger
from worker.domain.views import OrderView, StockView
from worker.inspection.state_reader import NewProcessor
from worker.processors.ledger import PartitionProcessor
from worker.stream.config import EngineConfig
from worker.stream.kafka.client_log import ClientLog, RateLimit
from worker.stream.kafka.fetched import read_as_input_records
from worker.stream.kafka.reaper import Reaper
from worker.stream.observer import SilentObserver
from worker.stream.records import OutputRecord
from worker.stream.start.partition_start import PartitionStart
from worker.stream.surroundings import Surroundings
from worker.stream.transactions.transaction import TransactionWriter

BATCH_RECORDS_MAX: Final = 2_000
BATCH_BYTES_MAX: Final = 2 << 20
"""A transaction of this size or more is committed before the next record."""
REAP_SECONDS_MAX: Final = 5.0


class RewrittenPartition(NamedTuple):
    """The numbers of levels and statuses that were written for a partition."""

    partition: int
    levels: int
    statuses: int


class Republisher:
    """Writes the levels and statuses of partitions anew, while no worker runs. `ids` are those of all topics."""

    def __init__(
        self, config: EngineConfig, prefix: str, ids: Mapping[str, bytes], new_processor: NewProcessor
    ) -> None:
        read_as_input_records()
        clock = Clock()
        self._config = config
        self._levels = f"{prefix}{Topic.LEVELS}"
        self._statuses = f"{prefix}{Topic.STATUS}"
        self._ids = ids
        self._surroundings: Surroundings[PartitionProcessor] = Surroundings(
            config=config,
            processors=lambda partition, _: new_processor(partition),
            observer=SilentObserver(),
            clock=clock,
            chance=Chance(),
            reaper=Reaper(),
            client_log=ClientLog(config.log_interval_ms, clock.monotonic),
            complaints=RateLimit(config.log_interval_ms, clock.monotonic),
        )

    async def republish(
        self, partition: int, partition_count: int, progress: Callable[[int, int], object]
    ) -> RewrittenPartition:
        """Write a partition's records. `progress` is called with the number of keys written, and of all keys.

        Raises Breached or Halt where a worker would not go on with the partition, and errors of the broker.
        """
        clock, reaper = self._surroundings.clock, self._surroundings.reaper
        writer = TransactionWriter(self._config, partition, clock, reaper)
        try:
            start = PartitionStart(self._surroundings, partition, partition_count, self._ids, lambda _: None)
            fence_offset = await start.fence(writer)
            standing = await start.run(writer, None)
            ledger = standing.processor.ledger
            source = f"{self._config.state_topic}/{partition}/{fence_offset}"
            return await self._write(writer, partition, ledger, source, progress)
        finally:
            await writer.discard()

    async def close(self) -> None:
        """Wait for the connections to end."""
        await self._surroundings.reaper.wait(REAP_SECONDS_MAX)

    async def _write(
        self,
        writer: TransactionWriter,
        partition: int,
        ledger: Ledger,
        source: str,
        progress: Callable[[int, int], object],
    ) -> RewrittenPartition:
        gauges = ledger.gauges()
        total = int(gauges["stock_keys"] + gauges["orders"])
        occurred_at = timestamp_text(self._surroundings.clock.now_ms())
        written = {self._levels: 0, self._statuses: 0}
        size = waiting = 0
        for record in self._records(ledger, source, occurred_at):
            writer.append([record])
            written[record.topic] += 1
            waiting += 1
            size += len(record.value or b"")
            if waiting >= BATCH_RECORDS_MAX or size >= BATCH_BYTES_MAX:
                await writer.commit({})
                size = waiting = 0
                progress(sum(written.values()), total)
        if waiting:
            await writer.commit({})
        progress(total, total)
        return RewrittenPartition(partition, written[self._levels], written[self._statuses])

    def _records(self, ledger: Ledger, source: str, occurred_at: str) -> Iterator[OutputRecord]:
        numbers = count(1)
        for level in ledger.levels():
            key = key_of(level.account_id, level.warehouse_id, level.sku)
            yield OutputRecord(self._levels, key, level_of(level, source, next(numbers), occurred_at))
        for order in ledger.orders():
            if order.known:
                key = key_of(order.account_id, order.order_id)
                yield OutputRecord(self._statuses, key, status_of(order, source, next(numbers), occurred_at))


def level_of(view: StockView, source: str, number: int, occurred_at: str) -> bytes:
    """Encode a level as it is now."""
    return level_changed(
        source,
        number,
        envelope_of(json_string(view.account_id), occurred_at, None),
        stock_json(view.warehouse_id, view.sku),
        view.on_hand,
        view.frozen,
        view.available,
        view.publishable,
        view.as_of,
    )


def status_of(view: OrderView, source: str, number: int, occurred_at: str) -> bytes:
    """Encode an order's status as it is now."""
    return status_changed(
        source,
        number,
        envelope_of(json_string(view.account_id), occurred_at, None),
        json_string(view.order_id),
        view.status,
        view.placed,
        view.eligible,
        view.sub_orders,
        view.units,
    )
