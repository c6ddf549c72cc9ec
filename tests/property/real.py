"""The real thing at the level of the wire: records in, the outputs of each flush out, read back into plain dicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from schemas.topics import Topic
from tests.model.reading import time_ms
from tests.model.run import AccountPolicies, Record
from tests.named import named
from tests.property.drafts import PARTITION, PARTITION_COUNT, PREFIX
from worker.domain import policies as settings
from worker.processors.ledger import PartitionProcessor
from worker.stream.processor import Outcome
from worker.stream.records import InputRecord, OutputRecord


@dataclass
class Written:
    """What one flush wrote, by topic. Levels, statuses and state: the last value of each key."""

    records: list[OutputRecord] = field(default_factory=list)

    def of(self, topic: Topic) -> list[OutputRecord]:
        return [record for record in self.records if record.topic == PREFIX + topic]

    def events(self, topic: Topic) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.of(topic)]

    def latest(self, topic: Topic) -> dict[bytes, dict[str, Any]]:
        return {record.key or b"": json.loads(record.value or b"") for record in self.of(topic)}

    def outputs(self) -> list[OutputRecord]:
        return [record for record in self.records if record.topic != PREFIX + Topic.STATE]


def rules_of(policies: AccountPolicies) -> settings.Policies:
    return settings.Policies(defaults=settings.AccountPolicies(**policies._asdict()))


class Real:
    """A processor, and the last state record of each key it wrote."""

    def __init__(
        self, policies: AccountPolicies, state: Mapping[bytes, bytes | None] | None = None, stream_time: int = -1
    ) -> None:
        self.processor = PartitionProcessor(
            partition=PARTITION, partition_count=PARTITION_COUNT, prefix=PREFIX, policies=rules_of(policies)
        )
        self.state: dict[bytes, bytes | None] = dict(state or {})
        self.stream_time = stream_time
        for key, value in self.state.items():
            self.processor.restore(key, value)
        self.processor.restored(stream_time)
        assert self.processor.state_records == len(self.live_state())

    def process(self, record: Record) -> Outcome:
        self.stream_time = max(self.stream_time, record.timestamp)
        return self.processor.process(InputRecord(PREFIX + record.topic, *record[1:]))

    def flush(self) -> Written:
        written = Written(named(self.processor.flush()))
        for record in written.of(Topic.STATE):
            assert record.key is not None
            self.state[record.key] = record.value
        assert self.processor.state_records == len(self.live_state())
        return written

    def feed(self, record: Record) -> tuple[Outcome, Written]:
        outcome = self.process(record)
        return outcome, self.flush()

    def restarted(self, policies: AccountPolicies) -> Real:
        """A new one, from what was written so far as a compacted topic holds it."""
        return Real(policies, self.live_state(), self.stream_time)

    def live_state(self) -> dict[bytes, bytes]:
        return {key: value for key, value in self.state.items() if value is not None}


def run(records: Iterable[Record], policies: AccountPolicies) -> Real:
    real = Real(policies)
    for record in records:
        real.process(record)
    real.flush()
    return real


def long_key(*parts: str) -> bytes:
    return "/".join(quote(part, safe="-._~") for part in parts).encode()


def levels_of(real: Real) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Every level that says something, by (account, warehouse, SKU)."""
    levels = {}
    for view in real.processor.ledger.levels():
        level = {name: getattr(view, name) for name in ("on_hand", "frozen", "available", "publishable")}
        level["as_of"] = None if view.as_of is None else time_ms(view.as_of)
        if level["frozen"] or level["on_hand"] is not None:
            levels[view.account_id, view.warehouse_id, view.sku] = level
    return levels


def statuses_of(real: Real) -> dict[tuple[str, str], dict[str, Any]]:
    """Every order of which more is known than a dead letter."""
    statuses = {}
    for view in real.processor.ledger.orders():
        if not view.known:
            continue
        statuses[view.account_id, view.order_id] = {
            "order_id": view.order_id,
            "status": view.status,
            "placed": view.placed,
            "eligible": view.eligible,
            "sub_orders": dict(view.sub_orders),
            "units": sorted((unit_row(tuple(row)) for row in view.units), key=str),
        }
    return statuses


def unit_row(row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(("sub_order_id", "warehouse_id", "sku", "open", "shipped", "cancelled"), row, strict=True))
