"""A processor of one partition, as its tests feed it."""

from __future__ import annotations

import json

from schemas.topics import Topic
from tests.named import named
from tests.unit.domain.shop import START_MS, Fields, body_of, ms, ordered
from worker.domain.policies import Policies
from worker.processors.ledger import PartitionProcessor
from worker.stream.partitioning import partition_of
from worker.stream.processor import Outcome
from worker.stream.records import Headers, InputRecord, OutputRecord

PREFIX = "shop."
COUNT = 4
HOME = partition_of("a", COUNT)
NOW = 60
ELSEWHERE = next(name for name in "bcdefgh" if partition_of(name, COUNT) != HOME)
NEIGHBOUR = next(name for name in "bcdefghijklmnop" if partition_of(name, COUNT) == HOME)
CREATED = body_of("order.created", lines=ordered(1))
BROKEN = {**CREATED, "lines": []}


class Partition:
    """The partition of the account "a" in topics of four, with a prefix."""

    def __init__(self) -> None:
        self.processor = PartitionProcessor(partition=HOME, partition_count=COUNT, prefix=PREFIX, policies=Policies())
        self.offset = 6
        self.state: dict[bytes, bytes | None] = {}

    def process(
        self,
        value: Fields | bytes | None,
        *,
        topic: Topic = Topic.ORDERS,
        key: bytes | None = b"a",
        timestamp: int = START_MS + NOW * 60_000,
        headers: Headers = (),
    ) -> Outcome:
        self.offset += 1
        raw = json.dumps(value).encode() if isinstance(value, dict) else value
        record = InputRecord(PREFIX + topic, HOME, self.offset, timestamp, key, raw, tuple(headers))
        return self.processor.process(record)

    def dead_letter(self) -> OutputRecord:
        (record,) = (record for record in named(self.processor.flush()) if record.topic == PREFIX + Topic.DEAD_LETTERS)
        return record

    def code_of(self, value: Fields | bytes | None, **how: object) -> str:
        assert self.process(value, **how) is Outcome.DEAD_LETTERED  # type: ignore[arg-type]  # named as in process
        return headers_of(self.dead_letter())["error-code"]

    def pending(self, order_id: str = "o") -> list[str]:
        view = self.processor.ledger.order_of("a", order_id)
        return [] if view is None else view.dead_letters


def headers_of(record: OutputRecord) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in record.headers}


def restored(partition: Partition, without: bytes = b"-") -> Partition:
    """Another one that read the state that this one has written so far."""
    records = [record for record in named(partition.processor.flush()) if record.topic == PREFIX + Topic.STATE]
    partition.state |= {record.key or b"": record.value for record in records}
    again = Partition()
    for key, value in partition.state.items():
        if not key.startswith(without):
            again.processor.restore(key, value)
    again.processor.restored(ms(NOW))
    return again
