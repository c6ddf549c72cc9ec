"""A worker without an engine: input records through the real processor, one transaction after another, for tests of
what reads the topics.

`OfflinePartition` makes the records in memory; `write_transactions` puts them on a broker as the engine would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.topics import LEDGER, Topic
from tests.named import named
from worker.domain.policies import Policies
from worker.processors.ledger import PartitionProcessor
from worker.stream.partitioning import partition_of
from worker.stream.records import Headers, InputRecord, OutputRecord
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.positions import (
    FORMAT_KEY,
    POSITIONS_KEY,
    Checkpoint,
    JournalEnd,
    begun_at,
    encode_checkpoint,
    encode_format,
)

NOW_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z, the timestamp of the first record; each later one is a second later."""

Transaction = list[OutputRecord]
Corrupt = Callable[[int, Transaction], Transaction]
"""Gets the number of a transaction and its records, and gives those that are written instead."""


def record(
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers = (),
    timestamp: int = NOW_MS,
) -> InputRecord:
    """A record as a consumer gives it."""
    return InputRecord(topic, partition, offset, timestamp, key, value, tuple(headers))


def replaced(original: InputRecord, **fields: Any) -> InputRecord:  # noqa: ANN401
    """The same record with other fields."""
    names = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")
    return InputRecord(**{name: getattr(original, name) for name in names} | fields)


@dataclass(frozen=True)
class Input:
    """A record to feed: an event, or bytes that are none."""

    topic: Topic
    account_id: str
    value: bytes
    headers: Headers = ()


def event(topic: Topic, type_: str, account_id: str, event_id: str, **fields: Any) -> Input:  # noqa: ANN401
    """An input event as JSON."""
    body = {"type": type_, "event_id": event_id, "account_id": account_id, "occurred_at": "2026-01-01T00:00:00Z"}
    return Input(topic, account_id, msgspec.json.encode(body | fields))


def story(account_id: str) -> list[Input]:
    """Some days of an account: a count, an order that is delivered, one that waits, one cancelled; a repeat and a bad
    record.
    """

    def order(type_: str, event_id: str, **fields: Any) -> Input:  # noqa: ANN401
        return event(Topic.ORDERS, type_, account_id, event_id, **fields)

    def sub_order(type_: str, event_id: str, **fields: Any) -> Input:  # noqa: ANN401
        return event(Topic.SUB_ORDERS, type_, account_id, event_id, **fields)

    lines = [{"sku": "A", "quantity": 3, "warehouse_id": "main"}, {"sku": "B", "quantity": 1, "warehouse_id": "main"}]
    created = order("order.created", "e1", order_id="o1", lines=lines)
    return [
        event(
            Topic.STOCK,
            "stock.counted",
            account_id,
            "c1",
            origin="erp",
            snapshot_id="s1",
            part=1,
            parts=1,
            warehouse_id="main",
            as_of="2025-12-31T00:00:00Z",
            counts=[{"sku": "A", "on_hand": 10}, {"sku": "C", "on_hand": 0}],
        ),
        created,
        created,
        sub_order("sub_order.created", "e2", order_id="o1", sub_order_id="o1-1", warehouse_id="main", lines=lines),
        sub_order("sub_order.shipped", "e3", order_id="o1", sub_order_id="o1-1"),
        order("order.created", "e4", order_id="o2", lines=lines),
        Input(Topic.ORDERS, account_id, b"not JSON"),
        order("order.created", "e5", order_id="o3", lines=lines),
        order("order.cancelled", "e6", order_id="o3"),
        sub_order("sub_order.delivered", "e7", order_id="o1", sub_order_id="o1-1"),
        order("order.amended", "e8", order_id="o2", revision=1, lines=[{"sku": "A", "quantity": 0}]),
        event(Topic.STOCK, "stock.adjusted", account_id, "a1", warehouse_id="main", sku="A", delta=5),
    ]


NO_JOURNAL = JournalEnd(next_offset=0)


