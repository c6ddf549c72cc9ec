"""What each system must end with: the frozen units of every stock key, from the events and from the topic."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from schemas.topics import Topic
from tests.bench.load import events
from tests.bench.peers.kernel import DEFAULT_WAREHOUSE, KERNEL_TYPES
from tests.bench.steady_load import LoadRecord
from tests.bench.system import PARTITIONS, System
from worker.inspection.topic_reader import Record, TopicReader

ENDLESS: Final = 1 << 40
_SHOWN: Final = 3

StockKey = tuple[str, str, str]
"""Account, warehouse, SKU."""


class _Head(msgspec.Struct):
    type: str


class _Level(msgspec.Struct):
    account_id: str
    warehouse_id: str
    sku: str
    frozen: int


_HEAD = msgspec.json.Decoder(_Head).decode
_LEVEL = msgspec.json.Decoder(_Level).decode


def kernel_events(n_events: int, start_ms: int) -> Iterator[LoadRecord]:
    """The standard load without the events that the kernel does not know."""
    known = (record for record in events(ENDLESS, start_ms) if _HEAD(record.value).type in KERNEL_TYPES)
    return islice(known, n_events)


def expected_levels(records: Iterable[LoadRecord]) -> dict[StockKey, int]:
    """The frozen units after all of them: what was ordered, less what was shipped. Written apart from the peers."""
    frozen: Counter[StockKey] = Counter()
    sub_orders: dict[str, list[tuple[StockKey, int]]] = {}
    for record in records:
        event: dict[str, Any] = json.loads(record.value)
        if event["type"] == "sub_order.shipped":
            for key, quantity in sub_orders[event["sub_order_id"]]:
                frozen[key] -= quantity
            continue
        lines = [
            (
                (
                    event["account_id"],
                    line.get("warehouse_id") or event.get("warehouse_id", DEFAULT_WAREHOUSE),
                    line["sku"],
                ),
                line["quantity"],
            )
            for line in event["lines"]
        ]
        if event["type"] == "order.created":
            for key, quantity in lines:
                frozen[key] += quantity
        else:
            sub_orders[event["sub_order_id"]] = lines
    return dict(frozen)


async def read_levels(system: System) -> dict[StockKey, int]:
    """The frozen units in the last committed record of each level."""
    latest: dict[bytes | None, bytes] = {}

    def take(records: Sequence[Record]) -> None:
        latest.update((record.key, record.value) for record in records if record.value is not None)

    topic = system.topic(Topic.LEVELS)
    async with TopicReader({"bootstrap_servers": system.bootstrap_servers}) as reader:
        for partition in range(PARTITIONS):
            bounds = await reader.bounds(topic, partition)
            await reader.read(topic, partition, start=bounds.start, end=bounds.end, take=take)
    levels = map(_LEVEL, latest.values())
    return {(level.account_id, level.warehouse_id, level.sku): level.frozen for level in levels}


def difference(expected: dict[StockKey, int], found: dict[StockKey, int]) -> str | None:
    """Where the two differ, in words; None: nowhere. A level that nobody froze may be there, if it is 0."""
    wrong = [key for key in sorted({*expected, *found}) if expected.get(key, 0) != found.get(key, 0)]
    wrong += sorted({*expected} - {*found} - {*wrong})
    if not wrong:
        return None
    shown = ", ".join(f"{'/'.join(key)}: {found.get(key)}, not {expected.get(key, 0)}" for key in wrong[:_SHOWN])
    return f"{len(wrong):,} of {len(expected):,} levels are wrong ({shown})"