@dataclass
class OfflinePartition:
    """One partition: what the engine keeps of it, and the processor."""

    partition: int
    partition_count: int
    prefix: str = ""
    policies: Policies = field(default_factory=Policies)
    processor: PartitionProcessor = field(init=False)
    positions: InputProgress = field(init=False)
    is_new: bool = True
    journal: JournalEnd = NO_JOURNAL

    def __post_init__(self) -> None:
        self.processor = PartitionProcessor(
            partition=self.partition, partition_count=self.partition_count, prefix=self.prefix, policies=self.policies
        )
        self.processor.restored(-1)
        self.positions = InputProgress.of({f"{self.prefix}{topic}": begun_at(0) for topic in LEDGER.inputs}, -1)

    def process(self, records: Iterable[InputRecord]) -> Transaction:
        """The records of the transaction that has these inputs."""
        for taken in records:
            self.positions.count(taken, self.processor.process(taken))
        state = f"{self.prefix}{Topic.STATE}"
        outputs = named(self.processor.flush())
        if self.is_new:
            outputs.append(OutputRecord(state, FORMAT_KEY, encode_format(self.partition_count)))
            self.is_new = False
        self.journal = journal_end(self.journal, outputs, f"{self.prefix}{Topic.MOVEMENTS}")
        checkpoint = Checkpoint(
            self.positions.positions(), self.positions.stream_time_ms, self.journal, self.processor.state_records
        )
        return [*outputs, OutputRecord(state, POSITIONS_KEY, encode_checkpoint(checkpoint))]

    def committed(self) -> dict[str, int]:
        """The offsets that the group commits with it."""
        return self.positions.next_offsets()


def journal_end(before: JournalEnd, outputs: Iterable[OutputRecord], journal: str) -> JournalEnd:
    """Where the journal ends with a transaction: it takes an offset for each record, and one for its marker."""
    count = sum(output.topic == journal for output in outputs)
    return JournalEnd(before.next_offset + count - 1, before.next_offset + count + 1) if count else before


def input_records(
    inputs: Sequence[Input], partition: int, prefix: str = "", starts: Mapping[str, int] | None = None
) -> list[InputRecord]:
    """The inputs as they lie in a partition, from the offsets `starts` on (none: 0)."""
    offsets = dict(starts or {})
    records = []
    for number, given in enumerate(inputs):
        topic = f"{prefix}{given.topic}"
        offset = offsets.get(topic, 0)
        offsets[topic] = offset + 1
        timestamp = NOW_MS + number * 1000
        key = given.account_id.encode()
        records.append(record(topic, partition, offset, key, given.value, given.headers, timestamp))
    return records


def account_in(partition: int, partition_count: int) -> str:
    """An account that belongs to a partition."""
    return next(name for i in range(1000) if partition_of(name := f"account {i}", partition_count) == partition)


def as_written(transactions: Sequence[Transaction], partition: int) -> dict[str, list[InputRecord]]:
    """What a reader of each topic gets, by full name: a marker's offset lies between transactions."""
    topics: dict[str, list[InputRecord]] = {}
    offsets: dict[str, int] = {}
    for transaction in transactions:
        for topic, key, value, headers in transaction:
            offset = offsets.get(topic, 0)
            offsets[topic] = offset + 1
            topics.setdefault(topic, []).append(record(topic, partition, offset, key, value, headers))
        for topic in {output.topic for output in transaction}:
            offsets[topic] += 1
    return topics


async def send_inputs(
    bootstrap_servers: str, inputs: Sequence[Input], partition: int, prefix: str, timestamp_ms: int = NOW_MS
) -> list[InputRecord]:
    """Write inputs to a broker, stamped from a time on; gives them as they lie there."""
    records = []
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for number, given in enumerate(inputs):
            topic, key = f"{prefix}{given.topic}", given.account_id.encode()
            written = await producer.send_and_wait(
                topic,
                given.value,
                key=key,
                partition=partition,
                timestamp_ms=timestamp_ms + number * 1000,
                headers=list(given.headers),
            )
            records.append(
                record(topic, partition, written.offset, key, given.value, given.headers, timestamp_ms + number * 1000)
            )
    return records


async def write_transactions(
    bootstrap_servers: str,
    app_id: str,
    worker: OfflinePartition,
    batches: Sequence[Sequence[InputRecord]],
    corrupt: Corrupt = lambda _, records: records,
) -> None:
    """Process batches of a partition's inputs, each in a transaction as the engine would write it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, transactional_id=f"{app_id}-{worker.partition}", max_request_size=2**23
    )
    async with producer:
        for number, batch in enumerate(batches):
            outputs = corrupt(number, worker.process(batch))
            async with producer.transaction():
                for topic, key, value, headers in outputs:
                    await producer.send_and_wait(
                        topic, value, key=key, partition=worker.partition, headers=list(headers)
                    )
                offsets = {
                    TopicPartition(topic, worker.partition): offset for topic, offset in worker.committed().items()
                }
                await producer.send_offsets_to_transaction(offsets, app_id)
